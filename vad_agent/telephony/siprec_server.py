"""Listens for recording sessions (SIPREC): SIP over UDP and TCP on one port, RTP on a range of ports.

    recording client ── SIP ──> SiprecAgent ── begin, change, ended ──> RecordingCall ─> CallRouter
           └────────── RTP, RTCP ── sockets of the session ────────────────^

A message that is no SIP, and a connection that sends one, disturb no other session.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from vad_agent.core.frames import FRAME_S
from vad_agent.errors import MediaError
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.rtp_ports import RTP_PORTS, RtpPort, RtpPorts
from vad_agent.telephony.sdp import MediaLine
from vad_agent.telephony.sip_message import SipStream
from vad_agent.telephony.siprec_agent import SiprecAgent
from vad_agent.telephony.siprec_call import RecordingCall
from vad_agent.telephony.siprec_dialog import OfferRefused, Peer, Send
from vad_agent.telephony.siprec_metadata import Metadata

log = logging.getLogger(__name__)

TIMERS_S = 0.1
"""Seconds between two looks at SIP's timers."""
MOST_CONNECTIONS = 1000
IDLE_S = 30.0
"""Seconds for a TCP connection to send its first message."""
MOST_UNSENT = 65_536
"""Bytes that a peer has not read: it reads no more."""


@dataclass(slots=True)
class _Session:
    call: RecordingCall
    ports: dict[int, RtpPort] = field(default_factory=dict)
    """By media line."""


@dataclass(slots=True)
class ServerCounters:
    """Counted since the start."""

    bad_connections: int = 0
    bad_datagrams: int = 0
    dead: int = 0
    """Sessions ended because no media came."""


