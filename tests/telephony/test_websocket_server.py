"""The WebSocket listener with real sockets: each dialect, and bad peers, which fail alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from benchmarks.telephony.wire_samples import CHAN_WEBSOCKET, L16, TWILIO, WEBSOCKET, payload, text
from tests.telephony.test_audiosocket_server import Heard
from tests.telephony.test_call_router import GREETING, Pbx
from vad_agent.audio.pcm import to_ulaw
from vad_agent.core.frames import Channel
from vad_agent.telephony import media_connection as module
from vad_agent.telephony.router_clock import RouterClock
from vad_agent.telephony.websocket_server import WebSocketMediaConnection, WebSocketServer

LIMIT_S = 10.0


@asynccontextmanager
async def serving(pbx: Pbx, token: str = "") -> AsyncIterator[tuple[WebSocketServer, str]]:
    server, clock = WebSocketServer(pbx.router, token=token), RouterClock(pbx.router)
    host, port = await server.start("127.0.0.1", 0)
    clock.start()
    try:
        yield server, f"ws://{host}:{port}"
    finally:
        pbx.router.close()
        clock.close()
        await server.close()


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def closed(peer: ClientConnection) -> list[str | bytes]:
    """What came until we closed."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(await asyncio.wait_for(peer.recv(), LIMIT_S))
    return found


@pytest.mark.parametrize("name", sorted(WEBSOCKET))
def test_each_dialect_is_told_by_its_first_message_on_one_port(tmp_path: Path, name: str) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        target, messages = WEBSOCKET[name]
        async with serving(pbx) as (server, url), connect(url + target) as peer:
            for message in messages:
                await peer.send(message)
            await until(lambda: any(router.sides.values()))
            await peer.close()
            await until(lambda: not server.connections)
            assert router.streams == 0
            assert not server.failed

    asyncio.run(run())


def test_both_legs_of_asterisk_are_one_call(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        async with (
            serving(pbx) as (server, url),
            connect(f"{url}/?call=X&leg=out", subprotocols=["media"]) as one,  # type: ignore[list-item]
            connect(f"{url}/?call=X&leg=in") as two,
            connect(f"{url}/?call=X&leg=in") as third,
        ):
            assert one.subprotocol == "media"
            for peer in (one, two):
                await peer.send(CHAN_WEBSOCKET[0])
                await peer.send(L16[:320])
            await until(lambda: all(router.sides.values()))
            assert router.streams == 1
            await third.send(CHAN_WEBSOCKET[0])
            assert await closed(third) == []
            assert router.counters.refused == 1
            assert not server.failed

    asyncio.run(run())


def test_a_phrase_goes_to_the_queue_of_a_two_way_stream_with_its_marks(tmp_path: Path) -> None:
    start = json.loads(str(TWILIO[1]))
    start["start"]["customParameters"]["prompts"] = "yes"

    async def run() -> None:
        pbx = Pbx(tmp_path, control=None)
        async with serving(pbx) as (_, url), connect(url) as peer:
            await peer.send(TWILIO[0])
            await peer.send(json.dumps(start))
            stamp = 0

            async def say(pcm: bytes) -> None:
                """20 ms of the operator; the client is silent."""
                nonlocal stamp
                for track, sound in (("inbound", bytes(160)), ("outbound", pcm)):
                    media = {"track": track, "timestamp": stamp, "payload": payload(sound)}
                    await peer.send(text(event="media", media=media))
                stamp += 20

            greeting = to_ulaw(GREETING.tobytes(), 2)
            for at in range(0, len(greeting) // 160 * 160, 160):
                await say(greeting[at : at + 160])
                await asyncio.sleep(0.02)
            found: list[dict[str, Any]] = []
            while len(found) < 3:
                await say(b"\xff" * 160)
                with contextlib.suppress(TimeoutError):
                    found.append(json.loads(await asyncio.wait_for(peer.recv(), 0.02)))
            kinds = [one["event"] for one in found]
            assert kinds == ["mark", "media", "mark"]
            for mark in (found[0], found[2]):
                await peer.send(text(event="mark", mark=mark["mark"]))
            (line,) = pbx.lines
            assert line.output is not None
            await until(lambda: line.output is not None and line.output._sent_at is None)

    asyncio.run(run())


# -- bad peers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"\xff" * 5_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500,
        b"GET /" + b"a" * 20_000,
    ],
)
def test_what_is_no_websocket_is_closed(tmp_path: Path, bad: bytes) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, url):
            host, port = url.removeprefix("ws://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(bad)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), LIMIT_S)
            writer.close()
            await until(lambda: server.failed == 1 and not server.connections)

    asyncio.run(run())


@pytest.mark.parametrize(
    "bad", ["{}", "[" * 100_000, b"\0", '{"event": "media"}', "x" * 300_000, TWILIO[2]]
)
def test_garbage_closes_its_own_connection(
    tmp_path: Path, bad: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        async with serving(pbx) as (server, url), connect(url) as good, connect(url) as peer:
            for message in TWILIO[:2]:
                await good.send(message)
            await peer.send(bad)
            await closed(peer)
            assert server.failed == 1
            await good.send(TWILIO[2])
            await until(lambda: bool(router.sides[Channel.CLIENT]))

    asyncio.run(run())
    assert [one.message for one in caplog.records] == ["a connection is closed"]


def test_who_says_nothing_or_half_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELLO_S", 0.3)

    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, url):
            host, port = url.removeprefix("ws://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HT")
            async with connect(url) as silent, connect(url) as half:
                await half.send(TWILIO[0])
                assert await closed(silent) == []
                assert await closed(half) == []
            assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
            writer.close()
            assert server.failed == 3

    asyncio.run(run())


def test_a_peer_that_does_not_read_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WebSocketMediaConnection, "most_unsent", 2_000)

    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with (
            serving(pbx) as (server, url),
            connect(f"{url}/?call=X&leg=in", close_timeout=0.2) as peer,
        ):
            await peer.send(CHAN_WEBSOCKET[0])
            await until(lambda: pbx.router.streams == 1)
            peer.transport.pause_reading()
            (connection,) = server.connections
            assert isinstance(connection, WebSocketMediaConnection)
            while pbx.router.streams:  # until the kernel's buffers are full
                connection.send_messages([bytes(60_000)] * 50)
                await asyncio.sleep(0)
            assert server.failed == 1

    asyncio.run(run())


