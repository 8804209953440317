"""The sound server watched: a real PulseAudio, whose devices come and go, and which dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.headset.audio_server import AudioServer
from vad_agent.audio import pulse_server
from vad_agent.audio.devices import DeviceRole
from vad_agent.audio.pulse_server import as_devices, pulse_devices
from vad_agent.audio.pulse_watch import END_S, PulseWatch

NOTICED_S = 0.2
"""A stream on another device is another sound: so long, at most, it is taken for the wanted one."""
LIMIT_S = 5.0


@dataclass
class Changes:
    """Records when the watch called."""

    at: list[float] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self) -> None:
        with self._came:
            self.at.append(time.perf_counter())
            self._came.notify_all()

    def until(self, true: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        """Wait for changes until `true()`."""
        with self._came:
            assert self._came.wait_for(true, limit_s), "the watch has not noticed"


def use(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER"):
        monkeypatch.setenv(name, server.env[name])


@pytest.fixture
def server(fresh_audio_server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> AudioServer:
    use(fresh_audio_server, monkeypatch)
    return fresh_audio_server


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def watch(server: AudioServer, changes: Changes) -> Iterator[PulseWatch]:
    watch = PulseWatch(changes)
    watch.start()
    changes.until(lambda: watch.connected)
    yield watch
    watch.close()


def exists(watch: PulseWatch, name: str) -> bool:
    graph = watch.graph
    return graph is not None and (graph.sink(name) or graph.source(name)) is not None


CAPTURE = """
import sounddevice
print(sounddevice.query_devices("pulse")["name"], flush=True)
try:
    with sounddevice.RawInputStream(device="pulse", samplerate=16000, blocksize=320, channels=1,
                                    dtype="int16", latency="low", callback=lambda *_: None):
        print("open", flush=True)
        input()
except sounddevice.PortAudioError:
    print("refused", flush=True)
