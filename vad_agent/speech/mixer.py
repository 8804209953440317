"""Mixes phrases into a stream of silence, block by block. Pure and without numpy, as it runs in a
callback.

phrase   ▁▂▇██████▇▆▅▃▁                ▇ stopped: faded out within FADE_MS
stream   00000000000000▂▇██████▇▆▃▁00000
                       |started        |ended: samples of the block in which they fall
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vad_agent.audio.pcm import add, gain
from vad_agent.core.frames import SAMPLE_BYTES

FADE_MS = 20
"""A stopped phrase is silent this long after the current block: 60 ms with the device's buffer."""
FADE_STEPS = 8


class Mark(StrEnum):
    """The outcome of a phrase."""

    SOON = "soon"
    """It begins at about this time: reported where the exact time is known only when it is heard."""
    STARTED = "started"
    ENDED = "ended"
    """Its last sample is in the stream."""
    STOPPED = "stopped"
    """It was faded out before its end, or had not begun."""


@dataclass(slots=True)
class _Voice:
    phrase: int
    pcm: bytes
    at: int = 0
    """Bytes that are already in the stream."""
    started: bool = False
    stopped: bool = False


@dataclass(slots=True)
class Mixer:
    """One stream of int16 mono at `rate` Hz.

    `marks`: (phrase, mark, sample of the last mixed block); the caller removes them.
    """

    rate: int
    marks: list[tuple[int, Mark, int]] = field(default_factory=list)
    _voices: list[_Voice] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """A phrase is not at its end."""
        return bool(self._voices)

    def play(self, phrase: int, pcm: bytes) -> None:
        """Begin this phrase with the next block. `pcm`: int16 mono, at least one sample."""
        self._voices.append(_Voice(phrase, pcm))

    def stop(self) -> None:
        """Fade out all phrases."""
        fading = []
        for voice in self._voices:
            if voice.stopped:
                fading.append(voice)
            elif voice.started:
                tail = self._fade(voice.pcm[voice.at :])
                fading.append(_Voice(voice.phrase, tail, started=True, stopped=True))
            else:
                self.marks.append((voice.phrase, Mark.STOPPED, 0))
        self._voices = fading

    def _fade(self, pcm: bytes) -> bytes:
        size = self.rate * FADE_MS // 1000 // FADE_STEPS * SAMPLE_BYTES
        return b"".join(
            gain(pcm[step * size : (step + 1) * size], SAMPLE_BYTES, 1 - (step + 1) / FADE_STEPS)
            for step in range(FADE_STEPS)
        )

    def mix(self, size: int) -> bytes:
        """The next `size` bytes of the stream."""
        block = b""
        for voice in self._voices:
            if not voice.started:
                voice.started = True
                self.marks.append((voice.phrase, Mark.STARTED, 0))
            part = voice.pcm[voice.at : voice.at + size]
            voice.at += len(part)
            if voice.at >= len(voice.pcm):
                mark = Mark.STOPPED if voice.stopped else Mark.ENDED
                self.marks.append((voice.phrase, mark, len(part) // SAMPLE_BYTES))
            if len(part) < size:
                part += bytes(size - len(part))
            block = add(block, part, SAMPLE_BYTES) if block else part
        if not block:
            return bytes(size)
        self._voices = [voice for voice in self._voices if voice.at < len(voice.pcm)]
        return block
