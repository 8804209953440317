"""Tones of the telephone network against voices, music, hum and noise; the line state under tones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_fixtures import clips, dsp, g711
from tests.detection import endpointer_tape as sound
from vad_agent.core.endpointer_port import Progress
from vad_agent.detection.call_progress_tones import MOST, Tone, ToneWatch, classify
from vad_agent.errors import FrameError

PROGRESS, DTMF, OTHER = Tone.PROGRESS, Tone.DTMF, Tone.OTHER
RATES = (8_000, 16_000, 32_000, 48_000)
ROWS = dict(zip(("123A", "456B", "789C", "*0#D"), (697, 770, 852, 941), strict=True))
COLUMNS = (1209, 1336, 1477, 1633)
KEYS = {
    key: (row, column)
    for keys, row in ROWS.items()
    for key, column in zip(keys, COLUMNS, strict=True)
}
SPEECH_AND_MUSIC = [
    name for name, clip in clips.catalogue().items() if clip.kind in ("speech", "music")
]


def partials(
    *hz: float,
    frames: int = MOST,
    rate: int = 8_000,
    dbfs: float = -20.0,
    levels_db: Sequence[float] = (),
    noise_db: float | None = -20.0,
    law: g711.Law | None = "alaw",
    seed: int = 1,
) -> list[bytes]:
    """Frames of sines, `dbfs` RMS in all, with noise so many dB below them, through the line."""
    random = np.random.default_rng(seed)
    at = np.arange(frames * rate // 50) / rate
    out = np.zeros(len(at))
    for one, level_db in zip(hz, levels_db or [0.0] * len(hz), strict=True):
        out += 10 ** (level_db / 20) * np.sin(2 * np.pi * one * at + random.uniform(0, 2 * np.pi))
    out /= np.sqrt((out**2).mean())
    if noise_db is not None:
        white = random.standard_normal(len(at))
        if rate > 8_000:  # as a telephone line has it
            white = np.convolve(white, np.sinc(np.arange(-64, 65) * 8_000 / rate), "same")
        out += white / np.sqrt((white**2).mean()) * 10 ** (noise_db / 20)
    return line(out * 10 ** (dbfs / 20) * dsp.FULL_SCALE, rate, law)


def line(
    samples: NDArray[np.float64], rate: int = 8_000, law: g711.Law | None = "alaw"
) -> list[bytes]:
    """Frames of the samples, companded and back."""
    whole = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
    if law is not None:
        whole = g711.round_trip(whole, law)
    return sound.cut(whole.astype(np.int64), rate // 50)


def heard(frames: Sequence[bytes], rate: int = 8_000, step: int = 1) -> list[Tone | None]:
    """The judgement of every window, `step` frames apart."""
    windows = range(MOST, len(frames) + 1, step)
    return [classify(frames[end - MOST : end], rate) for end in windows]


def share(frames: Sequence[bytes], tone: Tone, rate: int = 8_000) -> float:
    """Of the windows, how many are that tone."""
    return heard(frames, rate).count(tone) / (len(frames) - MOST + 1)


# -- tones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-10, -5, 0, 5, 10])
@pytest.mark.parametrize("dbfs", [-45, -30, -15, -3])
def test_the_tone_of_russian_exchanges_at_every_level(dbfs: float, offset: float) -> None:
    noisy = partials(425 + offset, dbfs=dbfs, frames=200)
    assert share(noisy, PROGRESS) >= 0.97
    clean = partials(425 + offset, dbfs=dbfs, frames=50, noise_db=None)
    assert share(clean, PROGRESS) == 1


@pytest.mark.parametrize(
    "hz", [(350, 440), (440, 480), (480, 620), (400, 450), (400,), (440,), (450,)]
)
@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_call_progress_elsewhere(hz: tuple[float, ...], law: g711.Law) -> None:
    for dbfs in (-45, -20, -6):
        assert share(partials(*hz, dbfs=dbfs, frames=100, law=law), PROGRESS) >= 0.95


@pytest.mark.parametrize("key", KEYS)
def test_each_key(key: str) -> None:
    row, column = KEYS[key]
    for dbfs in (-40, -20, -6):
        for twist in (-10.0, -4.0, 0.0, 4.0, 10.0):
            frames = partials(row, column, dbfs=dbfs, levels_db=(0.0, twist), frames=12)
            assert set(heard(frames)) == {DTMF}, (dbfs, twist)


@pytest.mark.parametrize("key", "1D5#")
def test_keys_out_of_tune(key: str) -> None:
    row, column = KEYS[key]
    for one in (0.982, 1.018):
        for two in (0.982, 1.018):
            assert set(heard(partials(row * one, column * two, frames=12))) == {DTMF}
    assert DTMF not in heard(partials(row * 1.035, column, frames=12))
    assert DTMF not in heard(partials(row, column * 0.965, frames=12))


@pytest.mark.parametrize("hz", [1000, 1100, 1400, 2100, 3200])
def test_a_beep_and_a_fax_are_other_tones(hz: float) -> None:
    for dbfs in (-45, -20, -6):
        assert share(partials(hz, dbfs=dbfs, frames=100), OTHER) >= 0.95


@pytest.mark.parametrize("rate", RATES)
def test_every_rate(rate: int) -> None:
    assert share(partials(425, rate=rate, frames=50), PROGRESS, rate) >= 0.95
    assert share(partials(440, 480, rate=rate, frames=50), PROGRESS, rate) >= 0.95
    assert share(partials(770, 1336, rate=rate, frames=50), DTMF, rate) >= 0.95
    assert share(partials(1400, rate=rate, frames=50), OTHER, rate) >= 0.95
    voice = dsp.resample(clips.load("woman_long"), 8_000, rate)
    assert set(heard(sound.cut(voice, rate // 50), rate)) == {None}


def test_three_frames_are_enough_for_one_partial_and_for_a_key() -> None:
    assert classify(partials(425, frames=3), 8_000) is PROGRESS
    assert classify(partials(697, 1477, frames=3), 8_000) is DTMF
    assert classify(partials(425, frames=2), 8_000) is None
    assert classify([], 8_000) is None


def test_only_the_newest_frames_are_looked_at() -> None:
    assert classify(sound.voice(2) + partials(425, frames=4), 8_000) is PROGRESS
    assert classify(sound.voice(4) + partials(425, frames=3), 8_000) is None


# -- everything else -----------------------------------------------------------------------------------


def test_of_a_thousand_windows_of_speech_or_music_none_is_a_tone() -> None:
    """Every fifth frame of every clip of the fixtures, as it is, A-law, and at other places of the frame."""
    judged: list[Tone | None] = []
    for name in SPEECH_AND_MUSIC:
        clip = clips.catalogue()[name]
        samples = clips.load(name)
        for shift in (0, 67):
            plain = sound.cut(samples[shift:], clip.rate // 50)
            judged += heard(plain, clip.rate, step=5)
            judged += heard(line(samples[shift:].astype(np.float64), clip.rate), clip.rate, step=5)
    wrong = len(judged) - judged.count(None)
    assert len(judged) > 10_000
    assert wrong <= len(judged) / 1000


def harmonics(
    hz: float, fall_db: float, formants: Sequence[float] = (), *, frames: int = 50
) -> NDArray[np.float64]:
    """A steady sound of harmonics that fall by so many dB an octave, and stand out at the formants."""
    at = np.arange(frames * 160) / 8_000
    out = np.zeros(len(at))
    for number in range(1, int(3_400 / hz) + 1):
        level = 10 ** (-fall_db * np.log2(number) / 20)
        for place in formants:
            far = number * hz / place
            level /= np.sqrt((1 - far**2) ** 2 + (far * 0.15) ** 2)
        out += level * np.sin(2 * np.pi * number * hz * at + number**2)
    return out / np.sqrt((out**2).mean())


@pytest.mark.parametrize("dbfs", [-40, -20])
@pytest.mark.parametrize(
    "formants",
    [(700, 1200, 2500), (300, 2200, 2900), (300, 700, 2300), (250, 1000, 2200)],
    ids="aium",
)
def test_a_vowel_sung_without_a_tremble_is_no_tone(
    formants: tuple[float, ...], dbfs: float
) -> None:
    """Also where its pitch is that of the exchange's tone."""
    for hz in (100, 150, 200, 230, 300, 330, 350, 400, 425, 440, 500, 620, 700):
        sung = harmonics(hz, 6, formants) * 10 ** (dbfs / 20) * dsp.FULL_SCALE
        assert set(heard(line(sung))) == {None}, hz