def test_a_host_that_is_gone_is_found_by_tcp_whether_we_send_or_not(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, url), connect(f"{url}/?call=X") as peer:
            await peer.send(L16)
            await until(lambda: pbx.router.streams == 1)
            (connection,) = server.connections
            assert connection._transport is not None
            found = connection._transport.get_extra_info("socket")
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if sys.platform == "linux":
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5

    asyncio.run(run())


def test_a_thousand_bad_peers_do_not_stop_a_call(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        async with serving(pbx) as (server, url), connect(url) as good:
            for message in TWILIO[:2]:
                await good.send(message)
            host, port = url.removeprefix("ws://").split(":")
            writers = []
            for number in range(1_000):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write([b"", b"G", b"\0" * 50, b"GET / HTTP/1.1\r\n\r\n"][number % 4])
                writers.append(writer)
            for _ in range(20):
                await good.send(TWILIO[2])
                await good.send(TWILIO[3])
            await until(lambda: bool(router.sides[Channel.OPERATOR]))
            assert router.streams == 1
            for writer in writers:
                writer.close()
            await until(lambda: len(server.connections) == 1)

    asyncio.run(run())


def test_who_does_not_know_the_token_stays_outside(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx, "s3cret") as (server, url):
            for target in ("/", "/s3cre", "/s3cret/", "/?s3cret"):
                with pytest.raises(InvalidStatus, match="403"):
                    await connect(url + target).__aenter__()
            assert server.failed == 4
            async with connect(f"{url}/media/s3cret?call=X&leg=in") as peer:
                await peer.send(CHAN_WEBSOCKET[0])
                await until(lambda: pbx.router.streams == 1)

    asyncio.run(run())


def test_a_message_in_fragments_is_one_message_and_a_ping_is_answered(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (_, url), connect(url) as peer:
            first = str(TWILIO[1])
            await peer.send(TWILIO[0])
            await peer.send([first[:10], first[10:200], first[200:]])
            await until(lambda: pbx.router.streams == 1)
            await asyncio.wait_for(await peer.ping(), LIMIT_S)

    asyncio.run(run())
