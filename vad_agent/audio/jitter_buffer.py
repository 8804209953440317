"""Jitter buffer: pairs two streams of stamped frames on one clock. Pure: time is an argument.

    clock    |0   |1   |2   |3   |4   |        slots of 20 ms since the first frame's stamp
    operator |o   |o   |o   |o   |             each side is stamped by its own clock
    client     |c   |c   |     |c              a frame takes the slot nearest to its stamp

A frame that follows another one gets the following slot, whatever its stamp says: stamps jitter,
samples do not, unless the sender says how many are missing. If the stamps of several seconds show that
a side has drifted from its slots, one frame is repeated or left out. If the stamps jump, frames were
lost, and their slots stay empty. A clock difference of ±200 ppm thus costs one frame in 100 s, and never
adds silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vad_agent.core.frames import FRAME_S, Channel

PATIENCE_S = 0.3
"""Seconds that a slot waits for a frame of an active side."""
LOST_S = 0.6
"""Seconds without a frame after which a side is lost, until its next frame."""
LONGEST_STEP_S = 2 * FRAME_S
"""Maximum step of the clock: a stall of this process does not delay frames."""
WINDOW = 250
"""Frames whose stamps are averaged: 5 s."""
SOONER = 25
"""After a loss reported by the device, fewer frames are enough."""
LOOK_EVERY = 25
OFF_S = 0.75 * FRAME_S


class Pair(NamedTuple):
    """One slot; None: no frame came."""

    slot: int
    operator: bytes | None
    client: bytes | None


class Lane:
    """One side's frames, each in its slot."""

    def __init__(self) -> None:
        self.alive = False
        """Frames are arriving."""
        self.heard_at = 0.0
        """Clock time of the last frame."""
        self.late = 0
        self.missing = 0
        """Slots without a frame while others came."""
        self.overruns = 0
        self.stretched = 0
        """Frames repeated (positive) or left out (negative) to correct clock drift."""
        self._frames: deque[tuple[int, bytes]] = deque()
        self._next: int | None = None  # slot of the next frame, if it follows the last one
        self._errors: deque[float] = deque(maxlen=WINDOW)  # stamps relative to their slots, s
        self._look_in = LOOK_EVERY

    def push(self, stamp: float, frame: bytes, taken: int, *, lost: bool = False) -> None:
        """Add a frame whose first sample was heard at `stamp`, seconds since slot 0 began.

        `taken`: slots before this one are gone; `lost`: the device lost samples before it.
        """
        if self._next is None:
            self._next = max(round(stamp / FRAME_S), 0)
            self._errors.clear()
        if lost:
            self.overruns += 1
            self._errors.clear()
            self._look_in = SOONER
        self._errors.append(stamp - self._next * FRAME_S)
        self._look_in -= 1
        if self._look_in <= 0 and not self._follow(frame):
            return
        slot, self._next = self._next, self._next + 1
        if slot < taken:
            self.late += self.alive  # not the first frame of a side that has just been opened
        else:
            self._frames.append((slot, frame))

    def _follow(self, frame: bytes) -> bool:
        """Follow the stamps. False: leave this frame out."""
        assert self._next is not None
        self._look_in = LOOK_EVERY
        errors = sorted(self._errors)
        off = errors[len(errors) // 2]
        if abs(off) < OFF_S or len(errors) < SOONER:
            return True
        count = round(off / FRAME_S)
        if count < 0:
            self._shift(-1)
            self.stretched -= 1
            self._look_in = 1 if count < -1 else LOOK_EVERY
            self._errors.pop()
            return False
        if count == 1:
            self.stretched += 1
            self._frames.append((self._next, self._frames[-1][1] if self._frames else frame))
        self._next += count  # more than one: frames were lost
        self._shift(count)
        return True

    def _shift(self, slots: int) -> None:
        self._errors = deque((error - slots * FRAME_S for error in self._errors), WINDOW)

    def skip(self, slots: int) -> None:
        """The sender says that so many frames are missing before the next one."""
        if self._next is not None:
            self._next += slots

    def restart(self) -> None:
        """The stream has ended; the next frame is the first of another one."""
        self._next = None
        self.alive = False

    def has(self, slot: int) -> bool:
        """The content of this slot is known."""
        frames = self._frames
        while frames:
            if frames[0][0] >= slot:
                return True  # the frame is here, or a later one: then this slot stays empty
            frames.popleft()
        return self._next is not None and self._next > slot

    def take(self, slot: int) -> bytes | None:
        """The slot's frame, after `has` of it. None: it did not come."""
        frames = self._frames
        if frames and frames[0][0] == slot:
            return frames.popleft()[1]
        self.missing += self.alive  # a lost device is reported as such
        return None


class JitterBuffer:
    """Pairs the frames of both sides, slot by slot.

    `zero`: the time (s) at which slot 0 begins; None: at the first frame's stamp.
    """

    def __init__(self, zero: float | None = None) -> None:
        self._zero = zero
        self._slot = 0
        self._clock: float | None = None
        self.lanes: Mapping[Channel, Lane] = {channel: Lane() for channel in Channel}
        self._sides = self.lanes[Channel.OPERATOR], self.lanes[Channel.CLIENT]

    @property
    def slot(self) -> int:
        """The next slot."""
        return self._slot

    def push(self, channel: Channel, stamp: float, frame: bytes, *, lost: bool = False) -> None:
        """Add a frame of this side. `stamp`: as in `Lane.push`, but in the time of `pairs`."""
        if self._zero is None:
            self._zero = stamp
        lane = self.lanes[channel]
        lane.push(stamp - self._zero, frame, self._slot, lost=lost)
        lane.alive = True
        lane.heard_at = stamp if self._clock is None else self._clock

    def pairs(self, now: float) -> Iterator[Pair]:
        """The pairs that are complete, or can wait no longer, at time `now` (s)."""
        if self._zero is None:
            return
        before = now if self._clock is None else self._clock
        self._clock = max(before, min(now, before + LONGEST_STEP_S))
        one, other = self._sides
        for lane in self._sides:
            if lane.alive and self._clock - lane.heard_at > LOST_S:
                lane.restart()
        overdue = self._clock - self._zero - PATIENCE_S
        while True:
            slot = self._slot
            has_one, has_other = one.has(slot), other.has(slot)
            if not (has_one and has_other) and (slot + 1) * FRAME_S >= overdue:
                alone = (has_one and not other.alive) or (has_other and not one.alive)
                if not alone:
                    return
            self._slot = slot + 1
            yield Pair(slot, one.take(slot), other.take(slot))

    def slot_at(self, time: float) -> float:
        """The slot at a time (s), with its elapsed fraction."""
        return 0.0 if self._zero is None else (time - self._zero) / FRAME_S
