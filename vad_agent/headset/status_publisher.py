"""Publishes a headset's status to the panel and the desk: changes at once, levels at each update."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.client.headset_protocol import (
    Command,
    ControlSink,
    StateReceiver,
    control_fields,
)
from vad_agent.core.frames import Channel
from vad_agent.headset import messages_ru
from vad_agent.headset.input_parsing import readable
from vad_agent.headset.keymap import PAGE_MAP, no, page_keys, yes
from vad_agent.headset.status import (
    FarewellQuestion,
    HeadsetQuestion,
    PhraseStatus,
    SideStatus,
    Status,
)

IDLE_S = 0.5
"""Seconds until a change between two updates is published, such as a hook's problem."""


class StatusPublisher:
    """Publishes to all `states`, in a thread of its own: the live loop only sets a flag (`changed`)."""

    def __init__(
        self, states: Sequence[StateReceiver], operator: str, status: Status, sink: ControlSink
    ) -> None:
        self._states = states
        self._operator = operator
        self._status = status
        self._sink = sink
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """The headset connects."""
        for states in self._states:
            states.attach(self._operator, self._sink)
        self._thread.start()

    def changed(self) -> None:
        """The status was written. Any thread may call this; it takes no time."""
        self._changed.set()

    def stop(self) -> None:
        """The headset disconnects. A second call does nothing."""
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2)
        for states in self._states:
            states.detach(self._operator, self._sink)

    def _run(self) -> None:
        known: Snapshot = {}
        while not self._stopped.is_set():
            # A copy: it must not change while it is read.
            current = snapshot(copy.copy(self._status), self._operator)
            if changes := {key: current[key] for key in current if _differs(known, current, key)}:
                for states in self._states:
                    states.publish(self._operator, changes)
            known = current
            self._changed.wait(IDLE_S)
            self._changed.clear()


FLOOR_DB = -60.0
"""The level that becomes 0; 0 dBFS becomes 1."""

Snapshot = dict[str, Any]


def snapshot(status: Status, operator: str) -> Snapshot:
    """The state as a flat object; levels from 0 to 1, times in seconds to the hundredth."""
    return {
        "operator": operator,
        "mode": status.mode,
        "mode_text": messages_ru.mode(status),
        "speaks": status.speaks,
        "headline": messages_ru.headline(status),
        "phase": status.phase and status.phase.value,
        "phase_text": messages_ru.NO_CALL
        if status.phase is None
        else messages_ru.PHASES[status.phase],
        "call_s": round(status.call_s, 1),
        "guessed": status.guessed,
        "client_name": status.client_name,
        "client_phone": status.client_phone and readable(status.client_phone),
        "region": status.region,
        "sides": {channel.value: _side(channel, status.sides[channel]) for channel in Channel},
        "clock": _clock(status),
        "phrase": _phrase(status.phrase or status.upcoming),
        "after": status.after,
        "callback": status.callback,
        "hang_up": status.hang_up,
        "voice_problem": status.voice_problem,
        "alarms": _alarms(status),
        "keys": page_keys(status),
        "key_map": PAGE_MAP,
        "questions": [
            *_headset_question(status.headset_question),
            *(_question(one) for one in status.questions),
        ],
        "messages": [[round(at, 1), text] for at, text in list(status.messages)],
    }


def _question(asked: FarewellQuestion) -> Snapshot:
    return {
        "id": asked.id,
        "text": messages_ru.question(asked),
        "hint": messages_ru.unless_answered(asked),
        "yes": {"letter": "В", "name": messages_ru.YES, "sends": control_fields(yes(asked.id))},
        "no": {"letter": "С", "name": messages_ru.NO, "sends": control_fields(no(asked.id))},
    }


def _headset_question(asked: HeadsetQuestion | None) -> list[Snapshot]:
    if asked is None:
        return []
    admit, refuse = Command.ADMIT_HEADSET, Command.REFUSE_HEADSET
    current = {
        "id": f"headset {asked.id}",
        "text": messages_ru.headset_question(asked),
        "hint": messages_ru.unless_admitted(),
        "yes": {"letter": "Г", "name": messages_ru.ADMIT, "sends": control_fields(admit)},
        "no": {"letter": "", "name": messages_ru.REFUSE, "sends": control_fields(refuse)},
    }
    return [current]


def _differs(known: Snapshot, current: Snapshot, key: str) -> bool:
    return key not in known or (known[key] is not current[key] and known[key] != current[key])


def _alarms(status: Status) -> list[str]:
    """Problems with detection or playback."""
    states = (messages_ru.state(channel, side) for channel, side in status.sides.items())
    return [
        *(current for current, kind in states if kind == "bad"),
        *messages_ru.voice_alarms(status),
    ]


def _side(channel: Channel, side: SideStatus) -> Snapshot:
    text, kind = messages_ru.state(channel, side)
    share = (side.level_db - FLOOR_DB) / -FLOOR_DB if side.state is DeviceState.OPEN else 0.0
    return {
        "text": text,
        "kind": kind,
        "speaking": side.speaking,
        "level": round(max(0.0, min(1.0, share)), 2),
        "device": side.device,
        "lost": side.state is DeviceState.LOST,
    }


def _clock(status: Status) -> Snapshot:
    why = messages_ru.stands_still(status)
    current, odd = why or (None, False)
    lo, hi = status.window_s or (None, None)
    runs = why is None and status.silence_s is not None
    return {
        "stands": current,
        "odd": odd,
        "held": status.held,
        "silence_s": round(status.silence_s, 2) if runs and status.silence_s is not None else None,
        "lo_s": lo,
        "hi_s": hi,
    }


def _phrase(phrase: PhraseStatus | None) -> Snapshot | None:
    if phrase is None:
        return None
    return {
        "text": phrase.text,
        "state": phrase.state,
        "title": messages_ru.PHRASES.get(phrase.state),
        "from_s": round(phrase.from_s, 2),
        "to_s": round(phrase.to_s, 2),
    }
