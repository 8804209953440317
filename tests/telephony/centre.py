"""A small centre: a real Asterisk, the operator's and the client's telephone, `vad-agent pbx` in between.

with Centre(server, client_says, folder) as centre:
    centre.dial()
    centre.wait(kind("phase", phase="ended"), 40)
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import (
    TracedProcess,
    TraceLine,
    inside,
    kind,
    outcomes,
    phrases_folder,
)
from tests.headset.softphone import PhoneCall, free_port
from tests.headset.source_recording import end, until
from tests.headset.test_end_to_end import say
from tests.telephony.asterisk import Asterisk
from tests.telephony.network import Network
from vad_agent.script.settings import Settings

READY_S = 20.0


class Pbx(TracedProcess):
    """One `vad-agent pbx`. `more`: further arguments."""

    ready = "the phrases are ready"
    """In its log, once it can be used."""

    def __init__(self, folder: Path, port: int, *more: str, script: str = "") -> None:
        self.folder = folder
        self.port = port
        self.trace_path = folder / "pbx.trace.jsonl"
        self.log_path = folder / "pbx.log"
        script_path = folder / "script.toml"
        script_path.write_text(script, encoding="utf-8")
        self.settings = Settings.load(script_path)
        self._command = [
            *(sys.executable, "-m", "vad_agent.cli.main", "pbx"),
            f"--listen=127.0.0.1:{port}",
            f"--trace={self.trace_path}",
            f"--outbox={folder / 'outbox'}",
            f"--script={script_path}",
            *more,
        ]
        self._env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(phrases_folder()),
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONUTF8": "1",
            "VAD_AGENT_ASTERISK_PASSWORD": "",
        }

    def start(self, **env: str) -> None:
        """Start it, and wait until it listens and has its phrases."""
        log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env | env
        )
        log.close()
        until(lambda: self.ready in self.log or self._gone(), READY_S, "pbx")
        until(lambda: "media " in self.log or self._gone(), READY_S, "the listener")
        assert not self._gone(), self.log

    def stop(self) -> int:
        """SIGTERM twice; the exit status."""
        for _ in range(2):
            if not self._gone():
                self.process.terminate()
                time.sleep(0.2)
        if not self._gone():
            end(self.process)
        return int(self.process.returncode)


class Centre:
    """The whole centre. `ari`: with call control; `ami`: by AMI instead; `websocket`: the tap goes by
    chan_websocket. `cuttable`: everything between Asterisk and `vad-agent pbx` goes through `network`.
    """

    def __init__(
        self,
        server: AudioServer,
        client_says: Path,
        folder: Path,
        *more: str,
        script: str = "",
        ari: bool = True,
        ami: bool = False,
        cuttable: bool = False,
        websocket: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port(socket.SOCK_STREAM)
        self._env = dict(env or {})
        self._controlled = ari or ami
        with contextlib.ExitStack() as opened:
            self.phones = opened.enter_context(PhoneCall(server, client_says))
            phones = {
                "client": self.phones.client.sip_port,
                "operator": self.phones.operator.sip_port,
            }
            self.network = opened.enter_context(Network())
            media = self.network.link(self.port) if cuttable else self.port
            sockets = free_port(socket.SOCK_STREAM) if websocket else None
            self.asterisk = opened.enter_context(
                Asterisk(phones, media, on_answer=not ari, websocket_port=sockets)
            )
            self._opened = opened.pop_all()
        at = self.asterisk.ami_port if ami else self.asterisk.http_port
        at = self.network.link(at) if cuttable else at
        control = [f"--ari=http://127.0.0.1:{at}", "--ari-user=desk"] if ari else []
        if ami:
            control = [f"--ami=127.0.0.1:{at}", "--ami-user=desk"]
        if sockets is not None:
            control.append(f"--websocket=127.0.0.1:{sockets}")
        address = f"--media-address=127.0.0.1:{media}"
        self.pbx = Pbx(folder, self.port, *control, address, *more, script=script)

    def __enter__(self) -> Centre:
        try:
            self.start_pbx()
        except BaseException:
            self.close()
            raise
        return self

    def start_pbx(self) -> None:
        """Start `vad-agent pbx`, once more after it was killed."""
        password = self.asterisk.password
        connected = "call control is connected"
        before = self.pbx.log.count(connected)
        self.pbx.start(
            VAD_AGENT_ASTERISK_PASSWORD=password, VAD_AGENT_AMI_SECRET=password, **self._env
        )
        if self._controlled:
            until(lambda: self.pbx.log.count(connected) > before, READY_S, connected)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        with self._opened:
            if hasattr(self.pbx, "process"):
                self.pbx.stop()

    def dial(self) -> float:
        """The client calls; when both telephones are in the call, on time.perf_counter()."""
        client, operator = self.phones.client, self.phones.operator
        marks = len(client.events), len(operator.events)
        client.command("dial", f"sip:100@127.0.0.1:{self.asterisk.sip_port}")
        moments = [client.wait("CALL_ESTABLISHED", marks[0], limit_s=10).at]
        moments.append(operator.wait("CALL_ESTABLISHED", marks[1], limit_s=10).at)
        return max(moments)


def check_silence_after_the_greeting(centre: Centre, server: AudioServer) -> list[TraceLine]:
    """The client calls and says nothing: three phrases in their windows, and the script hangs up. The
    trace's lines of the phrases.
    """
    centre.dial()
    say(server)
    centre.pbx.wait(kind("phase", phase="ended"), 40)
    prompts = centre.pbx.find(kind("prompt"))
    assert outcomes(prompts) == [
        ("greeting_again", "said"),
        ("not_heard", "said"),
        ("farewell_after_greeting", "said"),
    ]
    assert all(map(inside, prompts))
    centre.phones.client.wait("CALL_CLOSED", limit_s=5)
    return prompts
