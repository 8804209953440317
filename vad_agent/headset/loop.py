"""The live loop: one thread feeds the session, and carries out its actions.

    inbox ─> capture, player, events ─> pairs of frames ─> tracker (with a session, if a call is on)
      ^                                       ^                     │ actions
      └── workers, keys, sockets (threads)    └── player's reports  ├─> prompt player
                                                  at their frames   └─> sinks: trace, hooks, display

Only this thread touches the tracker, the capture and the player. It never blocks: other threads
write to workers, disks and the terminal. A prompt that promises a callback waits for the disk
(`may_promise`) while frames are still fed.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.audio.ipc_framing import Record
from vad_agent.audio.jitter_buffer import Lane, Pair
from vad_agent.client.headset_protocol import Command
from vad_agent.common.pipe_poll import PipePoll
from vad_agent.core.actions import Action, Cue, Play, Stop
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.errors import EventError
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.prompt_player import PromptPlayer
from vad_agent.speech.player import PlaybackReport

MOST_WAITING = 1000
"""Limit of the inbox: 10 s of both sides. Beyond it, `put` blocks."""
WAKE_S = 1.5 * FRAME_S
"""Longest sleep: longer than the pause between two frames, shorter than the longest step of the clock."""
PROMPT, MONITOR, CONTROL = "prompt", "monitor", "control"

Source = Channel | str
What = Opened | Lost | Record | PlaybackReport | Event | Command


class Cleaner(Protocol):
    """Removes our own prompts from the client's channel."""

    def clean(self, frame: bytes | None, index: int) -> bytes | None:
        """The frame without our prompts. `index`: counted since the loop began."""


class Capture(Protocol):
    """Where the pairs of frames come from: a headset's devices, or a media stream of the PBX."""

    @property
    def slot(self) -> int:
        """The number of the next pair."""

    def take(self, channel: Channel, what: Opened | Lost | Record) -> Sequence[Event]:
        """Take a report of the side's device. Return the resulting events."""

    def overdue(self) -> Sequence[Event]:
        """Events for a side that has become silent without a report."""

    def pairs(self, now: float) -> Iterator[Pair]:
        """The complete pairs of frames at time `now` (s of `time.perf_counter`)."""

    def slot_at(self, time: float) -> float:
        """The position of a time (s) in the pairs."""

    def lane(self, channel: Channel) -> Lane:
        """The counters of a side."""

    def state(self, channel: Channel) -> DeviceState:
        """The state of the side's device."""


