"""Carries out Play and Stop, and tells the session what became of them, each at its frame.

    Play ──> phrase ──> player ──STARTED at 12.345 s──> due at slot 617 ──prompt_started──> session
                   └──> monitor (the operator hears it too; what becomes of it there is nobody's concern)

A phrase with a name that is not rendered yet is said without it, and the session is told what was said.
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
from vad_agent.core.events import Event, Kind
from vad_agent.core.frames import FRAME_MS
from vad_agent.core.script import Script, fill
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import Player, Report, resample
from vad_agent.speech.prompt_library import Phrase

FRAME_S = FRAME_MS / 1000
FED_AFTER_S = 0.015
"""How long a phrase waits for a block to begin, and a frame for the other side's, about."""
LEADS = 5
"""So many phrases tell how long the way of a phrase into the call is."""
LONGEST_LEAD_S = 0.5


class PlaysPhrases(Protocol):
    """Phrases that are ready."""

    def get(self, prompt_id: str, text: str) -> Phrase | None:
        """The phrase, if it is ready now."""


class Heard(Protocol):
    """Who takes our own phrases out of the client's channel, where they are played into it."""

    def play(self, pcm: bytes, index: int) -> None:
        """16 kHz int16 mono; its sound begins about frame `index`."""

    def stop(self, index: int) -> None:
        """It fades out about frame `index`."""


