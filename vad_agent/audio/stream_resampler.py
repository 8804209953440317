"""Resamples a stream of int16 mono chunks of any length; constant memory."""

from __future__ import annotations

from typing import Any

from vad_agent.audio.pcm import FULL_SCALE


class StreamResampler:
    """From one rate (Hz) to another. A chunk gives its own length of sound, 15 to 20 ms late."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        import soxr  # type: ignore[import-untyped]

        # float32, not int16: soxr dithers int16, and a dead line's digital zero would be lost.
        # vr: by a filter of its own; otherwise blocks of 60 ms come at once.
        self._stream: Any = soxr.ResampleStream(from_hz, to_hz, 1, "float32", "HQ", vr=True)

    def push(self, pcm: bytes) -> bytes:
        """The samples that this chunk completes."""
        import numpy

        samples = numpy.frombuffer(pcm, "<i2").astype(numpy.float32) / FULL_SCALE
        found: Any = self._stream.resample_chunk(samples) * FULL_SCALE
        limited: Any = numpy.clip(numpy.rint(found), -FULL_SCALE, FULL_SCALE - 1)
        return bytes(limited.astype("<i2").tobytes())
