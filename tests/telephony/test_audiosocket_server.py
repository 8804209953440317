"""The listener with real sockets and bad peers: none disturbs another call."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.telephony.test_call_router import Pbx
from vad_agent.telephony import audiosocket_server as module
from vad_agent.telephony.audiosocket import HANGUP_MESSAGE, audio_message, identity_message
from vad_agent.telephony.audiosocket_server import AudioSocketServer

STEREO = audio_message(bytes(640))
LIMIT_S = 10.0


class Peer:
    """A PBX's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def frames(self, count: int) -> list[bytes]:
        """The payloads that come next."""
        found = []
        for _ in range(count):
            head = await asyncio.wait_for(self.reader.readexactly(3), LIMIT_S)
            kind, length = struct.unpack(">BH", head)
            found.append(await self.reader.readexactly(length))
            assert kind == 0x10
        return found

    async def closed(self) -> bytes:
        """Until we close; what came before."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), LIMIT_S)
        return b""


@asynccontextmanager
async def serving(
    pbx: Pbx,
) -> AsyncIterator[tuple[AudioSocketServer, Callable[..., Awaitable[Peer]]]]:
    server = AudioSocketServer(pbx.router)
    host, port = await server.start("127.0.0.1", 0)
    peers: list[Peer] = []

    async def connect(data: bytes = b"") -> Peer:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(data)
        peers.append(Peer(reader, writer))
        return peers[-1]

    try:
        yield server, connect
    finally:
        pbx.router.close()
        await server.close()
        for peer in peers:
            peer.writer.close()
        for peer in peers:
            with contextlib.suppress(ConnectionError):
                await peer.writer.wait_closed()


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_silence_is_sent_from_the_first_moment_in_frames_of_20_ms(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (_, connect):
            peer = await connect(identity_message(uuid4()))
            assert await peer.frames(10) == [bytes(320)] * 10

    asyncio.run(run())


@pytest.mark.parametrize("end", [HANGUP_MESSAGE, b"", b"\x77garbage", audio_message(bytes(2))])
def test_however_a_peer_ends_its_call_is_over_and_the_next_is_taken(
    tmp_path: Path, end: bytes
) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, connect):
            peer = await connect(identity_message(uuid4()) + STEREO)
            await until(lambda: pbx.router.streams == 1)
            peer.writer.write(end)
            peer.writer.write_eof()
            await peer.closed()
            await until(lambda: pbx.router.streams == 0)
            assert not server.connections
            other = await connect(identity_message(uuid4()))
            assert len(await other.frames(2)) == 2

    asyncio.run(run())


def test_a_peer_that_says_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELLO_S", 0.1)

    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, connect):
            silent, half = await connect(), await connect(b"\x01\x00")
            assert await silent.closed() == b""
            assert await half.closed() == b""
            assert server.failed == 2

    asyncio.run(run())


def test_a_peer_that_does_not_read_is_closed_and_costs_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_UNSENT", 2_000)

    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, connect):
            peer = await connect(identity_message(uuid4()))
            await until(lambda: pbx.router.streams == 1)
            (connection,) = server.connections
            transport = connection._transport
            assert transport is not None
            transport.pause_reading()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            sent = bytes(60_000)
            while pbx.router.streams:  # until the kernel's buffers are full
                for _ in range(50):
                    connection.send(sent)
                await asyncio.sleep(0)
            assert server.failed == 1

    asyncio.run(run())


def test_a_refused_call_is_hung_up_and_counted(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path, most=1)
        async with serving(pbx) as (_, connect):
            first = await connect(identity_message(uuid4()))
            await first.frames(1)
            second = await connect(identity_message(uuid4()) + STEREO * 3)
            assert await second.closed() == HANGUP_MESSAGE
            assert pbx.router.counters.refused == 1
            assert len(await first.frames(5)) == 5

    asyncio.run(run())


def test_a_thousand_bad_peers_do_not_stop_a_call(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, connect):
            good = await connect(identity_message(uuid4()))
            await good.frames(1)
            peers = [
                await connect([b"", b"\x01", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5_000][n % 4])
                for n in range(1_000)
            ]
            assert len(await good.frames(20)) == 20
            assert pbx.router.streams == 1
            for peer in peers:
                peer.writer.close()
            await until(lambda: len(server.connections) == 1)

    asyncio.run(run())


def test_mono_and_other_rates_are_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(message: bytes) -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, connect):
            peer = await connect(identity_message(UUID(int=1)) + message)
            await peer.closed()
            assert server.failed == 1

    asyncio.run(run(audio_message(bytes(640), 16_000)))
    assert "expected 8000 Hz, got 16000" in str([vars(one) for one in caplog.records])
