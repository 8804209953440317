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
from vad_agent.core.frames import FRAMES_PER_SECOND, frames
from vad_agent.core.request import seconds_until
from vad_agent.errors import EventError, SettingsError
from vad_agent.settings import Settings

ENDLESS = 1 << 62
LATE = FRAMES_PER_SECOND
"""An event so shortly after the last frame belongs to its end: recorders stop before the hangup is told."""
MOST_PROBLEMS = 20
"""Told of one events file: a file of another kind is wrong in every line."""
_PLAYER = (Kind.PROMPT_STARTED, Kind.PROMPT_ENDED, Kind.PROMPT_FAILED, Kind.SOURCE_ENDED)


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
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # U+2028 may stand within a text
    except FileNotFoundError:
        raise SettingsError(str(path), ["no such file: check the path of the events"]) from None
    except OSError as error:
        why = f"cannot be read: {error.strerror}: expected a file of events"
        raise SettingsError(str(path), [why]) from error
    except UnicodeDecodeError:
        raise SettingsError(str(path), ["expected UTF-8 text, one JSON object a line"]) from None
    events, problems = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                events.append(_timed_event(line))
            except (EventError, ValueError) as error:
                problems.append(f"line {number}: {error}")
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"{len(problems) - MOST_PROBLEMS} more lines are wrong"]
    if problems:
        raise SettingsError(str(path), problems)
    return sorted(events, key=lambda timed: timed.frame)  # stable: as written within a frame


def _timed_event(line: str) -> TimedEvent:
    try:
        source = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or "a number too long, or lists too deep"
        raise ValueError(f"expected a JSON object, got {line[:40]!r} ({why})") from None
    if not isinstance(source, dict):
        raise ValueError(f"expected a JSON object, got {line[:40]!r}")
    t = source.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t < 1e6:
        raise ValueError(f"t: expected seconds from the first frame, 0 and more, got {t!r}")
    event = Event.parse(source)
    if event.kind in _PLAYER:
        raise ValueError(
            f"event kind: expected call control, got {event.kind.value}: "
            "a replay plays the phrases itself and ends with the recording"
        )
    if event.kind is Kind.CALLBACK_AGREED and event.at is not None:
        seconds_until(event)  # told here, with its line, and not in the middle of the call
    return TimedEvent(frames(t), event)


class Replay:
    """Feeds a session to the end of the frames, or of the call."""

    def __init__(
        self, session: CallSession, settings: Settings, events: Sequence[TimedEvent] = ()
    ) -> None:
        self._session = session
        self._settings = settings
        in_order = sorted(events, key=lambda timed: timed.frame)
        self._events = in_order[::-1]  # the next one last
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
        if self._ended():
            return
        due = self._next_due()
        now = session.now
        for operator, client in pairs:
            actions = feed(operator, client)
            now += 1
            if actions or now >= due:
                yield from self._carry_out(actions)
                yield from self._catch_up()
                if self._ended():
                    return
                due = self._next_due()
        yield from self._catch_up(late=LATE)
        yield from session.signal(Event(Kind.SOURCE_ENDED))

    @property
    def unused(self) -> Sequence[TimedEvent]:
        """Events that have not come, in order; after `run`: those after the call's end."""
        return self._events[::-1]

    def _ended(self) -> bool:
        return self._session.phase is Phase.ENDED

    def _next_due(self) -> int:
        event = self._events[-1].frame if self._events else ENDLESS
        return min(event, self._prompt_end)

    def _catch_up(self, late: int = 0) -> Iterator[Action]:
        """Give the session what is due by now: the prompt's end first, as its sound came before.

        `late`: events of so many frames more.
        """
        session = self._session
        while not self._ended():
            if session.now >= self._prompt_end:
                ended, self._playing, self._prompt_end = self._playing, None, ENDLESS
                event = Event(Kind.PROMPT_ENDED, prompt=ended)
            elif self._events and session.now + late >= self._events[-1].frame:
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
