"""One audio file, decoded block by block into 20 ms frames of the requested channels.

    file ──blocks──> channel ──(soxr)──> int16 ──Framer──> frames        constant memory, any length

libsndfile decodes. This module checks what libsndfile silently accepts, because a replay that ends
early without an error looks like a client who fell silent: a truncated WAV or Ogg file, an MP3
longer than its decoder assumes, NaN in float samples, floats that wrap when they are read as int16.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from vad_agent.audio.audio_file_headers import (
    NO_SAMPLES,
    WavHeader,
    announced_size,
    file_size,
    mp3_goes_on,
    mp3_tells_length,
    ogg_has_end,
)
from vad_agent.core.frames import SAMPLE_RATES, Framer, samples_per_frame
from vad_agent.errors import RecordingError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    # Samples of one channel: shape (n,), int16, or float32 in ±1.
    Samples = npt.NDArray[np.int16] | npt.NDArray[np.float32]

BLOCK_SAMPLES = 16_384  # per channel: 2 s at 8 kHz; a block's overhead is negligible
LOWEST_RATE, HIGHEST_RATE = 4_000, 192_000  # Hz; outside of it the header is wrong
LOUDEST = 100.0  # a float file may exceed 1 and is clipped; beyond this its scale is wrong
SHORTFALL_S = 0.1  # codecs miscount their padding by less than this

FORMATS = "WAV, FLAC, Ogg, MP3"
_NOT_AUDIO = f"not an audio file that can be read ({FORMATS})"
_FETCH_AGAIN = "fetch the recording again"
_PCM_SUBTYPES = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ALAW", "ULAW"})


def session_rate(rate: int) -> int:
    """The session rate (Hz) for a file of `rate`: its own if it is one of SAMPLE_RATES.

    Otherwise 16 kHz, or 8 kHz for rates below 8 kHz. A higher rate would add nothing that a
    detector uses: speech detection needs no band above 8 kHz, so 44.1 kHz need not become 48, and
    each step above 16 kHz costs time in the whole chain.
    """
    if rate in SAMPLE_RATES:
        return rate
    return 8_000 if rate < 8_000 else 16_000


class AudioFile:
    """An open audio file; can be read once, from start to end.

    Fields: `source` the path as given; `rate` Hz and `channels` of the file; `samples` per channel,
    None if the file does not say; `warnings` one line each.

    Raises:
        RecordingError: the file cannot be opened or is not readable audio.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.source = os.fspath(path)
        self.warnings: list[str] = []
        self._stream = _open(self.source)
        try:
            self._open_decoder()
        except BaseException:
            self._stream.close()
            raise

    def _open_decoder(self) -> None:
        import soundfile  # type: ignore[import-untyped]

        stream, source = self._stream, self.source
        if source.lower().endswith(".raw"):  # libsndfile goes by the name here, not by the content
            raise RecordingError(
                source,
                "raw audio has no header that tells its rate and channels: convert it, for example "
                "sox -t raw -r 8000 -e signed -b 16 -c 2 call.raw call.wav",
            )
        wav = WavHeader(stream, source)
        try:
            decoder = soundfile.SoundFile(stream)
        except soundfile.LibsndfileError as error:
            problem = _NOT_AUDIO + _hint(stream)
            if wav.joined_at is not None:
                problem = (
                    f"another recording begins behind the first one, at byte {wav.joined_at}: split the "
                    "file there, and read each part"
                )
            elif wav.found and wav.readable_encoding:
                problem = (
                    "WAV whose chunks do not follow each other: convert it, for example "
                    "ffmpeg -i call.wav -c:a pcm_s16le pcm.wav"
                )
            elif wav.found and wav.encoding is not None:
                problem = (
                    f"WAV with an encoding that cannot be read (0x{wav.encoding:04x}): "
                    "convert it, for example ffmpeg -i call.wav -c:a pcm_s16le pcm.wav"
                )
            raise RecordingError(source, problem) from error
        # soundfile seeks to the current position after every read. In an MP3 that restarts the
        # decoder's overlap, and frames then depend on the block size; in FLAC it fails near damage.
        decoder.seekable = lambda: False
        self._decoder: Any = decoder
        self._format: str = decoder.format
        self._subtype: str = decoder.subtype
        self.rate: int = decoder.samplerate
        self.channels: int = decoder.channels
        self.samples: int | None = decoder.frames if decoder.frames < 2**62 else None
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise RecordingError(
                source,
                f"sample rate {self.rate} Hz: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz; "
                f"the header is damaged: {_FETCH_AGAIN}",
            )
        if self.samples == 0:
            raise RecordingError(source, wav.why_no_samples())
        if self._format == "MP3" and not mp3_tells_length(stream):
            self.samples = None  # libsndfile extrapolates the first bit rate, up to 8 times off
        length_s = (self.samples or 0) / self.rate
        if wav.found and wav.truncated:
            announced_s = length_s * wav.announced / wav.present
            if announced_s - length_s >= SHORTFALL_S:
                self._warn(f"truncated: {length_s:.1f} s of {announced_s:.1f} s are there")
        elif wav.bytes_per_s and wav.beyond / wav.bytes_per_s >= SHORTFALL_S:
            self._warn(
                f"its header announces {length_s:.1f} s, and {wav.beyond / wav.bytes_per_s:.1f} s of "
                "data follow, which are not read: "
                "repair it: ffmpeg -ignore_length 1 -i call.wav repaired.wav"
            )
        elif (size := announced_size(stream)) is not None and (has := file_size(stream)) < size:
            announced_s = length_s * size / has
            if announced_s - length_s >= SHORTFALL_S:
                self._warn(f"truncated: {length_s:.1f} s of {announced_s:.1f} s are there")
        elif self._format == "OGG" and not ogg_has_end(stream):
            self._warn(f"truncated: the Ogg stream has no end mark, {length_s:.1f} s are there")

    def _warn(self, problem: str) -> None:
        self.warnings.append(f"{self.source}: {problem}")

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None if the file does not say."""
        return None if self.samples is None else self.samples / self.rate

    def frames_total(self, sample_rate: int) -> int | None:
        """Number of whole 20 ms frames at `sample_rate` Hz; None if the file does not say."""
        if self.samples is None:
            return None
        return round(self.samples * sample_rate / self.rate) // samples_per_frame(sample_rate)

    def describe(self) -> str:
        """The file in a few words: "WAV ALAW, 8000 Hz, 2 channels, 61.2 s"."""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        length = "length unknown" if self.duration_s is None else f"{self.duration_s:.1f} s"
        return f"{self._format} {self._subtype}, {self.rate} Hz, {channels}, {length}"

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._decoder.close()
        self._stream.close()

    def frames(self, channels: Sequence[int], sample_rate: int) -> Iterator[tuple[bytes, ...]]:
        """Yield one tuple per 20 ms: a frame (int16 little-endian mono at `sample_rate` Hz) per
        channel.

        A remainder shorter than a frame is dropped: padded with zeros it could look like a dead
        line.

        Raises:
            RecordingError: no samples, damaged data, NaN, or an early end. Frames that could be
                read before it have been yielded, except for part of one block.
            ValueError: the file has been closed.
        """
        import numpy as np

        lines = [_Line(self.rate, sample_rate) for _ in channels]
        # Only integer samples at their own rate are read as int16: libsndfile turns float files
        # into zeros, and Vorbis and Opus louder than full scale wrap.
        exact = self._subtype in _PCM_SUBTYPES and sample_rate == self.rate
        buffer = np.empty((BLOCK_SAMPLES, self.channels), np.int16 if exact else np.float32)
        position = 0
        while len(block := self._read(buffer, position)):
            columns = [block[:, channel] for channel in channels]
            if not exact:
                self._check_scale(columns, position)
            position += len(block)
            cut = [line.push(column) for line, column in zip(lines, columns, strict=True)]
            yield from zip(*cut, strict=True)
        yield from zip(*(line.flush() for line in lines), strict=True)
        self._check_end(position)

    def _read(self, buffer: npt.NDArray[Any], position: int) -> npt.NDArray[Any]:
        import soundfile

        if self._decoder.closed:
            raise ValueError(f"{self.source}: read after close")
        try:
            block: npt.NDArray[Any] = self._decoder.read(out=buffer)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.removeprefix("Error : ").rstrip(".")
            raise self._damaged(position, reason) from error
        return block

    def _check_scale(self, columns: Sequence[npt.NDArray[Any]], position: int) -> None:
        import numpy as np

        for column in columns:
            if not np.abs(column).max() <= LOUDEST:  # false for NaN too
                first = int(np.argmax(~(np.abs(column) <= LOUDEST)))
                raise RecordingError(
                    self.source,
                    f"a sample at {(position + first) / self.rate:.3f} s is {column[first]:g}, "
                    "where -1 to 1 was expected: export the recording again as 16-bit PCM",
                )

    def _check_end(self, position: int) -> None:
        if position == 0:
            raise RecordingError(self.source, NO_SAMPLES)
        if self.samples is not None and position < self.samples - SHORTFALL_S * self.rate:
            raise self._damaged(position, "the data ends there")
        if self._format == "MP3" and mp3_goes_on(self._stream):
            raise RecordingError(
                self.source,
                f"only {position / self.rate:.1f} s could be read: this MP3 does not state its "
                "length and there is more of it: convert it, as with ffmpeg -i call.mp3 call.wav",
            )

    def _damaged(self, position: int, reason: str) -> RecordingError:
        total = "" if self.duration_s is None else f" of {self.duration_s:.1f} s"
        reached = f"{position / self.rate:.1f} s{total}"
        return RecordingError(
            self.source, f"damaged: read up to {reached} ({reason}): {_FETCH_AGAIN}"
        )


class _Line:
    """Processing of one channel: samples of any block size in, 20 ms frames out."""

    def __init__(self, rate: int, sample_rate: int) -> None:
        self._framer = Framer(sample_rate)
        self._resampler: Any = None
        if rate != sample_rate:
            import soxr  # type: ignore[import-untyped]

            # float32, not int16: soxr dithers int16, and a dead line's digital zero would be lost.
            self._resampler = soxr.ResampleStream(rate, sample_rate, 1, "float32", "HQ")

    def push(self, samples: Samples, *, last: bool = False) -> Iterator[bytes]:
        import numpy as np

        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples), last=last)
        if samples.dtype != np.int16:
            samples = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)
        return iter(self._framer.push(samples.astype("<i2", copy=False).tobytes()))

    def flush(self) -> Iterator[bytes]:
        """Frames of the samples held back by the resampler, about 29 ms."""
        if self._resampler is None:
            return iter(())
        import numpy as np

        return self.push(np.empty(0, np.float32), last=True)


_FOREIGN = {b"ftyp": "M4A", b"\x1a\x45\xdf\xa3": "WebM"}
"""Signs in the first bytes of formats that other programs can convert."""


def _hint(stream: BinaryIO) -> str:
    """How to make it readable; "": no idea."""
    stream.seek(0)
    head = stream.read(65_536)
    for sign, name in _FOREIGN.items():
        if sign in head[:8]:
            return f": {name}: convert it, for example ffmpeg -i call.{name.lower()} call.wav"
    if head.startswith(b"\0\0") and head.strip(b"\0"):
        begin = len(head) - len(head.lstrip(b"\0"))
        return f": it begins with {begin} zero bytes: remove them, or fetch the recording again"
    return ""


def _open(source: str) -> BinaryIO:
    """Open the file as a stream. Raises RecordingError if it cannot contain audio."""
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise RecordingError(source, f"a folder: name one audio file ({FORMATS})")
        if not stat.S_ISREG(mode):
            raise RecordingError(source, "a pipe or a device: save the recording to a file first")
        stream = open(source, "rb")  # noqa: SIM115 - AudioFile closes it
    except FileNotFoundError as error:
        raise RecordingError(source, "no such file: check the path") from error
    except PermissionError as error:
        raise RecordingError(
            source, "no permission to read it: check the owner and mode of the file and its folder"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordingError(source, f"cannot be opened: {reason}") from error
    if file_size(stream) == 0:
        stream.close()
        raise RecordingError(source, f"empty (0 bytes): {_FETCH_AGAIN}")
    return stream
