"""Looks for tones in what is loud on a channel, and tells `ToneWatch` of them.

loud frames  ▁▁████████████████▁▁▁▁▁▁▁▁████████████████▁▁▁
asked            ?  ?  ?  ?  ?                             where a run would open, and while a tone plays
             |since

While a tone plays no run of speech opens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from vad_agent.hearing.level import crossings
from vad_agent.hearing.tone import FEWEST, MOST, ToneWatch, classify

# Frames.
AGAIN = 6
"""A tone is asked about again after so many."""
SAME = 8
"""Changes of sign."""
BETWEEN = 2
"""In the pause after a tone it is asked about so often."""
STRETCH = 20
"""What has sounded no longer than this, and is a tone now, was one from its beginning."""


class ToneProbe:
    """One channel's. `sample_rate` in Hz."""

    __slots__ = ("_rate", "_since", "due", "frames", "watch")

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self.frames: deque[bytes] = deque(maxlen=MOST)
        """The newest loud ones, without a gap."""
        self._since = 0  # they are loud without a gap since this frame
        self.due = 0
        """While a tone plays: when to ask again; until then no run opens."""
        self.watch = ToneWatch()

    def begin(self, since: int) -> None:
        """A loud stretch begins; its frames are appended to `frames` by the ear, which saves a call."""
        self._since = since
        self.frames.clear()

    def is_tone(self, now: int) -> bool:
        """Whether the newest loud frames, which go up to now, are a tone."""
        if len(self.frames) < FEWEST:
            return False
        heard = list(self.frames)
        if not self.watch.playing:
            turns = [crossings(frame, 2) for frame in heard[-FEWEST:]]
            if max(turns) - min(turns) > SAME:
                return False  # without a spectrum: a tone turns as often in each frame
        tone = classify(heard, self._rate)
        if tone is None and self.watch.playing and len(heard) == MOST:
            # A short tone may fill only three of them.
            tone = classify(heard[1:], self._rate) or classify(heard[:-1], self._rate)
        if tone is None:
            return False
        since = self._since
        if now - since > STRETCH:
            # It may have begun in the middle of another sound.
            goes_on = self.watch.playing and self.watch.ended >= now - STRETCH
            since = max(since, self.watch.ended if goes_on else now - MOST)
        self.watch.hear(tone, since, now)
        self.due = now + AGAIN
        return True

    def probe(self, now: int, loud: bool) -> bool:
        """Ask of what is no speech, whatever it is: a tone may have begun, or ended. True: it is one."""
        if loud and self.is_tone(now):
            return True
        self.watch.hear(None, now, now)
        if self.watch.playing:
            self.due = now + BETWEEN
        return False

    def share(self, frames: Sequence[bytes]) -> float:
        """How much of a stretch of frames is tones, 0…1. A quarter of a millisecond for a second of it."""
        windows = [frames[at : at + MOST] for at in range(0, len(frames) - MOST + 1, MOST)]
        found = [classify(window, self._rate) is not None for window in windows]
        return sum(found) / len(found) if found else 0.0

    def is_rest_of_tone(self, start: int, end: int) -> bool:
        """Frames [start, end) are what is left of a tone when it was last asked about."""
        near = self.watch.playing and start <= self.watch.ended + FEWEST
        return near and end - start <= AGAIN + FEWEST
