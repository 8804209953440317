"""The recording server with a real SIP peer (sipp), real RTP, and bad peers that disturb no call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.headset.conftest import require
from tests.telephony.sipp import PROGRAM, Sender, Sipp, call, expect, pause, request
from tests.telephony.siprec import (
    CLIENT,
    OFFERS,
    OPERATOR,
    RFC_METADATA,
    Offer,
    invite,
    message,
    rtp,
    sdp,
)
from tests.telephony.test_call_router import ALO, GREETING, ROOM
from tests.telephony.test_siprec_call import ROOM_TOO, CuePbx
from vad_agent.core.frames import FRAME_S
from vad_agent.telephony import siprec_server as module
from vad_agent.telephony.siprec_server import SiprecServer

LIMIT_S = 20.0
BOTH_SPEAK = (
    bytes(len(GREETING) * 2) + ALO.tobytes() + ROOM,
    GREETING.tobytes() + ROOM_TOO,
)
"""The client's and the operator's side: a greeting, and its answer."""
HELD = Offer("hold", sdp(directions=("inactive", "sendonly")), RFC_METADATA)


@pytest.fixture
def pbx(tmp_path: Path) -> Iterator[CuePbx]:
    pbx = CuePbx(tmp_path)
    yield pbx
    pbx.router.close()
    pbx.calls.close()
    pbx.messages.close()


@asynccontextmanager
async def serving(
    pbx: CuePbx, **more: range
) -> AsyncIterator[tuple[SiprecServer, tuple[str, int]]]:
    """A server; `pbx.router` has the clock that the AudioSocket's listener gives it."""
    server = SiprecServer(pbx.router, {OPERATOR: "anna"}, **more)
    address = await server.start("127.0.0.1", 0)

    async def tick() -> None:
        while True:
            await asyncio.sleep(FRAME_S)
            pbx.router.tick(time.perf_counter())

    task = asyncio.create_task(tick())
    try:
        yield server, address
    finally:
        task.cancel()
        pbx.router.close()
        await server.close()


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


# -- sipp -------------------------------------------------------------------------------------------

sipp = pytest.mark.skipif(sys.platform != "linux", reason="sipp is Debian's")
over_both = pytest.mark.parametrize("transport", ["u1", "t1"])


async def play(
    pbx: CuePbx, folder: Path, transport: str, steps: list[str], *, ptime: int = 160
) -> SiprecServer:
    """Run a scenario, with both sides' sound in it."""
    async with serving(pbx) as (server, address):
        peer = Sipp(folder, address, steps, "-t", transport)
        try:
            ports = await asyncio.to_thread(peer.ports)
            sender = Sender(ports, [sound[:48_000] for sound in BOTH_SPEAK], ptime)
            sender.start()
            await asyncio.to_thread(peer.wait)
            await asyncio.to_thread(sender.close)
            await until(lambda: not server)
        finally:
            peer.close()
        assert pbx.router.streams in (0, 1)
        return server


@sipp
@over_both
@pytest.mark.parametrize("ptime", [160, 240])
def test_a_call_of_a_recording_client_is_heard_held_and_ended(
    pbx: CuePbx, tmp_path: Path, transport: str, ptime: int
) -> None:
    require([PROGRAM])
    steps = call(
        pause(3.4),
        *(request("INVITE", 2, offer=HELD), expect(100, 200), request("ACK", 2), pause(0.2)),
        *(request("UPDATE", 3, offer=OFFERS[0]), expect(200), pause(0.2)),
        *(request("OPTIONS", 4), expect(200)),
    )
    server = asyncio.run(play(pbx, tmp_path, transport, steps, ptime=ptime))
    assert [f"{event.kind} {event.party or ''}".strip() for event in pbx.told] == [
        "answered", "client_name", "hold operator", "unhold operator", "line_gone",
    ]  # fmt: skip
    assert pbx.told[0].phone == CLIENT
    (line,) = pbx.lines
    assert line.operator == "anna"
    assert line.asks  # both sides were heard, and nobody said who hung up
    assert pbx.cues == []
    assert server.sessions["begun"] == 1
    assert not any(server.sessions[what] for what in server.sessions if what != "begun")
    packets = server.packets  # of a session that is over
    assert packets.pop("received") >= 2 * 48_000 // (2 * ptime) - 20
    assert not any(packets.values())


@sipp
@over_both
@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_sipp_takes_the_answer_to_each_vendors_offer(
    pbx: CuePbx, tmp_path: Path, transport: str, offer: Offer
) -> None:
    require([PROGRAM])

    async def run() -> None:
        async with serving(pbx) as (server, address):
            peer = Sipp(tmp_path, address, call(offer=offer), "-t", transport)
            try:
                await asyncio.to_thread(peer.wait)
                assert server.agent.counters.sessions == 1
                await until(lambda: not server)
            finally:
                peer.close()

    asyncio.run(run())


