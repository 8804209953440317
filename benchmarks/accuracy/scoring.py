"""Was it right to say that nobody speaks? Decisions at T = 2.5 s on one channel.

    voice    ██████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████
    a fire   ffffffffffffff|   right   |oo|fff     f: false, o: no fault after a full silence
                   |<2.2 s>|           |  |<- 0.1 s into the word

*False*: a fire while labelled speech runs or less than 2.2 s after its end. *Missed*: a silence of 3.5 s
or more without a fire. *Late*: from 2.5 s after the true end to the fire.

Ambiguous sounds count neither way. A silence that has some counts only if 3.5 s between them are free of
any, and one fire anywhere in it is enough, whether it took them for speech or not; its lateness is not known
unless it fired before the first of them. Nor does the lateness within hold music count: it takes seconds to
be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.accuracy.labels import Labels, Run
from vad_agent.core.frames import frames, seconds

T = frames(2.5)
EARLIEST = frames(2.2)
LONG = frames(3.5)
INTO_WORD = frames(0.1)


@dataclass(frozen=True, slots=True)
class WrongDecision:
    """One wrong decision, to be looked up. Frames."""

    kind: str
    """false or missed."""
    at: int
    """The fire, or the beginning of the silence."""
    reference: int
    """The end of the speech before the fire (its beginning, within a word), or the end of the silence."""

    def text(self) -> str:
        """As a line."""
        if self.kind == "missed":
            return f"missed {seconds(self.at):.2f}–{seconds(self.reference):.2f} s"
        after, end = seconds(self.at - self.reference), seconds(self.reference)
        return f"false at {seconds(self.at):.2f} s, {after:+.2f} s from {end:.2f} s"


@dataclass(slots=True)
class Score:
    """Counts over any number of channels."""

    silences: int = 0
    """Of 3.5 s and more."""
    false: int = 0
    missed: int = 0
    late: list[int] = field(default_factory=list)
    """Frames."""

    def __iadd__(self, other: Score) -> Score:
        self.silences += other.silences
        self.false += other.false
        self.missed += other.missed
        self.late += other.late
        return self


def total(scores: Iterable[Score]) -> Score:
    """Their sum."""
    found = Score()
    for score in scores:
        found += score
    return found


def silences(labels: Labels) -> Iterator[Run]:
    """Between runs of speech, and at both ends: all of them, of any length above 0."""
    start = 0
    for first, last in (*labels.speech, (labels.frames, labels.frames)):
        if first > start:
            yield start, first
        start = last


def counts(silence: Run, labels: Labels) -> bool:
    """Whether 3.5 s of it are free of ambiguous sounds."""
    start, end = silence
    for first, last in (*_within(labels.ambiguous, silence), (end, end)):
        if first - start >= LONG:
            return True
        start = max(start, last)
    return False


def _within(runs: Sequence[Run], stretch: Run) -> list[Run]:
    return [run for run in runs if run[0] < stretch[1] and run[1] > stretch[0]]


def score(labels: Labels, fires: Sequence[int]) -> tuple[Score, list[WrongDecision]]:
    """Judge the fires of one channel: counts of frames heard when each was decided."""
    found, faults = Score(), []
    right: dict[Run, int] = {}
    gaps = list(silences(labels))
    for fire in sorted(fires):
        silence = next((gap for gap in gaps if gap[0] < fire <= gap[1] + INTO_WORD), None)
        if silence is not None and fire - silence[0] >= EARLIEST <= silence[1] - silence[0]:
            right.setdefault(silence, fire)
            continue
        found.false += 1
        word = next((first for first, last in labels.speech if first < fire <= last), None)
        ended = max((last for _, last in labels.speech if last < fire), default=0)
        faults.append(WrongDecision("false", fire, ended if word is None else word))
    for silence in gaps:
        fired = right.get(silence)
        if counts(silence, labels):
            found.silences += 1
            if fired is None:
                found.missed += 1
                faults.append(WrongDecision("missed", *silence))
        if fired is not None and not _within(
            labels.ambiguous + labels.music, (silence[0], min(fired, silence[1]))
        ):
            found.late.append(fired - silence[0] - T)
    return found, faults
