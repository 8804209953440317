"""Searches the loud frames of a channel for tones, and reports them to `ToneWatch`.

loud frames  ▁▁████████████████▁▁▁▁▁▁▁▁████████████████▁▁▁
checked          ?  ?  ?  ?  ?                             where a segment would open, and while a tone plays
             |since

While a tone plays, no segment of speech opens.
"""

from __future__ import annotations

from collections import deque

from vad_agent.audio.pcm import crossings, rms
from vad_agent.detection.call_progress_tones import FEWEST, MOST, ToneWatch, classify

# Frames.
AGAIN = 6
"""Interval between two checks of a tone."""
SAME = 8
"""Changes of sign."""
BETWEEN = 2
"""Interval between two checks in the pause after a tone."""
LATEST = 50
"""Sound that ended longer ago is not checked."""
STRETCH = 20
"""A sound no longer than this that is now a tone was one from its beginning."""

AS_LOUD = 0.5
"""6 dB; a ratio of levels."""


class ToneProbe:
    """The probe of one channel. `sample_rate`: Hz."""

    __slots__ = ("_asked", "_level", "_rate", "_since", "due", "frames", "watch")

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self.frames: deque[bytes] = deque(maxlen=MOST)
        """The newest loud frames, without a gap."""
        self._asked = 0  # the last check covered the sound up to this frame
        self._level = 0  # of the tone
        self._since = 0  # they are loud without a gap since this frame
        self.due = 0
        """While a tone plays: when to check again; until then no segment opens."""
        self.watch = ToneWatch()

    def begin(self, since: int) -> None:
        """A loud stretch begins. The endpointer appends to `frames` itself, which saves a call."""
        self._since = since
        self.frames.clear()

    def is_tone(self, until: int, *, in_part: bool = False) -> bool:
        """Whether the newest loud frames, which go up to frame `until`, are a tone.

        `in_part`: the tone may fill the first or the last frame only in part, as while a tone plays.
        """
        self._asked = until
        if len(self.frames) < FEWEST:
            return False
        heard = list(self.frames)
        in_part = (in_part or self.watch.playing) and len(heard) == MOST
        if not self.watch.playing:
            turns = [crossings(frame, 2) for frame in (heard[1:-1] if in_part else heard[-FEWEST:])]
            if max(turns) - min(turns) > SAME:
                return False  # without a spectrum: a tone has as many changes of sign in each frame
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
        self.watch.feed(tone, since, until)
        self.due = until + AGAIN
        return True

    def probe(self, now: int, loud_until: int) -> bool:
        """Check the latest sound: a tone may have begun or ended. True: it is a tone.

        `loud_until`: one past the last loud frame, which may be long ago.
        """
        new = loud_until > max(self._asked, now - LATEST)
        found = new and self.is_tone(loud_until, in_part=True)
        if loud_until < now or not found:
            self.watch.feed(None, now, now)
            if self.watch.playing:
                self.due = max(self.due, now + BETWEEN)
        return found