class PromptPlayer:
    """The voice of one loop. `slot_at`: the frame, counted since the loop began, of a time in seconds."""

    def __init__(
        self,
        script: Script,
        voice: PlaysPhrases,
        player: Player,
        slot_at: Callable[[float], float],
        *,
        monitor: Player | None = None,
        heard: Heard | None = None,
        heard_from: DeviceRole = DeviceRole.MONITOR,
        capture_s: float = FRAME_S,
    ) -> None:
        self._script = script
        self._voice = voice
        self._player = player
        self._slot_at = slot_at
        self._monitor = monitor
        self._heard = heard
        self._heard_from = heard_from  # whose sound is in the client's channel
        self._pcm = b""
        self._capture_s = capture_s
        self._prompt: tuple[int, Play, str, int] | None = (
            None  # number, asked, voiced, at which slot
        )
        self._due: list[tuple[int, int, Event]] = []
        self._order = 0
        self._leads: deque[float] = deque(maxlen=LEADS)
        self._lead_s = 0.0
        self._monitored: tuple[int, bytes] | None = None
        self._mute = False
        self.text: str | None = None
        """What is being said."""

    @property
    def player(self) -> Player:
        """The device into the call."""
        return self._player

    @property
    def monitor(self) -> Player | None:
        """The device to the operator."""
        return self._monitor

    def watch(self) -> None:
        """At each turn of the loop: a device whose process hangs is opened anew."""
        self._player.child.watch()
        if self._monitor is not None:
            self._monitor.child.watch()

    def mute(self) -> Event:
        """There is no voice: the operator says everything. The event to be put."""
        self._mute = True
        return Event(Kind.DEVICE_LOST, party="prompt")

    # -- what the session asks for ------------------------------------------------------------------

    def play(self, action: Play, slot: int) -> Sequence[Event]:
        """Begin this phrase; `slot`: the frame that comes next."""
        phrase = self._voice.get(action.prompt, action.text)
        text = action.text
        if phrase is None:
            text = self._without_name(action)
            phrase = self._voice.get(action.prompt, text)
        number = None if phrase is None else self._player.play(phrase.pcm)
        if phrase is None or number is None:
            return (Event(Kind.PROMPT_FAILED, prompt=action.prompt),)
        self._prompt, self._pcm = (number, action, text, slot), phrase.pcm
        self.text = text
        if self._monitor is not None and (second := self._monitor.play(phrase.pcm)) is not None:
            self._monitored = second, phrase.pcm
        return ()

    def _without_name(self, action: Play) -> str:
        for scenario in self._script.scenarios.values():
            for rung in scenario.rungs:
                if rung.prompt == action.prompt:
                    return fill(rung.text, self._script.fields(None))
        return action.text

    def stop(self, slot: int) -> None:
        """Whatever is being said is to end now."""
        self._player.stop()
        if self._monitor is not None:
            self._monitor.stop()
        if self._heard is not None:
            self._heard.stop(slot + round(self._player.latency_s / FRAME_S))
        self._forget()

    def _forget(self) -> None:
        self._prompt = self.text = None
        self._due.clear()

    # -- what the devices tell ----------------------------------------------------------------------

    def take(self, what: Opened | Lost | Record) -> Sequence[Event]:
        """From the player: events for the session that follow at once."""
        before = self._player.state
        report = self._player.take(what)
        if report is not None:
            return self._follow(report)
        after = self._player.state
        if after is DeviceState.LOST and before is not DeviceState.LOST:
            self._forget()
            return (Event(Kind.DEVICE_LOST, party="prompt"),)
        if after is DeviceState.OPEN and not self._mute:
            back = (Event(Kind.DEVICE_BACK, party="prompt"),) if before is DeviceState.LOST else ()
            self._lead_s = self._player.latency_s + self._capture_s + FED_AFTER_S
            return (*back, self.ready())
        return ()

    def take_monitor(self, what: Opened | Lost | Record) -> None:
        """From the operator's own device."""
        assert self._monitor is not None
        report = self._monitor.take(what)
        if report is None or self._monitored is None or self._heard_from is not DeviceRole.MONITOR:
            return
        number, pcm = self._monitored
        if report.phrase == number and report.mark is Mark.STARTED:
            self._tell_heard(pcm, report.at)

    def _tell_heard(self, pcm: bytes, at: float) -> None:
        if self._heard is not None:
            self._heard.play(resample(pcm, SAMPLE_RATE), math.floor(self._slot_at(at)))

    def _follow(self, report: Report) -> Sequence[Event]:
        if self._prompt is None or report.phrase != self._prompt[0]:
            return ()  # it was stopped meanwhile
        _, action, text, asked = self._prompt
        slot = self._slot_at(report.at)
        if report.mark is Mark.STARTED:
            if self._heard_from is DeviceRole.PROMPT:
                self._tell_heard(self._pcm, report.at)
            voiced = text if text != action.text else None
            self._at(
                math.floor(slot), Event(Kind.PROMPT_STARTED, prompt=action.prompt, text=voiced)
            )
            return self._measure((slot - asked) * FRAME_S)
        if report.mark is Mark.ENDED:
            self._at(math.ceil(slot), Event(Kind.PROMPT_ENDED, prompt=action.prompt))
        return ()

    def _at(self, slot: int, event: Event) -> None:
        self._order += 1
        heapq.heappush(self._due, (slot, self._order, event))

    def _measure(self, lead_s: float) -> Sequence[Event]:
        """The sound's way as it was, for the next phrase."""
        self._leads.append(lead_s)
        lead_s = min(max(median(self._leads), 0.0), LONGEST_LEAD_S)
        if abs(lead_s - self._lead_s) < FRAME_S / 2:
            return ()
        self._lead_s = lead_s
        return (self.ready(),)

    def ready(self) -> Event:
        """How long before its sound a phrase is to be asked for."""
        return Event(Kind.PLAYER_READY, latency_s=round(self._lead_s, 3))

    def due(self, slot: int) -> Iterator[Event]:
        """Reports whose sound was heard before this frame began, in order."""
        while self._due and self._due[0][0] <= slot:
            event = heapq.heappop(self._due)[2]
            if event.kind is Kind.PROMPT_ENDED:
                self._forget()
            yield event

    def close(self) -> None:
        """Close the devices."""
        self._player.close()
        if self._monitor is not None:
            self._monitor.close()