@pytest.mark.parametrize("hz", [110, 233, 392, 425, 440, 587, 988])
@pytest.mark.parametrize("fall_db", [3, 6, 12])
def test_a_note_with_harmonics_is_no_tone(hz: float, fall_db: float) -> None:
    note = harmonics(hz, fall_db) * 10 ** (-20 / 20) * dsp.FULL_SCALE
    assert set(heard(line(note))) == {None}


def test_a_lone_partial_that_glides_or_swells_is_no_tone() -> None:
    at = np.arange(8_000) / 8_000
    glide = np.sin(2 * np.pi * (400 * at + 40 * at**2))  # 400 to 480 Hz in a second
    swell = np.sin(2 * np.pi * 425 * at) * 10 ** (-30 * at / 20)
    for samples in (glide, swell):
        assert set(heard(line(samples * 3_000))) == {None}


def test_hum_noise_and_nothing_are_no_tones() -> None:
    at = np.arange(8_000) / 8_000
    hum = sum(np.sin(2 * np.pi * 50 * n * at + n) / n for n in (1, 2, 3, 5, 6, 7, 9))
    assert set(heard(line(np.asarray(hum) * 3_000))) == {None}
    lone = np.sin(2 * np.pi * 300 * at) + 3 * np.sin(2 * np.pi * 50 * at)  # a rectifier's
    assert set(heard(line(lone * 3_000))) == {None}
    for dbfs in (-60, -40, -20):
        assert set(heard(sound.noise(200, dbfs))) == {None}
    assert set(heard([bytes(320)] * 10)) == {None}
    assert set(heard([b"\x08\x00" * 160] * 10)) == {None}
    assert set(heard(partials(425, dbfs=-65, frames=20))) == {None}
    assert set(heard(sound.clip("noise_breath") + sound.clip("noise_typing"))) == {None}


