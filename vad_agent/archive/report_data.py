"""What the supervisor's page of an audit shows: sums by day, operator and hour, and the worst calls.

    calls.parquet ──one pass──> cells (day, operator, hour) ──> JSON in the page; its filters add cells up
                            ├─> the worst calls, a heap
                            └─> owed callbacks that were missing or late

Memory depends on days, operators and hours, not on calls: with too many cells, months stand for days.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from vad_agent.archive.audit_rules import AuditRules

MOST_CELLS = 40_000
MOST_OPERATORS = 400
MOST_WORST, MOST_OWED = 60, 300
NOBODY, OTHERS = "не указан", "прочие"
LATE = ("late", "missing")

SUMS = (
    "calls", "unreadable", "told", "right", "wrong", "wrong_calls", "owed", "missing", "late",
    "no_greeting", "spoke_over", "dropped", "dead_calls", "dead_s", "dead_operator_s", "dead_line_s",
    "dead_client_s", "seconds", "hold_s", "greeting_s", "greeted", "response_s", "answered",
    "silent_calls", "hold_violations", "late_greeting", "early_calls", "left_calls", "line_calls",
    "wait_calls", "live_calls",
)  # fmt: skip
"""The numbers of a cell, in this order; the counts of `BINS` follow."""
BINS: Mapping[str, Sequence[float]] = {
    "greeting_latency_s": (1, 2, 3, 5, 10),
    "response_latency_s": (0.5, 1, 2, 3, 5),
    "dead_air_longest_s": (0.001, 15, 20, 30, 60),
}
"""Edges of the distributions: one count more than edges each."""
_AT = {name: place for place, name in enumerate(SUMS)}
WIDTH = len(SUMS) + sum(len(edges) + 1 for edges in BINS.values())

Cell = tuple[str, str, int]
"""Day (2026-11-30, or its month; "" unknown), operator, hour (-1: unknown)."""


@dataclass
class ReportData:
    """Everything on the page but the pictures."""

    cells: dict[Cell, list[float]] = field(default_factory=dict)
    worst: list[dict[str, Any]] = field(default_factory=list)
    """The worst first."""
    owed: list[dict[str, Any]] = field(default_factory=list)
    owed_left_out: int = 0
    joined: bool = False
    """Owed callbacks were looked up in the desk's store."""
    rules: AuditRules = field(default_factory=AuditRules)
    """By which the calls were audited."""


def collect(
    calls: Iterable[Mapping[str, Any]],
    states: Mapping[str, str],
    zone: tzinfo,
    rules: AuditRules | None = None,
) -> ReportData:
    """Read the table of calls once. `states`: of owed callbacks, by the call's id. `zone`: the centre's."""
    data = ReportData(joined=bool(states), rules=rules or AuditRules())
    heap: list[tuple[float, int, dict[str, Any]]] = []
    operators: set[str] = set()
    months = False
    for number, call in enumerate(calls):
        state = states.get(call["id"])
        cell = _cell(call, zone, operators)
        if months:
            cell = cell[0][:7], *cell[1:]
        sums = data.cells.setdefault(cell, [0.0] * WIDTH)
        _add(sums, call, state)
        if len(data.cells) > MOST_CELLS and not months:
            months = True
            data.cells = _by_month(data.cells)
        if (score := badness(call, state)) > 0:
            one = (score, -number, shown(call, state, cell))
            (heapq.heappush if len(heap) < MOST_WORST else heapq.heappushpop)(heap, one)
        if call["owed"] and state in LATE:
            if len(data.owed) < MOST_OWED:
                data.owed.append(shown(call, state, cell))
            else:
                data.owed_left_out += 1
    data.worst = [one for _, _, one in sorted(heap, key=lambda one: one[:2], reverse=True)]
    data.owed.sort(key=_missing_first)
    return data