@sipp
@pytest.mark.parametrize(
    "steps",
    [
        [request("INVITE", 1, offer=Offer("video", sdp(formats="18"), RFC_METADATA)),
         expect(100, 488), request("ACK", 1)],
        [request("INVITE", 1, offer=OFFERS[0], headers=("Require: 100rel",)),
         expect(100, 420), request("ACK", 1)],
        [request("INVITE", 1), expect(100, 421), request("ACK", 1)],
        [request("OPTIONS", 1), expect(200)],
        [request("SUBSCRIBE", 1), expect(405)],
        [request("BYE", 1), expect(481)],
        # The 200 is repeated until the ACK, which comes late.
        [request("INVITE", 1, offer=OFFERS[0]), expect(100, 200), pause(1.7),
         request("ACK", 1), request("BYE", 2), expect(200)],
    ],
    ids=["488", "420", "421", "OPTIONS", "405", "481", "late ACK"],
)  # fmt: skip
def test_sipp_gets_what_the_standard_says(pbx: CuePbx, tmp_path: Path, steps: list[str]) -> None:
    require([PROGRAM])

    async def run() -> None:
        async with serving(pbx) as (server, address):
            peer = Sipp(tmp_path, address, steps, "-t", "u1")
            try:
                await asyncio.to_thread(peer.wait)
                assert not server
            finally:
                peer.close()

    asyncio.run(run())


@sipp
@over_both
def test_the_server_ends_and_says_bye(pbx: CuePbx, tmp_path: Path, transport: str) -> None:
    require([PROGRAM])
    answer = (
        "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
        "Content-Length: 0\n\n"
    )
    steps = call('<recv request="BYE"/>', f"<send><![CDATA[\n{answer}]]></send>", end=False)

    async def run() -> None:
        async with serving(pbx) as (server, address):
            peer = Sipp(tmp_path, address, steps, "-t", transport)
            try:
                await until(lambda: bool(pbx.told))
                pbx.router.close()
                await asyncio.to_thread(peer.wait)
                await until(lambda: len(server.agent) == 0)
                assert not server
            finally:
                peer.close()

    asyncio.run(run())


@sipp
def test_the_rtcp_goodbye_of_the_client_is_their_hangup(pbx: CuePbx, tmp_path: Path) -> None:
    require([PROGRAM])

    async def run() -> None:
        async with serving(pbx) as (_, address):
            peer = Sipp(tmp_path, address, call(pause(1.0)), "-t", "u1")
            try:
                ports = await asyncio.to_thread(peer.ports)
                sender = Sender(ports, [sound[:3_200] for sound in BOTH_SPEAK])
                sender.start()
                sender.join()
                sender.goodbye(0)
                await asyncio.to_thread(peer.wait)
                sender.close()
                await until(lambda: len(pbx.told) == 3)
            finally:
                peer.close()
        assert (pbx.told[-1].kind, pbx.told[-1].party) == ("hangup", "client")

    asyncio.run(run())


# -- peers of the tests' own ------------------------------------------------------------------------


class Peer:
    """A UDP socket that speaks SIP."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(address)

    async def ask(self, data: bytes) -> bytes:
        """Send a request; its final answer."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.socket, data)
        while True:
            answer = await asyncio.wait_for(loop.sock_recv(self.socket, 65_536), LIMIT_S)
            if not answer.startswith(b"SIP/2.0 1"):
                return answer

    async def begin(self, call_id: str) -> list[int]:
        """A whole session; where its RTP goes."""
        answer = await self.ask(invite(call=call_id))
        assert answer.startswith(b"SIP/2.0 200"), answer
        tag = answer.partition(b"\r\nTo: ")[2].partition(b"tag=")[2].partition(b"\r")[0].decode()
        ack = message("ACK sip:x SIP/2.0", call=call_id, tag=tag)
        await asyncio.get_running_loop().sock_sendall(self.socket, ack)
        return [int(part.split()[0]) for part in answer.decode().split("m=audio ")[1:]]


