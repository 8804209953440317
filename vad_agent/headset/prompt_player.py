"""Carries out Play and Stop, and reports their outcome to the session at the right frames.

    Play ──> prompt ──> player ──STARTED at 12.345 s──> due at slot 617 ──prompt_started──> session
                   └──> monitor (the operator hears it too; its outcome does not matter)

If a prompt with a name is not rendered yet, it is said without the name, and the session gets
the actual text.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Protocol

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.audio.devices import DeviceRole
from vad_agent.audio.duplex_capture import SAMPLE_RATE
from vad_agent.audio.ipc_framing import Record
from vad_agent.core.actions import Play
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S
from vad_agent.core.script import Script, fill
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PlaybackReport, resample
from vad_agent.speech.prompt_library import Phrase

FED_AFTER_S = 0.015
"""Seconds, approximately, that a prompt waits for a block and a frame for the other side's."""
LEADS = 5
"""Number of prompts used to measure the latency into the call."""
LONGEST_LEAD_S = 0.5


class PlaysPhrases(Protocol):
    """Prompts that are ready."""

    def get(self, prompt_id: str, text: str) -> Phrase | None:
        """The prompt, if it is ready now."""


class PromptOutput(Protocol):
    """Plays one prompt at a time into the call: a device, or a media stream of the PBX."""

    @property
    def state(self) -> DeviceState:
        """Whether it can play now."""

    @property
    def latency_s(self) -> float:
        """Seconds from a sample's hand-over to its sound."""

    def watch(self) -> None:
        """Call in each turn of the loop."""

    def play(self, pcm: bytes) -> int | None:
        """Begin a phrase (int16 mono at PHRASE_HZ); its number. None: it cannot be played."""

    def stop(self) -> None:
        """End the phrase now."""

    def take(self, what: Opened | Lost | Record | PlaybackReport) -> PlaybackReport | None:
        """Take a report of the device; the state may change."""

    def close(self) -> None:
        """Nothing more will be played."""


class PromptCanceller(Protocol):
    """The echo canceller, if prompts are also played into the client's channel."""

    def play(self, pcm: bytes, index: int) -> None:
        """16 kHz int16 mono; its sound begins at about frame `index`."""

    def stop(self, index: int) -> None:
        """The prompt fades out at about frame `index`."""


