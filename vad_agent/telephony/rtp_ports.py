"""The UDP ports of RTP: an even one for each stream, the next one for its RTCP (RFC 3550, 11)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

RTP_PORTS = range(20_000, 30_000)
LATCHED_S = 1.0
"""Seconds without a packet after which another source may send the stream."""
_DATAGRAM = 2_048
_BURST = 50
"""Datagrams of one socket in one turn of the event loop."""

Take = Callable[[bytes, float, bool], None]
"""Takes a datagram, the time at which it came (s), and whether it came on the port of RTCP."""


class RtpPort:
    """The sockets of one stream. Nobody but its first source can bring sound into it."""

    def __init__(
        self, number: int, sockets: tuple[socket.socket, socket.socket], owner: RtpPorts, take: Take
    ) -> None:
        self.number = number
        self._owner = owner
        self._take = take
        self._source: tuple[str, int] | None = None
        self._heard_at = 0.0
        self._sockets = sockets
        loop = asyncio.get_running_loop()
        for one, control in zip(sockets, (False, True), strict=True):
            loop.add_reader(one, self._readable, one, control)

    def unlatch(self) -> None:
        """The next datagram's source is the stream's."""
        self._source = None

    def close(self) -> None:
        """Receive no more."""
        loop = asyncio.get_running_loop()
        for one in self._sockets:
            loop.remove_reader(one)
            one.close()

    def _readable(self, bound: socket.socket, control: bool) -> None:
        now = self._owner.clock()
        for _ in range(_BURST):
            try:
                data, source = bound.recvfrom(_DATAGRAM)
            except OSError:  # none is left
                return
            if not self._is_known(source[:2], now, control=control):
                self._owner.strangers += 1
                continue
            self._take(data, now, control)
            if bound.fileno() < 0:  # it has ended the session
                return

    def _is_known(self, source: tuple[str, int], now: float, *, control: bool) -> bool:
        if control:
            return self._source is None or self._source[0] == source[0]
        if self._source is None or now - self._heard_at > LATCHED_S:
            self._source = source
        if self._source != source:
            return False
        self._heard_at = now
        return True


class RtpPorts:
    """All ports. `ports`: those that may be used; `clock`: s."""

    def __init__(self, ports: range, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.strangers = 0
        """Datagrams from an address that is not their stream's."""
        self._numbers = range(ports.start + ports.start % 2, ports.stop - 1, 2)
        self._next = 0

    def __str__(self) -> str:
        return f"{self._numbers[0]}-{self._numbers[-1] + 1}"

    def open(self, host: str, take: Take) -> RtpPort:
        """Receive a stream at a free port of this address.

        Raises:
            OSError: none is free.
        """
        for _ in self._numbers:
            number = self._numbers[self._next % len(self._numbers)]
            self._next += 1
            first = _bind(host, number)
            if first is None:
                continue
            second = _bind(host, number + 1)
            if second is not None:
                return RtpPort(number, (first, second), self, take)
            first.close()
        raise OSError("no RTP port is free")


def _bind(host: str, number: int) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        bound.bind((host, number))
    except OSError:
        bound.close()
        return None
    return bound
