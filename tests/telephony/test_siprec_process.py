"""`vad-agent pbx --siprec` as a process: sipp records a call, the desk's outbox has what is owed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM

import httpx
import pytest

from tests.headset.conftest import require
from tests.headset.listen_process import kind
from tests.headset.softphone import free_port
from tests.headset.source_recording import until
from tests.telephony.centre import READY_S, Pbx
from tests.telephony.sipp import PROGRAM, Sender, Sipp, call, pause
from tests.telephony.siprec import CLIENT
from tests.telephony.test_call_router import ALO, GREETING, ROOM
from tests.telephony.test_siprec_call import ROOM_TOO
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sipp is Debian's")


class RecordingPbx(Pbx):
    """One `vad-agent pbx --siprec`."""

    def __init__(self, folder: Path) -> None:
        self.sip_port = free_port(SOCK_DGRAM)
        address = f"127.0.0.1:{self.sip_port}"
        self.metrics = free_port(SOCK_STREAM)
        more = ("--mode=cue", f"--siprec={address}", "--operator=101=anna")
        more += (f"--metrics={self.metrics}",)
        super().__init__(folder, free_port(SOCK_STREAM), *more)

    def start(self, **env: str) -> None:
        """Start it, and wait until it listens."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env | env
            )
        until(lambda: "SIPREC" in self.log or self._gone(), READY_S, "the recording server")
        assert not self._gone(), self.log


@pytest.fixture
def pbx(tmp_path: Path) -> Iterator[RecordingPbx]:
    require([PROGRAM])
    one = RecordingPbx(tmp_path)
    try:
        one.start()
        yield one
    finally:
        one.stop()


def record(
    pbx: RecordingPbx, folder: Path, client: bytes, operator: bytes, *, goodbye: int | None = None
) -> None:
    """A call with these sounds."""
    seconds = max(len(client), len(operator)) / 16_000
    address = ("127.0.0.1", pbx.sip_port)
    peer = Sipp(folder, address, call(pause(seconds + 0.5)), "-t", "u1")
    try:
        sender = Sender(peer.ports(), (client, operator))
        sender.start()
        sender.join()
        if goodbye is not None:
            sender.goodbye(goodbye)
        peer.wait()
        sender.close()
    finally:
        peer.close()


def test_a_client_who_hung_up_is_called_back(pbx: RecordingPbx, tmp_path: Path) -> None:
    greeting, alo = GREETING.tobytes(), ALO.tobytes()
    client = ROOM[: len(greeting)] + alo + ROOM[:24_000]
    operator = greeting + ROOM_TOO[: len(alo) + 24_000]
    record(pbx, tmp_path, client, operator, goodbye=0)
    trace = pbx.ended(10)
    text = httpx.get(f"http://127.0.0.1:{pbx.metrics}/metrics", trust_env=False).text
    assert 'vad_agent_pbx_siprec_sessions_total{what="begun"} 1.0' in text
    assert 'vad_agent_pbx_rtp_packets_total{what="lost"} 0.0' in text
    (received,) = re.findall(r'rtp_packets_total\{what="received"\} ([0-9.]+)', text)
    assert float(received) >= 2 * len(greeting) // 320
    (head,) = [line for line in trace if line["kind"] == "call"]
    assert (head["mode"], head["operator"]) == ("cue", "anna")
    phases = [line["phase"] for line in trace if line["kind"] == "phase"]
    assert phases == ["greeting", "dialogue", "ended"]
    spoken = [line["channel"] for line in trace if line["kind"] == "speech"]
    assert spoken[:2] == ["operator", "client"]
    (callback,) = pbx.find(kind("callback"))
    assert callback["reason"] == "dropped"
    outbox = Outbox(tmp_path / "outbox")

    def requests() -> list[OutboxMessage]:
        return [m for m in map(outbox.read, outbox.waiting()) if m.kind == REQUESTED]

    until(lambda: bool(requests()), 5, "the callback")
    (asked,) = requests()
    assert (asked.operator, asked.phone, asked.name) == ("anna", CLIENT, "Иван Петров")


def test_a_cue_is_due_in_its_window(pbx: RecordingPbx, tmp_path: Path) -> None:
    """The operator says it again themselves: in its window, as the trace has it."""
    greeting = GREETING.tobytes()
    operator = greeting + ROOM_TOO[:38_400] + greeting + ROOM_TOO[:32_000]  # 2.4 s in between
    record(pbx, tmp_path, (ROOM * 2)[: len(operator)], operator)
    pbx.ended(10)
    (prompt,) = pbx.find(kind("prompt"))
    assert (prompt["id"], prompt["outcome"]) == ("greeting_again", "said_by_operator")
    low, high = prompt["window_s"]
    assert low <= prompt["silence_s"] <= high