class PromptPlayer:
    """The prompt player of one loop.

    `slot_at`: converts seconds to the frame, counted since the loop began.
    """

    def __init__(
        self,
        script: Script,
        voice: PlaysPhrases,
        player: PromptOutput,
        slot_at: Callable[[float], float],
        *,
        monitor: PromptOutput | None = None,
        canceller: PromptCanceller | None = None,
        echo_source: Callable[[], DeviceRole | None] = lambda: DeviceRole.MONITOR,
        capture_s: float = FRAME_S,
    ) -> None:
        self._script = script
        self._voice = voice
        self._player = player
        self._slot_at = slot_at
        self._monitor = monitor
        self._canceller = canceller
        self._echo_source = echo_source  # the role whose sound enters the client's channel now
        self._pcm = b""
        self._capture_s = capture_s
        self._prompt: tuple[int, Play, str, int] | None = (
            None  # number, requested and actual text, at which slot
        )
        self._due: list[tuple[int, int, Event]] = []
        self._order = 0
        self._leads: deque[float] = deque(maxlen=LEADS)
        self._lead_s = 0.0
        self._monitored: tuple[int, bytes] | None = None
        self._mute = False
        self.text: str | None = None
        """The text that is being said."""

    @property
    def player(self) -> PromptOutput:
        """The player into the call."""
        return self._player

    @property
    def monitor(self) -> PromptOutput | None:
        """The player to the operator."""
        return self._monitor

    def watch(self) -> None:
        """Call in each turn of the loop: reopens a device whose process hangs."""
        self._player.watch()
        if self._monitor is not None:
            self._monitor.watch()

    def mute(self) -> Event:
        """There is no voice: the operator says everything. Return the event for the session."""
        self._mute = True
        return Event(EventKind.DEVICE_LOST, party="prompt")

    # -- session requests
    # ------------------------------------------------------------------------------

    def play(self, action: Play, slot: int) -> Sequence[Event]:
        """Begin this prompt. `slot`: the next frame."""
        phrase = self._voice.get(action.prompt, action.text)
        text = action.text
        if phrase is None:
            text = self._without_name(action)
            phrase = self._voice.get(action.prompt, text)
        number = None if phrase is None else self._player.play(phrase.pcm)
        if phrase is None or number is None:
            return (Event(EventKind.PROMPT_FAILED, prompt=action.prompt),)
        self._prompt, self._pcm = (number, action, text, slot), phrase.pcm
        self.text = text
        if self._monitor is not None and (second := self._monitor.play(phrase.pcm)) is not None:
            self._monitored = second, phrase.pcm
        return ()

    def _without_name(self, action: Play) -> str:
        for scenario in self._script.scenarios.values():
            for step in scenario.steps:
                if step.prompt == action.prompt:
                    return fill(step.text, self._script.fields(None))
        return action.text

    def stop(self, slot: int) -> None:
        """Stop the current prompt now."""
        self._player.stop()
        if self._monitor is not None:
            self._monitor.stop()
        if self._canceller is not None:
            self._canceller.stop(slot + round(self._player.latency_s / FRAME_S))
        self._forget()

    def _forget(self) -> None:
        self._prompt = self.text = None
        self._due.clear()

    # -- device reports
    # --------------------------------------------------------------------------------

    def take(self, what: Opened | Lost | Record | PlaybackReport) -> Sequence[Event]:
        """Take a report of the player. Return events for the session that are due at once."""
        before = self._player.state
        report = self._player.take(what)
        if report is not None:
            return self._follow(report)
        after = self._player.state
        if after is DeviceState.LOST and before is not DeviceState.LOST:
            self._forget()
            return (Event(EventKind.DEVICE_LOST, party="prompt"),)
        if after is DeviceState.OPEN and not self._mute:
            back = (
                (Event(EventKind.DEVICE_BACK, party="prompt"),)
                if before is DeviceState.LOST
                else ()
            )
            self._lead_s = self._player.latency_s + self._capture_s + FED_AFTER_S
            return (*back, self.ready())
        return ()

    def take_monitor(self, what: Opened | Lost | Record | PlaybackReport) -> None:
        """Take a report of the operator's own player."""
        assert self._monitor is not None
        report = self._monitor.take(what)
        if (
            report is None
            or self._monitored is None
            or self._echo_source() is not DeviceRole.MONITOR
        ):
            return
        number, pcm = self._monitored
        if report.phrase == number and report.mark is Mark.STARTED:
            self._announce(pcm, report.at)

    def _announce(self, pcm: bytes, at: float) -> None:
        if self._canceller is not None:
            self._canceller.play(resample(pcm, SAMPLE_RATE), math.floor(self._slot_at(at)))

    def _follow(self, report: PlaybackReport) -> Sequence[Event]:
        if self._prompt is None or report.phrase != self._prompt[0]:
            return ()  # it was stopped meanwhile
        _, action, text, asked = self._prompt
        slot = self._slot_at(report.at)
        if report.mark is Mark.STARTED:
            if self._echo_source() is DeviceRole.PROMPT:
                self._announce(self._pcm, report.at)
            voiced = text if text != action.text else None
            self._at(
                math.floor(slot), Event(EventKind.PROMPT_STARTED, prompt=action.prompt, text=voiced)
            )
            return self._measure((slot - asked) * FRAME_S)
        if report.mark is Mark.ENDED:
            self._at(math.ceil(slot), Event(EventKind.PROMPT_ENDED, prompt=action.prompt))
        return ()

    def _at(self, slot: int, event: Event) -> None:
        self._order += 1
        heapq.heappush(self._due, (slot, self._order, event))

    def _measure(self, lead_s: float) -> Sequence[Event]:
        """Measure the latency of this prompt, for the next one."""
        self._leads.append(lead_s)
        lead_s = min(max(median(self._leads), 0.0), LONGEST_LEAD_S)
        if abs(lead_s - self._lead_s) < FRAME_S / 2:
            return ()
        self._lead_s = lead_s
        return (self.ready(),)

    def ready(self) -> Event:
        """The event with the player's latency: a prompt must be requested that much before its sound."""
        return Event(EventKind.PLAYER_READY, latency_s=round(self._lead_s, 3))

    def due(self, slot: int) -> Iterator[Event]:
        """Reports whose sound was heard before this frame began, in order."""
        while self._due and self._due[0][0] <= slot:
            event = heapq.heappop(self._due)[2]
            if event.kind is EventKind.PROMPT_ENDED:
                self._forget()
            yield event

    def close(self) -> None:
        """Close the devices."""
        self._player.close()
        if self._monitor is not None:
            self._monitor.close()