def _missing_first(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Then by time."""
    return one["callback"] != "missing", one["began"] is None, one["began"] or 0, one["id"]


def badness(call: Mapping[str, Any], state: str | None) -> float:
    """How much is wrong with a call; 0: nothing."""
    if call["error"] is not None:
        return 0.0
    owed = {"missing": 6.0, "late": 2.0}.get(state or "", 0.0)
    by_line = call["dead_air_line_s"] or 0.0  # nobody's fault, and no phrase accuses anybody then
    return (
        owed
        + 2.0 * (0 if by_line else call["phrases_wrong"] or 0)
        + 2.0 * bool(call["no_greeting"])
        + 2.0 * bool(call["dropped"])
        + min(3.0, float(call["spoke_over"] or 0))
        + min(3.0, ((call["dead_air_s"] or 0.0) - by_line) / 20.0)
        + bool(call["hold_violation"])
    )


def shown(call: Mapping[str, Any], state: str | None, cell: Cell) -> dict[str, Any]:
    """What a list on the page shows of a call."""
    names = (
        "id", "source", "began", "seconds", "scenario", "owed", "phrases_right", "phrases_wrong",
        "no_greeting", "no_greeting_at_s", "greeting_latency_s", "dropped", "dropped_at_s", "spoke_over",
        "spoke_over_at_s", "dead_air_s", "dead_air_line_s", "dead_air_at_s", "dead_air_longest_s",
        "dead_air_cause", "dead_air_waits_for", "owed_at_s", "hold_s", "hold_violation",
    )  # fmt: skip
    day, operator, hour = cell
    found = {name: call[name] for name in names}
    return found | {"day": day, "operator": operator, "hour": hour, "callback": state}


def _cell(call: Mapping[str, Any], zone: tzinfo, operators: set[str]) -> Cell:
    operator = call["operator"] or NOBODY
    if operator not in operators:
        if len(operators) >= MOST_OPERATORS:
            operator = OTHERS
        operators.add(operator)
    if call["began"] is None:
        return "", operator, -1
    local = call["began"].astimezone(zone)
    return local.date().isoformat(), operator, local.hour


def _add(sums: list[float], call: Mapping[str, Any], state: str | None) -> None:
    def add(name: str, value: float | None) -> None:
        sums[_AT[name]] += value or 0.0

    add("calls", 1)
    if call["error"] is not None:
        add("unreadable", 1)
        return
    dead = call["dead_air_s"] or 0.0
    add("told", bool(call["told"]))
    add("right", call["phrases_right"])
    add("wrong", call["phrases_wrong"])
    add("wrong_calls", bool(call["phrases_wrong"]))
    add("owed", bool(call["owed"]))
    add("missing", state == "missing")
    add("late", state == "late")
    greeted = call["greeting_latency_s"] is not None
    add("no_greeting", bool(call["no_greeting"]) and not greeted)
    add("late_greeting", bool(call["no_greeting"]) and greeted)
    if call["told"] and not call["dead_air_line_s"]:  # on a dead line no phrase accuses anybody
        add("live_calls", 1)
        add("early_calls", bool(call["phrases_early"]))
        add("left_calls", bool(call["phrases_missing"]))
    add("spoke_over", bool(call["spoke_over"]))
    add("dropped", bool(call["dropped"]))
    add("dead_calls", dead > 0)
    add("dead_s", dead)
    line, operator = call["dead_air_line_s"] or 0.0, call["dead_air_operator_s"] or 0.0
    for name, share in (("line", line), ("operator", operator), ("client", dead - line - operator)):
        add(f"dead_{name}_s", share)
    add("line_calls", line > 0)
    add("wait_calls", operator > 0)
    add("seconds", call["seconds"])
    add("hold_s", call["hold_s"])
    add("silent_calls", bool(call["silent_call"]))
    add("hold_violations", bool(call["hold_violation"]))
    for name, total, count in (
        ("greeting_latency_s", "greeting_s", "greeted"),
        ("response_latency_s", "response_s", "answered"),
    ):
        if call[name] is not None:
            add(total, call[name])
            add(count, 1)
    at = len(SUMS)
    for name, edges in BINS.items():
        value = call[name] if name != "dead_air_longest_s" else call[name] or 0.0
        if value is not None:
            sums[at + bisect_right(edges, value)] += 1
        at += len(edges) + 1


def _by_month(cells: Mapping[Cell, list[float]]) -> dict[Cell, list[float]]:
    months: dict[Cell, list[float]] = {}
    for (day, operator, hour), sums in cells.items():
        total = months.setdefault((day[:7], operator, hour), [0.0] * WIDTH)
        for place, value in enumerate(sums):
            total[place] += value
    return months
