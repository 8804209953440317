"""`vad-agent listen` as a process of its own, on a private audio server, driven and watched as from outside.

with Listening(server, folder) as listening:
    listening.send(kind="answered")
    listening.wait(lambda line: line["kind"] == "phase" and line["phase"] == "ended", 60)
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests import lanes
from tests.headset.audio_server import AudioServer
from tests.headset.source_recording import Int16s, end, until
from vad_agent.core.frames import FRAMES_PER_SECOND
from vad_agent.script.settings import Settings
from vad_agent.speech.prompt_library import PromptLibrary

READY_S = 20.0
INTERRUPTED = 130
"""The exit status after Ctrl-C."""

TraceLine = dict[str, Any]


class TracedProcess:
    """A process of the product, watched by the trace that it writes."""

    process: subprocess.Popen[bytes]
    trace_path: Path
    log_path: Path
    settings: Settings

    @property
    def log(self) -> str:
        """What it printed."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def _gone(self) -> bool:
        return self.process.poll() is not None

    def trace(self) -> list[TraceLine]:
        """The trace so far, whole lines."""
        if not self.trace_path.exists():
            return []
        lines = self.trace_path.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def find(self, true: Callable[[TraceLine], bool]) -> list[TraceLine]:
        """The trace's lines for which this holds."""
        return [line for line in self.trace() if true(line)]

    def wait(
        self, true: Callable[[TraceLine], bool], limit_s: float, what: str = "a line"
    ) -> TraceLine:
        """The first line for which this holds, once it is there."""
        try:
            until(lambda: self.find(true) or self._gone(), limit_s, what)
        except TimeoutError:
            raise TimeoutError(f"{what}: the trace is {self.trace()}\n{self.log}") from None
        found = self.find(true)
        assert found, f"it ended: {self.log}"
        return found[0]

    def ended(self, limit_s: float) -> list[TraceLine]:
        """The trace of the call, once it has ended."""
        self.wait(kind("phase", phase="ended"), limit_s, "the call's end")
        return self.trace()

    def prompts(self) -> list[TraceLine]:
        """Prompts whose outcome is known."""
        return self.find(kind("prompt"))

    def phrase(self, prompt: str, text: str) -> Int16s:
        """The phrase's samples at 48 kHz, as the product has them."""
        phrases = PromptLibrary(self.settings, phrases_folder() / "vad-agent" / "phrases")
        try:
            pcm = phrases.prepare(prompt, text).pcm
        finally:
            phrases.close()
        return np.frombuffer(pcm, "<i2")


