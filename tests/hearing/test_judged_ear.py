"""The ear with the judge: what it refuses, what it finds, and that it costs no decision on clean lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from vad_agent.hearing.ear import LevelledEar
from vad_agent.hearing.judge import LEAST, Verdict
from vad_agent.hearing.judged import FIRST, FRESH, GONE, MOST_AGAIN, PRICE, JudgedEar
from vad_agent.hearing.listener import NetworkListener

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from tests.detection.hearing_tape import RATE, clip, draw, listen, near, noise, over, voice
from tests.test_fixtures import told
from vad_agent import CallSession, Settings
from vad_agent.core.actions import LineState
from vad_agent.core.frames import ENDLESS
from vad_agent.recorded_events import load_events
from vad_agent.replay import Replay
from vad_agent.sources.recording import open_call
from vad_agent.trace import record


class Says:
    """A listener that says what it is told, and notes how many new frames it is given."""

    knows_music = True

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[int] = []

    def hear(self, frames: Sequence[bytes]) -> Verdict:
        self.asked.append(len(frames))
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


NOBODY = Verdict(None, None, doubtful=False)
DOUBTFUL = Verdict(None, None, doubtful=True)


def network() -> JudgedEar:
    return JudgedEar(RATE, NetworkListener(RATE))


# -- what it is asked, and what follows ------------------------------------------------------------


def test_a_run_that_the_judge_refuses_is_no_utterance() -> None:
    heard = listen(JudgedEar(RATE, Says(NOBODY)), draw(".*100 S*30 .*60"))
    assert heard.opened  # at once, by the cheap path
    assert heard.runs == []
    assert heard.accepted == []


def test_a_run_is_not_known_to_be_speech_until_the_judge_says_so() -> None:
    ear = JudgedEar(RATE, Says(Verdict(0, 12, doubtful=False)))
    known = []
    for frame in draw(".*100 S*60"):
        ear.hear(frame)
        known.append(ear.sure)
        assert ear.speaking or not ear.sure
    assert known.index(True) <= 100 + FIRST + 5


def test_an_open_run_in_which_nobody_has_long_spoken_ends_where_the_judge_says() -> None:
    speaks, gone = Verdict(0, 40, doubtful=False), Verdict(GONE + 20, 100, doubtful=False)
    heard = listen(JudgedEar(RATE, Says(speaks, gone, NOBODY)), draw(".*100 S*200"), finish=False)
    assert len(heard.runs) == 1
    assert heard.runs[0][1] <= 300 - GONE


def decide(ear: JudgedEar, at: int, frames: Sequence[bytes | None]) -> bool:
    """A decision is due at frame `at`, while these frames are heard. True: something has changed."""
    ear.expect_decision(at)
    changed = [ear.hear(frame) for frame in frames]
    ear.expect_decision(ENDLESS)
    return any(changed)


def test_a_word_that_the_cheap_path_missed_moves_the_end_of_the_silence() -> None:
    ear = JudgedEar(RATE, Says(Verdict(20, 45, doubtful=False)))
    listen(ear, noise(125, -45), finish=False)
    assert decide(ear, 126, noise(1, -45)) is True
    assert (ear.utterances, ear.runs, ear.start, ear.end) == (1, 1, 126 - 45, 126 - 20)


def test_before_a_decision_it_is_asked_again_and_may_doubt() -> None:
    judge = Says(NOBODY, DOUBTFUL)
    ear = JudgedEar(RATE, judge)
    listen(ear, noise(130, -45), finish=False)
    assert decide(ear, 131, noise(1, -45)) is False
    listen(ear, noise(30, -45), finish=False)
    asked = len(judge.asked)
    assert not ear.settled()
    assert decide(ear, 162, noise(1, -45)) is False
    assert len(judge.asked) == asked + 1
    assert ear.doubtful()
    assert ear.settled()
    assert decide(ear, 163, noise(1, -45)) is False  # the verdict is fresh: it stands
    assert len(judge.asked) == asked + 1


def test_what_is_not_known_when_a_decision_is_due_is_settled_soon() -> None:
    """A sound that has just begun, and never becomes clear, does not hold a decision for long."""
    ear = JudgedEar(RATE, Says(DOUBTFUL))
    listen(ear, draw(".*200"), finish=False)
    frames = iter(draw("S*100"))
    while not ear.speaking:
        ear.hear(next(frames))
    waited = 0
    while ear.speaking:
        ear.expect_decision(0)
        ear.hear(next(frames))
        waited += 1
    assert waited <= FIRST + FRESH * (MOST_AGAIN + 1)


def test_of_a_silent_line_it_is_not_asked() -> None:
    for drawing in ("0*1000", ".*1000", "z*1000", ",*1000", "-*1000"):
        judge = Says(NOBODY)
        ear = JudgedEar(RATE, judge)
        ear.expect_decision(0)  # all the time
        listen(ear, draw(drawing), finish=False)
        assert ear.settled()
        assert judge.asked == []


@pytest.mark.parametrize("drawing", ["m*3000", "n*3000", "S*3000", ("S*30 .*20 " * 60).strip()])
def test_however_it_sounds_questions_are_few(drawing: str) -> None:
    """One in PRICE frames on average, two at once, and two more of a sound that may be music."""
    for verdict in (NOBODY, DOUBTFUL, Verdict(0, 30, doubtful=False)):
        judge = Says(verdict)
        listen(JudgedEar(RATE, judge), draw(drawing))
        assert len(judge.asked) <= 3000 / PRICE + 4


def test_every_frame_is_given_once_and_in_order() -> None:
    frames = draw(".*100 S*250 .*100 S*60 -*20 .*60")
    given: list[bytes] = []

    class Keeps(Says):
        def hear(self, frames: Sequence[bytes]) -> Verdict:
            given.extend(frames)
            return super().hear(frames)

    listen(JudgedEar(RATE, Keeps(Verdict(0, 30, doubtful=False))), frames)
    assert given == [frame or bytes(320) for frame in frames][: len(given)]


def test_a_call_of_less_than_a_second_is_not_judged() -> None:
    judge = Says(NOBODY)
    ear = JudgedEar(RATE, judge)
    listen(ear, draw(f"S*{LEAST - 1}"), finish=False)
    assert ear.speaking
    assert not ear.sure
    assert judge.asked == []


# -- with the network ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["caller_yes", "woman_no", "woman_short_word", "caller_alo"])
def test_short_words_pass_the_network(word: str) -> None:
    sound = clip(word)
    frames = [*noise(200), *sound, *noise(80)]
    assert len(listen(network(), frames).accepted) == 1


def test_speech_is_heard_where_the_cheap_path_hears_it() -> None:
    frames = [*noise(100), *clip("man_delivery_time"), *noise(60), *clip("woman_questions")]
    frames += noise(60, seed=4)
    judged, cheap = listen(network(), frames), listen(LevelledEar(RATE), frames)
    assert near(judged.runs, cheap.runs, by=10)


def test_typing_is_refused() -> None:
    keys = clip("noise_typing", 0) * 20
    frames = [*noise(100), *over(keys, noise(len(keys), seed=3)), *noise(50)]
    assert listen(network(), frames).accepted == []


def test_frames_that_do_not_come_are_nobody() -> None:
    heard = listen(network(), draw(".*100 S*60 -*200 .*50"))
    assert len(heard.runs) == 1
    assert heard.lines[-1][1] is LineState.LIVE


NOT_WITH_SILERO = {
    # It knows no music, and the cheap path knows it too late for the first phrase.
    "hold_music_melody", "hold_music_not_returning", "hold_music_returning",
    # The client is heard a moment before the prompt is stopped, not after it.
    "answer_in_not_heard",
}  # fmt: skip
CASES = [
    pytest.param(recipe, judge, id=f"{recipe.name}-{judge}")
    for recipe in load_all()
    for judge in ("none", "silero")
    if judge == "none" or recipe.name not in NOT_WITH_SILERO
]


@pytest.mark.parametrize(("recipe", "judge"), CASES)
def test_every_fixture_goes_as_its_recipe_demands_whoever_judges(
    recipe: Recipe, judge: str
) -> None:
    """With the network they are checked where the expected traces are."""
    settings = Settings.load(FOLDER / recipe.script) if recipe.script else Settings()
    settings = Settings(**settings.model_dump() | {"hearing": {"judge": judge}})
    events = load_events(recipe.events_path).events if recipe.events else []
    first, *second = recipe.recordings
    swapped = recipe.left == "client"
    sides = {"operator_channel": "right", "client_channel": "left"} if swapped else {}
    with open_call(first, client_path=second[0] if second else None, **sides) as recording:
        session = CallSession(settings, recording.sample_rate, mode=recipe.mode)
        lines = [record(a) for a in Replay(session, settings, events).run(recording)]
    happened = [text for line in lines if line and (text := told(line))]
    assert happened == ["phase greeting", *recipe.expect]


def test_the_setting_chooses_it() -> None:
    settings = Settings()
    session = CallSession(settings, RATE)
    for frame in [*voice(60), *noise(200)]:
        session.feed(frame, noise(1)[0])
    assert isinstance(settings.ear("client", RATE), JudgedEar)  # type: ignore[arg-type]
    cheap = Settings(hearing={"judge": "none"})
    assert not isinstance(cheap.ear("client", RATE), JudgedEar)  # type: ignore[arg-type]
