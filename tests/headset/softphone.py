"""Real telephone calls over 127.0.0.1: two baresip phones without a registrar, PCMA at 8 kHz.

    client's phone  ── RTP ──> operator's phone ──> sink `client`    (the headset)
      plays a WAV                           source `vmic` (the virtual microphone)
    sink `client_ear` <── RTP ───────────────────────┘    ↑ sink `virtmic` ← looped: sink `mic`

A phone is ruled through baresip's ctrl_tcp module: netstrings of JSON, commands and events. Ports are
free ones chosen anew for each phone; a phone's directory and process go with it.

What baresip 1.0.0 does that one must know:

- The end of the client's WAV hangs up. Each call plays it from its beginning; a hold does not stop it.
- On hold no RTP comes from either side. At the other phone a hold is no event of its own
  (CALL_REMOTE_SDP `offer`). The sndfile dump stands still from the first hold on.
- A phone whose microphone is an idle monitor sends nothing for 2 s.
- In a call's first second the jitter buffer may slip by a packet of 20 ms.
- When the server dies the phones live and the call stays; their sound comes with the next call.
- When the sink `client` goes, the phone's sound moves to the default sink, or to any other: also into
  `virtmic`, so that the client hears himself.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]
import soundfile  # type: ignore[import-untyped]

from tests.headset.audio_server import AudioServer
from tests.headset.source_recording import Int16s, end, until

PROGRAM = "baresip"
RATE = 8_000
LIMIT_S = 5.0
EAR = "client_ear"
_MODULES = ("g711", "alsa", "aufile", "sndfile")
_TRIES = 3


def free_port(kind: socket.SocketKind) -> int:
    """A port of 127.0.0.1 that nobody has now, below those that the system gives to connections."""
    for port in random.SystemRandom().sample(range(10_000, 20_000), 1000):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


@dataclass(frozen=True, slots=True)
class PhoneEvent:
    """What a phone told: baresip's type (CALL_ESTABLISHED…), its parameter, when (perf_counter, s)."""

    kind: str
    param: str
    at: float
    raw: dict[str, Any] = field(repr=False)


