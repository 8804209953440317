"""Which party holds the call. A call is held until the last party that holds it has ended its hold.

    client    ▁▁████████████████▁▁▁▁
    operator  ▁▁▁▁▁▁▁▁████▁▁▁▁▁▁▁▁▁▁     a look-up by the operator: no escalation meanwhile
    held      ▁▁████████████████▁▁▁▁     the client's hold is counted from its beginning

Hold music on the client's leg is a client hold without signalling. Music that pauses and returns
without speech in between is the same hold. If it stops again and the client has not been heard
since, it may be noise that resembles music: silence is then counted on instead of anew, so that
noise cannot hold the call for ever.
"""

from __future__ import annotations

from vad_agent.core.frames import Channel


class Holds:
    """The holds of one call."""

    __slots__ = ("_music", "_music_since", "_parties", "_paused")

    def __init__(self) -> None:
        self._parties: set[Channel] = set()
        self._music = False
        self._music_since: int | None = None  # the music plays or has paused
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

    def hear_music(self, since: int) -> int:
        """Hold music is heard since frame `since`. Return the frame at which its hold began."""
        self._music = True
        if self._music_since is None:
            self._music_since = since
        return self._music_since

    def end_music(self) -> bool:
        """The music has stopped. False: it has stopped before, and the client has not been heard since."""
        first = not self._paused
        self._music, self._paused = False, True
        return first

    def talk(self) -> None:
        """Somebody spoke while nobody held: later music starts a new hold."""
        self._music_since = None

    def client_back(self) -> None:
        """The client was heard or ended the hold: later music is another hold."""
        self._music_since, self._paused = None, False

    def end(self, party: Channel | None) -> bool:
        """End the party's hold, or all holds if `party` is None (unknown). False: there was none."""
        ended = bool(self) if party is None else party in self._parties
        if party is not Channel.OPERATOR:
            ended = ended or self._music
            self._music = False
        self._parties -= {party} if party else set(Channel)
        return ended
