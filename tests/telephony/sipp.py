"""sipp as a recording client: scenarios of our own, over UDP and TCP; the tests send the RTP."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, socket

from tests.headset.softphone import free_port
from tests.telephony.siprec import OFFERS, Offer, goodbye, rtp
from vad_agent.audio.pcm import to_alaw

PROGRAM = "sipp"
LIMIT_S = 30.0
_FIRST = "sip:record@[remote_ip]:[remote_port]"


def request(
    method: str, cseq: int, *, offer: Offer | None = None, headers: Sequence[str] = ()
) -> str:
    """A <send>. In a dialog if it has begun."""
    in_dialog = (method, cseq) != ("INVITE", 1)
    lines = [
        f"{method} {_FIRST} SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
        "From: <sip:src@[local_ip]:[local_port]>;tag=[pid]src[call_number]",
        f"To: <{_FIRST}>" + ("[peer_tag_param]" if in_dialog else ""),
        "Call-ID: [call_id]",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:src@[local_ip]:[local_port];transport=[transport]>;+sip.src",
        "Max-Forwards: 70",
        *headers,
    ]
    body = ""
    if offer is not None:
        lines += offer.headers
        lines.append("Content-Type: multipart/mixed;boundary=OSS-unique-boundary-42")
        body = offer.body.decode().replace("\r\n", "\n")
    text = "\n".join([*lines, "Content-Length: [len]", "", body])
    again = ' retrans="500"' if method != "ACK" else ""
    return f"<send{again}><![CDATA[\n\n{text}\n]]></send>"


def expect(*statuses: int) -> str:
    """The answers, in order; a 100 may be missing."""
    optional = {100: ' optional="true"'}
    return "".join(f'<recv response="{status}"{optional.get(status, "")}/>' for status in statuses)


def pause(seconds: float) -> str:
    """Wait."""
    return f'<pause milliseconds="{round(seconds * 1000)}"/>'


class Sipp:
    """One run of a scenario."""

    def __init__(
        self, folder: Path, address: tuple[str, int], steps: Sequence[str], *more: str
    ) -> None:
        scenario = folder / "scenario.xml"
        body = "\n".join(steps)
        scenario.write_text(f'<?xml version="1.0"?>\n<scenario name="src">\n{body}\n</scenario>\n')
        self._messages = folder / "sipp.messages"
        self._errors = folder / "sipp.errors"
        port = str(free_port(SOCK_STREAM if "t1" in more else SOCK_DGRAM))
        self.process = subprocess.Popen(
            [
                *(PROGRAM, f"{address[0]}:{address[1]}", "-sf", str(scenario), "-m", "1", *more),
                *("-i", "127.0.0.1", "-p", port, "-nostdin", "-trace_msg"),
                *(
                    "-message_file",
                    str(self._messages),
                    "-trace_err",
                    "-error_file",
                    str(self._errors),
                ),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )

    def ports(self) -> list[int]:
        """Where the server receives the streams, as its answer says."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            text = self._messages.read_text() if self._messages.exists() else ""
            answer = text.partition("o=vad-agent")[2].partition("-----")[0]
            if found := re.findall(r"m=audio ([0-9]+)", answer):
                return [int(port) for port in found]
            assert self.process.poll() is None, self.errors
            time.sleep(0.02)
        raise AssertionError("sipp got no answer with ports")

    @property
    def errors(self) -> str:
        return self._errors.read_text() if self._errors.exists() else "sipp says nothing"

    def wait(self) -> None:
        """Until the scenario has ended as it should."""
        assert self.process.wait(LIMIT_S) == 0, self.errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Sender(threading.Thread):
    """RTP of both sides in real time: int16 at 8 kHz, A-law, packets of `ptime` samples."""

    def __init__(self, ports: Sequence[int], sounds: Sequence[bytes], ptime: int = 160) -> None:
        super().__init__(daemon=True)
        self._ports, self._sounds, self._ptime = ports, sounds, ptime
        self.sockets = [socket(AF_INET, SOCK_DGRAM) for _ in ports]

    def run(self) -> None:
        due = time.perf_counter()
        size = self._ptime * 2
        for number in range(max(map(len, self._sounds)) // size):
            for line, (port, sound) in enumerate(zip(self._ports, self._sounds, strict=True)):
                piece = sound[number * size :][:size]
                if len(piece) == size:
                    data = rtp(number, number * self._ptime, to_alaw(piece, 2), ssrc=50 + line)
                    self.sockets[line].sendto(data, ("127.0.0.1", port))
            due += self._ptime / 8_000
            time.sleep(max(0.0, due - time.perf_counter()))

    def goodbye(self, line: int) -> None:
        """An RTCP BYE on the next port."""
        address = ("127.0.0.1", self._ports[line] + 1)
        self.sockets[line].sendto(goodbye(50 + line), address)

    def close(self) -> None:
        self.join()
        for one in self.sockets:
            one.close()


def call(*between: str, offer: Offer = OFFERS[0], end: bool = True) -> list[str]:
    """A whole session with these steps in it."""
    steps = [request("INVITE", 1, offer=offer), expect(100, 200), request("ACK", 1), *between]
    return steps + ([request("BYE", 9), expect(200)] if end else [])