class Softphone:
    """One baresip. `speaks` is a source of the server or a WAV file; it plays into the sink `hears`."""

    def __init__(
        self,
        server: AudioServer,
        name: str,
        *,
        hears: str,
        speaks: str | Path,
        auto_answer: bool = True,
        dump: bool = False,
    ) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"vad-{name}-"))
        self.log = self.directory / "baresip.log"
        self.events: list[PhoneEvent] = []
        self._replies: dict[str, dict[str, Any]] = {}
        self._tokens = itertools.count(1)
        env = {"PULSE_SINK": hears}
        if isinstance(speaks, str):
            env["PULSE_SOURCE"] = speaks
        for attempt in range(_TRIES):  # another may take a port that was free
            self.sip_port = free_port(socket.SOCK_DGRAM)
            self._control_port = free_port(socket.SOCK_STREAM)
            self._write(speaks, auto_answer, dump)
            with self.log.open("wb") as log:
                command = [PROGRAM, "-f", str(self.directory)]
                self._process = server.popen(command, env, stdout=log, stderr=log)
            try:
                self._control = self._connect()
                break
            except (ChildProcessError, TimeoutError):
                end(self._process)
                if attempt == _TRIES - 1:
                    shutil.rmtree(self.directory, ignore_errors=True)
                    raise
        self._reader = threading.Thread(target=self._read, name=f"phone {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether baresip still runs."""
        return self._process.poll() is None

    @property
    def uri(self) -> str:
        """What to dial to reach this phone."""
        return f"sip:{self.name}@127.0.0.1:{self.sip_port}"

    def _write(self, speaks: str | Path, auto_answer: bool, dump: bool) -> None:
        source = "alsa,pulse" if isinstance(speaks, str) else f"aufile,{speaks}"
        modules = [m for m in _MODULES if m != "sndfile" or dump]
        config = [
            "poll_method epoll",
            f"sip_listen 127.0.0.1:{self.sip_port}",
            "audio_player alsa,pulse",
            f"audio_source {source}",
            "audio_path /nonexistent",  # no ringing tones
            "audio_buffer 20-160",
            "ausrc_srate 8000",
            "auplay_srate 8000",
            "rtp_tos 184",
            "jitter_buffer_delay 1-5",
            "net_interface 127.0.0.1",
            "module_path /usr/lib/baresip/modules",
            *(f"module {module}.so" for module in modules),
            "module_tmp account.so",
            "module_app menu.so",
            "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{self._control_port}",
            f"snd_path {self.directory}",
            "ringback_disabled yes",
            "menu_bell no",
            "statmode_default off",
        ]
        account = f"<{self.uri}>;regint=0;audio_codecs=PCMA,PCMU"
        account += f";answermode={'auto' if auto_answer else 'manual'}"
        (self.directory / "config").write_text("\n".join(config) + "\n", "utf-8")
        (self.directory / "accounts").write_text(account + "\n", "utf-8")
        (self.directory / "contacts").write_text("", "utf-8")

    # -- control ----------------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        found: list[socket.socket] = []

        def tried() -> bool:
            if self._process.poll() is not None:
                raise ChildProcessError(f"baresip ended: {self.log.read_text()[-800:]}")
            try:
                found.append(socket.create_connection(("127.0.0.1", self._control_port), 1.0))
            except OSError:
                return False
            return True

        until(tried, LIMIT_S, f"the phone {self.name}")
        found[0].settimeout(None)
        return found[0]

    def _read(self) -> None:
        data = b""
        while True:
            try:
                more = self._control.recv(65_536)
            except OSError:
                return
            if not more:
                return
            now = time.perf_counter()
            data += more
            while (parted := _netstring(data)) is not None:
                text, data = parted
                self._take(json.loads(text), now)

    def _take(self, said: dict[str, Any], now: float) -> None:
        if said.get("event"):
            kind, param = str(said.get("type")), str(said.get("param", ""))
            self.events.append(PhoneEvent(kind, param, now, said))
        else:
            self._replies[str(said.get("token"))] = said

    def command(self, name: str, params: str = "") -> str:
        """Give a command (`dial`, `hold`, `listcalls`…); what it prints. Raises RuntimeError if refused."""
        token = f"{self.name}{next(self._tokens)}"
        said = {"command": name, "token": token, **({"params": params} if params else {})}
        text = json.dumps(said).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))
        until(lambda: token in self._replies, LIMIT_S, f"{self.name}'s answer to {name}")
        reply = self._replies.pop(token)
        if not reply.get("ok"):
            raise RuntimeError(f"{self.name}: {name}: {reply.get('data')}")
        return str(reply.get("data", ""))

    def seen(self, kind: str, since: int = 0, param: str | None = None) -> PhoneEvent | None:
        """The first event of a kind (and with a parameter) among those from number `since` on."""
        for event in self.events[since:]:
            if event.kind == kind and param in (None, event.param):
                return event
        return None

    def wait(
        self, kind: str, since: int = 0, param: str | None = None, limit_s: float = LIMIT_S
    ) -> PhoneEvent:
        """Wait for an event; raises TimeoutError, or ChildProcessError if the phone has ended."""
        what = f"{self.name}: {kind}"
        until(lambda: self.seen(kind, since, param) or not self.alive, limit_s, what)
        event = self.seen(kind, since, param)
        if event is None:
            raise ChildProcessError(f"{what}: baresip ended: {self.log.read_text()[-800:]}")
        return event

    def udp_ports(self) -> set[int]:
        """The UDP ports that it listens on now; in a call one of them is that of its RTP."""
        sockets = psutil.Process(self.pid).net_connections(kind="udp")
        return {connection.laddr.port for connection in sockets}

    def in_call(self) -> bool:
        """Whether a call is established."""
        return "ESTABLISHED" in self.command("listcalls")

    def dumped(self, way: Literal["enc", "dec"]) -> Int16s:
        """What it sent (`enc`) or received (`dec`) in its last call by baresip's own dump, 8 kHz.

        Every sample of the packets that came, without time: a gap isn't there. Until the first hold;
        whole after the hangup.
        """
        path = max(self.directory.glob(f"dump-*-{way}.wav"), key=lambda p: p.stat().st_mtime_ns)
        samples: Int16s = soundfile.read(path, dtype="int16")[0]
        return samples

    def terminate(self) -> None:
        """Ask the phone to end, and go on: `close` waits (in a call up to 1 s)."""
        if self.alive:
            self._process.terminate()

    def __enter__(self) -> Softphone:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the phone and remove its directory."""
        end(self._process)
        self._reader.join(LIMIT_S)
        self._control.close()
        shutil.rmtree(self.directory, ignore_errors=True)


Party = Literal["operator", "client"]


class PhoneCall:
    """An operator's and a client's phone on one server. A context manager; may be dialled again.

    operator    hears in the sink `client`, speaks through `vmic`; what is played into `mic` goes there
    client      says `client_says`, a WAV of 8 kHz, from each call's beginning; hears in `ear`
    """

    def __init__(
        self,
        server: AudioServer,
        client_says: Path,
        *,
        microphone: bool = True,
        auto_answer: bool = True,
        dump: bool = False,
    ) -> None:
        self.server = server
        self.established_at = float("nan")
        self._microphone = microphone
        self._loop: str | None = None
        phone = {"auto_answer": auto_answer, "dump": dump}
        with contextlib.ExitStack() as opened:
            self.attach()
            opened.callback(self._unplug)
            self.operator = opened.enter_context(
                Softphone(server, "operator", hears="client", speaks="vmic", **phone)
            )
            self.client = opened.enter_context(
                Softphone(server, "client", hears=EAR, speaks=client_says, **phone)
            )
            self._opened = opened.pop_all()

    def attach(self) -> None:
        """Plug the client's ear and the microphone in; once more after the server was started anew.

        A call that went on then has no sound from the operator: hang up, dial again.
        """
        if EAR not in self.server.names("sinks"):
            self.server.add_sink(EAR)
        # Else the operator's phone would send nothing for 2 s.
        self.server.keep_awake(EAR, "virtmic")
        if self._microphone:
            self._loop = self.server.loop_microphone()
        self.ear = self.server.record(f"{EAR}.monitor")

    def __enter__(self) -> PhoneCall:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _pair(self, first: Party) -> tuple[Softphone, Softphone]:
        if first == "operator":
            return self.operator, self.client
        return self.client, self.operator

    def dial(self, by: Party = "operator", answer_after_s: float | None = None) -> float:
        """Call the other; when it is established, on time.perf_counter().

        `answer_after_s` is for phones without `auto_answer`: how long it rings.
        """
        caller, callee = self._pair(by)
        marks = len(caller.events), len(callee.events)
        caller.command("dial", callee.uri)
        if answer_after_s is not None:
            ringing = callee.wait("CALL_INCOMING", marks[1])
            pause = answer_after_s - (time.perf_counter() - ringing.at)
            time.sleep(max(0.0, pause))
            callee.command("accept")
        moments = [caller.wait("CALL_ESTABLISHED", marks[0]).at]
        moments.append(callee.wait("CALL_ESTABLISHED", marks[1]).at)
        self.established_at = max(moments)
        return self.established_at

    def hold(self, by: Party = "operator") -> float:
        """Put the call on hold; when the other phone has been told."""
        return self._renegotiate("hold", by)

    def resume(self, by: Party = "operator") -> float:
        """Take the call from hold; when the other phone has been told."""
        return self._renegotiate("resume", by)

    def _renegotiate(self, command: str, by: Party) -> float:
        phone, other = self._pair(by)
        marks = len(phone.events), len(other.events)
        phone.command(command)
        told = other.wait("CALL_REMOTE_SDP", marks[1], "offer")
        phone.wait("CALL_REMOTE_SDP", marks[0], "answer")
        return told.at

    def hangup(self, by: Party = "operator") -> float:
        """End the call; when the other phone knows."""
        phone, other = self._pair(by)
        marks = len(phone.events), len(other.events)
        phone.command("hangup")
        phone.wait("CALL_CLOSED", marks[0])
        return other.wait("CALL_CLOSED", marks[1]).at

    def close(self) -> None:
        """End both phones and the recording."""
        for phone in (self.operator, self.client):
            phone.terminate()
        self._opened.close()

    def _unplug(self) -> None:
        self.ear.stop()
        if self._loop is not None:
            # Gone already with a server that was ended.
            with contextlib.suppress(subprocess.CalledProcessError, ChildProcessError):
                self.server.pactl("unload-module", self._loop)


def _netstring(data: bytes) -> tuple[bytes, bytes] | None:
    """The first netstring of the data and the rest; None if it isn't whole."""
    length, colon, rest = data.partition(b":")
    if not colon or len(rest) < int(length) + 1:
        return None
    return rest[: int(length)], rest[int(length) + 1 :]
