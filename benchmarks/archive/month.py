"""A month of a centre: 3,000 recordings of 12 operators, the store of callbacks, and what is true of them.

    python -m benchmarks.archive.month FOLDER [--calls 3000] [--distinct 240] [--jobs 2]
    vad-agent audit FOLDER/calls --config FOLDER/desk.toml --callbacks --out FOLDER/out --report FOLDER/page

Some hundreds of generated calls are rendered and stand under many names (hard links). Operators differ on
purpose, and so do hours: `truth.json` says how, and counts it. Who audits the page must find it there.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.accuracy.labels import RATE, Run
from benchmarks.archive.spoken_ladders import spoken
from benchmarks.calls.recipe import Carries, Kind, Recipe
from benchmarks.calls.run import Job, library, made
from vad_agent.archive.rows import BAD
from vad_agent.callbacks.model import Policy, Request
from vad_agent.callbacks.policy_from_script import policy_of
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.core.frames import Channel, frames, seconds
from vad_agent.script.settings import Settings
from vad_agent.trace.window_compliance import PhraseCompliance

PART = "tuning"
ZONE = policy_of(Settings()).zone
"""As the audit understands the times in names."""
MOST_S = 45.0
"""Longer calls are left out: a month is audited within minutes."""
FIRST_DAY, DAYS = datetime(2026, 11, 2, tzinfo=ZONE), 28
HOURS = range(9, 21)
BUSY_HOURS = (13, 14)
"""In these clients wait: operators do not answer at once."""
LINE_DAYS = (datetime(2026, 11, 17).date(), datetime(2026, 11, 18).date())
"""On these the trunk fails: dead lines at every operator."""
LATE_GREETING_S = 6.5
"""Silence before the greeting of an operator who greets late."""
WAIT_S = 12.5
"""Silence before the answer of an operator who lets the client wait; no callback is owed yet."""
ANSWER = frames(3.0)
"""Who speaks so soon after the client answers them."""
WITHOUT_EVENTS = (
    Kind.NOBODY,
    Kind.SILENT,
    Kind.AGAIN,
    Kind.ANSWERED,
    Kind.TALK,
    Kind.MUSIC,
    Kind.MUSIC_BACK,
)
"""Calls that sound alone explains: no hold or hang-up is told."""


@dataclass(frozen=True, slots=True)
class Habit:
    """Shares of an operator's calls; of callbacks those that are owed."""

    greets_late: float = 0.04
    early: float = 0.05
    leaves: float = 0.05
    line: float = 0.03
    waits: float = 0.05
    forgets: float = 0.01
    rings_late: float = 0.03


OPERATORS: Mapping[str, Habit] = {
    "ivanova": Habit(greets_late=0.4),
    "petrov": Habit(forgets=0.3),
    "sidorova": Habit(early=0.4),
    "smirnov": Habit(line=0.45),
    "volkova": Habit(leaves=0.35),
    "zaytsev": Habit(rings_late=0.4),
    **{name: Habit() for name in ("orlova", "lebedev", "morozova", "kozlov", "novikova", "egorov")},
}


class Sort:
    """What a rendered call is an example of."""

    GOOD, EARLY, LEAVES, LINE = "good", "early", "leaves", "line"


