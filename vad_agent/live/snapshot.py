"""The status as one JSON object: what the panel shows, in words; the same as the terminal's screen.

    {"phase": "dialogue", "phase_text": "Диалог", "call_s": 222.4, "sides": {"client": {"text": …}}, …}

Nothing personal but the client's name, which the operator needs, and the phrases that have it.
"""

from __future__ import annotations

from typing import Any

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.core.frames import Channel
from vad_agent.live import words
from vad_agent.live.keymap import key_list
from vad_agent.live.status import PhraseStatus, SideStatus, Status

FLOOR_DB = -60.0
"""A level of 0; 0 dBFS is 1."""

Snapshot = dict[str, Any]


def snapshot(status: Status, operator: str) -> Snapshot:
    """How things stand; levels from 0 to 1, times in seconds to the hundredth."""
    return {
        "operator": operator,
        "mode": status.mode,
        "mode_text": words.MODES.get(status.mode, status.mode),
        "phase": status.phase and status.phase.value,
        "phase_text": words.NO_CALL if status.phase is None else words.PHASES[status.phase],
        "call_s": round(status.call_s, 1),
        "guessed": status.guessed,
        "client_name": status.client_name,
        "sides": {channel.value: _side(channel, status.sides[channel]) for channel in Channel},
        "clock": _clock(status),
        "phrase": _phrase(status.phrase or status.upcoming),
        "after": status.after,
        "callback": status.callback,
        "hang_up": status.hang_up,
        "voice_problem": status.voice_problem,
        "keys": key_list(status),
        "messages": [[round(at, 1), text] for at, text in list(status.messages)],
    }


def _side(channel: Channel, side: SideStatus) -> Snapshot:
    text, kind = words.state(channel, side)
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
    why = words.stands_still(status)
    told, odd = why or (None, False)
    lo, hi = status.window_s or (None, None)
    runs = why is None and status.silence_s is not None
    return {
        "stands": told,
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
        "title": words.PHRASES.get(phrase.state),
        "from_s": round(phrase.from_s, 2),
        "to_s": round(phrase.to_s, 2),
    }
