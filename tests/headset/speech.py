"""What the parties of a test call say, and finding it again in what was recorded at the other end.

    script_audio([("silence", 3.0), ("speech", "caller_alo"), ("silence", 8.0)], path)
    client   ▁▁▁▁▁▁▁▁▁▇▆▇▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁…      comfort noise, and more of it at the end
    find_speech(ear, rate)  ──> [(start_s, end_s)…]
    match(ear, rate, prompt, 48_000) ──> Match(offset_s, similarity, weakest)

All samples are int16, mono.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from audio_fixtures import clips, dsp
from tests.headset.source_recording import Int16s, write_wav

RATE = 8_000
COMFORT_DB = -65.0
TAIL_S = 120.0
_BLOCK_S = 0.01
_PIECE_S = 0.25
_SLIP_S = 0.03

Part = tuple[str, float | str]
Floats = NDArray[np.float64]


# -- saying ---------------------------------------------------------------------------------------


@cache
def speech(what: str, voice: str = "ru") -> Int16s:
    """Speech at 8 kHz, -20 dBFS while active, of telephone band, trimmed to its extent.

    `what` is a clip's name in audio_fixtures/clips (`caller_alo`, a real woman's `woman_hello`, but
    also `music_…`, `tone_busy`), or a text: that of a clip, or one that espeak-ng speaks.

    Raises:
        clips.FixtureError: espeak-ng is wanted and is not installed.
    """
    known = clips.catalogue()
    named = known.get(what) or next((clip for clip in known.values() if clip.what == what), None)
    if named is not None:
        samples, rate = soundfile.read(named.path, dtype="int16")
        return dsp.resample(samples.astype(np.int64), int(rate), RATE).astype(np.int16)
    clip = clips.Clip(name="spoken", source="espeak", what=what, kind="speech", voice=voice)
    return clips.make(clip).astype(np.int16)


def tone(seconds: float, hz: float = 1000.0, rate: int = RATE, level_db: float = -12.0) -> Int16s:
    """A sine, with ramps of 5 ms so that it does not click."""
    count = round(seconds * rate)
    wave = np.sin(2 * np.pi * hz * np.arange(count) / rate) * 32_767 * 10 ** (level_db / 20)
    ramp = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (rate / 200))
    return (wave * ramp).astype(np.int16)


def _part(part: Part) -> Int16s:
    kind, what = part
    if kind == "speech":
        return speech(str(what))
    count = round(float(what) * RATE)
    if kind in ("silence", "dead"):
        return np.zeros(count, np.int16)
    if kind == "tone":
        return tone(float(what))
    raise ValueError(f"unknown part {kind!r}: expected silence, dead, speech or tone")


def timeline(parts: Sequence[Part]) -> list[tuple[str, float | str, float, float]]:
    """Each part with where it begins and ends in the file, seconds."""
    at, rows = 0.0, []
    for kind, what in parts:
        seconds = len(_part((kind, what))) / RATE
        rows.append((kind, what, at, at + seconds))
        at += seconds
    return rows


def script_audio(
    parts: Sequence[Part],
    path: Path,
    *,
    comfort_db: float | None = COMFORT_DB,
    tail_s: float = TAIL_S,
) -> Path:
    """Write what a party says as a WAV of 8 kHz; the path.

    Parts: ("silence", seconds), ("speech", clip or text), ("tone", seconds) lie in comfort noise of
    `comfort_db` dBFS; ("dead", seconds) is digital zero. The noise goes on for `tail_s` after them:
    the client's phone hangs up where its file ends, `tail_s=0` makes it do so after the last part.
    """
    sounds = [_part(part) for part in [*parts, ("silence", tail_s)]]
    whole = np.concatenate(sounds).astype(np.int64)
    if comfort_db is not None:
        noise = dsp.noise(len(whole), comfort_db, dsp.band_pass(300, 3400, RATE), 0xC0FF)
        for kind, _, start, end in timeline(parts):
            if kind == "dead":
                noise[round(start * RATE) : round(end * RATE)] = 0
        whole += noise
    return write_wav(path, np.clip(whole, -32_768, 32_767).astype(np.int16), RATE)


# -- finding --------------------------------------------------------------------------------------


def level_db(samples: Int16s) -> float:
    """RMS in dBFS; -inf for digital silence or nothing."""
    rms = np.sqrt(np.mean(np.square(samples.astype(np.float64)))) if len(samples) else 0.0
    return float(20 * np.log10(rms / 32_768)) if rms else float("-inf")


def find_speech(
    samples: Int16s,
    rate: int,
    *,
    threshold_db: float = -45.0,
    join_s: float = 0.35,
    shortest_s: float = 0.05,
) -> list[tuple[float, float]]:
    """Where it is loud: (start, end) in seconds, true to 10 ms.

    For quiet lines only, it is energy alone: blocks of 10 ms over `threshold_db` dBFS; pauses up to
    `join_s` belong to the speech, what is shorter than `shortest_s` is none.
    """
    size = round(rate * _BLOCK_S)
    blocks = samples[: len(samples) // size * size].astype(np.float64).reshape(-1, size)
    rms = np.sqrt(np.mean(np.square(blocks), axis=1))
    loud = np.flatnonzero(rms > 32_768 * 10 ** (threshold_db / 20))
    if not len(loud):
        return []
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > round(join_s / _BLOCK_S)) + 1)
    spans = [(float(part[0]) * _BLOCK_S, float(part[-1] + 1) * _BLOCK_S) for part in parts]
    return [(start, end) for start, end in spans if end - start >= shortest_s]


class Match(NamedTuple):
    """Where and how well a phrase was found."""

    offset_s: float
    """Where in the recording the phrase's file begins; negative where its beginning is cut off."""
    similarity: float
    """How alike its pieces of 0.25 s are on the whole, 0 to 1. Through PCMA about 0.98."""
    weakest: float
    """The least alike of them: near 0 where a piece is missing or is something else."""

    @property
    def whole(self) -> bool:
        """It is this phrase, from beginning to end: another one has 0.54 and 0.38 at most.

        Telephones on a busy machine slip now and then: 0.88 and 0.44 were seen of a phrase that had
        left the product whole.
        """
        return self.similarity > 0.8 and self.weakest > 0.4


