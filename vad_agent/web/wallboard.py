"""State of all headsets as text, for the supervisors' pages: the rows and their changes.

    broker ── twice a second, while anybody follows ──> rows ──┬─> {"whole": true, "rows": {operator: row}}
                                                               ├─> {"rows": {operator: what changed, or null}}
                                                               └─> {}    heartbeat

A row is flat and ready for display: a page computes nothing. A headset's data are not trusted:
unexpected values are left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from vad_agent.trace import labels_ru
from vad_agent.web.state_broker import HEARTBEAT_S, StateBroker

EVERY_S = 0.5
LONGEST = 160
"""Characters of a text in a row."""
NOBODY = "\0floor"
"""An operator without a headset: the broker is followed only for its heartbeat and its end."""
PHRASES = {
    "cue": "оператор должен сказать",
    "asked": "сейчас прозвучит",
    "playing": "звучит",
    "by_operator": "говорит оператор",
    "next": "следующая",
}
UNDER_WAY = frozenset(PHRASES) - {"next"}
SPEAK = {
    (False, False): "молчат",
    (True, False): "говорит оператор",
    (False, True): "говорит клиент",
    (True, True): "говорят оба",
}

WallboardRow = dict[str, Any]
WallboardRows = Mapping[str, WallboardRow]


def rows(broker: StateBroker) -> WallboardRows:
    """The rows of all connected headsets, by operator."""
    return {operator: row(broker.state(operator)) for operator in broker.operators()}


def row(state: Mapping[str, Any]) -> WallboardRow:
    """The row of one headset.

    `urgent`: 2 a problem, 1 a window is open or a prompt runs, 0 neither. `bar`: start and width of
    the window, and the silence, in hundredths of the bar; None: there is no clock.
    """
    operator, client = _of(_of(state, "sides"), "operator"), _of(_of(state, "sides"), "client")
    clock, phrase = _of(state, "clock"), _of(state, "phrase")
    in_call = isinstance(state.get("phase"), str)
    silence, lo, hi = (_number(clock.get(name)) for name in ("silence_s", "lo_s", "hi_s"))
    look, bar = _bar(silence, lo, hi)
    wrong = _wrong(state, operator, client)
    under_way = phrase.get("state") in UNDER_WAY
    seconds = _number(state.get("call_s"))
    told = _line(operator, client, clock, silence) if in_call else []
    line = ", ".join(one for one in dict.fromkeys(told) if one and one not in wrong)
    speak = operator.get("speaking") is True, client.get("speaking") is True
    return {
        "idle": not in_call and not wrong,
        "urgent": 2 if wrong or look == "past" else 1 if look == "in" or under_way else 0,
        "state": _text(state.get("phase_text")) if in_call else "ждёт звонка",
        "time": labels_ru.clock(int(seconds)) if in_call and seconds is not None else "",
        "client": _text(state.get("client_name")),
        "speaks": SPEAK[speak] if in_call and (any(speak) or not (line or wrong)) else "",
        "line": line,
        "window": labels_ru.window(lo, hi) if lo is not None and hi is not None and in_call else "",
        "look": look if in_call else "",
        "bar": bar if in_call else None,
        "phrase": _text(phrase.get("text")),
        "phrase_state": PHRASES.get(str(phrase.get("state")), "") if phrase else "",
        "message": _message(state.get("messages")),
        "wrong": wrong,
    }


def _bar(
    silence: float | None, lo: float | None, hi: float | None
) -> tuple[str, tuple[int, int, int] | None]:
    if silence is None or lo is None or hi is None or not 0 <= lo <= hi <= 86_400 or hi == 0:
        return "", None
    unit = 100 / (hi * 1.25)
    bar = round(lo * unit), round((hi - lo) * unit), round(min(max(silence, 0) * unit, 100))
    return "past" if silence > hi else "in" if silence >= lo else "on", bar


def _line(
    operator: Mapping[str, Any],
    client: Mapping[str, Any],
    clock: Mapping[str, Any],
    silence: float | None,
) -> list[str]:
    """The state of the client's line, or why the clock is stopped; then the operator's, if it is
    abnormal.
    """
    told = []
    if _is_odd(client):
        told.append(_text(client.get("text")))
    if clock.get("odd") is True:
        told.append(_text(clock.get("stands")).replace("ПАУЗА", "пауза контроля"))
    if _is_odd(operator) and not told:
        told.append(_text(operator.get("text")))
    if silence is not None:
        held = clock.get("held") is True
        what = "на удержании" if held else "клиента не слышно"
        long = labels_ru.clock(int(silence)) if held else f"{labels_ru.number(silence, 1)} с"
        told.append(f"{what} {long}")
    return [_first_part(one) for one in told]


def _is_odd(side: Mapping[str, Any]) -> bool:
    """The line is abnormal. A lost device is reported as a problem instead."""
    return side.get("kind") in ("odd", "bad") and side.get("lost") is not True


def _first_part(text: str) -> str:
    """The text without the part for the operator: "наушники отключены — жду их"."""
    return text.partition(" — ")[0]


def _wrong(state: Mapping[str, Any], operator: Mapping[str, Any], client: Mapping[str, Any]) -> str:
    told = []
    if state.get("hang_up") is True:
        told.append("оператор должен завершить звонок")
    told += [
        _first_part(_text(side.get("text")))
        for side in (operator, client)
        if side.get("lost") is True
    ]
    if problem := _text(state.get("voice_problem")):
        told.append(f"фразы не озвучить: {problem}")
    return ", ".join(one for one in told if one)


def _of(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e7 < value < 1e7 else None


def _message(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        return ""
    last = messages[-1]
    if not isinstance(last, list) or len(last) != 2 or (at := _number(last[0])) is None:
        return ""
    return f"{labels_ru.clock(int(at))} {_text(last[1])}"


def order(found: WallboardRows) -> list[tuple[str, WallboardRow]]:
    """The display order: urgent first, then by name; headsets without a call are left out."""
    busy = [(operator, row) for operator, row in found.items() if not row["idle"]]
    return sorted(busy, key=lambda one: (-one[1]["urgent"], one[0]))


def changes(before: WallboardRows | None, after: WallboardRows) -> dict[str, Any]:
    """The changes for a page that has `before`. None: it has nothing yet."""
    if before is None:
        return {"whole": True, "rows": after}
    told: dict[str, WallboardRow | None] = dict.fromkeys(before.keys() - after.keys())
    for operator, row in after.items():
        known = before.get(operator)
        if known is None:
            told[operator] = row
        elif changed := {name: value for name, value in row.items() if known[name] != value}:
            told[operator] = changed
    return {"rows": told} if told else {}


class Wallboard:
    """The wallboard of one broker, for any number of pages in one event loop."""

    def __init__(self, broker: StateBroker, *, every_s: float = EVERY_S) -> None:
        self._broker = broker
        self._every_s = every_s
        self._rows: WallboardRows = {}
        self._over = False
        self._followers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._told: tuple[WallboardRows | None, WallboardRows, str] = ({}, {}, "{}")
        """(before, after, JSON of the changes): most pages are at the same version."""

    async def follow(
        self, is_on: Callable[[], bool], *, heartbeat_s: float = HEARTBEAT_S
    ) -> AsyncGenerator[str, None]:
        """Yield JSON objects: all rows, then changes; `{}` is a heartbeat.

        Ends when the broker closes or `is_on` is false. A caller that stops earlier closes it
        (`contextlib.aclosing`).
        """
        woken = asyncio.Event()
        self._join(woken)
        before: WallboardRows | None = None
        try:
            while is_on():
                woken.clear()
                after = self._rows
                told = self._changes(before, after)
                yield told
                before = after
                if self._over:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(heartbeat_s):
                        await woken.wait()
        finally:
            self._leave(woken)

    def _join(self, follower: asyncio.Event) -> None:
        self._followers.add(follower)
        if self._task is None:
            self._rows, self._over = rows(self._broker), False
            self._task = asyncio.create_task(self._run())

    def _leave(self, follower: asyncio.Event) -> None:
        self._followers.discard(follower)
        if not self._followers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        """Update at the broker's heartbeat. Ends when the broker closes, or on a bug here."""
        try:
            async with aclosing(self._broker.follow(NOBODY, heartbeat_s=self._every_s)) as beats:
                async for _ in beats:
                    after = rows(self._broker)
                    if after != self._rows:
                        self._rows = after
                        self._wake()
        finally:
            if self._task is asyncio.current_task():  # nobody has replaced it
                self._over = True
                self._wake()

    def _wake(self) -> None:
        for follower in self._followers:
            follower.set()

    def _changes(self, before: WallboardRows | None, after: WallboardRows) -> str:
        if self._told[0] is not before or self._told[1] is not after:
            encoded = json.dumps(changes(before, after), ensure_ascii=False, separators=(",", ":"))
            self._told = (before, after, encoded)
        return self._told[2]
