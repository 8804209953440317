"""Reads recordings of calls as 20 ms frames, the same input as a live call.

    one file, two channels   left ──> operator ┐
                             right ─> client   ├─> (operator_frame, client_frame), …
    two files                one each          ┘   None for the side that has ended

Formats: WAV (PCM 8 to 32 bit, float, A-law, µ-law), FLAC, Ogg, MP3; recognized by content, not by
name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import zip_longest
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from vad_agent.audio.audio_file import AudioFile, session_rate
from vad_agent.core.frames import Channel, FramePair, frames, seconds
from vad_agent.errors import RecordingError

Path = str | os.PathLike[str]
ChannelName = str | int  # "left", "right", or a number from 0 (also as text)

_T = TypeVar("_T")
_Length = TypeVar("_Length", int, float)
_NAMES = {"left": 0, "right": 1}
MOST_DIFFERENCE = frames(20.0)
"""Frames by which the files of one call may differ: a leg that drops is recorded for a while longer."""


class _Frames(Generic[_T]):
    """Open files and their frames: a context manager and a one-pass iterator.

    Fields: `sample_rate` Hz of the frames, one of SAMPLE_RATES; `warnings` one line each, such as
    "call.wav: truncated: 12.3 s of 60.0 s are there".

    Raises:
        RecordingError: while iterating, if the data is damaged.
    """

    def __init__(
        self, files: tuple[AudioFile, ...], sample_rate: int, frames: Iterator[_T]
    ) -> None:
        self._files = files
        self._frames = frames
        self.sample_rate = sample_rate
        self.warnings = [line for file in files for line in file.warnings]

    @property
    def channels(self) -> int:
        """Number of channels of the first file."""
        return self._files[0].channels

    @property
    def frames_total(self) -> int | None:
        """Frames of the longest file, to within one if resampled; None if the file does not say."""
        return _longest([file.frames_total(self.sample_rate) for file in self._files])

    @property
    def duration_s(self) -> float | None:
        """Length of the longest file in seconds; None if a file does not say."""
        return _longest([file.duration_s for file in self._files])

    def describe(self) -> str:
        """One line: each file's format, rate, channels and length, and the rate at which it is
        processed.
        """
        files = " + ".join(file.describe() for file in self._files)
        if all(file.rate == self.sample_rate for file in self._files):
            return files
        return f"{files}, heard at {self.sample_rate} Hz"

    def close(self) -> None:
        """Close the files; may be called twice."""
        for file in self._files:
            file.close()

    def __iter__(self) -> Iterator[_T]:
        return self._frames  # the generator itself: no Python call per frame

    def __next__(self) -> _T:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()


class Recording(_Frames[FramePair]):
    """Both sides of a call: pairs (operator, client) of int16 little-endian mono frames.

    `early_end`: the side whose file is too short to cover the whole call, and its number of frames;
    None: there is none, or the files do not say.
    """

    early_end: tuple[Channel, int] | None = None


class RecordingLeg(_Frames[bytes]):
    """One side of a call: frames of int16 little-endian mono."""


def open_call(
    path: Path,
    *,
    client_path: Path | None = None,
    operator_channel: ChannelName | None = None,
    client_channel: ChannelName | None = None,
) -> Recording:
    """Open a call: one file with both sides, or the operator's file and `client_path`.

    Channels default to operator left, client right; with a file of two channels, naming one is
    enough. With two files, each has one channel or its channel is named. Both are converted to the
    lower of their rates, and the shorter file's side is None after its end.

    Raises:
        RecordingError: a file cannot be read, has one channel where two are needed, or lacks the
            named channel.
    """
    with ExitStack() as on_error:
        first = on_error.enter_context(closing(AudioFile(path)))
        if client_path is None:
            sides = _both_sides(first, operator_channel, client_channel)
            rate = session_rate(first.rate)
            both = first.frames(sides, rate)
            on_error.pop_all()
            return Recording((first,), rate, cast(Iterator[FramePair], both))  # as many as `sides`
        second = on_error.enter_context(closing(AudioFile(client_path)))
        operator = _own_side(first, operator_channel, "--operator-channel")
        client = _own_side(second, client_channel, "--client-channel")
        rate = min(session_rate(first.rate), session_rate(second.rate))
        pairs = zip_longest(_single(first, operator, rate), _single(second, client, rate))
        on_error.pop_all()
        recording = Recording((first, second), rate, pairs)
        recording.early_end = _early_end(first.frames_total(rate), second.frames_total(rate))
        if recording.early_end is not None:
            side, length = recording.early_end
            recording.warnings.append(
                f"the {side.value}'s file ends after {seconds(length):.1f} s of "
                f"{recording.duration_s:.1f}: what is missing there is not taken for silence; "
                "check that both files are of the same call and none leaves out pauses"
            )
        return recording


def _early_end(operator: int | None, client: int | None) -> tuple[Channel, int] | None:
    if operator is None or client is None or abs(operator - client) <= MOST_DIFFERENCE:
        return None
    return (Channel.OPERATOR, operator) if operator < client else (Channel.CLIENT, client)


def open_leg(path: Path, channel: ChannelName = "right") -> RecordingLeg:
    """Open one channel, by default the client's; in a file with one channel, that channel.

    Raises:
        RecordingError: the file cannot be read or lacks the channel.
    """
    with ExitStack() as on_error:
        file = on_error.enter_context(closing(AudioFile(path)))
        index = _index(file, channel)
        if file.channels == 1 and index in _NAMES.values():
            index = 0
        _check_channel(file, index)
        rate = session_rate(file.rate)
        on_error.pop_all()
        return RecordingLeg((file,), rate, _single(file, index, rate))


def _single(file: AudioFile, channel: int, sample_rate: int) -> Iterator[bytes]:
    return (frame for (frame,) in file.frames((channel,), sample_rate))


def _both_sides(
    file: AudioFile, operator: ChannelName | None, client: ChannelName | None
) -> tuple[int, int]:
    if file.channels == 1:
        raise RecordingError(
            file.source,
            "one channel, where a call needs two: pass the client's file with --client-file, "
            "or a recording with the operator left and the client right",
        )
    left = None if operator is None else _index(file, operator)
    right = None if client is None else _index(file, client)
    if left is None:
        left = 1 - right if file.channels == 2 and right in (0, 1) else 0
    if right is None:
        right = 1 - left if file.channels == 2 and left in (0, 1) else 1
    _check_channel(file, left)
    _check_channel(file, right)
    if left == right:
        raise RecordingError(
            file.source,
            f"operator and client are both channel {left}: "
            "name two channels with --operator-channel and --client-channel",
        )
    return left, right


def _own_side(file: AudioFile, channel: ChannelName | None, option: str) -> int:
    """The channel of a file that contains one side only."""
    if channel is None:
        if file.channels > 1:
            raise RecordingError(
                file.source,
                f"{file.channels} channels, where one side of the call was expected: "
                f"choose one with {option}",
            )
        return 0
    index = _index(file, channel)
    _check_channel(file, index)
    return index


def _index(file: AudioFile, channel: ChannelName) -> int:
    if isinstance(channel, int):
        return channel
    if channel in _NAMES:
        return _NAMES[channel]
    if channel.isascii() and channel.isdigit():
        return int(channel)
    raise RecordingError(
        file.source, f"channel {channel!r}: expected left, right or a number from 0"
    )


def _check_channel(file: AudioFile, index: int) -> None:
    if not 0 <= index < file.channels:
        has = "it has channel 0 only" if file.channels == 1 else f"it has 0 to {file.channels - 1}"
        raise RecordingError(file.source, f"no channel {index}: {has} (left is 0, right is 1)")


def _longest(lengths: list[_Length | None]) -> _Length | None:
    known = [length for length in lengths if length is not None]
    return max(known) if len(known) == len(lengths) else None
