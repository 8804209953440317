"""Callbacks for people: tables on a terminal, one line each in a pipe. Numbers are masked.

id            state      due, Europe/Moscow     attempt  client       reasons   operator
k3v9q0m2x7ha  ! overdue  14:05:10, 2 min ago    1/3      Анна, +7…89  dropped   anna
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from vad_agent.callbacks import next_attempt_time
from vad_agent.callbacks.model import Callback, Policy, State
from vad_agent.cli.terminal import plain_console, print_table
from vad_agent.common.time_zones import zone_name

if TYPE_CHECKING:
    from rich.console import Console

    from vad_agent.callbacks.call_store import LostCall
    from vad_agent.callbacks.queries import Promise, RequestEntry
    from vad_agent.client.backend import CallbackDetails

HEAD = ("id", "state", "due", "attempt", "client", "reasons", "operator")
SIGNS = {
    State.WAITING: "→",
    State.OFFERED: "→",
    State.RINGING: "☎",
    State.NEEDS_NUMBER: "?",
    State.NEEDS_TIME: "?",
    State.NEEDS_PERSON: "?",
    State.REACHED: "✓",
    State.NOT_REACHED: "✗",
    State.CLIENT_CALLED: "✓",
    State.CANCELLED: "–",
}
OVERDUE = "!"
UNTOLD = ("created", "generation", "early", "fixed", "since")
"""Changes that are not shown to people."""
NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal would interpret."""


class Look:
    """How callbacks are written. `numbers`: unmasked; `attempts`, `overdue_s`: the centre's policy;
    `zone`: that of the times.
    """

    def __init__(
        self,
        now: datetime,
        zone: tzinfo,
        *,
        numbers: bool,
        attempts: int | None,
        overdue_s: float,
    ) -> None:
        self._now = now.astimezone(zone)
        self.zone = zone_name(zone)
        self._numbers = numbers
        self._attempts = attempts
        self._policy = Policy(UTC, overdue_s=overdue_s)

    def row(self, callback: Callback) -> list[str]:
        """The cells of HEAD."""
        return [
            callback.id,
            self.state(callback),
            self.due(callback),
            self.attempt(callback),
            self.client(callback),
            _reasons(callback),
            text(callback.operator),
        ]

    def state(self, callback: Callback) -> str:
        """The state with its sign; a late callback is overdue."""
        if self.is_overdue(callback):
            late = "" if callback.state is State.WAITING else f", {callback.state}"
            return f"{OVERDUE} overdue{late}"
        return f"{SIGNS[callback.state]} {callback.state}"

    def is_overdue(self, callback: Callback) -> bool:
        """Its time has passed and nobody is rung."""
        return next_attempt_time.overdue(callback, self._now, self._policy)

    def due(self, callback: Callback) -> str:
        """When it will be tried, or when it ended."""
        if callback.ended is not None:
            return f"ended {self.when(callback.ended)}"
        when = callback.next or callback.due
        return "" if when is None else self.when(when)

    def when(self, at: datetime) -> str:
        """The centre's time, and the distance from now."""
        return f"{local(at, self._now)}, {distance(at - self._now)}"

    def attempt(self, callback: Callback) -> str:
        """The attempt's number and the maximum."""
        return f"{callback.attempt}" + (f"/{self._attempts}" if self._attempts else "")

    def client(self, callback: Callback) -> str:
        """Name and number."""
        number = self.number(callback)
        return ", ".join(part for part in (text(callback.name), number) if part)

    def number(self, callback: Callback) -> str:
        """Masked, unless numbers are requested."""
        from vad_agent.callbacks.phone_numbers import masked

        given = callback.phone or callback.phone_given
        shown = text(given if self._numbers else masked(given))
        if callback.extension:
            shown += f" ext. {text(callback.extension) if self._numbers else '…'}"
        return f"{shown} (no number)" if given and not callback.phone else shown

    def _behind(self, one: RequestEntry) -> str:
        if not one.extension:
            return ""
        return f"ext. {text(one.extension) if self._numbers else '…'}"

    def sentence(self, callback: Callback) -> str:
        """One line about a change."""
        told = f"{callback.id}: {callback.state}"
        if callback.state is State.WAITING:
            return f"{told}, attempt {self.attempt(callback)}, {self.due(callback)} ({self.zone})"
        return told

    def show(self, story: CallbackDetails) -> None:
        """Print all of one callback."""
        callback = story.callback
        console = plain_console()
        facts = {
            "state": self.state(callback),
            "since": "" if callback.since is None else self.when(callback.since),
            "due": "" if callback.due is None else self.when(callback.due),
            "next": "" if callback.next == callback.due else self.due(callback),
            "ended": "" if callback.ended is None else self.when(callback.ended),
            "attempt": self.attempt(callback),
            "client": self.client(callback),
            "opening": f"«{text(callback.opening)}»" if callback.opening else "",
            "topic": text(callback.topic),
            "reasons": _reasons(callback),
            "operator": text(callback.operator) or "anybody",
            "created": self.when(callback.created),
            "calls": ", ".join(map(text, story.calls)),
            "session": text(callback.session),
            "zone": self.zone,
        }
        if callback.ended is not None:
            facts |= {"due": "", "next": ""}
        print_line(console, callback.id)
        for name, value in facts.items():
            if value:
                print_line(console, f"  {name:<9}{value}")
        if len(story.requests) > 1:
            rows = [
                [
                    local(one.asked or one.taken, self._now),
                    text(one.operator),
                    one.reason + (" (from the trace)" if one.made else ""),
                    text(one.at) or ("" if one.due_in_s is None else f"in {one.due_in_s:g} s"),
                    ", ".join(part for part in (text(one.name), self._behind(one)) if part),
                    text(one.topic),
                ]
                for one in story.requests
            ]
            print_line(console, "")
            print_table(console, ("asked", "operator", "reason", "for", "client", "topic"), rows)
        if story.attempts:
            rows = [
                [
                    f"{one.number}",
                    local(one.dialled or one.intent, self._now),
                    "" if one.ended is None else local(one.ended, self._now),
                    "under way" if one.outcome is None else one.outcome.value,
                    text(one.operator),
                    text(one.node),
                    text(one.detail),
                ]
                for one in story.attempts
            ]
            head = ("attempt", "begun", "ended", "outcome", "operator", "node", "detail")
            print_line(console, "")
            print_table(console, head, rows)
        rows = [
            [
                local(change.at, self._now),
                text(change.who),
                change.what,
                text(change.why),
                "; ".join(self._changes(change.change)),
            ]
            for change in story.history
        ]
        print_line(console, "")
        print_table(console, ("at", "who", "what", "why", "changed"), rows)

    def _changes(self, change: Mapping[str, object]) -> Iterator[str]:
        """The changes, without those only for programs, and without initial values."""
        for name, told in change.items():
            if name in UNTOLD or (name == "next" and told == change.get("due")):
                continue
            if not isinstance(told, list) or len(told) != 2:
                yield f"{name}: {text(told)}"
                continue
            before, after = ("–" if one in (None, []) else self._value(one) for one in told)
            if told[0] not in (None, []):
                yield f"{name}: {before} → {after}"
            elif told[1] not in (0, 1):
                yield f"{name}: {after}"

    def _value(self, value: object) -> str:
        if isinstance(value, list):
            return ", ".join(map(text, value))
        if isinstance(value, str) and "T" in value:
            try:
                return local(datetime.fromisoformat(value), self._now)
            except ValueError:
                pass
        return text(value)


