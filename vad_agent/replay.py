"""Runs frames from a recording through a session: the live loop with a player that makes no sound.

A phrase lasts as long as its recording, or its text at the rate the settings name, so that the trace is
the same on every machine. Events of a file come at their times, before the frame that begins there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vad_agent.core.actions import Action, Phase, PhaseChanged, Play, Stop
from vad_agent.core.call import CallSession
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import frames
from vad_agent.errors import EventError, SettingsError
from vad_agent.settings import Settings

ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event before frame `frame`."""

    frame: int
    event: Event


def load_events(path: Path) -> list[TimedEvent]:
    """Events from a JSON-lines file: one object a line, `t` in seconds, the rest as call control sends it.

    Raises:
        SettingsError: the file cannot be read, or lines are wrong: one problem for each.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SettingsError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError:
        raise SettingsError(str(path), ["expected UTF-8 text, one JSON object a line"]) from None
    events, problems = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                events.append(_timed_event(line))
            except (EventError, ValueError) as error:
                problems.append(f"line {number}: {error}")
    if problems:
        raise SettingsError(str(path), problems)
    return sorted(events, key=lambda timed: timed.frame)  # stable: as written within a frame


def _timed_event(line: str) -> TimedEvent:
    try:
        source = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object, got {line[:40]!r} ({error.msg})") from None
    if not isinstance(source, dict):
        raise ValueError(f"expected a JSON object, got {line[:40]!r}")
    t = source.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t < 1e6:
        raise ValueError(f"t: expected seconds from the first frame, 0 and more, got {t!r}")
    return TimedEvent(frames(t), Event.parse(source))


class Replay:
    """Feeds a session to the end of the frames, or of the call."""

    def __init__(
        self, session: CallSession, settings: Settings, events: Sequence[TimedEvent] = ()
    ) -> None:
        self._session = session
        self._settings = settings
        self._events = list(reversed(events))  # the next one last
        self._playing: str | None = None
        self._prompt_end = ENDLESS

    def run(self, pairs: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[Action]:
        """Actions in order, as they are decided. Ends with the call; what comes after it is not read.

        Raises:
            FrameError: a frame that is not one.
            EventError: an event that the session cannot take.
        """
        session = self._session
        feed = session.feed
        yield from self._catch_up()
        due = self._next_due()
        now = session.now
        for operator, client in pairs:
            actions = feed(operator, client)
            now += 1
            if actions or now >= due:
                yield from self._carry_out(actions)
                yield from self._catch_up()
                if session.phase is Phase.ENDED:
                    return
                due = self._next_due()
        yield from session.signal(Event(Kind.SOURCE_ENDED))

    def _next_due(self) -> int:
        event = self._events[-1].frame if self._events else ENDLESS
        return min(event, self._prompt_end)

    def _catch_up(self) -> Iterator[Action]:
        """Give the session what is due by now: the prompt's end first, as its sound came before."""
        session = self._session
        while True:
            if session.now >= self._prompt_end:
                ended, self._playing, self._prompt_end = self._playing, None, ENDLESS
                event = Event(Kind.PROMPT_ENDED, prompt=ended)
            elif self._events and session.now >= self._events[-1].frame:
                event = self._events.pop().event
            else:
                return
            yield from self._carry_out(session.signal(event))

    def _carry_out(self, actions: Sequence[Action]) -> Iterator[Action]:
        for action in actions:
            yield action
            if isinstance(action, Play):
                self._playing = action.prompt
                length = self._settings.phrase_frames(action.prompt, action.text)
                self._prompt_end = self._session.now + length
                started = Event(Kind.PROMPT_STARTED, prompt=action.prompt)
                yield from self._carry_out(self._session.signal(started))
            elif isinstance(action, Stop) or (
                isinstance(action, PhaseChanged) and action.phase is Phase.ENDED
            ):
                self._playing, self._prompt_end = None, ENDLESS
