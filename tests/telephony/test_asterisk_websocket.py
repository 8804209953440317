"""chan_websocket of a real Asterisk: its echo of what we send, and a whole tapped call, judged by what the
client's telephone plays.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import kind, settle
from tests.headset.softphone import free_port
from tests.headset.source_recording import until
from tests.headset.speech import script_audio
from tests.headset.test_end_to_end import check_phrases, say
from tests.telephony import asterisk
from tests.telephony.asterisk import Asterisk
from tests.telephony.centre import Centre, check_silence_after_the_greeting
from tests.telephony.test_call_router import Pbx
from vad_agent.audio.device_recovery import Opened
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PHRASE_HZ, PlaybackReport
from vad_agent.telephony.call_router import CallRouter
from vad_agent.telephony.prompt_stream import MediaStream, PromptStream
from vad_agent.telephony.websocket_server import WebSocketServer

LIMIT_S = 15.0
LOUD = 1_000


class EchoRouter(CallRouter):
    """Speaks into the stream, and keeps what comes back, in order."""

    def __init__(self, pbx: Pbx) -> None:
        super().__init__(pbx._line, pbx.hung_up.append, controlled=lambda: True, most_calls=10)
        self.prompts = PromptStream(8_000)
        self.echoed: list[bool | PlaybackReport] = []
        """A frame: whether it is loud; or what has begun or ended."""
        self.named: list[tuple[str, Channel | None]] = []

    def connected(
        self,
        id: str,
        stream: MediaStream,
        now: float,
        *,
        side: Channel | None = None,
        two_way: bool = True,
        operator: str | None = None,
        phone: str | None = None,
    ) -> bool:
        self.named.append((id, side))
        self.prompts.attach(stream)
        self.prompts.take(Opened(8_000, 1, 0.06, 0))
        return super().connected(id, stream, now, side=side, two_way=two_way)

    def audio(
        self, id: str, now: float, client: bytes | None, operator: bytes | None = None
    ) -> None:
        assert client is not None
        self.echoed.append(bool(np.abs(np.frombuffer(client, "<i2")).max() > LOUD))

    def marked(self, id: str, number: int, mark: Mark, at: float) -> None:
        self.prompts.marked(number, mark, at)
        self.echoed += self.prompts.reports()

    async def until(self, mark: Mark | None, loud: int = 0) -> None:
        """Send what is due until this mark has come, or so many loud frames."""
        end = time.monotonic() + LIMIT_S
        while True:
            marks = [one.mark for one in self.echoed if isinstance(one, PlaybackReport)]
            if (mark in marks) if mark is not None else self.echoed.count(True) >= loud:
                return
            assert time.monotonic() < end, self.echoed
            self.prompts.turn(time.perf_counter())
            await asyncio.sleep(FRAME_S / 2)


def test_asterisks_queue_tells_the_true_begin_and_end_and_is_flushed_at_once(
    tmp_path: Path,
) -> None:
    if reason := asterisk.missing():
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail(reason)
        pytest.skip(reason)
    tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(PHRASE_HZ) / PHRASE_HZ)).astype("<i2")

    async def run() -> None:
        pbx = Pbx(tmp_path)
        router = EchoRouter(pbx)
        server = WebSocketServer(router)
        port = free_port(socket.SOCK_STREAM)
        await server.start("127.0.0.1", port)
        real = await asyncio.to_thread(Asterisk, {}, 1, websocket_port=port)
        try:
            told = await asyncio.to_thread(
                real.ari,
                "POST",
                "/channels",
                endpoint="WebSocket/vad/c(slin)f(json)v(call=X,leg=in)",
                context="echo",
                extension="s",
                priority="1",
            )
            assert told.is_success, told.text
            end = time.monotonic() + LIMIT_S
            while not router.named:
                assert time.monotonic() < end, real.log
                await asyncio.sleep(0.02)
            assert router.named == [("X", Channel.CLIENT)]
            await asyncio.sleep(0.3)  # it has begun to echo
            router.prompts.play(tone.tobytes())
            await router.until(Mark.ENDED)
            begun, ended = [
                at for at, one in enumerate(router.echoed) if isinstance(one, PlaybackReport)
            ]
            loud = [at for at, one in enumerate(router.echoed) if one is True]
            assert 48 <= len(loud) <= 51
            assert abs(loud[0] - begun) <= 2  # frames
            assert -1 <= ended - loud[-1] <= 2
            router.echoed.clear()
            router.prompts.play(tone.tobytes())
            await router.until(None, loud=10)
            router.prompts.stop()
            router.prompts.turn(time.perf_counter())
            await asyncio.sleep(1.2)
            assert router.echoed.count(True) < 30  # of 50: the rest was flushed
            router.prompts.play(tone.tobytes())
            router.echoed.clear()
            await router.until(Mark.ENDED)
            assert 48 <= router.echoed.count(True) <= 51  # the queue is usable again
            assert not server.failed
        finally:
            await asyncio.to_thread(real.close)
            await server.close()
            router.close()

    asyncio.run(run())


def test_silence_after_the_greeting_on_a_call_tapped_by_chan_websocket(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with Centre(centre_server, wav, tmp_path, websocket=True) as centre:
        prompts = check_silence_after_the_greeting(centre, centre_server)
        settle(0.5)
        check_phrases(centre.phones, centre.pbx, prompts)


@pytest.mark.parametrize("ami", [False, True], ids=["ari", "ami"])
def test_a_call_is_tapped_again_by_chan_websocket_after_the_product_was_killed(
    centre_server: AudioServer, tmp_path: Path, ami: bool
) -> None:
    parts = [("silence", 2.5), ("speech", "caller_alo"), ("silence", 60.0)]
    wav = script_audio(parts, tmp_path / "client.wav")

    def taps() -> str:
        return centre.asterisk.command("core show channels concise")

    with Centre(centre_server, wav, tmp_path, websocket=True, ami=ami) as centre:
        centre.dial()
        say(centre_server)
        centre.pbx.wait(kind("phase", phase="dialogue"), 15)
        assert "WebSocket/vad" in taps()
        centre.pbx.process.kill()
        centre.pbx.process.wait(5)
        settle(1.0)
        assert "WebSocket/vad" not in taps()
        before = len(centre.pbx.trace())
        centre.start_pbx()
        until(lambda: "WebSocket/vad" in taps(), 20, "the new tap")
        centre.phones.client.wait("CALL_CLOSED", limit_s=40)  # the script ends it
        lines = centre.pbx.trace()[before:]
        assert [line["id"] for line in lines if line["kind"] == "prompt"] == [
            "not_heard_in_dialogue",
            "farewell_in_dialogue",
        ]