SORTS = (Sort.GOOD, Sort.EARLY, Sort.LEAVES, Sort.LINE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One rendered call."""

    number: int
    sort: str
    seconds: float
    greeting_s: float
    owed: bool
    waits: bool
    """There is a form of it in which the client waits for an answer."""


@dataclass
class Truth:
    """What was made, by operator, by hour and by day."""

    operators: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    hours: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    days: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    missing: list[str] = field(default_factory=list)
    """Recordings whose callback nobody requested."""
    late: list[str] = field(default_factory=list)


def _sort(recipe: Recipe, statuses: Sequence[PhraseCompliance]) -> str | None:
    """None: an example of several things, or of nothing that is told here."""
    dead = (Carries.ZERO, Carries.NOTHING)
    if any(one.carries in dead for one in recipe.stretches):
        return Sort.LINE
    bad = {one for one in statuses if one in BAD}
    if not bad:
        return Sort.GOOD
    if bad == {PhraseCompliance.EARLY}:
        return Sort.EARLY
    return Sort.LEAVES if PhraseCompliance.MISSING in bad else None


def _rendered(folder: Path, number: int) -> Rendered | None:
    recipe, source = made(Job(PART, number))
    if recipe.kind not in WITHOUT_EVENTS or seconds(recipe.frames) > MOST_S:
        return None
    made_of = spoken(recipe, source)
    call, expected = made_of.call, made_of.expected
    sort = _sort(recipe, [one.status for one in expected])
    if sort is None:
        return None
    stereo = np.stack([call.operator, call.client], axis=1)
    speech = call.truth.speech
    answer = _answer(speech[Channel.CLIENT], speech[Channel.OPERATOR])
    forms = {"": stereo, "-late": _paused(stereo, 0, LATE_GREETING_S)}
    if answer is not None:
        forms["-waits"] = _paused(stereo, answer, WAIT_S)
    for form, sound in forms.items():
        soundfile.write(folder / f"{number}{form}.wav", sound, RATE, subtype="PCM_16")
    greeting = seconds(speech[Channel.OPERATOR][0][0])
    owed = recipe.callback is not None
    return Rendered(number, sort, seconds(recipe.frames), greeting, owed, answer is not None)


def _answer(client: Sequence[Run], operator: Sequence[Run]) -> int | None:
    """The frame before the first answer to the client's words; None: nobody answers them."""
    for _, ended in client:
        following = min((first for first, _ in operator if first >= ended), default=None)
        silent = not any(first < (following or 0) and last > ended for first, last in client)
        if following is not None and following - ended < ANSWER and silent:
            return following - 1
    return None


def _paused(stereo: NDArray[np.int16], frame: int, length: float) -> NDArray[np.int16]:
    """The call with `length` seconds of a quiet line before the frame."""
    floor = np.random.default_rng(frame).normal(0, 12, (round(length * RATE), 2))
    at = round(seconds(frame) * RATE)
    return np.concatenate([stereo[:at], floor.astype(np.int16), stereo[at:]])


def _moments(calls: int, rng: np.random.Generator) -> Iterator[datetime]:
    """When calls begin: working days, more at noon, in order."""
    days = [day for day in range(DAYS) if (FIRST_DAY + timedelta(days=day)).weekday() < 6]
    weights = np.array([1.6 if hour in (11, 12, *BUSY_HOURS) else 1.0 for hour in HOURS])
    found = []
    for _ in range(calls):
        hour = int(rng.choice(list(HOURS), p=weights / weights.sum()))
        at = timedelta(days=int(rng.choice(days)), hours=hour, seconds=int(rng.integers(3_600)))
        found.append(FIRST_DAY + at)
    return iter(sorted(found))


def month(folder: Path, calls: int, distinct: int, jobs: int) -> Truth:
    """Write the recordings, the store, `desk.toml` and `truth.json` into a new folder."""
    sounds, names = folder / "sounds", folder / "calls"
    sounds.mkdir(parents=True)
    names.mkdir()
    library(PART, None)
    pools: dict[str, list[Rendered]] = defaultdict(list)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        rendered = pool.map(partial(_rendered, sounds), range(distinct), chunksize=4)
        for one in track(rendered, "render", distinct):
            if one is not None:
                pools[one.sort].append(one)
    truth = Truth()
    store = Store(str(folder / "callbacks.sqlite3"), Policy(ZONE))
    try:
        _place(calls, pools, names, store, truth)
    finally:
        store.close()
    (folder / "desk.toml").write_text('database = "callbacks.sqlite3"\n', encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(vars(truth), indent=1), encoding="utf-8")
    return truth


def _place(
    calls: int, pools: Mapping[str, Sequence[Rendered]], names: Path, store: Store, truth: Truth
) -> None:
    rng = np.random.default_rng(20_261_101)
    for number, began in enumerate(_moments(calls, rng)):
        operator = str(rng.choice(list(OPERATORS)))
        habit = OPERATORS[operator]
        line = habit.line + (0.3 if began.date() in LINE_DAYS else 0.0)
        shares = np.array([1 - habit.early - habit.leaves - line, habit.early, habit.leaves, line])
        sort = str(rng.choice(SORTS, p=shares))
        one = pools[sort][int(rng.integers(len(pools[sort])))]
        form = ""
        if rng.random() < habit.greets_late:
            form = "-late"
        elif one.waits and rng.random() < habit.waits + (began.hour in BUSY_HOURS) * 0.4:
            form = "-waits"
        phone = f"7916{number + 1_000_000:07d}"
        name = f"in-{operator}-{phone}-{began:%Y%m%d-%H%M%S}-{began.timestamp():.0f}.{number}.wav"
        os.link(names.parent / "sounds" / f"{one.number}{form}.wav", names / name)
        told = Counter({"calls": 1, "owed": int(one.owed), sort: 1})
        if form:
            told[form.removeprefix("-")] += 1
        if one.owed:
            fate = rng.random()
            added = {"-late": LATE_GREETING_S, "-waits": WAIT_S}.get(form, 0.0)
            ended = began + timedelta(seconds=one.seconds + added)
            if fate < habit.forgets:
                truth.missing.append(name)
                told["missing"] += 1
            else:
                late = fate < habit.forgets + habit.rings_late
                if late:
                    truth.late.append(name)
                    told["rung_late"] += 1
                _ring(store, f"month-{number}", f"+{phone}", ended, 900.0 if late else 20.0)
        truth.operators[operator] += told
        truth.hours[began.hour] += told
        truth.days[began.date().isoformat()] += told


def _ring(store: Store, key: str, phone: str, ended: datetime, after_s: float) -> None:
    """A request with the end of the call, and its first attempt."""
    request = Request(key=key, reason="silence_in_dialogue", asked=ended, due_in_s=0.0, phone=phone)
    callback = store.take(request, Actor("month", ended)).callback
    store.begin(callback.key, "month", Actor("month", ended + timedelta(seconds=after_s)))


def main() -> None:
    """Make it, and print what was made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--distinct", type=int, default=240)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    truth = month(options.folder, options.calls, options.distinct, options.jobs)
    for name, told in sorted(truth.operators.items()):
        print(f"{name:10}", dict(told))
    for hour, told in sorted(truth.hours.items()):
        print(f"{hour:02}:00", dict(told))
    print(f"callbacks missing {len(truth.missing)}, late {len(truth.late)}")


if __name__ == "__main__":
    main()
