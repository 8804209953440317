"""Event files: JSON lines, `t` in seconds, the other fields as in call control.

    {"t": 30.2, "kind": "hangup", "party": "client"}                     written by hand, or by a PBX

    {"t": 0.0, "kind": "recorded", "mode": "auto", "version": "…"}       written by a live call: all events of
    {"t": 7.3, "kind": "prompt_started", "prompt": "greeting_again"}     its session, and the spans without
    {"t": 9.1, "kind": "gap", "party": "client", "until": 10.4}          frames

A recorded file may end in the middle of a line, if its writer was killed.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vad_agent.core.callback_request import seconds_until
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel, FramePair, frames
from vad_agent.errors import EventError, SettingsError

MOST_PROBLEMS = 20
"""Problems reported for one file: a file of another kind is wrong in every line."""
MODES = ("auto", "cue")
_PLAYER = frozenset({"prompt_started", "prompt_ended", "prompt_failed", "player_ready"})

FrameSpan = tuple[int, int]
"""Frames [from, to)."""


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event that comes before frame `frame`."""

    frame: int
    event: Event


@dataclass(frozen=True, slots=True)
class EventLog:
    """The content of an events file, in order of time."""

    events: Sequence[TimedEvent] = ()
    mode: str | None = None
    """auto or cue: the mode of a recorded live call. None: the file is not from a recorded call."""
    gaps: Mapping[Channel, Sequence[FrameSpan]] = field(default_factory=dict)
    """Spans without frames, in order and disjoint."""

    @property
    def live(self) -> bool:
        """It is from a live call: the outcomes of its prompts are among the events."""
        return self.mode is not None

    def in_mode(self, mode: str | None) -> EventLog:
        """The log for a session of this mode; None: the original mode.

        In another mode than the call's, other prompts are due: the player's reports are left out,
        and the replay simulates the player.
        """
        if mode is None or mode == self.mode or not self.live:
            return self
        events = [timed for timed in self.events if timed.event.kind.value not in _PLAYER]
        return replace(self, events=events, mode=None)

    def cut(self, pairs: Iterable[FramePair]) -> Iterable[FramePair]:
        """The pairs of a recording as they were fed; None: no frame arrived."""
        return self._cut(pairs) if any(self.gaps.values()) else pairs

    def _cut(self, pairs: Iterable[FramePair]) -> Iterator[FramePair]:
        operator_gone = _Inside(self.gaps.get(Channel.OPERATOR, ()))
        client_gone = _Inside(self.gaps.get(Channel.CLIENT, ()))
        for number, (operator, client) in enumerate(pairs):
            yield (
                None if operator_gone.at(number) else operator,
                None if client_gone.at(number) else client,
            )


class _Inside:
    """Tests whether a frame is in one of the spans."""

    def __init__(self, spans: Sequence[FrameSpan]) -> None:
        self._spans = spans
        self._starts = [start for start, _ in spans]

    def at(self, number: int) -> bool:
        found = bisect_right(self._starts, number) - 1
        return found >= 0 and number < self._spans[found][1]


def load_events(path: Path) -> EventLog:
    """Load the events of a file: one JSON object per line.

    Raises:
        SettingsError: the file cannot be read, or lines are invalid: one problem for each.
    """
    lines = _lines(path)
    mode, problems, first = None, [], True
    events: list[TimedEvent] = []
    gaps: dict[Channel, list[FrameSpan]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            source = _object(line)
            if first and source.get("kind") == "recorded":
                mode = _mode(source)
            elif mode is not None and source.get("kind") == "gap":
                party, span = _gap(source)
                gaps.setdefault(party, []).append(span)
            else:
                events.append(_timed_event(source, live=mode is not None))
        except (EventError, ValueError) as error:
            torn = isinstance(error, _NotJson) and number == len(lines)
            if not (torn and mode is not None):
                problems.append(f"line {number}: {error}")
        first = False
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"{len(problems) - MOST_PROBLEMS} more lines are wrong"]
    if problems:
        raise SettingsError(str(path), problems)
    events.sort(key=lambda timed: timed.frame)  # stable: keeps the written order within a frame
    return EventLog(events, mode, {party: _joined(spans) for party, spans in gaps.items()})


class _NotJson(ValueError):
    """A line that is not JSON: from another kind of file, or not complete."""


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(str(path), ["no such file: check the path of the events"]) from None
    except OSError as error:
        why = f"cannot be read: {error.strerror}: expected a file of events"
        raise SettingsError(str(path), [why]) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise SettingsError(
                str(path), ["expected UTF-8 text, one JSON object a line"]
            ) from None
        text = data[: error.start].decode("utf-8-sig")  # it ends within a character
    return text.split("\n")  # U+2028 may occur within a text


def _object(line: str) -> dict[str, Any]:
    try:
        source = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or "a number too long, or lists too deep"
        raise _NotJson(f"expected a JSON object, got {line[:40]!r} ({why})") from None
    if not isinstance(source, dict):
        raise ValueError(f"expected a JSON object, got {line[:40]!r}")
    return source


def _frame(source: Mapping[str, object], name: str = "t") -> int:
    t = source.get(name)
    if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t < 1e6:
        raise ValueError(f"{name}: expected seconds from the first frame, 0 and more, got {t!r}")
    return frames(t)


def _mode(source: Mapping[str, object]) -> str:
    mode = source.get("mode")
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    return mode


def _gap(source: Mapping[str, object]) -> tuple[Channel, FrameSpan]:
    start, end = _frame(source), _frame(source, "until")
    party = source.get("party")
    if not isinstance(party, str) or party not in list(Channel):
        raise ValueError(f"gap: party: expected operator or client, got {party!r}")
    if end <= start:
        raise ValueError(f"gap: until: expected a time after t, got {source.get('until')!r}")
    return Channel(party), (start, end)


def _joined(spans: Iterable[FrameSpan]) -> list[FrameSpan]:
    """In order, with adjacent spans joined."""
    joined: list[FrameSpan] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _timed_event(source: Mapping[str, object], *, live: bool) -> TimedEvent:
    frame = _frame(source)
    event = Event.parse(source)
    kind = event.kind
    if not live and (kind.value in _PLAYER or kind is EventKind.SOURCE_ENDED):
        raise ValueError(
            f"event kind: expected call control, got {kind.value}: "
            "a replay plays the phrases itself and ends with the recording"
        )
    if kind is EventKind.CALLBACK_AGREED and event.at is not None:
        seconds_until(event)  # report it here, with its line, not in the middle of the call
    return TimedEvent(frame, event)