"""


def capture(server: AudioServer, source: str) -> tuple[subprocess.Popen[bytes], str]:
    """A process that captures as our children do; whether its stream is open."""
    process = server.popen(
        [sys.executable, "-c", CAPTURE],
        env={"PULSE_SOURCE": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"pulse"
    return process, process.stdout.readline().decode().strip()


def close(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def test_a_stream_is_where_it_was_told_to_be(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    assert watch.where(os.getpid()) is None
    process, answer = capture(server, "mic.monitor")
    assert answer == "open"
    changes.until(lambda: watch.where(process.pid) == "mic.monitor")
    close(process)
    changes.until(lambda: watch.where(process.pid) is None)


def test_a_stream_to_a_source_that_is_not_there_is_refused(server: AudioServer) -> None:
    process, answer = capture(server, "nosuch.monitor")
    assert answer == "refused"
    close(process)


def test_a_stream_that_plays_is_on_its_sink(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    process = server.popen(["paplay", "--raw", "--device=virtmic", "/dev/zero"])
    changes.until(lambda: watch.where(process.pid) == "virtmic")
    process.terminate()
    changes.until(lambda: watch.where(process.pid) is None)


def test_a_stream_that_is_moved_since_its_sink_was_pulled_out_is_noticed_at_once(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    server.add_sink("plugged")
    process, _ = capture(server, "plugged.monitor")
    changes.until(lambda: watch.where(process.pid) == "plugged.monitor")
    pulled_at = time.perf_counter()
    server.remove_sink("plugged")
    changes.until(lambda: watch.where(process.pid) == "client.monitor")
    assert changes.at[-1] - pulled_at < NOTICED_S
    assert process.poll() is None  # nobody told it
    changes.until(lambda: not exists(watch, "plugged"))
    close(process)


def test_devices_that_come_and_go_are_noticed(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    assert exists(watch, "headset")
    assert exists(watch, "headset.monitor")
    server.remove_sink("headset")
    changes.until(lambda: not exists(watch, "headset.monitor"))
    server.add_sink("headset")
    changes.until(lambda: exists(watch, "headset.monitor"))


def test_another_default_is_noticed(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    assert watch.default(DeviceRole.CLIENT) == "client.monitor"
    assert watch.default(DeviceRole.OPERATOR) == "client.monitor"
    server.pactl("set-default-sink", "headset")
    changes.until(lambda: watch.default(DeviceRole.CLIENT) == "headset.monitor")
    assert watch.default(DeviceRole.PROMPT) == "headset"
    server.pactl("set-default-source", "vmic")
    changes.until(lambda: watch.default(DeviceRole.OPERATOR) == "vmic")


def test_a_server_that_dies_is_noticed_and_so_is_the_next_one(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    killed_at = time.perf_counter()
    server.kill()
    changes.until(lambda: not watch.connected)
    assert changes.at[-1] - killed_at < NOTICED_S
    assert not exists(watch, "client")
    assert watch.where(os.getpid()) is None
    assert watch.default(DeviceRole.CLIENT) is None
    server.start()
    changes.until(lambda: exists(watch, "client"))


def test_a_watch_that_begins_without_a_server_finds_one_that_comes(
    server: AudioServer, changes: Changes
) -> None:
    server.stop()
    watch = PulseWatch(changes)
    watch.start()
    server.start()
    changes.until(lambda: watch.connected)
    watch.close()


@pytest.mark.serial
def test_a_server_that_hangs_holds_nobody_up(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        asked_at = time.perf_counter()
        assert exists(watch, "client")  # the last that is known
        late = PulseWatch(changes)
        late.start()
        late.close()
        watch.close()
        assert time.perf_counter() - asked_at < END_S * 2
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_closed_watch_calls_nobody(
    server: AudioServer, watch: PulseWatch, changes: Changes
) -> None:
    watch.close()
    before = len(changes.at)
    server.add_sink("plugged")
    server.kill()
    assert len(changes.at) == before
    watch.close()


def test_without_libpulse_there_are_no_devices_and_nothing_to_watch(
    monkeypatch: pytest.MonkeyPatch, changes: Changes
) -> None:
    monkeypatch.setitem(sys.modules, "pulsectl", None)
    assert pulse_devices() == []
    watch = PulseWatch(changes)
    watch.start()
    assert not watch.connected
    watch.close()


def test_without_a_server_there_are_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    assert pulse_devices() == []


def test_a_device_keeps_its_format_when_libpulse_reuses_the_memory(server: AudioServer) -> None:
    pulsectl = pulse_server.libpulse()
    with pulsectl.Pulse("a test", server=str(server.socket)) as connection:
        (given,) = connection.sink_list()[:1]
    struct = pulsectl._pulsectl.PA_SINK_INFO()
    struct.sample_spec = given.sample_spec
    struct.proplist = pulsectl._pulsectl.pa.proplist_from_string(b"")
    kept = pulsectl.PulseSinkInfo(struct)
    struct.sample_spec.channels = struct.sample_spec.rate = 0
    assert (kept.sample_spec.channels, kept.sample_spec.rate) == (1, 48_000)


# -- the server's words as devices ------------------------------------------------------------------


def source(name: str, sink: str | None = None, **properties: str) -> Any:
    return SimpleNamespace(
        name=name,
        description=f"the {name}",
        monitor_of_sink_name=sink,
        sample_spec=SimpleNamespace(channels=2, rate=44_100),
        proplist={key.replace("_", ".", 1): value for key, value in properties.items()},
    )


def test_a_monitor_is_a_loopback_and_so_is_what_is_made_of_it() -> None:
    sources = [
        source("a.monitor", "a"),
        source("mic"),
        source("remapped", device_master_device="a.monitor"),
        source("echo_cancelled", device_master_device="mic"),
    ]
    devices = as_devices(sources, [source("a")], "mic", "a")
    assert [(one.name, one.plays, one.loopback, one.default) for one in devices] == [
        ("a.monitor", "a", True, True),
        ("mic", "", False, True),
        ("remapped", "a.monitor", True, False),
        ("echo_cancelled", "", False, False),
        ("a", "", False, True),
    ]
    assert [(one.inputs, one.outputs, one.rate) for one in devices[-2:]] == [
        (2, 0, 44_100),
        (0, 2, 44_100),
    ]
