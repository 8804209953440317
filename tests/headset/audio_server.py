"""A real audio server without a sound card: a PulseAudio of the test's own, on a socket of its own.

    sink `client`     what the operator's headset plays: the product hears the client at client.monitor
    sink `mic`        stands for the microphone: what is played here, the operator says (mic.monitor)
    sink `virtmic`    the virtual microphone; its source `vmic` is what the softphone records
    sink `headset`    a second headset, for plugging and choosing

    play(wav, "client") ──> client ──> client.monitor ──> record("client.monitor")

All are 48 kHz, mono, s16le. A null sink that nobody listens to works in blocks of 2 s, so the first
data of a recording come after up to 2 s: `record` waits for them. A program is put on this server by
its environment (`AudioServer.env`); nothing outside is touched, and every process ends by its id.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.headset.source_recording import Int16s, SourceRecording, end, until, write_wav

RATE = 48_000
SINKS = ("client", "virtmic", "mic", "headset")
PROGRAMS = ("pulseaudio", "pactl", "paplay", "parec")
READY_S = 10.0


def missing(programs: Sequence[str] = PROGRAMS) -> list[str]:
    """Those of the programs that are not installed."""
    return [program for program in programs if shutil.which(program) is None]


@dataclass(frozen=True, slots=True)
class ServerStream:
    """A program's stream: its number, its sink or source, its application's name, its process."""

    index: int
    device: str
    application: str
    pid: int


class AudioServer:
    """One PulseAudio in a directory of its own. A context manager; `start` and `stop` by hand too."""

    def __init__(self, sinks: Sequence[str] = SINKS) -> None:
        self.sinks = tuple(sinks)
        self.directory = Path(tempfile.mkdtemp(prefix="vad-pulse-"))
        runtime = self.directory / "run"
        runtime.mkdir(mode=0o700)
        settings = self.directory / ".config" / "pulse" / "daemon.conf"
        settings.parent.mkdir(parents=True)
        # Else the kernel kills a server that had 0.2 s without a pause: it happens on a busy machine.
        settings.write_text("rlimit-rttime = -1\n", "utf-8")
        self.socket = runtime / "native"
        # The private HOME: no ~/.config/pulse or ~/.asoundrc of the machine's owner counts here.
        foreign = ("PULSE_", "PIPEWIRE_", "ALSA_", "JACK_", "XDG_", "DBUS_", "DISPLAY")
        self.env: dict[str, str] = {
            k: v for k, v in os.environ.items() if not k.startswith(foreign)
        }
        self.env |= {
            "HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(runtime),
            "PULSE_SERVER": f"unix:{self.socket}",
        }
        self._daemon: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._recordings: list[SourceRecording] = []
        self._added: dict[str, str] = {}  # sink -> module's index
        self._awake: set[str] = set()

    def __enter__(self) -> AudioServer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the server -------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._daemon is not None, "not started"
        return self._daemon.pid

    @property
    def running(self) -> bool:
        """Whether the daemon is there."""
        return not self._daemon_ended()

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.directory / "pulseaudio.log"

    def start(self) -> None:
        """Start the daemon and wait until it answers; raises ChildProcessError or TimeoutError."""
        assert self._daemon is None, "already started"
        self._added.clear()
        self._awake.clear()
        script = self.directory / "ci.pa"
        script.write_text("\n".join(self._script()) + "\n", "utf-8")
        command = ["pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit"]
        command += ["--use-pid-file=no", "--log-level=notice", "-n", "-F", str(script)]
        with self.log.open("ab") as log:
            self._daemon = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        # The daemon serves clients only when its script has been run: an answer means that all is there.
        until(lambda: self._answers() or self._daemon_ended(), READY_S, "the audio server")
        if self._daemon_ended():
            self._daemon = None
            raise ChildProcessError(f"the audio server ended: {self.log.read_text()[-800:]}")

    def _script(self) -> list[str]:
        lines = [f"load-module module-native-protocol-unix auth-anonymous=1 socket={self.socket}"]
        lines += [f"load-module module-null-sink {_null(sink)}" for sink in self.sinks]
        if "virtmic" in self.sinks:
            lines.append("load-module module-remap-source source_name=vmic master=virtmic.monitor")
        first = self.sinks[0]
        return [*lines, f"set-default-sink {first}", f"set-default-source {first}.monitor"]

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        asked = subprocess.run(
            ["pactl", "info"], env=self.env, capture_output=True, timeout=READY_S
        )
        return asked.returncode == 0

    def _daemon_ended(self) -> bool:
        return self._daemon is None or self._daemon.poll() is not None

    def stop(self) -> None:
        """End the daemon in order. Programs on it lose their connection."""
        if self._daemon is not None:
            end(self._daemon)
            self._daemon = None

    def kill(self) -> None:
        """SIGKILL: the server is gone from one moment to the next, its socket file stays."""
        assert self._daemon is not None, "not started"
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait()
        self._daemon = None

    def restart(self) -> None:
        """Start anew on the same socket; sinks that were added are gone, removed ones are back."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and every program started through it; remove the directory."""
        for recording in self._recordings:
            recording.stop()
        for process in self._others:
            end(process)
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- what is on it ----------------------------------------------------------------------------

    def pactl(self, *arguments: str) -> str:
        """What `pactl ARGUMENTS` prints; raises CalledProcessError, or ChildProcessError: no server."""
        if self._daemon is not None and self._daemon.poll() is not None:
            code = self._daemon.returncode
            raise ChildProcessError(
                f"the audio server ended ({code}): {self.log.read_text()[-800:]}"
            )
        asked = subprocess.run(
            ["pactl", *arguments], env=self.env, capture_output=True, text=True, timeout=READY_S
        )
        if asked.returncode:
            raise subprocess.CalledProcessError(
                asked.returncode, asked.args, asked.stdout, asked.stderr
            )
        return asked.stdout.strip()

    def names(self, what: str) -> list[str]:
        """The names of all `sinks` or `sources`."""
        return [line.split("\t")[1] for line in self.pactl("list", "short", what).splitlines()]

    def streams(self, what: str) -> list[ServerStream]:
        """The `sink-inputs` or `source-outputs` there are, and the device each is on by now."""
        devices = {"sink-inputs": "sinks", "source-outputs": "sources"}[what]
        on = [line.split("\t") for line in self.pactl("list", "short", devices).splitlines()]
        name = {int(index): name for index, name, *_ in on}
        found = []
        for stream in json.loads(self.pactl("--format=json", "list", what) or "[]"):
            of = stream["properties"]
            device = name.get(stream[devices[:-1]], "")
            application = of.get("application.name", of.get("media.name", ""))
            pid = int(of.get("application.process.id", 0))
            found.append(ServerStream(stream["index"], device, application, pid))
        return found

    def captured(self) -> list[ServerStream]:
        """The streams by which `listen` captures the client's side."""
        streams = self.streams("source-outputs")
        return [one for one in streams if one.application == "vad-agent client"]

    def played(self, pid: int) -> ServerStream:
        """The one stream that the process plays."""
        (stream,) = [one for one in self.streams("sink-inputs") if one.pid == pid]
        return stream

    def add_sink(self, name: str) -> None:
        """Plug in a headset: a null sink and its monitor."""
        self._added[name] = self.pactl("load-module", "module-null-sink", *_null(name).split())

    def remove_sink(self, name: str) -> None:
        """Pull the plug of a sink, one of the first ones too; its streams move or end."""
        self.pactl("unload-module", self._added.pop(name, "") or self._module_of(name))

    def _module_of(self, sink: str) -> str:
        for line in self.pactl("list", "short", "modules").splitlines():
            index, module, argument = [*line.split("\t"), "", ""][:3]
            if module == "module-null-sink" and f"sink_name={sink} " in argument + " ":
                return index
        raise LookupError(f"no sink {sink}")

    def suspend(self, sink: str, yes: bool = True) -> None:
        """Suspend a sink (nothing is called back any more) or let it go on."""
        self.pactl("suspend-sink", sink, "1" if yes else "0")

    def loop_microphone(self) -> str:
        """Let what is played into `mic` be heard in `virtmic`; the module's index."""
        return self.loop("mic.monitor", "virtmic")

    def loop(self, source: str, sink: str, latency_ms: int = 20) -> str:
        """Let a source be heard in a sink; the module's index, for `pactl("unload-module", index)`."""
        fixed = ("source_dont_move=true", "sink_dont_move=true")
        where = (f"source={source}", f"sink={sink}", f"latency_msec={latency_ms}")
        return self.pactl("load-module", "module-loopback", *where, *fixed)

    def keep_awake(self, *sinks: str) -> None:
        """Listen to sinks until the server ends, so that a recording of them has its data at once."""
        asleep = [sink for sink in sinks if sink not in self._awake]
        for sink in asleep:
            command = ["parec", f"--device={sink}.monitor", "--latency-msec=20"]
            command += ["--rate=8000", "--channels=1", "--format=s16le"]
            self.popen(command, stdout=subprocess.DEVNULL)
        first = [self.record(f"{sink}.monitor", wait=False) for sink in asleep]
        for recording in first:
            recording.wait_first()
            recording.stop()
        self._awake.update(asleep)

    # -- playing and recording --------------------------------------------------------------------

    def popen(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, **how: object
    ) -> subprocess.Popen[bytes]:
        """Start a program on this server; ended with it. Its stderr goes to programs.log."""
        whole = {**self.env, **(env or {})}
        with (self.directory / "programs.log").open("ab") as log:
            how = {"stdin": subprocess.DEVNULL, "stderr": log, **how}
            process: subprocess.Popen[bytes] = subprocess.Popen(command, env=whole, **how)  # type: ignore[call-overload]
        self._others.append(process)
        return process

    def play(
        self, path: Path | str, sink: str, *, rate: int = RATE, latency_ms: int = 40
    ) -> subprocess.Popen[bytes]:
        """Play a file into a sink; returns at once. `rate` is for *.raw (mono s16le), a WAV has its own.

        The process ends when all is played: `wait()` for it, or `terminate()` it to stop.
        """
        command = ["paplay", f"--device={sink}", f"--latency-msec={latency_ms}"]
        if Path(path).suffix == ".raw":
            command += ["--raw", "--format=s16le", "--channels=1", f"--rate={rate}"]
        return self.popen([*command, str(path)])

    def play_samples(self, samples: Int16s, rate: int, sink: str) -> subprocess.Popen[bytes]:
        """Play mono int16 samples into a sink; returns at once."""
        handle, name = tempfile.mkstemp(suffix=".wav", dir=self.directory)
        os.close(handle)
        return self.play(write_wav(Path(name), samples, rate), sink)

    def record(
        self, source: str, *, rate: int = RATE, latency_ms: int = 20, wait: bool = True
    ) -> SourceRecording:
        """Record a source, mono int16 at `rate` (the server converts).

        Returns when the first data are there (up to 2 s on an idle monitor), unless told not to wait.
        """
        command = ["parec", f"--device={source}", f"--latency-msec={latency_ms}", "--raw"]
        command += ["--format=s16le", "--channels=1", f"--rate={rate}"]
        process = self.popen(command, stdout=subprocess.PIPE)
        recording = SourceRecording(process, rate, source)
        self._recordings.append(recording)
        if wait:
            recording.wait_first()
        return recording


def _null(sink: str) -> str:
    how = f"rate={RATE} channels=1 format=s16le"
    return f"sink_name={sink} {how} sink_properties=device.description={sink}"
