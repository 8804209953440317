"""The state of a line apart from voices: no media, live, quiet, or digital zero (a constant).

frames   ,,,,,,,,,,--------------------0000000000000000000000....
state    live              no_media    live      digital_zero live
                   |<- NO_MEDIA ->|    |<- FLAT ->|               recognized late, valid from its beginning

Music and tones are detected elsewhere and set here.
"""

from __future__ import annotations

from array import array

from vad_agent.audio.pcm import mean
from vad_agent.core.actions import LineState
from vad_agent.core.frames import SAMPLE_BYTES

# Frames.
FLAT = 50
NO_MEDIA = 50
PAUSE = 10
"""A constant of this many frames is more than a lost packet."""
NEAR = 12
"""Speech that begins this soon after a constant has ended the constant: soft onsets are detected late."""
QUIET_BLOCKS = 3
"""Blocks without a sound before a line is called quiet."""


class Line:
    """The state of one channel's line. `samples`: per frame."""

    __slots__ = (
        "_dull",
        "_flat_until",
        "_samples",
        "flat_frame",
        "flat_since",
        "gated",
        "missing",
        "since",
        "state",
    )

    def __init__(self, samples: int) -> None:
        self.state: LineState | None = None
        """None: no frame has come yet, and none has been missing for long."""
        self.since = 0
        """The frame since which it is in this state."""
        self.missing = 0
        """Consecutive missing frames."""
        self.flat_since: int | None = None
        """The frame since which all samples are equal; None: they differ."""
        self.flat_frame = b""
        """The last constant one."""
        self.gated = False
        """Speech has ended a constant before: here a constant is a pause between words (a noise gate)."""
        self._flat_until: int | None = None
        self._dull = 0
        self._samples = samples

    def set(self, state: LineState, since: int) -> None:
        """Enter the state as of that frame."""
        self.state = state
        self.since = max(since, 0)

    def leave(self, state: LineState, since: int) -> None:
        """Leave the state as of that frame, if the line was in it."""
        if self.state is state:
            self.set(LineState.LIVE, since)

    def watch_constant(self, frame: bytes, now: int) -> bool:
        """Process a frame near zero. True: a constant has begun or ended."""
        if frame == frame[:SAMPLE_BYTES] * self._samples:
            self.flat_frame = frame
            if self.flat_since is not None:
                return False
            self.flat_since = now - 1
            return True
        return self.end_constant(now)

    def end_constant(self, now: int) -> bool:
        """The samples differ. True: they were the same before."""
        since, self.flat_since = self.flat_since, None
        if since is not None and now - since > PAUSE:
            self._flat_until = now - 1
        return since is not None

    def note_speech(self, since: int) -> None:
        """Somebody speaks, or spoke, as of that frame."""
        if self._flat_until is not None and self._flat_until >= since - NEAR:
            self.gated = True

    def due(self) -> int | None:
        """The frame at which `settle` is due even if nothing changes."""
        if self.flat_since is None or self.state in (LineState.DIGITAL_ZERO, LineState.TONE):
            return None
        return self.flat_since + FLAT

    def settle(self, now: int) -> None:
        """Update the state. Pauses of a tone count as the tone."""
        if self.missing:
            if self.missing >= NO_MEDIA and self.state is not LineState.NO_MEDIA:
                self.set(LineState.NO_MEDIA, now - self.missing)
        elif self.flat_since is not None and now - self.flat_since >= FLAT:
            if self.state not in (LineState.DIGITAL_ZERO, LineState.TONE):
                self.set(LineState.DIGITAL_ZERO, self.flat_since)
        elif self.state in (None, LineState.NO_MEDIA) or (
            self.state is LineState.DIGITAL_ZERO and self.flat_since is None
        ):
            self.set(LineState.LIVE, now - 1)

    def end_block(self, start: int, now: int, *, dull: bool) -> None:
        """A block without speech is complete; `dull`: it had almost no sound."""
        self._dull = self._dull + 1 if dull else 0
        if self.state is LineState.LIVE and self._dull == QUIET_BLOCKS:
            self.set(LineState.QUIET, now - QUIET_BLOCKS * (now - start))
        elif not dull:
            self.leave(LineState.QUIET, start)

    def wake(self, since: int) -> None:
        """Somebody may be speaking."""
        self._dull = 0
        self.leave(LineState.QUIET, since)


class Offset:
    """The constant offset of a line's samples. Unless it is removed, such a line is never quiet."""

    __slots__ = ("_samples", "_value", "against")

    SHARE = 0.8
    """A frame that is mostly offset has no sound: a voice's mean is a twentieth of its level."""
    LEAST = 8

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._value = 0
        self.against = b""
        """The samples to add to a frame to remove the offset; empty: no offset."""

    def watch(self, frame: bytes, level: int) -> bool:
        """Process an occasional frame, with the known offset removed. True: the offset has changed."""
        found = mean(frame, 2)
        if abs(found) <= max(self.LEAST, level * self.SHARE):
            return False
        if frame == frame[:SAMPLE_BYTES] * self._samples:
            return False  # nothing but a constant: no line sounds so
        self._value = max(min(self._value + found, 32_767), -32_767)
        self.against = array("h", [-self._value] * self._samples).tobytes()
        return True
