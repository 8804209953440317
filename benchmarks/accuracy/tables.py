"""What was found, as tables: conditions down, contenders across."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.accuracy import scoring
from benchmarks.accuracy.contenders import NETWORK, OURS
from benchmarks.accuracy.decisions import CallDecisions
from benchmarks.accuracy.scoring import Score
from benchmarks.accuracy.sounds import Share
from benchmarks.measure import Figure, Table, percentile
from vad_agent.core.frames import FRAMES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of any number of columns."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def text(self) -> str:
        """For a terminal."""
        cells = [self.header, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.header))]
        lines = [self.title, *(f"  {note}" for note in self.notes)]
        for row in cells:
            first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append(("  " + "  ".join([first, *rest])).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """For the README."""
        notes = "".join(f"{note[0].upper()}{note[1:]}. " for note in self.notes).strip()
        lines = [f"### {self.title}", "", *([notes, ""] if notes else [])]
        lines += [f"| {' | '.join(self.header)} |", "|---" + "|--:" * (len(self.header) - 1) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join(lines)


def _sums(
    outcomes: Iterable[CallDecisions], contender: str, keep: Callable[[CallDecisions], bool]
) -> Score:
    return scoring.total(one.score for one in outcomes if one.contender == contender and keep(one))


def _cell(score: Score) -> str:
    return f"{score.false} / {score.missed}" if score.silences else "–"


def _share(score: Score) -> str:
    if not score.silences:
        return "–"
    return f"{score.false / score.silences:.1%} / {score.missed / score.silences:.1%}"


def late(score: Score, share: float) -> float:
    """Seconds; NaN where nothing fired."""
    return percentile(score.late, share) / FRAMES_PER_SECOND if score.late else float("nan")


def _lateness(score: Score) -> str:
    return f"{late(score, 0.5):.2f} / {late(score, 0.95):.2f}"


def decisions(outcomes: Sequence[CallDecisions], contenders: Sequence[str], part: str) -> Grid:
    """False and missed, row by row, and their sums."""
    rows: list[list[str]] = []

    def row(
        name: str, keep: Callable[[CallDecisions], bool], show: Callable[[Score], str] = _cell
    ) -> None:
        sums = [_sums(outcomes, contender, keep) for contender in contenders]
        if any(score.silences for score in sums):
            rows.append([name, str(sums[0].silences), *(show(score) for score in sums)])

    def plain(one: CallDecisions) -> bool:
        return one.condition.group == "one channel"

    for name in dict.fromkeys(one.condition.name for one in outcomes):
        row(name, lambda one, name=name: one.condition.name == name)  # type: ignore[misc]
    row("**one channel, no babble**", plain)
    row("in % of the silences", plain, _share)
    row("of which given calls", lambda one: plain(one) and one.given)
    row("of which made calls", lambda one: plain(one) and not one.given)
    row("late, p50 / p95, s", plain, _lateness)
    row("echo, late, p50 / p95, s", lambda one: one.condition.group == "echo", _lateness)
    count = len({one.call for one in outcomes})
    notes = [
        f"part: {part}; {count} calls; false / missed at T = {scoring.T / FRAMES_PER_SECOND} s"
    ]
    return Grid("Right and wrong decisions", ["condition", "silences", *contenders], rows, notes)


def sounds(
    shares: dict[str, dict[str, Share]], contenders: Sequence[str], title: str, notes: Sequence[str]
) -> Grid:
    """Rows of shares in %, contender by contender."""
    rows = [
        [name, *(f"{by_contender[contender].percent:.1f}" for contender in contenders)]
        for name, by_contender in shares.items()
    ]
    return Grid(title, ["%", *contenders], rows, notes)


def targets(
    outcomes: Sequence[CallDecisions],
    speech: dict[str, dict[str, Share]],
    known: dict[str, dict[str, Share]],
    heard: dict[str, dict[str, Share]],
) -> Table:
    """What the project wants of its own endpointer."""

    def scores(keep: Callable[[CallDecisions], bool], contender: str = OURS) -> Score:
        return _sums(outcomes, contender, keep)

    figures: list[Figure] = []

    def at_most(what: str, value: float, limit: float, unit: str) -> None:
        figures.append(
            Figure(what, round(value, 2), unit, target=f"≤ {limit:g}", met=value <= limit)
        )

    every = scores(lambda one: one.condition.group == "one channel")
    if every.silences:
        at_most("false, no babble", 100 * every.false / every.silences, 1, "%")
        at_most("missed, no babble", 100 * every.missed / every.silences, 2, "%")
        at_most("late, p50", late(every, 0.5), 0.10, "s")
        at_most("late, p95", late(every, 0.95), 0.40, "s")
    alone = scores(lambda one: one.condition.group == "one channel", NETWORK)
    if alone.silences:
        at_most("false, no babble, without earshot", 100 * alone.false / alone.silences, 1, "%")
        at_most("missed, no babble, without earshot", 100 * alone.missed / alone.silences, 12, "%")
    clean = scores(lambda one: one.condition.kind == "plain")
    at_most("false, as is", clean.false, 0, "")
    at_most("missed, as is", clean.missed, 0, "")
    babble = scores(lambda one: one.condition.group == "babble")
    if babble.silences:
        at_most("false, babble", babble.false, 0, "")
        at_most("missed, babble", 100 * babble.missed / babble.silences, 10, "%")
    echo = scores(lambda one: one.condition.group == "echo")
    at_most("false, echo", echo.false, 0, "")
    at_most("missed, echo", echo.missed, 0, "")
    taken = sum(one.taken_for_music for one in outcomes if one.contender == OURS)
    at_most("speech taken for music in the calls", taken / FRAMES_PER_SECOND, 0, "s")
    for name, by_contender in speech.items():
        at_most(f"detected as speech: {name}", by_contender[OURS].percent, 1, "%")
    for what, found in (("starts known as music", known), ("short answers heard", heard)):
        share = Share()
        for by_contender in found.values():
            share += by_contender[OURS]
        limit = 95 if found is known else 99
        figures.append(
            Figure(
                what, round(share.percent, 1), "%", target=f"≥ {limit}", met=share.percent >= limit
            )
        )
    return Table("Targets of the product's endpointer", figures)
