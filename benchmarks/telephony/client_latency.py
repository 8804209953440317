"""From a phrase's deadline to its first sample in the client's telephone, through a real Asterisk.

play() ─> PromptStream ─ AudioSocket ─> Asterisk (whisper) ─ RTP ─> baresip ─> sink ─> monitor
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from benchmarks.headset.prompt_latency import SinkCapture, burst
from benchmarks.measure import Figure, Table, percentile
from tests.headset.audio_server import AudioServer
from tests.headset.softphone import EAR, PhoneCall, free_port
from tests.headset.speech import script_audio
from tests.telephony.asterisk import Asterisk
from vad_agent.audio.device_recovery import DeviceState
from vad_agent.telephony.audiosocket_server import AudioSocketServer
from vad_agent.telephony.media_capture import SAMPLE_RATE
from vad_agent.telephony.prompt_stream import MediaStream, PromptStream

P50_MS, P99_MS = 80, 150
_ALL = 3  # ETH_P_ALL
_ETHERNET, _UDP, _RTP, _PAYLOAD = 14, 8, 12, 160
_QUIET = 0xD5
"""A-law's zero; without its sign a byte grows with the loudness."""
_LOUD = 0x40


class PacketCapture:
    """The RTP packets (A-law) that come to some UDP ports of this machine. Needs the right to read the
    loopback device's packets (root).
    """

    def __init__(self) -> None:
        self.loud: list[tuple[float, int]] = []
        """When a loud packet came (perf_counter, s), and to which port."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.bind(("lo", 0))
        self._thread = threading.Thread(target=self._read, name="packets", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(4096):
                at = time.perf_counter()
                udp = _ETHERNET + (data[_ETHERNET] & 15) * 4
                packet = data[udp + _UDP :]
                if data[_ETHERNET + 9] != socket.IPPROTO_UDP or len(packet) != _RTP + _PAYLOAD:
                    continue
                if max((byte ^ _QUIET) & 0x7F for byte in packet[_RTP:]) > _LOUD:
                    self.loud.append((at, int.from_bytes(data[udp + 2 : udp + 4], "big")))

    def first(self, after: float, ports: set[int]) -> float:
        """When the first loud packet after a time came to one of the ports; inf: there was none."""
        return next((at for at, port in self.loud if at >= after and port in ports), math.inf)

    def close(self) -> None:
        """Read no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class _Router:
    """One call that hears nothing: only prompts are sent."""

    def __init__(self) -> None:
        self.prompts = PromptStream(SAMPLE_RATE)
        self.stream: MediaStream | None = None
        self.streams = 0

    def connected(self, id: str, stream: MediaStream, now: float, **_: object) -> bool:
        self.stream, self.streams = stream, 1
        self.prompts.state = DeviceState.OPEN
        return True

    def audio(self, *_: object) -> None:
        pass

    def disconnected(self, *_: object) -> None:
        self.stream = None

    def tick(self, now: float) -> None:
        if self.stream is not None:
            self.stream.send(self.prompts.next_frame(now))

    def prune(self) -> None:
        pass


def measure(server: AudioServer, *, prompts: int = 200) -> Table:
    """Measure on this process's sound server.

    Raises:
        PermissionError: the loopback device's packets may not be read.
    """
    packets = PacketCapture()
    try:
        took = asyncio.run(_measure(server, packets, prompts))
    finally:
        packets.close()
    figures = []
    for name, share, most in (("p50", 0.5, P50_MS), ("p99", 0.99, P99_MS), ("longest", 1.0, None)):
        value = percentile([one for one, _ in took], share)
        goal = "" if most is None else f"≤ {most} ms"
        met = None if most is None else value <= most
        figures.append(Figure(f"at the telephone, {name}", value, "ms", None, "", goal, met))
    heard = [one for _, one in took]
    figures.append(Figure("in the telephone's sink, p50", percentile(heard, 0.5), "ms"))
    figures.append(Figure("in the telephone's sink, p99", percentile(heard, 0.99), "ms"))
    note = f"{prompts} bursts through Asterisk; the telephone is baresip with its jitter buffer"
    return Table("Deadline to the first sample at the client, at the PBX", figures, [note])


async def _measure(
    server: AudioServer, packets: PacketCapture, prompts: int
) -> list[tuple[float, float]]:
    router, loop = _Router(), asyncio.get_running_loop()
    media = AudioSocketServer(router)  # type: ignore[arg-type]
    port = free_port(socket.SOCK_STREAM)
    await media.start("127.0.0.1", port)
    chance = random.Random(7)

    def play(done: Future[float]) -> None:
        at = time.perf_counter()
        router.prompts.play(sound)
        done.set_result(at)

    def measured() -> list[tuple[float, float]]:
        took = []
        with tempfile.TemporaryDirectory(prefix="vad-latency-") as folder:
            wav = script_audio([("silence", 60.0)], Path(folder) / "client.wav")
            with PhoneCall(server, wav) as phones:
                ports = {"client": phones.client.sip_port, "operator": phones.operator.sip_port}
                with Asterisk(ports, port, on_answer=True) as asterisk:
                    heard = SinkCapture(f"{EAR}.monitor")
                    try:
                        for number in range(prompts):
                            if (
                                number % 40 == 0
                            ):  # the client's recording ends the call after a minute
                                _call(phones, asterisk.sip_port, again=number > 0)
                            time.sleep(0.4 + 0.05 * chance.random())
                            done: Future[float] = Future()
                            loop.call_soon_threadsafe(play, done)
                            at = done.result(5)
                            ear = heard.first_loud(at)
                            came = packets.first(at, phones.client.udp_ports())
                            took.append(((came - at) * 1e3, (ear - at) * 1e3))
                    finally:
                        heard.close()
        return took

    sound = burst()
    try:
        return await asyncio.to_thread(measured)
    finally:
        await media.close()


def _call(phones: PhoneCall, sip_port: int, *, again: bool) -> None:
    client, operator = phones.client, phones.operator
    if again:
        client.command("hangup")
        operator.wait("CALL_CLOSED", limit_s=10)
        time.sleep(1.0)
    marks = len(client.events), len(operator.events)
    client.command("dial", f"sip:100@127.0.0.1:{sip_port}")
    client.wait("CALL_ESTABLISHED", marks[0], limit_s=10)
    operator.wait("CALL_ESTABLISHED", marks[1], limit_s=10)
    time.sleep(2.0)
