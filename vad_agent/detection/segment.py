"""Segments of speech: from single frames to an utterance with a beginning and an end.

flags    ..x..xxxxxx.xxx...x..............
open     ▁▁▁▁▁▁▁▁▁█████████████████████▁▁     opens at HEARD flags of the last OF, closes HANGOVER after
              |start        |end               the last frame that was part of so many
"""

from __future__ import annotations

HEARD, OF = 4, 6
"""Frames: a click has fewer, the shortest word more."""
HANGOVER = 15
"""Frames; a pause inside an utterance is shorter."""


class Segments:
    """One channel's. Frames are told one by one, in order."""

    __slots__ = ("_history", "_mask", "end", "open", "start")

    def __init__(self) -> None:
        self.open = False
        self.start = 0
        """First frame of the open segment, or of the last one."""
        self.end = 0
        """One past the last frame of speech so far."""
        self._history = 0
        self._mask = (1 << OF) - 1

    def hear(self, frame: int, flag: bool) -> bool:
        """Frame number `frame`, counted from 1, is speech or not. True: a segment has opened or closed."""
        history = self._history = (self._history << 1 | flag) & self._mask
        if flag and history.bit_count() >= HEARD:
            if not self.open:
                self.open = True
                self.start = max(frame - history.bit_length(), self.end)
                self.end = frame
                return True
            self.end = frame
        elif self.open and frame - self.end >= HANGOVER:
            self.open = False
            return True
        return False

    def forget(self) -> None:
        """What was heard lately was no speech."""
        self._history = 0
        self.open = False
