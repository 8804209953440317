"""A recording heard in real time by a real loop, whose status goes to a desk: a headset without its devices.

with Streaming("dialogue_silence_cue", hub, "anna") as headset:      hub: a Hub here, or a link to a desk's
    headset.join()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.audio.jitter_buffer import Lane, Pair
from vad_agent.audio.recording_reader import open_call
from vad_agent.client.headset_protocol import Command, StateReceiver
from vad_agent.core.actions import Action, Cue, PromptDone
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.headset.action_sinks import ActionSink, ActionSinks
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.loop import CONTROL, Loop
from vad_agent.headset.status import Status
from vad_agent.headset.status_presenter import StatusPresenter
from vad_agent.headset.status_publisher import StatusPublisher
from vad_agent.script.settings import Settings

FIXTURES = Path(__file__).parents[2] / "audio_fixtures"


class Paced:
    """In the headset's place: a recording's pairs, each when its last sample has been heard."""

    def __init__(self, recording: Path) -> None:
        with open_call(recording) as call:
            self.sample_rate = call.sample_rate
            self._pairs = [(operator, client) for operator, client in call]
        self._lane = Lane()
        self.slot = 0
        self.began = 0.0
        """`time.perf_counter` of the first sample."""
        self.ended = threading.Event()

    @property
    def duration_s(self) -> float:
        return len(self._pairs) * FRAME_S

    def overdue(self) -> Sequence[Event]:
        return ()

    def pairs(self, now: float) -> Iterator[Pair]:
        self.began = self.began or now
        while self.slot < len(self._pairs) and now - self.began >= (self.slot + 1) * FRAME_S:
            slot, self.slot = self.slot, self.slot + 1
            yield Pair(slot, *self._pairs[slot])
        if self.slot == len(self._pairs):
            self.ended.set()

    def take(self, channel: Channel, what: object) -> Sequence[Event]:
        return ()

    def lane(self, channel: Channel) -> Lane:
        return self._lane

    def state(self, channel: Channel) -> DeviceState:
        return DeviceState.OPEN


class Told:
    """An outlet that keeps when each action was taken: `time.time`."""

    def __init__(self) -> None:
        self.actions: list[tuple[float, Action]] = []

    def begin(self, call: str, began: datetime) -> None:
        """Nothing."""

    def take(self, actions: Sequence[Action]) -> None:
        now = time.time()
        self.actions += [(now, action) for action in actions]

    def end(self) -> None:
        """Nothing."""


class Streaming:
    """A call in real time. `states`: a hub, or a link; `more`: further outlets; its call begins at once."""

    def __init__(
        self,
        recording: str | Path,
        states: StateReceiver,
        operator: str,
        *,
        mode: str = "cue",
        more: Sequence[ActionSink] = (),
    ) -> None:
        path = FIXTURES / f"{recording}.flac" if isinstance(recording, str) else recording
        self.headset = Paced(path)
        self.told = Told()
        self.status = Status(mode=mode)
        for channel, device in ((Channel.OPERATOR, "USB"), (Channel.CLIENT, "client.monitor")):
            self.status.sides[channel].device = device
        shown = StatusPresenter(self.status)
        outlets = self._outlets = ActionSinks([*more, self.told, shown], datetime.now)
        rate = self.headset.sample_rate

        def session() -> object:
            outlets.begin()
            from vad_agent.core.session import CallSession

            return CallSession(Settings(), rate, mode=mode)

        tracker = CallTracker(Settings(), rate, policy="manual", mode=mode, make_session=session)  # type: ignore[arg-type]
        self.loop = Loop(tracker, outlets.take, on_event=self._on_event, after_pair=shown.look)
        self.loop.headset = self.headset  # type: ignore[assignment]
        self._feed = StatusPublisher(states, operator, self.status, self.send)
        self._shown = shown
        shown.on_update(self._feed.changed)
        self._thread = threading.Thread(target=self.loop.run, name=f"loop {operator}")

    def _on_event(self, event: Event) -> None:
        self._shown.request_update()
        if event.kind is EventKind.CLIENT_NAME:
            self.status.client_name = event.name

    def send(self, what: Event | Command) -> None:
        """A key."""
        self.loop.put(CONTROL, what)

    def __enter__(self) -> Streaming:
        self._feed.start()
        self.send(Command.START_CALL)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.send(Command.QUIT)
        self._thread.join(5)
        self._outlets.end()
        self._feed.stop()

    def join(self) -> None:
        """Until all of it has been heard."""
        assert self.headset.ended.wait(self.headset.duration_s + 5)

    # -- what was done ------------------------------------------------------------------------------

    def when(self, right: Callable[[Action], bool], limit_s: float) -> tuple[float, Action]:
        """(`time.time`, action) of the first such one, once it is there."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            for one in tuple(self.told.actions):
                if right(one[1]):
                    return one
            time.sleep(0.005)
        raise TimeoutError([action for _, action in self.told.actions])

    def cue(self, prompt: str, limit_s: float) -> tuple[float, Cue]:
        """When it was cued, and the cue."""
        at, action = self.when(lambda a: isinstance(a, Cue) and a.prompt == prompt, limit_s)
        assert isinstance(action, Cue)
        return at, action

    def done(self, prompt: str, limit_s: float) -> PromptDone:
        """How it ended."""
        _, action = self.when(lambda a: isinstance(a, PromptDone) and a.prompt == prompt, limit_s)
        assert isinstance(action, PromptDone)
        return action

    def wall(self, frame: int) -> float:
        """`time.time` of a frame of the call, by the headset's own pace; its call began with the first."""
        return time.time() - time.perf_counter() + self.headset.began + frame * FRAME_S
