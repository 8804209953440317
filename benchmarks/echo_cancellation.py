"""The cost of removing the product's own prompt from the client's channel, and the residue.

    prompt alone       the prompt in the channel, with a clock difference of ±200 ppm
    with the client    a client of equal volume throughout: the most expensive case, as the place is uncertain
    no prompt          an announced prompt that is not there: searched for in every frame
    outside            nothing plays: the cost of most frames of a call

The prompt is a clip of the product's voice, mixed with a client's clip at 16 kHz. To run it alone:
`python -m benchmarks.echo_cancellation`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from audio_fixtures import clips
from benchmarks.measure import Figure, Table, environment, percentile, timed
from vad_agent.audio.adaptive_filter import FRAME
from vad_agent.audio.echo_canceller import FRAME_BYTES, EchoCanceller
from vad_agent.core.frames import Channel
from vad_agent.script.settings import Settings

Floats = NDArray[np.float64]

PROMPT = "product_not_heard_in_dialogue"
CLIENT = "woman_long"
AT = 20
LATE = 1_333  # samples after it is expected
SETTLED = 16  # frames from there until its place is known
MOST_US = 1_500.0
LEAST_DB = 25.0
NOISE = 26.0  # RMS, -62 dBFS
PPM = (0.0, 200.0, -200.0)
GAINS = (0.1, 0.3, 1.0)


def _clip(name: str) -> Floats:
    samples, rate = soundfile.read(clips.FOLDER / f"{name}.flac", dtype="float64")
    wide: Floats = soxr.resample(samples * 32_768, rate, 16_000)
    return wide


def _moved(samples: Floats, ppm: float) -> Floats:
    """The samples with a clock difference of `ppm`."""
    places = np.arange(int(len(samples) / (1 + ppm * 1e-6))) * (1 + ppm * 1e-6)
    moved: Floats = np.interp(places, np.arange(len(samples)), samples)
    return moved


def _as_bytes(samples: Floats) -> bytes:
    data: bytes = np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes()
    return data


def _frames(samples: Floats) -> list[bytes]:
    data = _as_bytes(samples)
    return [data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES)]


class Scene:
    """A channel with or without a prompt and a client."""

    def __init__(self, *, gain: float, ppm: float = 0.0, client: float = 0.0) -> None:
        prompt = _clip(PROMPT)
        self.told = _as_bytes(prompt)
        count = (AT + len(prompt) // FRAME + 40) * FRAME
        rest = np.random.default_rng(1).normal(0.0, NOISE, count)
        rest += client * np.resize(_clip(CLIENT), count)
        self.prompt = np.zeros(count)
        moved = _moved(prompt, ppm) * gain
        self.prompt[AT * FRAME + LATE :][: len(moved)] = moved
        self.rest = np.rint(rest)
        self.frames = _frames(rest + self.prompt)
        self.first = AT + LATE // FRAME + SETTLED

    def cleaned(self) -> tuple[list[bytes], list[float]]:
        """The frames, and the seconds that each of them took."""
        own = EchoCanceller()
        own.play(self.told, AT)
        out, seconds = [], []
        for index, frame in enumerate(self.frames):
            start = perf_counter()
            clean = own.clean(frame, index)
            seconds.append(perf_counter() - start)
            out.append(clean or b"")
        return out, seconds

    def weaker_db(self) -> float:
        """Attenuation of the prompt in dB, after its place is known."""
        left = np.frombuffer(b"".join(self.cleaned()[0]), "<i2") - self.rest
        part = slice(self.first * FRAME, None)
        return float(10 * np.log10(np.sum(self.prompt[part] ** 2) / np.sum(left[part] ** 2)))


def _costs(scenes: Sequence[Scene], rounds: int) -> list[float]:
    """Microseconds of each frame in which a prompt is expected: the median of its rounds.

    A round on a busy machine does not affect the median.
    """
    costs = []
    for scene in scenes:
        turns = [scene.cleaned()[1][AT - 7 : -40] for _ in range(rounds)]
        costs += [median(turn) * 1e6 for turn in zip(*turns, strict=True)]
    return costs


def _per_frame(work: Callable[[bytes], object], frames: Sequence[bytes]) -> float:
    def feed() -> None:
        for frame in frames:
            work(frame)

    return min(timed(feed) for _ in range(5)) / len(frames) * 1e6


def measure(rounds: int = 20) -> Table:
    """Costs compared with those of the session's own endpointer on the same frames, and residues."""
    alone = [Scene(gain=1.0, ppm=ppm) for ppm in PPM]
    both = [Scene(gain=1.0, ppm=ppm, client=1.0) for ppm in PPM]
    cases = {
        "prompt alone": alone,
        "prompt with the client": both,
        "no prompt, the client": [Scene(gain=0.0, client=1.0)],
    }
    endpointer = _per_frame(Settings().endpointer(Channel.CLIENT, 16_000).feed, both[0].frames)
    own = EchoCanceller()
    outside = _per_frame(lambda frame: own.clean(frame, 0), both[0].frames)
    figures = [
        Figure("outside of prompts", outside, "µs a frame", outside / endpointer, "the endpointer")
    ]
    for what, scenes in cases.items():
        costs = _costs(scenes, rounds)
        middle, worst = percentile(costs, 0.5), percentile(costs, 0.999)
        figures += [
            Figure(f"{what}, p50", middle, "µs a frame", middle / endpointer, "the endpointer"),
            Figure(f"{what}, p99.9", worst, "µs a frame", worst / endpointer, "the endpointer",
                   f"≤ {MOST_US:,.0f} µs", worst <= MOST_US),
        ]  # fmt: skip
    for gain in GAINS:
        for ppm in PPM:
            weaker = Scene(gain=gain, ppm=ppm).weaker_db()
            figures.append(Figure(f"prompt weaker, gain {gain:g}, {ppm:+.0f} ppm", weaker, "dB",
                                  target=f"≥ {LEAST_DB:.0f} dB", met=weaker >= LEAST_DB))  # fmt: skip
    notes = (
        f"the endpointer: the session's, on the same frames, {endpointer:.1f} µs a frame",
        f"{rounds} rounds, of each frame the median; a frame lasts 20,000 µs",
    )
    return Table("The own prompt in the client's channel", figures, notes)


def main() -> int:
    """Print the table. Return 1 if a target is missed."""
    print("\n".join(f"{name}: {value}" for name, value in environment().items()))
    table = measure()
    print(f"\n{table.text()}")
    return 1 if any(figure.met is False for figure in table.figures) else 0


if __name__ == "__main__":
    sys.exit(main())
