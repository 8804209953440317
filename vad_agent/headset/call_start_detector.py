"""Detects, between calls, that a call begins: the operator's greeting soon after the line was idle.

    client    000000000000~~~~~~~~~~~~......      idle: zero, quiet or no media; it may ring (~)
    operator  ......................SSSSSSSS      a greeting, SOON after the idle line
    begins                        |<- BEFORE frames earlier, or with the client's word before it

After a call the line is idle too, and the operator may go on talking to somebody in the room. Until
something has played on the line, or `ignore_greeting_for` frames are over, that is not a greeting.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property

from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import EndpointerPort, Plan
from vad_agent.core.frames import FRAMES_PER_SECOND, Channel, Frame

IDLE = FRAMES_PER_SECOND
"""A line that carries nothing for this long is idle."""
SOON = 10 * FRAMES_PER_SECOND
"""A greeting comes at most this long after the line was idle or rang."""
BEFORE = FRAMES_PER_SECOND // 2
"""Frames of a call before its first word, or before the key."""
JUST_NOW = 3 * FRAMES_PER_SECOND // 2
"""A greeting that ended at most this long ago belongs to a call that is begun by a key."""
KEPT = 8 * FRAMES_PER_SECOND
"""Buffered frames: a greeting is recognized within this time."""

_NOTHING_PLAYS = (None, LineState.DIGITAL_ZERO, LineState.NO_MEDIA, LineState.QUIET)
_RINGS = (LineState.TONE, LineState.MUSIC)


class CallStartDetector:
    """The endpointers that wait for a call, and the buffered frames."""

    def __init__(self, settings: Plan, sample_rate: int, *, ignore_greeting_for: int = 0) -> None:
        self._settings = settings
        self._sample_rate = sample_rate
        self._deaf_for = ignore_greeting_for
        self._kept: deque[tuple[Frame, Frame]] = deque(maxlen=KEPT)
        self._stood = 0
        self._runs = 0
        self._idle_at: int | None = None
        self._played = False

    @cached_property
    def _operator(self) -> EndpointerPort:
        """Made when it is needed: a line of the PBX gets no frames between its calls."""
        return self._settings.endpointer(Channel.OPERATOR, self._sample_rate)

    @cached_property
    def _client(self) -> EndpointerPort:
        client = self._settings.endpointer(Channel.CLIENT, self._sample_rate)
        client.expect_crosstalk_of(self._operator)
        return client

    def feed(self, operator: Frame, client: Frame) -> int | None:
        """Feed one frame of each side. If a call has begun, return how many of the last frames
        belong to it.

        Raises:
            FrameError: an invalid frame.
        """
        self._operator.feed(operator)
        self._client.feed(client)
        self._kept.append((operator, client))
        self._stood += 1
        endpointer, idle_at = self._operator, self._idle_at
        greets = (
            endpointer.speaking and endpointer.sure
        ) or endpointer.segments_ended != self._runs
        self._runs = endpointer.segments_ended
        self._watch_line()
        if not greets or idle_at is None or endpointer.start - idle_at > SOON:
            return None
        if self._stood < self._deaf_for and not self._played:
            return None
        return self._stood - self._first_word(idle_at) + BEFORE

    def _watch_line(self) -> None:
        line, lasts = self._client.line, self._stood - self._client.since
        if lasts <= IDLE:
            return  # an endpointer takes that long to see that a line is dead
        if line not in _NOTHING_PLAYS:
            self._played = True
        if self._operator.speaking:
            return  # idle starts only after the operator's utterance
        if line in _NOTHING_PLAYS or (line in _RINGS and self._idle_at is not None):
            self._idle_at = self._stood

    def _first_word(self, idle_at: int) -> int:
        """The start of the greeting, or of a client's word before it."""
        endpointer = self._client
        heard = endpointer.segments_ended > 0 or (endpointer.speaking and endpointer.sure)
        spoke_first = heard and idle_at <= endpointer.start < self._operator.start
        return endpointer.start if spoke_first else self._operator.start

    def since_key(self) -> int:
        """How many of the last frames belong to a call that a key begins now."""
        endpointer = self._operator
        just_now = endpointer.speaking or (
            endpointer.segments_ended and self._stood - endpointer.end <= JUST_NOW
        )
        return BEFORE + (self._stood - endpointer.start if just_now else 0)

    def last(self, frames: int) -> list[tuple[Frame, Frame]]:
        """The last `frames` frames, as far as they are buffered."""
        return list(self._kept)[-frames:] if frames > 0 else []

    def endpointer(self, channel: Channel) -> EndpointerPort:
        """The endpointer of a side."""
        return self._operator if channel is Channel.OPERATOR else self._client
