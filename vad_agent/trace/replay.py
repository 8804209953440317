"""Runs frames of a recording through a session: the live loop with a simulated player.

The simulated player plays a prompt for the length of its recording, or of its text at the rate in
the settings, so that the trace is the same on every machine. Events of a file come at their times,
before the frame that begins there. In a recorded live call the prompts were played, and their
outcomes are among the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vad_agent.core.actions import Action, Phase, PhaseChanged, Play, Stop
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import ENDLESS, FRAMES_PER_SECOND
from vad_agent.core.session import CallSession
from vad_agent.script.settings import Settings
from vad_agent.trace.event_files import TimedEvent

LATE = FRAMES_PER_SECOND
"""An event at most this long after the last frame belongs to its end: recorders stop before the
hangup event.
"""


class Replay:
    """Feeds a session to the end of the frames, or of the call.

    `plays`: simulate the player; otherwise `events` contain the prompts' outcomes.
    """

    def __init__(
        self,
        session: CallSession,
        settings: Settings,
        events: Sequence[TimedEvent] = (),
        *,
        plays: bool = True,
    ) -> None:
        self._session = session
        self._settings = settings
        self._plays = plays
        in_order = sorted(events, key=lambda timed: timed.frame)
        self._events = in_order[::-1]  # the next event last
        self._playing: str | None = None
        self._prompt_end = ENDLESS

    def run(self, pairs: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[Action]:
        """Yield the actions in order, as they are decided. Stops reading at the end of the call.

        Raises:
            FrameError: an invalid frame.
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
        yield from session.signal(Event(EventKind.SOURCE_ENDED))

    @property
    def unused(self) -> Sequence[TimedEvent]:
        """Events that have not come yet, in order; after `run`: those after the call's end."""
        return self._events[::-1]

    def _ended(self) -> bool:
        return self._session.phase is Phase.ENDED

    def _next_due(self) -> int:
        event = self._events[-1].frame if self._events else ENDLESS
        return min(event, self._prompt_end)

    def _catch_up(self, late: int = 0) -> Iterator[Action]:
        """Pass due events to the session: the prompt's end first, because its sound came before.

        `late`: also events of this many further frames.
        """
        session = self._session
        while not self._ended():
            if session.now >= self._prompt_end:
                ended, self._playing, self._prompt_end = self._playing, None, ENDLESS
                event = Event(EventKind.PROMPT_ENDED, prompt=ended)
            elif self._events and session.now + late >= self._events[-1].frame:
                event = self._events.pop().event
            else:
                return
            yield from self._carry_out(session.signal(event))

    def _carry_out(self, actions: Sequence[Action]) -> Iterator[Action]:
        if not self._plays:
            yield from actions
            return
        for action in actions:
            yield action
            if isinstance(action, Play):
                self._playing = action.prompt
                length = self._settings.phrase_frames(action.prompt, action.text)
                self._prompt_end = self._session.now + length
                started = Event(EventKind.PROMPT_STARTED, prompt=action.prompt)
                yield from self._carry_out(self._session.signal(started))
            elif isinstance(action, Stop) or (
                isinstance(action, PhaseChanged) and action.phase is Phase.ENDED
            ):
                self._playing, self._prompt_end = None, ENDLESS
