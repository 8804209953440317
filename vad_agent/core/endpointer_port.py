"""What the core expects of hearing: one ear per channel and call.

The ear is fed every frame and says whether anything changed; the core reads its attributes only
then. All times are frames of the call: `start` inclusive, `end` exclusive.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol, Self

from vad_agent.core.actions import LineState
from vad_agent.core.frames import Channel
from vad_agent.core.script import Script


class Progress(Enum):
    """Which call-progress tone is heard, by its cadence."""

    BUSY = auto()
    """Busy or congestion: the other end has hung up, or cannot be reached."""
    DIAL = auto()
    """A dial tone: the exchange waits for a number."""
    RINGBACK = auto()
    """A telephone rings. So is a long tone called that may still become a dial tone."""
    WAITING = auto()
    """Beeps, seconds apart: a call waits; the line stays up."""


class EndpointerPort(Protocol):
    """Hearing on one channel.

    voice    ▁▁▁▁████████▁▁▁▁▁▁▁▁▁▁
    speaking ▁▁▁▁▁▁▁▁████████████▁▁     start = 4, end = 12, known at 20
    """

    speaking: bool
    """A run of sound that may be speech is open (its hangover may be running)."""
    sure: bool
    """The open run is speech; False: it is not known yet, or none is open."""
    start: int
    """First frame of the open run, or of the last one."""
    end: int
    """One past the last frame of speech so far; 0 where there was none."""
    utterances: int
    """How many runs were accepted as speech: a noise may open a run and be taken back."""
    runs: int
    """How many accepted runs are over; `start` and `end` are then those of the last one."""
    failed: bool
    """Its detector died; it goes on without."""
    detector_missing: str | None
    """The detector that is set and not installed here, so that it hears without; None: it has what is set."""

    @property
    def progress(self) -> Progress | None:
        """The call-progress tone that was heard, until speech; None: none, or it is not known yet."""

    @property
    def line(self) -> LineState | None:
        """What the line carries; None: no frame came yet, nor was one missed for long."""

    @property
    def since(self) -> int:
        """The frame since which the line is in this state."""

    @property
    def gated(self) -> bool:
        """Speech has ended digital silence on this line before: there it is a pause, no dead line."""

    @property
    def dual_mono(self) -> bool:
        """This side carries the same sound as the other one: nobody can tell whose it is."""

    def hear(self, frame: bytes | bytearray | memoryview | None, /) -> bool:
        """Take one 20 ms frame (None: it did not come). True: an attribute has changed.

        Raises:
            FrameError: wrong size or type; the ear is unchanged.
        """

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out as speech."""

    def lacks_frame(self) -> bool:
        """The last frame did not come; not for so long yet that the line has no media."""

    def expect_decision(self, at: int) -> None:
        """A decision falls due at frame `at`: from it on `hear` settles what is not known, if it can."""

    def settled(self) -> bool:
        """What is known is good for a decision now; False: expect one, and `hear` another frame."""

    def own_prompt(self, playing: bool) -> None:
        """The product itself begins or ends to speak: an echo of it may come back."""

    def expect_leak_of(self, other: Self, /) -> None:
        """The other side's voice may leak into this channel, or be all there is. `other` is fed first."""

    def hold_over(self) -> None:
        """The hold has ended, or the ringing: music and tones heard so far are over."""

    def finish(self) -> bool:
        """No more frames: close the open run. True: an attribute has changed; ask again until it is False."""


class Plan(Protocol):
    """Settings, as far as a call needs them."""

    @property
    def script(self) -> Script:
        """The compiled script."""

    def ear(self, channel: Channel, sample_rate: int) -> EndpointerPort:
        """A new ear for one channel of one call at `sample_rate` Hz."""