def test_a_voice_over_a_tone_is_no_tone_but_for_its_pauses() -> None:
    both = sound.over(sound.voice(200), sound.tone(200, -30.0))
    assert share([frame for frame in both if frame], PROGRESS) < 0.1


def test_a_wrong_frame_or_rate_is_told() -> None:
    with pytest.raises(FrameError, match="frame"):
        classify([bytes(320)] * 3 + [bytes(318)], 8_000)
    with pytest.raises(FrameError, match="frame"):
        classify([bytes(320), bytes(322), bytes(318), bytes(320)], 8_000)
    with pytest.raises(FrameError, match="sample rate"):
        classify([bytes(320)] * 4, 11_025)


# -- what they say of the line -------------------------------------------------------------------------

CHECK = 5
"""Frames from one judgement to the next, as the endpointer asks."""


def watched(drawing: str, watch: ToneWatch | None = None) -> tuple[str, ToneWatch]:
    """A line of 20 ms letters, judged as the endpointer does: p d o tones, S speech accepted, . quiet.

    Out: what was known at each frame: . nothing, t a tone plays, B busy, D dial, R ringback, W waiting.
    """
    watch = watch or ToneWatch()
    tones = {"p": PROGRESS, "d": DTMF, "o": OTHER}
    known = ""
    run = 0
    for now, letter in enumerate(drawing, 1):
        run = run + 1 if drawing[now - 2 : now - 1] == letter and now > 1 else 1
        if letter == "S":
            watch.speech()
        elif letter in tones and run % CHECK == 0:
            watch.feed(tones[letter], now - run, now)
        elif letter == ".":
            watch.feed(None, now - 1, now)
        progress = watch.progress
        known += progress.name[0] if progress else "t" if watch.playing else "."
    return known, watch


