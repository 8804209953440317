"""Runs of speech: when they open and close, and what of it is the speech itself."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from vad_agent.hearing.ear import HANGOVER, SHORTEST, LevelledEar
from vad_agent.hearing.run import SEGMENT
from vad_agent.hearing.webrtc import LONG_HANGOVER, LONG_RUN, SHORT_HANGOVER

from audio_fixtures import clips, dsp, g711
from tests.detection.hearing_tape import (
    RATE,
    VOICES,
    Frame,
    carets,
    clip,
    cut,
    draw,
    hear,
    join,
    listen,
    near,
    noise,
    over,
    scripted,
    speech,
    voice,
)
from vad_agent.core.frames import SAMPLE_RATES

WORDS = ("caller_yes", "woman_short_word", "woman_no", "woman_two", "woman_tomorrow", "woman_hello")
SPEECH = [name for name, entry in clips.catalogue().items() if entry.kind == "speech"]
NARROW = [name for name in SPEECH if not clips.catalogue()[name].wide]


# -- drawn frame by frame, with a detector that says what is drawn -----------------------------------


@pytest.mark.parametrize(
    "drawing",
    [
        ("hhhhhaaaahhhhhhhhhhhhhhhhhhhhhh", ""),
        ("hhhhhaaaaahhhhhhhhhhhhhhhhhhhhh", "     ^   $"),
        ("hhhhhaaaaaahhhhhhhhhhhhhhhhhhhh", "     ^    $"),
        ("hhhhhahahahahhhhhhhhhhhhhhhhhhh", ""),  # 4 of 8
        ("hhhhhahaahaahhhhhhhhhhhhhhhhhhh", "     ^     $"),  # 5 of 8
        ("hhhhhahaahahhahhhhhhhhhhhhhhhhh", ""),  # the fifth comes as the ninth
        ("aaaaahhhhhhhhhhhhhhhhhhhhhhhhhh", "^   $"),
        ("hhaaa-aahhhhhhhhhhhhhhhhhhhhhhh", "  ^    $"),  # a frame lost in the onset
        ("hhaa---aaahhhhhhhhhhhhhhhhhhhhh", "  ^      $"),
        ("hhaa-----aaahhhhhhhhhhhhhhhhhhh", ""),
    ],
    ids=lambda drawing: drawing[0].rstrip("h"),
)
def test_five_of_eight_open_a_run(drawing: tuple[str, str]) -> None:
    assert scripted(drawing[0]).runs == carets(drawing[1])


@pytest.mark.parametrize("gap", [HANGOVER - 1, HANGOVER, HANGOVER + 1])
@pytest.mark.parametrize("kind", "h0-")
def test_a_run_outlives_gaps_up_to_the_hangover(gap: int, kind: str) -> None:
    heard = scripted(f"h*20 a*20 {kind}*{gap} a*20 h*30")
    second = 40 + gap
    if gap <= HANGOVER:
        assert heard.runs == [(20, second + 20)]
    else:
        assert heard.runs == [(20, 40), (second, second + 20)]


def test_a_run_closes_one_frame_after_its_hangover() -> None:
    heard = scripted("h*20 a*20 h*30")
    assert heard.speaking == "_" * 24 + "#" * (16 + HANGOVER) + "_" * (30 - HANGOVER)


def test_an_utterance_counts_after_a_second_or_at_its_end() -> None:
    assert scripted("h*20 a*20 h*30").accepted == [40 + HANGOVER]
    assert len(scripted("h*20 a*200 h*30").accepted) == 1
    assert 70 <= scripted("h*20 a*200 h*30").accepted[0] <= 74


@pytest.mark.parametrize("length", [5, 6, 7, 8, 9, 12, 13, 40])
def test_the_detectors_hangover_is_taken_back(length: int) -> None:
    """Only where the detector says no to a loud frame: a quiet one ends speech without hangover.

    Mode 3 never says yes ten or eleven times: six frames have three more, seven have five.
    """
    hangover = LONG_HANGOVER if length >= LONG_RUN + LONG_HANGOVER else SHORT_HANGOVER
    heard = scripted(f"h*20 a*{length} l*40")
    sound = length - hangover
    assert heard.runs == ([(20, 20 + sound)] if sound >= SHORTEST else [])
    assert scripted(f"h*20 a*{length} h*40").runs == [(20, 20 + length)]


def test_bursts_shorter_than_the_hangover_never_add_up() -> None:
    assert scripted("h*9 " + "aaal" * 30 + " h*30").opened == []


def test_finish_closes_what_is_open() -> None:
    heard = scripted("h*20 a*20 h*3")
    assert (heard.runs, heard.accepted) == ([(20, 40)], [43])


def test_finish_of_a_quiet_call_changes_nothing() -> None:
    ear = LevelledEar(RATE)
    assert not ear.finish()
    listen(ear, noise(100))
    assert not ear.finish()


def test_finish_twice() -> None:
    ear = LevelledEar(RATE)
    listen(ear, noise(30) + voice(30), finish=False)
    assert ear.finish()
    assert not ear.finish()
    assert (ear.runs, ear.utterances, ear.speaking) == (1, 1, False)


def test_frames_that_stop_in_mid_speech_close_the_run() -> None:
    heard = scripted("h*20 a*20 -*30")
    assert heard.runs == [(20, 40)]
    assert heard.accepted == [40 + HANGOVER]


def test_a_frame_that_opens_a_run_is_not_lacking() -> None:
    ear = LevelledEar(RATE, detector=lambda _frame, _samples: True)
    lacking = []
    for frame in [*draw(".*30"), *voice(4), None, *voice(30)]:
        ear.hear(frame)
        lacking.append(ear.lacks_frame())
    assert ear.speaking
    assert lacking == [False] * 34 + [True] + [False] * 30


def test_doubt_is_a_sound_that_has_just_begun() -> None:
    ear = LevelledEar(RATE)
    doubts = ""
    for frame in draw(".*30 S*8 .*30"):
        ear.hear(frame)
        doubts += "?" if ear.doubtful() else "_"
    assert doubts[:31] == "_" * 31
    assert "?" in doubts[31:36]
    assert "?" not in doubts[38:]


# -- real voices -------------------------------------------------------------------------------------


def loud_part(sound: list[bytes]) -> tuple[int, int]:
    """First and last frame within 20 dB of a clip's active level, and out of the line's noise."""
    rms = dsp.block_rms(join(sound), 160)
    level_db = dsp.active_level_db(join(sound), RATE)
    loud = np.flatnonzero(rms >= 10 ** (max(level_db - 20, -50) / 20) * 32768)
    return int(loud[0]), int(loud[-1]) + 1


def assert_extent(runs: list[tuple[int, int]], sound: list[bytes], at: int, by: int = 3) -> None:
    """The runs cover the clip that begins at frame `at`; what is hardly audible may be left out."""
    first, last = loud_part(sound)
    assert -3 <= runs[0][0] - at <= first + by
    assert last - by <= runs[-1][1] - at <= len(sound) + 3


@pytest.mark.parametrize("name", sorted({*VOICES, *WORDS}))
def test_start_and_end_of_a_clean_clip(name: str) -> None:
    heard = listen(LevelledEar(RATE), noise(60) + clip(name) + noise(60, seed=3))
    assert_extent(heard.runs, clip(name), 60)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("gain_db", [0, -8, -16])
@pytest.mark.parametrize("line", ["comfort", "zero", "A-law"])
def test_a_short_word_is_an_utterance(word: str, gain_db: int, line: str) -> None:
    sound = clip(word, gain_db)
    count = len(sound)
    frames: list[Frame] = [*noise(80), *over(sound, noise(count, seed=2)), *noise(60, seed=3)]
    if line == "zero":
        frames = [*draw("0*80"), *sound, *draw("0*60")]
    elif line == "A-law":
        frames = list(cut(g711.round_trip(join(frames).astype(np.int16), "alaw")))
    heard = listen(LevelledEar(RATE), frames)
    assert len(heard.runs) == len(heard.accepted) == 1
    # Of a quiet word the consonants at its edges may be lost.
    assert_extent(heard.runs, sound, 80, by=3 if gain_db == 0 else 7)


@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize("word", ["caller_yes", "woman_short_word", "woman_no"])
def test_a_yes_of_150_ms_is_an_utterance(word: str, frames: int) -> None:
    sound = clip(word)[:frames]
    heard = listen(LevelledEar(RATE), noise(80) + sound + noise(60, seed=3))
    assert near(heard.runs, [(80, 80 + frames)], by=2)
    assert len(heard.accepted) == 1


@pytest.mark.parametrize("gain_db", [0, -15])
@pytest.mark.parametrize("word", [*WORDS, "caller_alo", *VOICES[:8]])
def test_speech_from_the_very_first_frame(word: str, gain_db: int) -> None:
    """No warm-up: a client who is in the middle of a word when the line opens is heard."""
    sound = clip(word, gain_db)
    sound = sound[loud_part(sound)[0] :]
    frames = [*over(sound, noise(len(sound), seed=8)), *noise(40)]
    first = listen(LevelledEar(RATE), frames)
    later = listen(LevelledEar(RATE), [*noise(100), *frames])
    assert first.runs, "nothing heard"
    assert first.runs[0][0] <= later.runs[0][0] - 100 + 10  # the detector is new to the line, too
    assert abs(first.runs[-1][1] - later.runs[-1][1] + 100) <= 5


@pytest.mark.parametrize(
    "drawing",
    ["k", "kk", "k....k", "kk...kk", "k....k....k....k", "kk..........kk", "k" + "....k" * 20],
)
def test_key_clicks_open_no_run(drawing: str) -> None:
    assert hear(f".*80 {drawing} .*40").opened == []
    assert hear(f"0*80 {drawing} 0*40").opened == []
    assert hear(f".*40 S*40 .*40 {drawing} .*40").runs == [(40, 80)]


@pytest.mark.parametrize("gain_db", [6, 0, -6, -12, -24])
def test_typing_opens_no_run(gain_db: int) -> None:
    keys = clip("noise_typing", gain_db) * 4
    heard = listen(LevelledEar(RATE), noise(80) + over(keys, noise(len(keys), seed=4)) + noise(40))
    assert heard.opened == []


@pytest.mark.parametrize("gap", [0, 10])
def test_typing_does_not_hold_a_run_open(gap: int) -> None:
    """Who types after speaking is silent."""
    keys = clip("noise_typing", -6) * 4
    frames = [*noise(60), *voice(60), *noise(gap + 1), *over(keys, noise(len(keys), seed=4))]
    heard = listen(LevelledEar(RATE), [*frames, *noise(40)])
    assert near(heard.runs, [(60, 120)], by=SEGMENT)  # clicks at once belong to the word


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 8])
def test_missing_frames_within_speech_do_not_split_it(lost: int) -> None:
    heard = hear(f".*50 S*40 -*{lost} S*40 .*40")
    assert near(heard.runs, [(50, 130 + lost)], by=2)
    assert len(heard.accepted) == 1


def test_every_tenth_frame_lost() -> None:
    frames: list[Frame] = [
        None if at % 10 == 7 else frame for at, frame in enumerate(draw(".*50 S*100 .*60"))
    ]
    assert near(listen(LevelledEar(RATE), frames).runs, [(50, 150)], by=3)


# -- rates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [rate for rate in SAMPLE_RATES if rate != RATE])
def test_any_rate_hears_the_same_runs(rate: int) -> None:
    frames, _ = speech(*VOICES[4:12], *WORDS, gap=35)
    samples = join(frame for frame in frames if frame is not None)
    wide = np.rint(soxr.resample(samples.astype(np.float64), RATE, rate)).astype(np.int64)
    narrow_runs = listen(LevelledEar(RATE), frames).runs
    wide_runs = listen(LevelledEar(rate), cut(wide, rate // 50)).runs
    assert near(wide_runs, narrow_runs, by=6)
    edges = [
        abs(a - b)
        for pair in zip(wide_runs, narrow_runs, strict=True)
        for a, b in zip(*pair, strict=True)
    ]
    assert sum(edge > 3 for edge in edges) <= len(edges) // 20


# -- asking the detector only where it matters ---------------------------------------------------------


def dirty(kind: str) -> list[Frame]:
    """All clips of speech joined, 0.7 s between them, on a line of this kind."""
    frames, _ = speech(*NARROW, gap=35, gain_db=-22 if kind == "quiet voice" else 0)
    count = len(frames)
    if kind == "noise":
        return over(frames, noise(count, -46, 11))
    if kind == "keys":
        keys = clip("noise_typing", -6)
        return over(frames, (keys * (count // len(keys) + 1))[:count])
    if kind == "A-law":
        flat = join(frame for frame in frames if frame is not None)
        return list(cut(g711.round_trip(flat.astype(np.int16), "alaw")))
    if kind == "lost":
        lost = np.random.default_rng(4).random(count) < 0.03
        return [None if gone else frame for gone, frame in zip(lost, frames, strict=True)]
    return frames


@pytest.mark.parametrize("kind", ["clean", "noise", "keys", "A-law", "lost", "quiet voice"])
def test_skipping_quiet_frames_changes_no_run(kind: str) -> None:
    """No run is lost or invented; few edges move by more than five frames.

    In noise, or near it, a detector that is not asked about the noise learns it later: one in eight,
    else one in twenty.
    """
    most = 1 / 8 if kind in ("noise", "quiet voice") else 1 / 20
    frames = dirty(kind)
    lean = listen(LevelledEar(RATE), frames)
    full = listen(LevelledEar(RATE, skip_quiet=False), frames)
    for ours, theirs in ((lean, full), (full, lean)):
        assert [run for run in ours.runs if "#" not in theirs.speaking[run[0] : run[1]]] == []
        far = [
            edge
            for side in (0, 1)
            for edge in (run[side] for run in ours.runs)
            if all(abs(edge - run[side]) > 5 for run in theirs.runs)
        ]
        assert len(far) <= len(ours.runs) * 2 * most, far