class Loop:
    """Feeds the tracker until `Command.QUIT`. Set `headset` and `prompt_player` before `run`.

    `run` is the loop in a thread of its own. An event loop that has many calls calls `take` with each
    input, and `turn` at each frame, in place of it.

    `on_actions` is called with all actions, before they are carried out. `after_pair` is called with each
    pair of frames as the session got it, without our own prompts. `may_promise` is called in each
    turn; no prompt begins before it is true. `answers(event, in_call)`: takes an event that concerns a
    call that is over, and returns whether it was one. None of them may block or raise.
    """

    def __init__(
        self,
        tracker: CallTracker,
        on_actions: Callable[[Sequence[Action]], None],
        *,
        cleaner: Cleaner | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
        after_pair: Callable[[Loop, Pair], None] = lambda loop, pair: None,
        may_promise: Callable[[], bool] = lambda: True,
        answers: Callable[[Event, bool], bool] = lambda event, in_call: False,
        pipes: PipePoll | None = None,
    ) -> None:
        self.tracker = tracker
        self.pipes = pipes
        """The workers' pipes, which this loop reads itself."""
        self.headset: Capture | None = None
        self.prompt_player: PromptPlayer | None = None
        self.refused = 0
        """Events that the session rejected."""
        self._on_actions = on_actions
        self._on_event = on_event
        self._cleaner = cleaner
        self._after_pair = after_pair
        self._may_promise = may_promise
        self._answers = answers
        self._held: Play | None = None
        # Implemented in C, at a tenth of a bounded queue's cost; `put` enforces the bound.
        self._inbox: queue.SimpleQueue[tuple[Source, What]] = queue.SimpleQueue()
        self._quit = False
        self._thread: int | None = None

    def put(self, source: Source, what: What) -> None:
        """Any thread may call this. Blocks while the inbox is full, except in the loop's own thread."""
        if threading.get_ident() == self._thread:
            self._inbox.put((source, what))
            return
        while self._inbox.qsize() >= MOST_WAITING and not self._quit:
            time.sleep(WAKE_S)
        self._inbox.put((source, what))
        if self.pipes is not None:
            self.pipes.wake()

    def run(self) -> None:
        """Run until `Command.QUIT` comes, or something it calls raises."""
        self._thread = threading.get_ident()
        try:
            while not self._quit:
                self._take_all()
                self.turn(time.perf_counter())
        finally:
            if self.pipes is not None:
                self.pipes.close()
        self.end()

    def end(self) -> None:
        """A current call ends here, with all its requests."""
        self._signal((Event(EventKind.SOURCE_ENDED),))

    def turn(self, now: float) -> None:
        """Feed the frames that are complete at `now` (s of `time.perf_counter`), and begin the prompt
        that may begin.
        """
        self._release()
        self._feed(now)

    def _take_all(self) -> None:
        """Take what has come; if nothing has, sleep until something does, at most WAKE_S."""
        inbox = self._inbox
        try:
            if self.pipes is None:
                self.take(*inbox.get(timeout=WAKE_S))
            elif inbox.empty():
                self.pipes.wait(WAKE_S)
            while not self._quit:
                self.take(*inbox.get_nowait())
        except queue.Empty:
            pass

    def take(self, source: Source, what: What) -> None:
        """Carry out what this input means now."""
        if isinstance(what, Command):
            if what is Command.QUIT:
                self._quit = True
            elif what in (Command.LINE_USED, Command.LINE_UNUSED):
                self.tracker.line_in_use(what is Command.LINE_USED)
            elif what is Command.OUTPUTS_CHANGED:
                self.tracker.outputs_changed()
            else:
                self._carry_out(self.tracker.command(what))
        elif isinstance(what, Event):
            self._signal((what,))
        elif isinstance(source, Channel):
            assert self.headset is not None
            assert not isinstance(what, PlaybackReport)
            self._signal(self.headset.take(source, what))
        elif self.prompt_player is not None:
            if source == PROMPT:
                self._signal(self.prompt_player.take(what))
            else:
                self.prompt_player.take_monitor(what)

    def _feed(self, now: float) -> None:
        headset = self.headset
        if headset is None:
            return
        self._signal(headset.overdue())
        if self.prompt_player is not None:
            self.prompt_player.watch()
        for pair in headset.pairs(now):
            self._step(pair)

    def _step(self, pair: Pair) -> None:
        """Process one frame of each side. The player's reports come first, as in a replay."""
        if self.prompt_player is not None:
            for event in self.prompt_player.due(pair.slot):
                self._signal((event,))
        client = pair.client
        if self._cleaner is not None:
            client = self._cleaner.clean(client, pair.slot)
        if actions := self.tracker.feed(pair.operator, client):
            self._carry_out(actions)
        self._after_pair(self, pair if client is pair.client else pair._replace(client=client))

    def _signal(self, events: Sequence[Event]) -> None:
        for event in events:
            self._on_event(event)
            if self._answers(event, self.tracker.session is not None):
                continue
            try:
                actions = self.tracker.signal(event)
            except EventError:
                self.refused += 1  # nothing has changed; the sender has its error already
            else:
                self._carry_out(actions)

    def _carry_out(self, actions: Sequence[Action]) -> None:
        """Report first: a callback is stored before it is promised."""
        if not actions:
            return
        self._on_actions(actions)
        for action in actions:
            if isinstance(action, Play):
                self._held = action
                self._release()
            elif isinstance(action, Stop | Cue):
                self._held = None
                if isinstance(action, Stop) and self.prompt_player is not None:
                    self.prompt_player.stop(self._slot)

    def _release(self) -> None:
        """Begin the requested prompt, unless its promise is still being written to the disk."""
        if self._may_promise() and self._held is not None:
            action, self._held = self._held, None
            self._play(action)

    def _play(self, action: Play) -> None:
        if self.prompt_player is None:
            self._signal((Event(EventKind.PROMPT_FAILED, prompt=action.prompt),))
        else:
            self._signal(self.prompt_player.play(action, self._slot))

    @property
    def _slot(self) -> int:
        return self.headset.slot if self.headset is not None else 0