BUSY = ("p" * 17 + "." * 18) * 20
RINGING = ("p" * 50 + "." * 200) * 3


def test_a_dial_tone_says_after_two_seconds_that_nobody_is_there() -> None:
    known, watch = watched("." * 10 + "p" * 200)
    assert known.index("t") == 14
    assert known.index("R") == 109  # it may still be a ring
    assert known.index("D") == 144
    assert (watch.began, watch.ended) == (10, 210)


def test_a_busy_tone_says_it_by_its_fourth_pulse() -> None:
    known, watch = watched(BUSY)
    assert "." not in known[CHECK:]
    assert known.index("B") == 3 * 35 + 14  # 15 frames of each pulse are found
    assert known[-1] == "B"
    assert watch.began == 0


def test_the_second_ring_says_it() -> None:
    known, _ = watched(RINGING)
    assert known.index("R") == 299
    assert known[-1] == "R"


@pytest.mark.parametrize(("gap", "joined"), [(224, True), (225, True), (226, False)])
def test_a_pause_of_four_and_a_half_seconds_belongs_to_the_tone(gap: int, joined: bool) -> None:
    known, watch = watched("p" * 50 + "." * gap + "p" * 50)
    assert (watch.progress is Progress.RINGBACK) == joined
    assert watch.began == (0 if joined else 50 + gap)
    assert ("." in known[CHECK:]) != joined


def test_speech_between_begins_it_anew() -> None:
    known, watch = watched("p" * 60 + "S" + "p" * 60)
    assert set(known) == {"t", "."}
    assert watch.began == 61
    known, watch = watched("p" * 120 + "S")
    assert known[-2:] == "R."
    assert not watch.playing


def test_it_is_known_still_when_the_tone_has_ended() -> None:
    known, watch = watched("p" * 140 + "." * 300)
    assert known[-1] == "D"
    assert not watch.playing
    assert watch.ended == 140


@pytest.mark.parametrize(("gap", "joined"), [(50, True), (51, False)])
def test_digits_belong_together_and_are_no_call_progress(gap: int, joined: bool) -> None:
    known, watch = watched(("d" * 5 + "." * gap) * 40 + "d" * 300)
    assert set(known) <= {"t", "."}
    assert (watch.began == 0) == joined


def test_another_tone_is_no_call_progress_and_begins_it_anew() -> None:
    known, watch = watched("p" * 60 + "o" * 300)
    assert set(known) == {"t", "."}
    assert (watch.tone, watch.began, watch.ended) == (OTHER, 60, 360)
    assert set(watched(("p" * 60 + "d" * 20) * 8)[0]) == {"t", "."}


def test_it_says_when_something_has_changed() -> None:
    watch = ToneWatch()
    assert not watch.feed(None, 0, 10)
    assert watch.feed(PROGRESS, 10, 15)
    assert not watch.feed(PROGRESS, 15, 20)
    assert not watch.feed(PROGRESS, 10, 20)  # told of again: counted once
    assert not watch.feed(PROGRESS, 20, 109)
    assert watch.feed(PROGRESS, 109, 110)
    assert watch.progress is Progress.RINGBACK
    assert not watch.feed(PROGRESS, 110, 140)
    assert watch.feed(PROGRESS, 140, 141)
    assert watch.progress is Progress.DIAL
    assert watch.speech()
    assert not watch.speech()
    assert watch.progress is None