def test_a_call_too_many_is_busy_and_none_is_taken_while_draining(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = CuePbx(tmp_path)
        pbx.router._most = 2
        async with serving(pbx) as (server, address):
            peer = Peer(address)
            await peer.begin("one")
            await peer.begin("two")
            assert (await peer.ask(invite(call="three"))).startswith(b"SIP/2.0 486 Busy Here")
            pbx.router.draining = True
            assert b"503 Service Unavailable" in await peer.ask(invite(call="four"))
            assert len(server) == 2
            peer.socket.close()

    asyncio.run(run())


def test_if_no_port_is_free_a_call_is_refused_and_the_ports_of_another_come_back(
    pbx: CuePbx,
) -> None:
    async def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1] // 2 * 2 + 2
        async with serving(pbx, ports=range(first, first + 5)) as (server, address):
            peer = Peer(address)
            assert await peer.begin("one") == [first, first + 2]
            assert b"no RTP port is free" in await peer.ask(invite(call="two"))
            assert pbx.router.streams == 1
            server.agent.hang_up("one", 0.0)
            server.ended("one", "over", 0.0)
            await peer.begin("three")
            peer.socket.close()

    asyncio.run(run())


def test_only_one_source_brings_sound_into_a_stream(pbx: CuePbx) -> None:
    async def run() -> None:
        async with serving(pbx) as (server, address):
            peer = Peer(address)
            port, _ = await peer.begin("one")
            await until(lambda: bool(pbx.told))
            good = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bad = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for number in range(10):
                good.sendto(rtp(number, 160 * number, bytes(160)), ("127.0.0.1", port))
                bad.sendto(rtp(number, 160 * number, bytes(160), ssrc=9), ("127.0.0.1", port))
            good.sendto(b"no RTP", ("127.0.0.1", port))
            await until(lambda: server.counters.bad_datagrams == 1)
            assert server.strangers == 10
            for one in (good, bad, peer.socket):
                one.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 70, b"GET / HTTP/1.1\r\n\r\n", b"INVITE x\r\n" * 3_000],
    ids=["zeros", "HTTP", "endless"],
)
def test_garbage_disturbs_no_session(
    pbx: CuePbx, garbage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.3)

    async def run() -> None:
        async with serving(pbx) as (server, address):
            peer = Peer(address)
            await peer.begin("one")
            loop = asyncio.get_running_loop()
            bad = Peer(address)
            await loop.sock_sendall(bad.socket, garbage)
            await loop.sock_sendall(bad.socket, b"\r\n\r\n")
            bad.socket.close()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(garbage)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
            writer.close()
            assert server.counters.bad_connections == 1
            await peer.begin("two")
            assert len(server) == 2
            peer.socket.close()

    asyncio.run(run())


def test_connections_that_say_nothing_are_closed_and_too_many_are_refused(
    pbx: CuePbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.2)
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)

    async def run() -> None:
        async with serving(pbx) as (_, address):
            some = [await asyncio.open_connection(*address) for _ in range(4)]
            for reader, writer in some:
                with contextlib.suppress(ConnectionError):
                    assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
                writer.close()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"\r\n\r\n" + invite(transport="TCP"))
            head = await asyncio.wait_for(reader.readuntil(b"SIP/2.0 200"), LIMIT_S)
            assert b"100 Trying" in head
            writer.close()

    asyncio.run(run())


def test_a_session_without_media_is_ended(pbx: CuePbx, monkeypatch: pytest.MonkeyPatch) -> None:
    from vad_agent.telephony import siprec_call

    monkeypatch.setattr(siprec_call, "NO_MEDIA_S", 0.2)

    async def run() -> None:
        async with serving(pbx) as (server, address):
            peer = Peer(address)
            await peer.begin("one")
            loop = asyncio.get_running_loop()
            bye = await asyncio.wait_for(loop.sock_recv(peer.socket, 65_536), LIMIT_S)
            assert bye.startswith(b"BYE sip:src@192.0.2.9:5070 SIP/2.0")
            assert server.counters.dead == 1
            assert pbx.told[-1].kind == "line_gone"
            peer.socket.close()

    asyncio.run(run())


def test_a_port_that_is_taken_is_an_error_and_both_transports_have_one_port(pbx: CuePbx) -> None:
    async def run() -> None:
        async with serving(pbx) as (_, (host, port)):
            with pytest.raises(OSError, match="in use"):
                await SiprecServer(pbx.router, {}).start(host, port)

    asyncio.run(run())


def test_our_address_is_that_by_which_the_peer_reaches_us(pbx: CuePbx) -> None:
    async def run() -> None:
        server = SiprecServer(pbx.router, {})
        _, port = await server.start("0.0.0.0", 0)
        peer = Peer(("127.0.0.1", port))
        answer = (await peer.ask(invite())).decode()
        assert f"Contact: <sip:127.0.0.1:{port}>" in answer
        assert "c=IN IP4 127.0.0.1" in answer
        peer.socket.close()
        await server.close()

    asyncio.run(run())
