"""Which party holds the call. A call is held until the last party that holds it has ended its hold.

    client    ▁▁████████████████▁▁▁▁
    operator  ▁▁▁▁▁▁▁▁████▁▁▁▁▁▁▁▁▁▁     a look-up by the operator: no escalation meanwhile
    held      ▁▁████████████████▁▁▁▁     the client's hold is counted from its beginning

Hold music on the client's leg is a client hold without signalling. Music that pauses and returns
without speech in between is the same hold. If it stops again and the client has not been heard
since, it may be noise that resembles music: silence is then counted on instead of anew, so that
noise cannot hold the call for ever.

    music   ████████████▁▁▁▁▁▁▁▁██████████     known late, from its beginning
    client  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████▁▁▁▁▁▁▁▁▁     ends after the music has begun: it was the music

A passage of the music can resemble a voice. Music that had begun again before that voice ended is
the same hold, too.
"""

from __future__ import annotations

from vad_agent.core.frames import FRAMES_PER_SECOND, Channel

PASSAGE = 8 * FRAMES_PER_SECOND
"""Frames from the end of the music to its return; after more the voice in between was the client."""


class Holds:
    """The holds of one call."""

    __slots__ = ("_before", "_music", "_music_ended", "_music_since", "_parties", "_paused")

    def __init__(self) -> None:
        self._parties: set[Channel] = set()
        self._music = False
        self._music_since: int | None = None  # the music plays or has paused
        # The hold of the music that ended before the client was heard.
        self._before: int | None = None
        self._music_ended = 0
        self._paused = False

    def __bool__(self) -> bool:
        """At least one party holds the call."""
        return self._music or bool(self._parties)

    @property
    def by_client(self) -> bool:
        """The client holds, by signal or by detected music."""
        return self._music or Channel.CLIENT in self._parties

    @property
    def by_operator(self) -> bool:
        """The operator holds."""
        return Channel.OPERATOR in self._parties

    @property
    def by_music_alone(self) -> bool:
        """Only hold music indicates the hold."""
        return self._music and not self._parties

    def begin(self, party: Channel) -> bool:
        """A hold is signalled. True: the party did not hold before."""
        held = self.by_client if party is Channel.CLIENT else self.by_operator
        self._parties.add(party)
        return not held

    def begin_music(self, since: int, spoken_until: int) -> int:
        """Hold music is heard since frame `since`. Return the frame at which its hold began.

        `spoken_until`: the end of the client's last speech.
        """
        self._music = True
        if self._music_since is None:
            same = spoken_until > since and since - self._music_ended <= PASSAGE
            self._music_since = self._before if same and self._before is not None else since
        return self._music_since

    def end_music(self, now: int) -> bool:
        """The music has stopped. False: it has stopped before, and the client has not been heard since."""
        first = not self._paused
        self._music, self._paused, self._music_ended = False, True, now
        return first

    def talk(self) -> None:
        """Somebody spoke while nobody held: later music starts a new hold."""
        if self._music_since is not None:
            self._before, self._music_since = self._music_since, None

    def client_back(self) -> None:
        """The client was heard: later music is another hold, unless it was the music that was heard."""
        self.talk()
        self._paused = False

    def end(self, party: Channel | None) -> bool:
        """End the party's hold, or all holds if `party` is None (unknown). False: there was none."""
        ended = bool(self) if party is None else party in self._parties
        if party is not Channel.OPERATOR:
            ended = ended or self._music
            self._music, self._before, self._music_since = False, None, None
        self._parties -= {party} if party else set(Channel)
        return ended