class SiprecServer:
    """`telephones`: the operators', with their logins: who has one of them is the operator."""

    def __init__(
        self,
        router: CallRouter,
        telephones: Mapping[str, str],
        *,
        ports: range | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._router = router
        self._telephones = telephones
        self._rtp = RtpPorts(ports or RTP_PORTS, clock)
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._connections: dict[int, _Connection] = {}
        self._numbers = 0
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._host = ""
        self._locals: dict[str, str] = {}
        self._packets: Counter[str] = Counter()  # of sessions that are over
        self.counters = ServerCounters()
        self.agent: SiprecAgent

    @property
    def protocol(self) -> str:
        """What it speaks, for the engineer."""
        return f"SIPREC by UDP and TCP; RTP at ports {self._rtp}"

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def strangers(self) -> int:
        """Datagrams from an address that is not their stream's."""
        return self._rtp.strangers

    @property
    def sessions(self) -> dict[str, int]:
        """What became of sessions and of SIP, since the start."""
        agent = self.agent.counters
        return {
            "begun": agent.sessions,
            "refused": agent.refused,
            "not_confirmed": agent.not_confirmed,
            "without_media": self.counters.dead,
            "malformed_messages": agent.malformed,
            "bad_connections": self.counters.bad_connections,
        }

    @property
    def packets(self) -> dict[str, int]:
        """What became of the packets of RTP, since the start."""
        found = sum((session.call.packets for session in self._sessions.values()), self._packets)
        return {
            "received": found["packets"],
            "lost": found["lost"],
            "late": found["late"],
            "not_audio": found["not_audio"],
            "restarts": found["restarts"],
            "malformed": self.counters.bad_datagrams,
            "strangers": self.strangers,
        }

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen. Return the address.

        Raises:
            OSError: the port cannot be taken.
        """
        loop = asyncio.get_running_loop()
        self._host = host
        self._tcp = await loop.create_server(lambda: _Connection(self), host, port)
        bound = self._tcp.sockets[0].getsockname()[:2]
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(host, bound[1])
            )
        except OSError:
            self._tcp.close()
            raise
        self.agent = SiprecAgent(self, bound[1])
        self._task = asyncio.create_task(self._run())
        return bound[0], bound[1]

    async def close(self) -> None:
        """End every session, and listen no more."""
        now = self._clock()
        for call in tuple(self._sessions):
            self._transmit(self.agent.hang_up(call, now))
            self.ended(call, "closed", now)
        if self._task is not None:
            self._task.cancel()
        for connection in tuple(self._connections.values()):
            connection.close()
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    # -- SIP ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, peer: Peer) -> None:
        """Take a message.

        Raises:
            MediaError: it is no SIP message that could be answered.
        """
        self._transmit(self.agent.receive(data, peer, self._clock()))

    def _transmit(self, sends: Sequence[Send]) -> None:
        for send in sends:
            peer = send.peer
            if peer.transport == "UDP":
                if self._udp is not None and not self._udp.is_closing():
                    self._udp.sendto(send.data, (peer.host, peer.port))
            elif (connection := self._connections.get(peer.connection)) is not None:
                connection.write(send.data)

    def local(self, peer: str) -> str:
        """Our address, as this host reaches it."""
        if self._host not in ("0.0.0.0", "::", ""):
            return self._host
        if peer not in self._locals:
            if len(self._locals) > MOST_CONNECTIONS:
                self._locals.clear()
            family = socket.AF_INET6 if ":" in peer else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                try:
                    probe.connect((peer, 9))
                    self._locals[peer] = probe.getsockname()[0]
                except OSError:
                    return self._host
        return self._locals[peer]

    def joined(self, connection: _Connection) -> int | None:
        """A TCP connection is made. Return its number; None: there are too many."""
        if len(self._connections) >= MOST_CONNECTIONS:
            return None
        self._numbers += 1
        self._connections[self._numbers] = connection
        return self._numbers

    def left(self, number: int) -> None:
        """A TCP connection has ended; its sessions go on over another one."""
        self._connections.pop(number, None)

    # -- the agent's calls -------------------------------------------------------------------------

    def begin(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> Sequence[int | None]:
        """Admit a session. Raises OfferRefused."""
        tap = f"siprec {call}"
        recording = RecordingCall(tap, self._router, self._telephones, lambda: self._hang_up(call))
        if self._router.draining:
            raise OfferRefused("503 Service Unavailable", "no new calls", "Retry-After: 60")
        if not self._router.connected(tap, recording, now, two_way=False):
            raise OfferRefused("486 Busy Here", "as many calls as there may be")
        session = self._sessions[call] = _Session(recording)
        try:
            return self._offered(session, lines, metadata, now)
        except OfferRefused:
            self.ended(call, "refused", now)
            raise

    def change(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> Sequence[int | None]:
        """Streams have come or gone. Raises OfferRefused."""
        return self._offered(self._sessions[call], lines, metadata, now)

    def _offered(
        self,
        session: _Session,
        lines: Sequence[MediaLine],
        metadata: Metadata | None,
        now: float,
    ) -> list[int | None]:
        used = session.call.offered(lines, metadata, now)
        for number, wanted in enumerate(used):
            if wanted and number not in session.ports:
                take = partial(self._datagram, session.call, number)
                try:
                    session.ports[number] = self._rtp.open(self._host, take)
                except OSError as error:
                    raise OfferRefused("503 Service Unavailable", str(error)) from error
            elif not wanted and number in session.ports:
                session.ports.pop(number).close()
        for port in session.ports.values():
            port.unlatch()  # the client may send from elsewhere now
        return [session.ports[n].number if wanted else None for n, wanted in enumerate(used)]

    def established(self, call: str, now: float) -> None:
        """The session is confirmed."""
        self._sessions[call].call.established(now)

    def ended(self, call: str, cause: str, now: float) -> None:
        """The session is over."""
        session = self._sessions.pop(call, None)
        if session is None:
            return
        for port in session.ports.values():
            port.close()
        session.call.ended(cause, now)
        self._packets += session.call.packets

    def _hang_up(self, call: str) -> None:
        now = self._clock()
        self._transmit(self.agent.hang_up(call, now))
        self.ended(call, "closed", now)

    # -- RTP ---------------------------------------------------------------------------------------

    def _datagram(
        self, call: RecordingCall, line: int, data: bytes, now: float, control: bool
    ) -> None:
        try:
            call.datagram(line, data, now, control=control)
        except MediaError:
            self.counters.bad_datagrams += 1

    # -- the clock ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        timers_at = self._clock()
        while True:
            await asyncio.sleep(FRAME_S)
            now = self._clock()
            for call, session in tuple(self._sessions.items()):
                self._tick(call, session, now)
            if now - timers_at >= TIMERS_S:
                timers_at = now
                self._transmit(self.agent.due(now))

    def _tick(self, call: str, session: _Session, now: float) -> None:
        try:
            if session.call.tick(now):
                return
        except Exception as error:  # the clock is every call's
            log.error("a call's turn failed", extra={"why": type(error).__name__})
            return
        self.counters.dead += 1
        log.warning("a recording session is ended", extra={"why": "no media"})
        self._transmit(self.agent.hang_up(call, now))
        self.ended(call, "no media", now)


class _Datagrams(asyncio.DatagramProtocol):
    """SIP over UDP."""

    def __init__(self, server: SiprecServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        """One message, or an empty line that keeps a NAT open."""
        if not data.strip(b"\r\n\0 "):
            return
        host, port = source[:2]
        try:
            self._server.receive(data, Peer("UDP", host, port, self._server.local(host)))
        except MediaError as error:
            log.debug("a datagram is no SIP", extra={"why": str(error)})

    def error_received(self, error: Exception) -> None:
        """A peer is not there: its messages are repeated, and then given up."""


class _Connection(asyncio.Protocol):
    """SIP over one TCP connection."""

    def __init__(self, server: SiprecServer) -> None:
        self._server = server
        self._stream = SipStream()
        self._transport: asyncio.Transport | None = None
        self._peer: Peer | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        number = self._server.joined(self)
        if number is None:
            transport.abort()
            return
        self._peer = Peer("TCP", host, port, self._server.local(host), number)
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._fail, "says nothing")

    def data_received(self, data: bytes) -> None:
        """Bytes have come; every whole message is taken at once."""
        if self._peer is None:
            return
        try:
            for message in self._stream.receive(data):
                if self._idle is not None:
                    self._idle.cancel()
                self._server.receive(message, self._peer)
        except MediaError as error:
            self._fail(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        if self._idle is not None:
            self._idle.cancel()
        if self._peer is not None:
            self._server.left(self._peer.connection)
        self._transport = None

    def write(self, data: bytes) -> None:
        """Send a message."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_UNSENT:
            self._server.counters.bad_connections += 1
            transport.abort()
            return
        transport.write(data)

    def close(self) -> None:
        """End the connection, when what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def _fail(self, why: str) -> None:
        self._server.counters.bad_connections += 1
        log.warning("a SIP connection is closed", extra={"why": why})
        self.close()
