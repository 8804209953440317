"""Looks for tones in what is loud on a channel, and tells `ToneWatch` of them.

loud frames  ▁▁████████████████▁▁▁▁▁▁▁▁████████████████▁▁▁
asked            ?  ?  ?  ?  ?                             where a run would open, and while a tone plays
             |since

While a tone plays no run of speech opens.
"""

from __future__ import annotations

from collections import deque

from vad_agent.audio.pcm import crossings, rms
from vad_agent.detection.call_progress_tones import FEWEST, MOST, ToneWatch, classify

# Frames.
AGAIN = 6
"""A tone is asked about again after so many."""
SAME = 8
"""Changes of sign."""
BETWEEN = 2
"""In the pause after a tone it is asked about so often."""
LATEST = 50
"""What has been over for longer is not asked about."""
STRETCH = 20
"""What has sounded no longer than this, and is a tone now, was one from its beginning."""

AS_LOUD = 0.5
"""6 dB; a ratio of levels."""


class ToneProbe:
    """One channel's. `sample_rate` in Hz."""

    __slots__ = ("_asked", "_level", "_rate", "_since", "due", "frames", "watch")

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self.frames: deque[bytes] = deque(maxlen=MOST)
        """The newest loud ones, without a gap."""
        self._asked = 0  # the last question was of what sounded up to this frame
        self._level = 0  # of the tone
        self._since = 0  # they are loud without a gap since this frame
        self.due = 0
        """While a tone plays: when to ask again; until then no run opens."""
        self.watch = ToneWatch()

    def begin(self, since: int) -> None:
        """A loud stretch begins. The endpointer appends to `frames` itself, which saves a call."""
        self._since = since
        self.frames.clear()

    def is_tone(self, until: int, *, in_part: bool = False) -> bool:
        """Whether the newest loud frames, which go up to frame `until`, are a tone.

        `in_part`: the first or the last of them may hold less of it; so they may while a tone plays.
        """
        self._asked = until
        if len(self.frames) < FEWEST:
            return False
        heard = list(self.frames)
        in_part = (in_part or self.watch.playing) and len(heard) == MOST
        if not self.watch.playing:
            turns = [crossings(frame, 2) for frame in (heard[1:-1] if in_part else heard[-FEWEST:])]
            if max(turns) - min(turns) > SAME:
                return False  # without a spectrum: a tone turns as often in each frame
        tone = classify(heard, self._rate)
        if tone is None and in_part:
            tone = classify(heard[1:], self._rate) or classify(heard[:-1], self._rate)
        if tone is None:
            quietest = min(rms(frame, 2) for frame in heard)
            if self.watch.playing and len(heard) == MOST and quietest >= self._level * AS_LOUD:
                self.watch.interrupt()  # a melody, and no pause of a cadence
            return False
        self._level = rms(heard[-2], 2)
        since = self._since
        if until - since > STRETCH:
            # It may have begun in the middle of another sound.
            goes_on = self.watch.playing and self.watch.ended >= until - STRETCH
            since = max(since, self.watch.ended if goes_on else until - MOST)
        self.watch.hear(tone, since, until)
        self.due = until + AGAIN
        return True

    def probe(self, now: int, loud_until: int) -> bool:
        """Ask of what sounded last, whatever it is: a tone may have begun, or ended. True: it is one.

        `loud_until`: one past the last loud frame, which may be long ago.
        """
        new = loud_until > max(self._asked, now - LATEST)
        found = new and self.is_tone(loud_until, in_part=True)
        if loud_until < now or not found:
            self.watch.hear(None, now, now)
            if self.watch.playing:
                self.due = max(self.due, now + BETWEEN)
        return found
