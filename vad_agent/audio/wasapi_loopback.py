"""What Windows' outputs play, by SoundCard (WASAPI): PortAudio cannot capture it there. Extra `loopback`.

SoundCard finds a device by its id, or by a part of its name; a headset's microphone and its earphones may
share that, so the id is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vad_agent.audio.devices import Device

HOST = "WASAPI loopback"
RATE = 48_000
"""Hz, what Windows mixes at unless it is told otherwise; SoundCard has it converted to any other."""


def loopback_devices() -> list[Device]:
    """None where the extra is not installed."""
    try:
        import soundcard  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return []
    try:
        default = soundcard.default_speaker().id
    except (RuntimeError, IndexError):  # no output at all
        default = None
    return as_devices(soundcard.all_microphones(include_loopback=True), default)


def as_devices(microphones: Iterable[Any], default_speaker: str | None) -> list[Device]:
    """SoundCard's loopback microphones; its ordinary ones are PortAudio's too.

    `default_speaker`: the id of the output that is the default; its loopback has the same.
    """
    return [
        Device(
            name=str(microphone.name),
            backend="soundcard",
            host=HOST,
            index=None,
            inputs=int(microphone.channels),
            outputs=0,
            rate=RATE,
            loopback=True,
            default=microphone.id == default_speaker,
            plays=str(microphone.name),
            id=str(microphone.id),
        )
        for microphone in microphones
        if microphone.isloopback
    ]
