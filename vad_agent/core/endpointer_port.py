"""The port through which the core uses detection: one endpointer per channel and call.

The endpointer is fed every frame and reports whether any attribute changed; the core reads its
attributes only then. All times are frames of the call: `start` is inclusive, `end` exclusive.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol, Self

from vad_agent.core.actions import LineState
from vad_agent.core.frames import Channel
from vad_agent.core.script import Script


class Progress(Enum):
    """The call-progress tone on the line, identified by its cadence."""

    BUSY = auto()
    """Busy or congestion: the other end has hung up or cannot be reached."""
    DIAL = auto()
    """Dial tone: the exchange waits for a number."""
    RINGBACK = auto()
    """Ringback: a telephone rings. Also reported for a long tone that may still become a dial tone."""
    WAITING = auto()
    """Call waiting: beeps seconds apart. The line stays up."""


class EndpointerPort(Protocol):
    """Speech detection on one channel.

    voice    ▁▁▁▁████████▁▁▁▁▁▁▁▁▁▁
    speaking ▁▁▁▁▁▁▁▁████████████▁▁     start = 4, end = 12, known at 20
    """

    speaking: bool
    """A segment that may be speech is open (its hangover may be running)."""
    sure: bool
    """The open segment is speech. False: it is not known yet, or no segment is open."""
    start: int
    """First frame of the open segment, or of the last one."""
    end: int
    """One past the last frame of speech so far; 0 if there was none."""
    utterances: int
    """Number of segments accepted as speech. A segment opened by noise can be discarded."""
    segments_ended: int
    """Number of accepted segments that have ended; `start` and `end` then describe the last one."""
    failed: bool
    """The detector has failed; the endpointer continues without it."""
    detector_missing: str | None
    """The configured detector if it is not installed here (the endpointer runs without it).

    None: complete.
    """

    @property
    def progress(self) -> Progress | None:
        """The call-progress tone heard since the last speech. None: no tone, or not known yet."""

    @property
    def line(self) -> LineState | None:
        """What the line carries. None: no frame has come yet, and none has been missing for long."""

    @property
    def since(self) -> int:
        """The frame at which the line entered this state."""

    @property
    def gated(self) -> bool:
        """Speech has ended digital silence on this line before.

        Digital silence is then a pause, not a dead line.
        """

    @property
    def dual_mono(self) -> bool:
        """This channel carries the same sound as the other one, so the speaker cannot be identified."""

    def feed(self, frame: bytes | bytearray | memoryview | None, /) -> bool:
        """Take one 20 ms frame (None: it did not arrive). True: an attribute has changed.

        Raises:
            FrameError: wrong size or type; the endpointer is unchanged.
        """

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out to be speech."""

    def lacks_frame(self) -> bool:
        """The last frame did not arrive, but not for long enough to count as no media."""

    def own_prompt(self, playing: bool) -> None:
        """The product starts or stops playing a prompt: expect its echo."""

    def expect_crosstalk_of(self, other: Self, /) -> None:
        """Expect cross-talk of the other channel, or the same sound on both. `other` is fed first."""

    def hold_over(self) -> None:
        """Hold or ringing has ended: discard the music and tones detected so far."""

    def finish(self) -> bool:
        """No more frames: close the open segment.

        True: an attribute has changed; call again until False.
        """


class Plan(Protocol):
    """The settings that a call needs."""

    @property
    def script(self) -> Script:
        """The compiled script."""

    def endpointer(self, channel: Channel, sample_rate: int) -> EndpointerPort:
        """Return a new endpointer for one channel of one call at `sample_rate` Hz."""
