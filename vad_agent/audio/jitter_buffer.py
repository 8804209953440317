"""Two streams of stamped frames become pairs on one clock. Pure: time comes in as arguments.

    clock    |0   |1   |2   |3   |4   |        slots of 20 ms since the first frame's stamp
    operator |o   |o   |o   |o   |             each side is stamped by its own clock
    client     |c   |c   |     |c              a frame takes the slot nearest to its stamp

A frame that follows another one follows it in the slots too, whatever its stamp says: stamps jitter, samples
do not. Where the stamps of some seconds say together that a side has drifted from its slots, one frame is
repeated or left out; where they jump, frames were lost, and their slots stay empty. So ±200 ppm are one
frame in 100 s, and never a silence that was not there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vad_agent.core.frames import FRAME_MS, Channel

FRAME_S = FRAME_MS / 1000
PATIENCE_S = 0.3
"""A slot waits so long for a frame of a side that is alive."""
LOST_S = 0.6
"""No frame for so long: the side is lost, until the next one."""
LONGEST_STEP_S = 2 * FRAME_S
"""The clock follows the time by such steps: a stall of this process is no frame's delay."""
WINDOW = 250
"""Frames whose stamps are looked at together: 5 s."""
SOONER = 25
"""After a loss that the device reports, so many are enough."""
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
        """Frames come."""
        self.heard_at = 0.0
        """The clock when the last one came."""
        self.late = 0
        self.missing = 0
        """Slots without a frame while others came."""
        self.overruns = 0
        self.stretched = 0
        """Frames repeated (positive) or left out (negative) for the clocks' sake."""
        self._frames: deque[tuple[int, bytes]] = deque()
        self._next: int | None = None  # slot of the frame to come, if it follows the last one
        self._errors: deque[float] = deque(maxlen=WINDOW)  # stamps against their slots, s
        self._look_in = LOOK_EVERY

    def push(self, stamp: float, frame: bytes, taken: int, *, lost: bool = False) -> None:
        """A frame whose first sample was heard at `stamp`, seconds since slot 0 began.

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
            self.late += self.alive  # not the first one of a side that has just been opened
        else:
            self._frames.append((slot, frame))

    def _follow(self, frame: bytes) -> bool:
        """Keep to the stamps. False: this frame is to be left out."""
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
        self._next += count  # more than one: those were lost
        self._shift(count)
        return True

    def _shift(self, slots: int) -> None:
        self._errors = deque((error - slots * FRAME_S for error in self._errors), WINDOW)

    def restart(self) -> None:
        """The stream has ended; the next frame is another one's first."""
        self._next = None
        self.alive = False

    def has(self, slot: int) -> bool:
        """It is known what this slot holds."""
        while self._frames and self._frames[0][0] < slot:
            self._frames.popleft()
        if self._frames:
            return True  # its own, or a later one: this slot stays empty
        return self._next is not None and self._next > slot

    def take(self, slot: int) -> bytes | None:
        """The slot's frame, if one came."""
        if self.has(slot) and self._frames and self._frames[0][0] == slot:
            return self._frames.popleft()[1]
        self.missing += self.alive  # a lost device is told of as such
        return None


class JitterBuffer:
    """Pairs of both sides' frames, a slot after the other.

    `zero`: the time (s) at which slot 0 begins; None: at the first frame's stamp.
    """

    def __init__(self, zero: float | None = None) -> None:
        self._zero = zero
        self._slot = 0
        self._clock: float | None = None
        self.lanes: Mapping[Channel, Lane] = {channel: Lane() for channel in Channel}

    @property
    def slot(self) -> int:
        """The slot that comes next."""
        return self._slot

    def push(self, channel: Channel, stamp: float, frame: bytes, *, lost: bool = False) -> None:
        """A frame of this side; `stamp` as in `Lane.push`, but in the time of `pairs`."""
        if self._zero is None:
            self._zero = stamp
        lane = self.lanes[channel]
        lane.push(stamp - self._zero, frame, self._slot, lost=lost)
        lane.alive = True
        lane.heard_at = stamp if self._clock is None else self._clock

    def pairs(self, now: float) -> Iterator[Pair]:
        """What is complete, or can wait no longer, at the time `now` (s)."""
        if self._zero is None:
            return
        before = now if self._clock is None else self._clock
        self._clock = max(before, min(now, before + LONGEST_STEP_S))
        for lane in self.lanes.values():
            if lane.alive and self._clock - lane.heard_at > LOST_S:
                lane.restart()
        while self._due():
            slot, self._slot = self._slot, self._slot + 1
            operator, client = (
                self.lanes[c].take(slot) for c in (Channel.OPERATOR, Channel.CLIENT)
            )
            yield Pair(slot, operator, client)

    def _due(self) -> bool:
        assert self._zero is not None
        assert self._clock is not None
        waiting = [lane for lane in self.lanes.values() if not lane.has(self._slot)]
        if not waiting:
            return True
        overdue = self._clock - self._zero - (self._slot + 1) * FRAME_S
        if overdue > PATIENCE_S:
            return True
        others = len(waiting) < len(self.lanes)
        return others and not any(lane.alive for lane in waiting)

    def slot_at(self, time: float) -> float:
        """The slot, and the part of it that is over, at a time (s)."""
        return 0.0 if self._zero is None else (time - self._zero) / FRAME_S