def _reasons(callback: Callback) -> str:
    """The reasons, and how many requests were merged into the callback."""
    merged = f" (+{callback.merged} merged)" if callback.merged else ""
    return ", ".join(callback.reasons) + merged


def print_list(found: Sequence[Callback], look: Look) -> None:
    """Print a table of callbacks."""
    console = plain_console()
    if not found:
        print_line(console, "no callbacks")
        return
    head = [f"{name}, {look.zone}" if name == "due" else name for name in HEAD]
    print_table(console, head, [look.row(callback) for callback in found])


def print_promise(promise: Promise) -> None:
    """Print the request counts, as a sum and as a table."""
    parts = {
        "reached": promise.reached,
        "not reached": promise.not_reached,
        "client called": promise.client_called,
        "cancelled": promise.cancelled,
        "open": promise.open,
    }
    console = plain_console()
    total = " + ".join(f"{name} {count}" for name, count in parts.items())
    end = f"{promise.missing} MISSING" if promise.missing else "nothing is missing"
    print_line(console, f"taken {promise.taken} = {total}: {end}")
    print_line(console, "")
    counts = {"taken": promise.taken, **parts, "lost": promise.lost, "missing": promise.missing}
    print_table(console, ("requests", "count"), [[n, f"{count}"] for n, count in counts.items()])


def print_lost(lost: Sequence[LostCall], now: datetime) -> None:
    """Print the calls whose callback was never requested, and how to make each; times are in the zone of
    `now`.
    """
    console, zone = plain_console(), zone_name(now.tzinfo or UTC)
    for one in lost:
        whose = text(one.operator) or "nobody known"
        when = f"ended {local(one.ended, now)} ({zone}), {distance(one.ended - now)}"
        print_line(console, "")
        print_line(console, f"lost: the call of {whose}, {when}: its trace asks for a callback")
        print_line(console, f"  vad-agent callbacks make {shlex.quote(text(one.call))}")


# -- texts
# -------------------------------------------------------------------------------------------


def local(at: datetime, now: datetime) -> str:
    """The time in the zone of `now`; with the date if it is not today."""
    own = at.astimezone(now.tzinfo)
    return f"{own:%H:%M:%S}" if own.date() == now.date() else f"{own:%Y-%m-%d %H:%M}"


def distance(span: timedelta) -> str:
    """The distance from now: "in 2 min", "3 h ago"."""
    seconds = round(abs(span.total_seconds()))
    if seconds < 1:
        return "now"
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and seconds % size < size // 10):
            told = f"{seconds // size} {name}"
            break
    else:
        told = f"{seconds} s"
    return f"in {told}" if span > timedelta(0) else f"{told} ago"


def text(value: object) -> str:
    """External text as one line without control characters."""
    return "" if value is None else NO_TEXT.sub(" ", str(value))


# -- tables ----------------------------------------------------------------------------------------


def print_line(console: Console, line: str) -> None:
    """Print a line without wrapping."""
    console.print(line, soft_wrap=True)