class Listening(TracedProcess):
    """One `listen`. `more`: further arguments; `script`: TOML laid over the built-in one.

    `cache`: of phrases; `output`: a descriptor of what its terminal is, in place of a file.
    """

    def __init__(
        self,
        server: AudioServer,
        folder: Path,
        *more: str,
        script: str = "",
        client: str | None = "client.monitor",
        operator: str | None = "mic.monitor",
        prompt: str | None = "virtmic",
        cache: Path | None = None,
        output: int | None = None,
    ) -> None:
        self.server = server
        self.folder = folder
        self.trace_path = folder / "trace.jsonl"
        self.recordings = folder / "recordings"
        self.socket_path = folder / "events.sock"
        self.log_path = folder / "listen.log"
        self._script = folder / "script.toml"
        self._script.write_text(script, encoding="utf-8")
        self.settings = Settings.load(self._script)
        cache_home = cache or phrases_folder()
        arguments = [
            *([f"--client-device={client}"] if client else []),
            *([f"--operator-device={operator}"] if operator else []),
            *([f"--prompt-device={prompt}"] if prompt else []),
            f"--trace={self.trace_path}",
            f"--record={self.recordings}",
            f"--events={self.socket_path}",
            f"--script={self._script}",
            f"--outbox={folder / 'outbox'}",
            "--plain",
            *more,
        ]
        command = [sys.executable, "-m", "vad_agent.cli.main", "listen", *arguments]
        env = {"XDG_CACHE_HOME": str(cache_home), "PYTHONUTF8": "1"}
        self._log = self.log_path.open("wb")
        out = self._log if output is None else output
        self.process = server.popen(command, env, stdout=out, stderr=self._log)
        self._socket: socket.socket | None = None
        self._asked = 0  # times that `fed` was

    def __enter__(self) -> Listening:
        until(lambda: self.socket_path.exists() or self._gone(), READY_S, "the socket of events")
        until(lambda: "Жду звонка" in self.log or self._gone(), READY_S, "the first line")
        assert not self._gone(), self.log
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Ctrl-C; its exit status."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if not self._gone():
            self.process.send_signal(2)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                end(self.process)
                raise
        self._log.close()
        return int(self.process.returncode)

    # -- as a softphone's script ----------------------------------------------------------------------

    def send(self, **what: object) -> None:
        """An event, or command=…, and its answer."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(5)
            self._socket.connect(str(self.socket_path))
        self._socket.sendall(json.dumps(what).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._socket.recv(4096)
        assert json.loads(answer) == {"ok": True}, answer

    def fed(self) -> int:
        """How many frames the call has been fed by now."""
        self.send(kind="client_phone", phone="+7 000 000-00-01")
        (events,) = self.recordings.glob("*.events.jsonl")

        def told() -> list[TraceLine]:
            lines = map(json.loads, events.read_bytes().split(b"\n")[:-1])
            return [line for line in lines if line["kind"] == "client_phone"]

        self._asked += 1
        until(lambda: len(told()) >= self._asked, 5, "the event in the recording")
        return round(told()[-1]["t"] * FRAMES_PER_SECOND)

    # -- replay ---------------------------------------------------------------------------------------

    def replayed(self) -> tuple[list[TraceLine], list[TraceLine]]:
        """(live, replayed) trace of the one call that was recorded; after `stop`."""
        (sound,) = self.recordings.glob("*.flac")
        stem = str(sound).removesuffix(".flac")
        files = [f"--events={stem}.events.jsonl", f"--script={stem}.script.toml"]
        done = subprocess.run(
            [sys.executable, "-m", "vad_agent.cli.main", "replay", str(sound), "--trace=-", *files],
            capture_output=True,
            timeout=120,
            env=self.server.env | {"PYTHONUTF8": "1"},
        )
        assert done.returncode == 0, done.stderr.decode()
        live = [json.loads(line) for line in Path(f"{stem}.trace.jsonl").read_bytes().splitlines()]
        return live, [json.loads(line) for line in done.stdout.splitlines()]


@cache
def phrases_folder() -> Path:
    """One cache of phrases for all tests of a run, of all its workers: rendering takes a second each."""
    import atexit
    import shutil
    import tempfile

    shared = os.environ.get(lanes.PHRASES)
    folder = Path(shared or tempfile.mkdtemp(prefix="vad-phrases-"))
    if not shared:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        phrases = PromptLibrary(Settings(), folder / "vad-agent" / "phrases")
        problems = phrases.prepare_script()
        phrases.close()
    assert not problems, problems
    return folder


def kind(name: str, **fields: object) -> Callable[[TraceLine], bool]:
    """Lines of this kind with these fields."""
    return lambda line: (
        line["kind"] == name and all(line.get(key) == value for key, value in fields.items())
    )


def outcomes(prompts: Sequence[TraceLine]) -> list[tuple[str, str]]:
    """(prompt, outcome) of each."""
    return [(line["id"], line["outcome"]) for line in prompts]


def inside(line: TraceLine) -> bool:
    """The prompt's silence is in its window."""
    lo, hi = line["window_s"]
    return bool(lo <= line["silence_s"] <= hi)


def settle(seconds: float) -> None:
    """Real time passes: these tests hear real sound."""
    time.sleep(seconds)


def assert_replays(listening: Listening) -> None:
    """`listen` ends well, and the recording of its calls replays to the same trace."""
    assert listening.stop() == INTERRUPTED
    live, replayed = listening.replayed()
    assert live == replayed
