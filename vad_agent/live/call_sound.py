"""Both sides of a call as a FLAC file: operator left, client right, silence where no frame came."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from vad_agent.common.private_files import Report, open_private, why
from vad_agent.core.frames import samples_per_frame, seconds


class CallSound:
    """Written frame by frame; readable up to its last second whatever ends the program.

    The file is made with the first frame: a file without sound is none. After an error, told once to
    `report`, nothing more is written.
    """

    def __init__(self, path: Path, sample_rate: int, report: Report) -> None:
        self._path = path
        self._rate = sample_rate
        self._samples = samples_per_frame(sample_rate)
        self._report = report
        self._sound: Any = None
        self._broken = False
        self._written = 0

    def write(self, number: int, operator: bytes | None, client: bytes | None) -> None:
        """The frames of number `number`, int16 little-endian mono; those skipped before it are silence."""
        import numpy

        self._pad(number)
        both = numpy.zeros((self._samples, 2), numpy.int16)
        for side, frame in enumerate((operator, client)):
            if frame is not None:
                both[:, side] = numpy.frombuffer(frame, "<i2")
        self._append(both)

    def close(self, length: int) -> None:
        """Close the file; it is `length` frames long."""
        self._pad(length)
        sound, self._sound = self._sound, None
        if sound is not None and not self._broken:
            self._try(sound.close)

    def _pad(self, number: int) -> None:
        import numpy

        silence = numpy.zeros((self._samples, 2), numpy.int16)
        while self._written < number and not self._broken:
            self._append(silence)

    def _append(self, both: Any) -> None:
        if not self._broken:
            self._try(self._write_samples, both)
        self._written += 1

    def _write_samples(self, both: Any) -> None:
        import soundfile  # type: ignore[import-untyped]

        if self._sound is None:
            open_private(self._path, "xb").close()
            self._sound = soundfile.SoundFile(
                self._path, "w", self._rate, 2, format="FLAC", subtype="PCM_16"
            )
        self._sound.write(both)

    def _try(self, act: Any, *args: Any) -> None:
        import soundfile

        try:
            act(*args)
        except (OSError, soundfile.SoundFileError, AssertionError) as error:
            # soundfile asserts that all was written; libsndfile does not say why it was not.
            self._broken = True
            if self._sound is not None:
                with contextlib.suppress(OSError, soundfile.SoundFileError):
                    self._sound.close()
            reason = why(error) if isinstance(error, OSError) else "нет места, или диск пропал"
            self._report(
                f"{self._path}: звук не пишется с {seconds(self._written):g} с: {reason}; "
                "звонок идёт дальше"
            )
