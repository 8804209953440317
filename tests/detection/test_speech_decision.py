"""Segments of speech: when they open and close, and their exact limits."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from audio_fixtures import clips, dsp, g711
from tests.detection.endpointer_tape import (
    LATE,
    RATE,
    VOICES,
    Drawn,
    Frame,
    clip,
    cut,
    draw,
    hear,
    join,
    listen,
    near,
    new_endpointer,
    noise,
    over,
    speech,
    voice,
)
from vad_agent.core.frames import SAMPLE_RATES
from vad_agent.detection.endpointer import Endpointer
from vad_agent.detection.spectral_features import GROUP

WORDS = ("caller_yes", "woman_short_word", "woman_no", "woman_two", "woman_tomorrow", "woman_hello")
SPEECH = [name for name, entry in clips.catalogue().items() if entry.kind == "speech"]
NARROW = [name for name in SPEECH if not clips.catalogue()[name].wide]


def test_finish_of_a_quiet_call_changes_nothing() -> None:
    endpointer = new_endpointer()
    assert not endpointer.finish()
    listen(endpointer, noise(100))
    assert not endpointer.finish()


def test_finish_twice() -> None:
    endpointer = new_endpointer()
    listen(endpointer, noise(30) + voice(30), finish=False)
    assert endpointer.finish()
    assert not endpointer.finish()
    assert (endpointer.segments_ended, endpointer.utterances, endpointer.speaking) == (1, 1, False)


def test_a_frame_that_opens_a_run_is_not_lacking() -> None:
    endpointer = Endpointer(RATE, detector=Drawn(), network=None)
    lacking = []
    for frame in [*draw(".*30"), *voice(4), None, *voice(30)]:
        endpointer.feed(frame)
        lacking.append(endpointer.lacks_frame())
    assert endpointer.speaking
    assert lacking == [False] * 34 + [True] + [False] * 30


def test_doubt_is_a_sound_that_has_just_begun_and_is_over_within_a_tenth_of_a_second() -> None:
    doubts = []
    for begun in range(30, 35):
        endpointer = new_endpointer()
        doubts.append("")
        for frame in draw(f".*{begun} S*8 .*100"):
            endpointer.feed(frame)
            doubts[-1] += "?" if endpointer.doubtful() else "_"
        assert "?" not in doubts[-1][10:begun]
        assert "?" * GROUP not in doubts[-1]
    assert "?" in "".join(doubts)


# -- real voices -------------------------------------------------------------------------------------


def loud_part(sound: list[bytes]) -> tuple[int, int]:
    """First and last frame within 20 dB of a clip's active level, and out of the line's noise."""
    rms = dsp.block_rms(join(sound), 160)
    level_db = dsp.active_level_db(join(sound), RATE)
    loud = np.flatnonzero(rms >= 10 ** (max(level_db - 20, -50) / 20) * 32768)
    return int(loud[0]), int(loud[-1]) + 1


def assert_extent(runs: list[tuple[int, int]], sound: list[bytes], at: int, by: int = LATE) -> None:
    """The runs cover the clip that begins at frame `at`; what is hardly audible may be left out."""
    first, last = loud_part(sound)
    assert -by <= runs[0][0] - at <= first + by
    assert last - by <= runs[-1][1] - at <= len(sound) + by


@pytest.mark.parametrize("name", sorted({*VOICES, *WORDS}))
def test_start_and_end_of_a_clean_clip(name: str) -> None:
    heard = listen(new_endpointer(), noise(60) + clip(name) + noise(60, seed=3))
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
    heard = listen(new_endpointer(), frames)
    assert len(heard.runs) == len(heard.accepted) == 1
    assert_extent(heard.runs, sound, 80)


@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize("word", ["caller_yes", "woman_short_word", "woman_no"])
def test_a_yes_of_150_ms_is_an_utterance(word: str, frames: int) -> None:
    sound = clip(word)[:frames]
    heard = listen(new_endpointer(), noise(80) + sound + noise(60, seed=3))
    assert near(heard.runs, [(80, 80 + frames)])
    assert len(heard.accepted) == 1


@pytest.mark.parametrize("gain_db", [0, -15])
@pytest.mark.parametrize("word", [*WORDS, "caller_alo", *VOICES[:8]])
def test_speech_from_the_very_first_frame(word: str, gain_db: int) -> None:
    """No warm-up: a client who is in the middle of a word when the line opens is heard."""
    sound = clip(word, gain_db)
    sound = sound[loud_part(sound)[0] :]
    frames = [*over(sound, noise(len(sound), seed=8)), *noise(40)]
    first = listen(new_endpointer(), frames)
    later = listen(new_endpointer(), [*noise(100), *frames])
    assert first.runs, "nothing heard"
    assert first.runs[0][0] <= later.runs[0][0] - 100 + 10  # the detector is new to the line, too
    assert abs(first.runs[-1][1] - later.runs[-1][1] + 100) <= LATE


@pytest.mark.parametrize(
    "drawing",
    ["k", "kk", "k....k", "kk...kk", "k....k....k....k", "kk..........kk", "k" + "....k" * 20],
)
def test_key_clicks_open_no_run(drawing: str) -> None:
    assert hear(f".*80 {drawing} .*40").opened == []
    assert hear(f"0*80 {drawing} 0*40").opened == []
    assert near(hear(f".*40 S*40 .*40 {drawing} .*40").runs, [(40, 80)])


@pytest.mark.parametrize("gain_db", [6, 0, -6, -12, -24])
def test_typing_opens_no_run(gain_db: int) -> None:
    keys = clip("noise_typing", gain_db) * 4
    heard = listen(new_endpointer(), noise(80) + over(keys, noise(len(keys), seed=4)) + noise(40))
    assert heard.opened == []


@pytest.mark.parametrize("gap", [0, 10])
def test_typing_does_not_hold_a_run_open(gap: int) -> None:
    """Who types after speaking is silent."""
    keys = clip("noise_typing", -6) * 4
    frames = [*noise(60), *voice(60), *noise(gap + 1), *over(keys, noise(len(keys), seed=4))]
    heard = listen(new_endpointer(), [*frames, *noise(40)])
    assert near(heard.runs, [(60, 120)], by=25)  # clicks at once belong to the word


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 8])
def test_missing_frames_within_speech_do_not_split_it(lost: int) -> None:
    heard = hear(f".*50 S*40 -*{lost} S*40 .*40")
    assert near(heard.runs, [(50, 130 + lost)])
    assert len(heard.accepted) == 1


def test_every_tenth_frame_lost() -> None:
    frames: list[Frame] = [
        None if at % 10 == 7 else frame for at, frame in enumerate(draw(".*50 S*100 .*60"))
    ]
    assert near(listen(new_endpointer(), frames).runs, [(50, 150)])


# -- rates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [rate for rate in SAMPLE_RATES if rate != RATE])
def test_any_rate_hears_the_same_runs(rate: int) -> None:
    frames, _ = speech(*VOICES[4:12], *WORDS, gap=35)
    samples = join(frame for frame in frames if frame is not None)
    wide = np.rint(soxr.resample(samples.astype(np.float64), RATE, rate)).astype(np.int64)
    narrow_runs = listen(new_endpointer(), frames).runs
    wide_runs = listen(new_endpointer(rate), cut(wide, rate // 50)).runs
    assert near(wide_runs, narrow_runs)
    edges = [
        abs(a - b)
        for pair in zip(wide_runs, narrow_runs, strict=True)
        for a, b in zip(*pair, strict=True)
    ]
    assert sum(edge > 3 for edge in edges) <= len(edges) // 20
