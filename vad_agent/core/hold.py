"""Who holds the call. A hold belongs to a party, and the call is held until the last one has ended theirs.

    client    ▁▁████████████████▁▁▁▁
    operator  ▁▁▁▁▁▁▁▁████▁▁▁▁▁▁▁▁▁▁     his look-up: no ladder meanwhile
    held      ▁▁████████████████▁▁▁▁     the client's hold is counted from its beginning

Hold music on the client's leg is a hold by the client that nobody signalled. Music that pauses, and comes
again without a word of anybody in between, is the same hold. Without a word of the client it may be none, but
a noise that sounds like music: then silence is counted on, so that a noise cannot hold the call for ever.
"""

from __future__ import annotations

from vad_agent.core.frames import Channel


class Holds:
    """The holds of one call."""

    __slots__ = ("_music", "_music_since", "_parties", "_paused")

    def __init__(self) -> None:
        self._parties: set[Channel] = set()
        self._music = False
        self._music_since: int | None = None  # it plays, or has paused
        self._paused = False

    def __bool__(self) -> bool:
        """Anybody holds."""
        return self._music or bool(self._parties)

    @property
    def by_client(self) -> bool:
        """The client holds, signalled or heard."""
        return self._music or Channel.CLIENT in self._parties

    @property
    def by_operator(self) -> bool:
        """The operator holds."""
        return Channel.OPERATOR in self._parties

    @property
    def by_music_alone(self) -> bool:
        """Only hold music tells of it."""
        return self._music and not self._parties

    def begin(self, party: Channel) -> bool:
        """It is signalled. True: the party did not hold before."""
        held = self.by_client if party is Channel.CLIENT else self.by_operator
        self._parties.add(party)
        return not held

    def hear_music(self, since: int) -> int:
        """Hold music is heard since that frame. The frame at which its hold began."""
        self._music = True
        if self._music_since is None:
            self._music_since = since
        return self._music_since

    def end_music(self) -> bool:
        """It is heard no more. False: so it was before, and the client has not been heard since."""
        first = not self._paused
        self._music, self._paused = False, True
        return first

    def talk(self) -> None:
        """Somebody was heard while nobody held: music from now on is counted from its own beginning."""
        self._music_since = None

    def client_back(self) -> None:
        """The client was heard, or has ended the hold: music from now on is another hold."""
        self._music_since, self._paused = None, False

    def end(self, party: Channel | None) -> bool:
        """The party's hold is over; None: it is not told whose, so all are. False: there was none."""
        ended = bool(self) if party is None else party in self._parties
        if party is not Channel.OPERATOR:
            ended = ended or self._music
            self._music = False
        self._parties -= {party} if party else set(Channel)
        return ended
