"""How many verdicts are right: generated calls of the test part, audited as recordings.

    python -m benchmarks.archive.verdict_accuracy [--part test] [--calls 520] [--jobs 2] [--wrong]

Right: a phrase that was due has the verdict that it must have, within its silence. False accusation: a
verdict of at least `SURE` that a phrase was early, late or missing in a silence in which the operator kept
the whole ladder, or that they did not greet. Which phrase of a ladder was left out cannot be told without its
words, so naming another one of the same ladder is wrong, but accuses nobody who did nothing. Beside it: how
many are right if a ladder's phrases may change places; by the truth within the telephone's band (the
generator's own counts the hum of a clip as speech); and with that truth in place of detected speech, which is
what pauses alone can tell.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context

from benchmarks.accuracy.labels import RATE
from benchmarks.archive.spoken_ladders import Expected, spoken
from benchmarks.calls.product_run import events
from benchmarks.calls.recipe_sampling import settings
from benchmarks.calls.run import Job, library, made
from vad_agent.archive.call_audit import replayed
from vad_agent.archive.rows import BAD
from vad_agent.core.frames import seconds
from vad_agent.trace.call_measures import MeasureThresholds, measures
from vad_agent.trace.call_verdicts import (
    SURE,
    CallVerdicts,
    FindingKind,
    PhraseVerdict,
    VerdictRules,
    call_verdicts,
)
from vad_agent.trace.event_files import EventLog
from vad_agent.trace.report.call_timeline import Span, Timeline, timeline
from vad_agent.trace.window_compliance import PhraseCompliance


@dataclass
class Judged:
    """The comparison of one call."""

    name: str
    kind: str
    due: int = 0
    right: int = 0
    alike: int = 0
    """Right if the phrases of a ladder may change places."""
    wrong: list[str] = field(default_factory=list)
    accused: int = 0
    falsely: list[str] = field(default_factory=list)
    owed_right: bool = True
    pairs: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Measured:
    """One call by each measure."""

    generator: Judged
    in_band: Judged
    """By the truth within the telephone's band."""
    pauses: Judged
    """That, with the same truth in place of detected speech."""


def judge(part: str, number: int) -> Measured:
    """Audit one generated call and compare."""
    recipe, source = made(Job(part, number))
    made_of = spoken(recipe, source)
    call, owed = made_of.call, recipe.callback is not None
    lines, count = replayed(call.pairs(), settings(), RATE, EventLog(events(call)))
    drawn = timeline(lines, seconds(count))
    speech = {
        side.value: [Span(seconds(first), seconds(last)) for first, last in runs]
        for side, runs in call.in_band.items()
    }
    found, told = _audited(drawn), _audited(replace(drawn, speech=speech, unsure=()))

    def judged(found: CallVerdicts, expected: Sequence[Expected]) -> Judged:
        return compare(Judged(recipe.name, recipe.kind.value), found, expected, owed)

    return Measured(
        judged(found, made_of.expected),
        judged(found, made_of.in_band),
        judged(told, made_of.in_band),
    )


def _audited(drawn: Timeline) -> CallVerdicts:
    measured = measures(drawn, MeasureThresholds())
    return call_verdicts(drawn, measured, settings().script, VerdictRules(), recorded=True)


def compare(told: Judged, found: CallVerdicts, expected: Sequence[Expected], owed: bool) -> Judged:
    """Each verdict against what must be said."""
    left = list(found.phrases)
    for one in expected:
        match = next((phrase for phrase in left if _is_of(phrase, one)), None)
        if match is not None:
            left.remove(match)
        if one.status is PhraseCompliance.UNKNOWN:
            continue
        told.due += 1
        status = "nothing" if match is None else match.status.value
        told.pairs[f"{one.status.value} > {status}"] += 1
        if status == one.status:
            told.right += 1
        else:
            told.wrong.append(
                f"{one.prompt} in {one.start:g}-{one.until:g}: {one.status} > {status}"
            )
        if match is not None and match.status in BAD and match.confidence >= SURE:
            told.accused += 1
            if not any(_is_fault(other, match) for other in expected):
                told.falsely.append(f"{one.prompt} at {match.at:g}: {one.status} > {status}")
    told.alike = _alike(found.phrases, expected)
    for phrase in left:
        if phrase.status in BAD and phrase.confidence >= SURE:
            told.accused += 1
            if any(_is_fault(other, phrase) for other in expected):
                continue
            told.falsely.append(f"{phrase.prompt} at {phrase.at:g}: none is due > {phrase.status}")
    greeted = [one for one in found.findings if one.kind is FindingKind.NO_GREETING]
    told.falsely += [f"no greeting at {one.at:g}" for one in greeted if one.confidence >= SURE]
    told.owed_right = (found.owed is not None) == owed
    return told


def _alike(phrases: Sequence[PhraseVerdict], expected: Sequence[Expected]) -> int:
    """How many verdicts of each silence are right, whichever phrase has them."""
    count = 0
    for start, until in {(one.start, one.until) for one in expected}:
        wanted = [one for one in expected if (one.start, one.until) == (start, until)]
        prompts = {one.prompt for one in wanted if one.status is not PhraseCompliance.UNKNOWN}
        due = Counter(one.status for one in wanted if one.prompt in prompts)
        told = [one for one in phrases if any(_is_of(one, due_one) for due_one in wanted)]
        count += (due & Counter(one.status for one in told if one.prompt in prompts)).total()
    return count


def _is_fault(expected: Expected, phrase: PhraseVerdict) -> bool:
    within = expected.start - 0.5 <= phrase.at <= expected.until + 0.5
    return within and expected.status in BAD


def _is_of(phrase: PhraseVerdict, expected: Expected) -> bool:
    return (
        phrase.prompt == expected.prompt
        and expected.start - 0.5 <= phrase.at <= expected.until + 0.5
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="test")
    parser.add_argument("--calls", type=int, default=520)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--wrong", action="store_true", help="name each wrong verdict")
    options = parser.parse_args()
    library(options.part, None)
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        work = partial(judge, options.part)
        results = list(pool.map(work, range(options.calls), chunksize=4))
    if options.wrong:
        for one in (result.generator for result in results):
            for text in [*one.wrong, *(f"FALSE {text}" for text in one.falsely)]:
                print(f"{one.name} ({one.kind}): {text}")
            if not one.owed_right:
                print(f"{one.name} ({one.kind}): owed callback")
    print(f"calls {len(results)}")
    _print("by the generator's truth", [one.generator for one in results])
    _print("within the telephone's band", [one.in_band for one in results])
    _print("that truth in place of detected speech", [one.pauses for one in results])


def _print(name: str, results: Sequence[Judged]) -> None:
    due = max(sum(one.due for one in results), 1)
    right, alike = sum(one.right for one in results), sum(one.alike for one in results)
    owed = sum(one.owed_right for one in results) / len(results)
    accused, wrongly = sum(one.accused for one in results), sum(len(one.falsely) for one in results)
    calls = sum(bool(one.falsely) for one in results) / len(results)
    pairs: Counter[str] = sum((one.pairs for one in results), Counter())
    print(
        f"{name}: {due} phrases due, {right / due:.1%} right, {alike / due:.1%} whichever phrase has it"
    )
    print(f"  owed callbacks right {owed:.1%}")
    print(f"  accusations {accused}, false {wrongly}, in {calls:.2%} of the calls")
    print("  " + ", ".join(f"{pair}: {count}" for pair, count in sorted(pairs.items())))


if __name__ == "__main__":
    main()
