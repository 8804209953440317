"""Recognizes a call-progress tone by its cadence: durations on and off (ITU-T E.180, Supplement 2).

    busy      ▁██▁██▁██▁██▁██▁██▁     0.2 to 0.75 s on, as long off, at a steady beat
    dial      ▁████████████████…      on, longer than any ring
    ringback  ▁████▁▁▁▁▁▁▁▁▁▁████▁    0.67 to 2.5 s on, or two rings of 0.4 s; 2 to 4.5 s off
    waiting   ▁█▁▁▁▁▁▁▁▁▁▁▁▁▁█▁▁▁▁    a beep, or two or three, of less than 0.6 s in all; seconds off

    pulses    [██] [██]      [██]     a pause of no more than SPLIT is a lost packet, not a pause
    groups    [       ]      [  ]     a pause of no more than JOIN is one of busy, or between two rings

Times are frames. Level and frequency are not used here: see `call_progress_tones.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median_low

from vad_agent.core.endpointer_port import Progress

# Frames.
SPLIT = 5
"""A lost or disturbed packet hides the tone for one analysis window."""
JOIN = 75
"""0.7 s off is a congestion tone of China, 1.5 s a pulse of busy that was missed; 2 s are between rings."""
RING_PAUSE = 225
"""A sound after a longer pause is not the second ring."""
BEEP_PAUSE = 550
"""Call-waiting beeps are up to 10 s apart."""
SHORTEST_RING = 30
"""0.67 s is allowed, and a ring may be found late; two beeps of 0.2 s are less."""
LONGEST_RING = 130
"""2.5 s is allowed."""
GONE = 100
"""Least duration of sound, of rings or of one tone."""
BUSY_SOUND = 60
"""Least duration of busy pulses at one beat: reached about 2.3 s after the beginning."""
BUSY_PULSES = 3
LONGEST_PULSE = 45
BEAT = range(15, 76)
"""From one pulse to the next: 0.3 to 1.1 s is recommended; 1.4 s in China."""
UNSTEADY = 4
"""Accuracy of a measured beat."""
MOST_PULSES = 10
"""Number of the newest pulses that are compared."""

STEADY = 0.6
"""Least share of equal beats: one may be missed, and Spain omits every fourth."""
SAME_LENGTH = 0.5
"""Least share of pulses of equal length: in Britain long and short ones alternate."""
LEAST_DUTY = 1 / 3
"""Least share of time that busy is on: 0.38 in Spain. One beep per second is not busy."""
UNBROKEN = 0.85
"""Least share of time that a continuous tone is on, apart from lost packets."""


class Cadence:
    """Takes the stretches of call-progress sound, in order; determines the tone."""

    __slots__ = ("_beeped", "_pulses", "_rung", "progress")

    def __init__(self) -> None:
        self.progress: Progress | None = None
        """The latest recognized tone; kept after its end. None: not known yet, or no tone."""
        self._pulses: list[tuple[int, int]] = []  # of the newest group, [on, off)
        self._rung = 0  # sound of the groups before it that were rings, one after another
        self._beeped = False  # the group before it was beeps

    def feed(self, since: int, until: int) -> None:
        """Add frames [since, until) of call-progress sound; not before the end of the previous ones."""
        if until <= since:
            return
        pause = since - self._pulses[-1][1] if self._pulses else 0
        if self._pulses and pause <= SPLIT:
            self._pulses[-1] = self._pulses[-1][0], until
        else:
            if pause > JOIN:
                self._end_group(pause)
            self._pulses.append((since, until))
            del self._pulses[:-MOST_PULSES]
        self.progress = self._known() or self.progress

    def interrupt(self) -> None:
        """Another sound interrupted the tone: start a new cadence, keep what is recognized."""
        self._pulses.clear()
        self._rung, self._beeped = 0, False

    def forget(self) -> None:
        """Somebody is present: discard the recognized tone."""
        self.interrupt()
        self.progress = None

    def _end_group(self, pause: int) -> None:
        sound = self._sound()
        rang = SHORTEST_RING <= sound <= LONGEST_RING and pause <= RING_PAUSE
        self._rung = self._rung + sound if rang and not self._is_busy() else 0
        self._beeped = sound < SHORTEST_RING and pause <= BEEP_PAUSE
        self._pulses.clear()

    def _sound(self) -> int:
        return sum(off - on for on, off in self._pulses)

    def _known(self) -> Progress | None:
        sound = self._sound()
        unbroken = sound >= UNBROKEN * (self._pulses[-1][1] - self._pulses[0][0])
        if unbroken and sound > LONGEST_RING:
            return Progress.DIAL
        if self._is_busy():
            return Progress.BUSY
        if (self._rung or unbroken) and self._rung + sound >= GONE:
            return Progress.RINGBACK
        return Progress.WAITING if self._beeped and sound < SHORTEST_RING else None

    def _is_busy(self) -> bool:
        pulses = self._pulses
        longest = max(off - on for on, off in pulses)
        if len(pulses) < BUSY_PULSES or longest > LONGEST_PULSE or self._sound() < BUSY_SOUND:
            return False
        beats = [later[0] - one[0] for one, later in pairwise(pulses)]
        *whole, last = (off - on for on, off in pulses)  # the last one may go on
        return (
            last <= max(whole) + UNSTEADY
            and median_low(beats) in BEAT
            and _alike(beats) >= STEADY
            and _alike(whole) > SAME_LENGTH
            and sum(whole) >= LEAST_DUTY * sum(beats)
        )


def _alike(lengths: Sequence[int]) -> float:
    """The share of lengths that equal the median, 0…1."""
    middle = median_low(lengths)
    return sum(abs(one - middle) <= UNSTEADY for one in lengths) / len(lengths)
