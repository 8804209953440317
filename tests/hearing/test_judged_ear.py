"""The ear with the judge: what it refuses, what it finds, and that it costs no decision on clean lines."""

from __future__ import annotations

import pytest

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from tests.hearing.hearing_tape import RATE, clip, draw, listen, near, noise, over, voice
from tests.test_fixtures import told
from vad_agent import CallSession, Settings
from vad_agent.core.actions import LineState
from vad_agent.hearing.ear import LevelledEar
from vad_agent.hearing.judge import NetworkJudge, Verdict
from vad_agent.hearing.judged import GONE, PERIOD, JudgedEar
from vad_agent.replay import Replay, load_events
from vad_agent.sources.recording import open_call
from vad_agent.trace import record


class Says:
    """A judge that says what it is told, and counts how often it is asked."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[int] = []

    def hear(self, frames: list[bytes], sample_rate: int) -> Verdict:
        self.asked.append(len(frames))
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


NOBODY = Verdict(None, None, doubtful=False)
DOUBTFUL = Verdict(None, None, doubtful=True)


@pytest.fixture(scope="module")
def network() -> NetworkJudge:
    return NetworkJudge()


def test_a_run_that_the_judge_refuses_is_no_utterance() -> None:
    heard = listen(JudgedEar(RATE, Says(NOBODY)), draw(".*100 S*30 .*60"))
    assert heard.opened  # at once, by the cheap path
    assert heard.runs == []
    assert heard.accepted == []


def test_an_open_run_in_which_nobody_has_long_spoken_ends_where_the_judge_says() -> None:
    speaks, gone = Verdict(0, 40, doubtful=False), Verdict(GONE + 20, 100, doubtful=False)
    judge = Says(speaks, gone)
    heard = listen(JudgedEar(RATE, judge), draw(".*100 S*200"), finish=False)
    assert len(heard.runs) == 1
    assert heard.runs[0][1] <= 300 - GONE


def test_a_word_that_the_cheap_path_missed_moves_the_end_of_the_silence() -> None:
    ear = JudgedEar(RATE, Says(Verdict(20, 45, doubtful=False)))
    listen(ear, noise(PERIOD + 1, -50), finish=False)
    assert (ear.utterances, ear.runs) == (1, 1)
    assert ear.end == PERIOD - 20


def test_before_a_prompt_it_is_asked_again_and_may_doubt() -> None:
    judge = Says(NOBODY, DOUBTFUL)
    ear = JudgedEar(RATE, judge)
    listen(ear, noise(PERIOD + 30, -45), finish=False)
    asked = len(judge.asked)
    assert ear.confirm() is False
    assert len(judge.asked) == asked + 1
    assert ear.doubtful()
    assert ear.confirm() is False  # the verdict is fresh: it stands
    assert len(judge.asked) == asked + 1


def test_of_a_silent_line_it_is_not_asked() -> None:
    judge = Says(NOBODY)
    listen(JudgedEar(RATE, judge), draw("0*1000"))
    assert judge.asked == []


@pytest.mark.parametrize("word", ["caller_yes", "woman_no", "woman_short_word", "caller_alo"])
def test_short_words_pass_the_network(network: NetworkJudge, word: str) -> None:
    sound = clip(word)
    frames = [*noise(200), *sound, *noise(80)]
    assert len(listen(JudgedEar(RATE, network), frames).accepted) == 1


def test_speech_is_heard_where_the_cheap_path_hears_it(network: NetworkJudge) -> None:
    frames = [*noise(100), *clip("man_delivery_time"), *noise(60), *clip("woman_questions")]
    frames += noise(60, seed=4)
    judged, cheap = listen(JudgedEar(RATE, network), frames), listen(LevelledEar(RATE), frames)
    assert near(judged.runs, cheap.runs, by=10)


def test_typing_is_refused(network: NetworkJudge) -> None:
    keys = clip("noise_typing", 0) * 20
    frames = [*noise(100), *over(keys, noise(len(keys), seed=3)), *noise(50)]
    assert listen(JudgedEar(RATE, network), frames).accepted == []


def test_frames_that_do_not_come_are_nobody(network: NetworkJudge) -> None:
    heard = listen(JudgedEar(RATE, network), draw(".*100 S*60 -*200 .*50"))
    assert len(heard.runs) == 1
    assert heard.lines[-1][1] is LineState.LIVE


@pytest.mark.parametrize("recipe", load_all(), ids=lambda recipe: recipe.name)
def test_every_fixture_goes_as_its_recipe_demands_with_the_judge_too(recipe: Recipe) -> None:
    settings = Settings.load(FOLDER / recipe.script) if recipe.script else Settings()
    settings = Settings(**settings.model_dump() | {"hearing": {"judge": "network"}})
    events = load_events(recipe.events_path) if recipe.events else []
    first, *second = recipe.recordings
    swapped = recipe.left == "client"
    sides = {"operator_channel": "right", "client_channel": "left"} if swapped else {}
    with open_call(first, client_path=second[0] if second else None, **sides) as recording:
        session = CallSession(settings, recording.sample_rate, mode=recipe.mode)
        lines = [record(a) for a in Replay(session, settings, events).run(recording)]
    happened = [text for line in lines if line and (text := told(line))]
    assert happened == ["phase greeting", *recipe.expect]


def test_the_setting_chooses_it() -> None:
    settings = Settings(hearing={"judge": "network"})
    session = CallSession(settings, RATE)
    for frame in [*voice(60), *noise(200)]:
        session.feed(frame, noise(1)[0])
    assert isinstance(settings.ear("client", RATE), JudgedEar)  # type: ignore[arg-type]
    assert not isinstance(Settings().ear("client", RATE), JudgedEar)  # type: ignore[arg-type]
