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

import numpy as np
import numpy.typing as npt
import pytest

from tests.telephony.test_call_router import Pbx
from vad_agent.audio.stream_resampler import StreamResampler
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.telephony import media_connection as module
from vad_agent.telephony.audiosocket import HANGUP_MESSAGE, RATES, audio_message, identity_message
from vad_agent.telephony.audiosocket_server import AudioSocketConnection, AudioSocketServer
from vad_agent.telephony.call_router import CallRouter

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
    monkeypatch.setattr(AudioSocketConnection, "most_unsent", 2_000)

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


@pytest.mark.parametrize(
    ("call", "message", "said"),
    [
        (UUID(int=1), audio_message(bytes(642)), "640 bytes in stereo or 320 of one side at 8000"),
        (UUID(int=2), audio_message(bytes(320)), "a UUID that ends in 0 (client) or 1 (operator)"),
        (UUID(int=1), STEREO + audio_message(bytes(320), 16_000), "expected 1280 bytes in stereo"),
        (UUID(int=1), STEREO + audio_message(bytes(640), 16_000), "cannot become one of one side"),
        (UUID(int=1), STEREO + audio_message(bytes(642)), "expected stereo, got 642 bytes"),
    ],
)
def test_frames_that_fit_nothing_are_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, call: UUID, message: bytes, said: str
) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        async with serving(pbx) as (server, connect):
            peer = await connect(identity_message(call) + message)
            await peer.closed()
            assert server.failed == 1

    asyncio.run(run())
    assert said in str([vars(one) for one in caplog.records])


class Heard(CallRouter):
    """A router that keeps what comes."""

    def __init__(self, pbx: Pbx) -> None:
        super().__init__(pbx._line, pbx.hung_up.append, controlled=lambda: True, most_calls=10)
        self.sides: dict[Channel, bytes] = dict.fromkeys(Channel, b"")

    def audio(
        self, id: str, now: float, client: bytes | None, operator: bytes | None = None
    ) -> None:
        self.sides[Channel.CLIENT] += client or b""
        self.sides[Channel.OPERATOR] += operator or b""


def tone(rate: int, hz: float, seconds: float = 1.0) -> npt.NDArray[np.int16]:
    wave = np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)
    return (8_000 * wave).astype("<i2")


def pitch(pcm: bytes) -> float:
    """The strongest frequency at 8 kHz, Hz, once the resampler has begun."""
    spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2")[800:]))
    return float(np.argmax(spectrum) * 8_000 / (len(pcm) / 2 - 800))


@pytest.mark.parametrize("rate", sorted(RATES.values()))
def test_each_rate_is_heard_at_8_khz_both_sides_apart(tmp_path: Path, rate: int) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        async with serving(pbx) as (server, connect):
            stereo = np.column_stack((tone(rate, 440), tone(rate, 700))).tobytes()
            size = round(rate * FRAME_S) * 4
            frames = (stereo[at : at + size] for at in range(0, len(stereo), size))
            data = b"".join(audio_message(frame, rate) for frame in frames)
            await connect(identity_message(uuid4()) + data)
            await until(lambda: len(router.sides[Channel.CLIENT]) > 15_000)
            assert not server.failed
        for side, hz in ((Channel.CLIENT, 440), (Channel.OPERATOR, 700)):
            assert pitch(router.sides[side]) == pytest.approx(hz, abs=3)
            level = np.abs(np.frombuffer(router.sides[side], "<i2")[800:-800]).max()
            assert level == pytest.approx(8_000, rel=0.05)

    asyncio.run(run())


def test_digital_zero_at_another_rate_stays_digital_zero(tmp_path: Path) -> None:
    """What a dead line sends must not become noise."""
    assert not any(StreamResampler(16_000, 8_000).push(bytes(32_000)))


def test_two_mono_legs_are_one_call_and_both_get_silence(tmp_path: Path) -> None:
    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        async with serving(pbx) as (server, connect):
            call = str(uuid4())[:-1]
            for digit, hz in (("1", 700), ("0", 440)):
                pcm = tone(8_000, hz).tobytes()
                frames = (pcm[at : at + 320] for at in range(0, len(pcm), 320))
                data = b"".join(map(audio_message, frames))
                peer = await connect(identity_message(UUID(call + digit)) + b"\x03\x00\x017" + data)
                assert len(await peer.frames(5)) == 5
            await until(lambda: min(map(len, router.sides.values())) >= 16_000)
            assert router.streams == 1
            assert not server.failed
        assert pitch(router.sides[Channel.CLIENT]) == pytest.approx(440, abs=3)
        assert pitch(router.sides[Channel.OPERATOR]) == pytest.approx(700, abs=3)

    asyncio.run(run())
