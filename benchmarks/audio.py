"""The calls that are measured: a recording given by its path, or the longest fixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from vad_agent.audio.recording_reader import open_call
from vad_agent.core.frames import FRAMES_PER_SECOND

FIXTURES = Path(__file__).parent.parent / "audio_fixtures"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """Both channels in memory: 20 ms frames of int16 little-endian mono, equally many of each."""

    name: str
    rate: int
    """Hz."""
    operator: list[bytes]
    client: list[bytes]

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The pairs of frames that a session is fed."""
        return list(zip(self.operator, self.client, strict=True))

    def describe(self) -> str:
        """A note for the table."""
        length_s = len(self.client) / FRAMES_PER_SECOND
        return f"{self.name}, {length_s:.0f} s, {self.rate} Hz, two channels"

    def first(self, frames: int) -> RecordedCall:
        """The first `frames` frames."""
        return RecordedCall(self.name, self.rate, self.operator[:frames], self.client[:frames])


def load(real: Path | None = None) -> RecordedCall:
    """The recording `real` (operator left, client right), or the longest fixture if it is None.

    Raises:
        RecordingError: it cannot be read.
    """
    path = real or next(iter(sorted(FIXTURES.glob("long_dialogue*.flac"))))
    operator, client = [], []
    with open_call(path) as recording:
        for left, right in recording:
            if left is None or right is None:
                raise AssertionError(f"{path}: a single file has both channels to its end")
            operator.append(left)
            client.append(right)
        rate = recording.sample_rate
    # The file name of a real call may contain a person's name: it is not printed.
    name = "a real call" if real else f"{path.stem} (a fixture, for want of --real)"
    return RecordedCall(name, rate, operator, client)


@contextmanager
def long_recordings(call: RecordedCall, length_s: float) -> Iterator[dict[str, Path]]:
    """The call repeated for `length_s` seconds, in temporary files: WAV PCM and FLAC."""
    import numpy as np
    import soundfile  # type: ignore[import-untyped]

    frames = round(length_s * FRAMES_PER_SECOND)
    sides = [b"".join(islice(cycle(side), frames)) for side in (call.operator, call.client)]
    samples = np.stack([np.frombuffer(side, "<i2") for side in sides], axis=1)
    with TemporaryDirectory(prefix="vad-agent-bench-") as folder:
        paths = {kind: Path(folder) / f"long.{kind.lower()}" for kind in ("WAV", "FLAC")}
        for path in paths.values():
            soundfile.write(path, samples, call.rate, subtype="PCM_16")
        yield paths
