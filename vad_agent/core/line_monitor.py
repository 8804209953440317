"""Tracks what each channel carries, and reports conditions under which silence means nothing.

    client    ████▁▁▁▁--------------------      no frames come
    no_media          |<- 1 s ->|               the silence clock is suspended …
    gone                        |<- 10 s ->|    … until the client's leg counts as gone

A local device or recording that ends is not silence on the line: its channel is then not monitored.
"""

from __future__ import annotations

from collections.abc import Sequence

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import ENDLESS, FRAMES_PER_SECOND, Channel
from vad_agent.core.silence_clock import SilenceClock, Suspension


class LineMonitor:
    """Monitors both lines of one call. Appends to the call's actions and suspends its clock.

    `drop_after`: frames without client media after which the client's leg counts as gone.
    """

    def __init__(
        self,
        endpointers: Sequence[tuple[Channel, EndpointerPort]],
        *,
        clock: SilenceClock,
        actions: list[act.Action],
        drop_after: int,
    ) -> None:
        self._endpointers = endpointers
        self._client = dict(endpointers)[Channel.CLIENT]
        self._clock = clock
        self._actions = actions
        self._drop_after = drop_after
        self._seen: dict[Channel, tuple[LineState | None, int]] = {}
        self._had_media: set[Channel] = set()
        self._failed: set[Channel] = set()
        self._unwatched: set[Channel] = set()
        self._media_base = 0  # frame since which the client's media is awaited

    def read(self, now: int) -> None:
        """Report what has changed since the last call."""
        for channel, endpointer in self._endpointers:
            if endpointer.failed and channel not in self._failed:
                self._failed.add(channel)
                self._actions.append(act.Alert(now, f"{channel.value}_detector_failed"))
            seen = endpointer.line, endpointer.since
            if endpointer.line is not None and seen != self._seen.get(channel):
                self._seen[channel] = seen
                self._actions.append(
                    act.LineChanged(now, channel, endpointer.line, endpointer.since)
                )
                self._watch_media(channel, endpointer, now)

    def _watch_media(self, channel: Channel, endpointer: EndpointerPort, now: int) -> None:
        cause = _NO_MEDIA[channel]
        if endpointer.line is not LineState.NO_MEDIA:
            self._had_media.add(channel)
            self._clock.resume(cause, now)
        elif channel is Channel.CLIENT or channel in self._had_media:
            # An operator leg without media is not captured: its silence means nothing.
            self._clock.suspend(cause)

    def await_media(self, now: int) -> None:
        """Restart the wait for the client's media: the call was answered, or a hold ended."""
        self._media_base = now

    def unwatch(self, channel: Channel) -> None:
        """The local capture of this channel is gone: its silence means nothing."""
        self._unwatched.add(channel)

    def watch(self, channel: Channel, now: int) -> None:
        """The local capture of this channel is back."""
        self._unwatched.discard(channel)
        if channel is Channel.CLIENT:
            self._media_base = now

    def watches(self, channel: Channel) -> bool:
        """This channel is being captured."""
        return channel not in self._unwatched

    def lacks_client(self, now: int) -> bool:
        """The client's media arrived before, and has been missing for a second."""
        return now >= self._lacking_since + FRAMES_PER_SECOND

    @property
    def dropped_at(self) -> int:
        """The frame at which the client's leg counts as gone for lack of media; ENDLESS: media is
        present.
        """
        return min(self._lacking_since + self._drop_after, ENDLESS)

    @property
    def _lacking_since(self) -> int:
        gone = self._client.line is LineState.NO_MEDIA and bool(self._had_media)
        if not gone or not self.watches(Channel.CLIENT):
            return ENDLESS
        return max(self._client.since, self._media_base)


_NO_MEDIA = {
    Channel.OPERATOR: Suspension.NO_OPERATOR_MEDIA,
    Channel.CLIENT: Suspension.NO_CLIENT_MEDIA,
}
