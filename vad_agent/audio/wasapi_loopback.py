"""Captures what Windows' outputs play, with SoundCard (WASAPI): PortAudio cannot. Extra `loopback`.

SoundCard finds a device by its id, or by part of its name. A headset's microphone and its earphones
may share that part, so the id is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vad_agent.audio.devices import Device

HOST = "WASAPI loopback"
RATE = 48_000
"""Hz, Windows' default mixing rate; SoundCard converts other rates."""


def loopback_devices() -> list[Device]:
    """Windows' loopback devices; [] without the extra."""
    try:
        import soundcard  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return []
    try:
        default = soundcard.default_speaker().id
    except (RuntimeError, IndexError):  # there is no output
        default = None
    return as_devices(soundcard.all_microphones(include_loopback=True), default)


def as_devices(microphones: Iterable[Any], default_speaker: str | None) -> list[Device]:
    """SoundCard's loopback microphones as devices; PortAudio lists its ordinary ones too.

    `default_speaker`: the id of the default output; its loopback has the same.
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