def match(samples: Int16s, rate: int, phrase: Int16s, phrase_rate: int) -> Match:
    """Find a phrase in a recording, at any level: the best place.

    Both are compared at 8 kHz, 300-3400 Hz, in pieces that overlap by half: each, and each of its
    halves, may slip by 30 ms, as a jitter buffer makes it. A piece counts from 25 dB below the loudest,
    by its energy. Of holes of 0.3 s nine in ten are found, of 0.1 s few.
    """
    heard = _telephone(samples, rate)
    wanted = _telephone(phrase, phrase_rate)
    offset, _ = _best(heard, wanted)
    room = np.concatenate([np.zeros(len(wanted)), heard, np.zeros(len(wanted))])
    size = round(_PIECE_S * RATE)
    starts = range(0, max(1, len(wanted) - size // 2), size // 2)
    pieces = [(len(wanted) + offset + at, wanted[at : at + size]) for at in starts]
    energies = np.array([float(np.dot(piece, piece)) for _, piece in pieces])
    if not energies.any():
        return Match(0.0, 0.0, 0.0)
    counts = energies > energies.max() * 10**-2.5
    alike = np.array([_alike(room, at, piece) for at, piece in pieces])
    similarity = float(np.average(alike[counts], weights=energies[counts]))
    return Match(offset / RATE, similarity, float(alike[counts].min()))


def _alike(room: Floats, at: int, piece: Floats) -> float:
    """How alike a piece and what lies about its place are: as one, or as two halves that slipped."""
    slip, half = round(_SLIP_S * RATE), len(piece) // 2
    near = [
        _best(room[max(0, start - slip) : start + len(part) + slip], part)[1]
        for start, part in ((at, piece), (at, piece[:half]), (at + half, piece[half:]))
    ]
    first, second = (float(np.dot(part, part)) for part in (piece[:half], piece[half:]))
    halves = (near[1] * first + near[2] * second) / max(first + second, 1e-12)
    return max(near[0], halves)


def _telephone(samples: Int16s, rate: int) -> Floats:
    """At 8 kHz, of the telephone's band alone, full scale 1.0."""
    floats = samples.astype(np.float64) / 32_768
    if rate != RATE:
        floats = soxr.resample(floats, rate, RATE)
    if not len(floats):
        return floats
    spectrum = np.fft.rfft(floats)
    hz = np.fft.rfftfreq(len(floats), 1 / RATE)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    return np.fft.irfft(spectrum, len(floats))


def _best(heard: Floats, wanted: Floats) -> tuple[int, float]:
    """The offset with the highest normalised cross-correlation; the phrase may stick out at the ends."""
    if not len(heard) or not np.any(wanted):
        return 0, 0.0
    pad = len(wanted)
    room = np.concatenate([np.zeros(pad), heard, np.zeros(pad)])
    size = 1 << (len(room) + pad).bit_length()
    product = np.fft.irfft(np.fft.rfft(room, size) * np.conj(np.fft.rfft(wanted, size)), size)
    places = len(room) - pad + 1
    sums = np.concatenate([[0.0], np.cumsum(np.square(room))])
    energy = sums[pad:][:places] - sums[:places]
    # A floor: where there is next to nothing, the quotient says nothing.
    floor = max(float(np.dot(wanted, wanted)) * 1e-5, 1e-12)
    scores = product[:places] / np.sqrt(np.maximum(energy, floor) * float(np.dot(wanted, wanted)))
    best = int(np.argmax(scores))
    return best - pad, float(max(0.0, min(1.0, scores[best])))
