"""`vad-agent devices` as its users type it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.headset.audio_server import PROGRAMS, AudioServer
from tests.headset.conftest import require
from vad_agent.audio.devices import Device
from vad_agent.cli.devices import COLUMNS, how_to, marks

COMMAND = [sys.executable, "-m", "vad_agent.cli.main", "devices"]


@pytest.fixture(scope="module")
def env() -> Iterator[Mapping[str, str]]:
    require(PROGRAMS)
    with AudioServer() as server:
        yield server.env


def run(env: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, timeout=60)
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    return done.stdout.decode()


def test_the_table_says_what_each_device_serves_as(env: Mapping[str, str]) -> None:
    lines = run({**env, "PYTHONIOENCODING": "utf-8"}).splitlines()
    table = {line.split()[0]: line for line in lines[: lines.index("")]}
    assert table["name"].split() == ["name", *COLUMNS, "no.", "host", "description"]
    for name, column, mark in (
        ("client.monitor", "client", "default"),
        ("vmic", "client", "✓"),
        ("client", "prompt", "default"),
        ("virtmic", "prompt", "✓"),
    ):
        at = table["name"].index(column)
        assert table[name][at:].split()[0] == mark
        assert table[name][len(name) : at].strip() == ""
    assert "what virtmic.monitor gives" in table["vmic"]


def test_under_the_table_stands_how_to_get_the_clients_side(env: Mapping[str, str]) -> None:
    text = run(env)
    assert "load-module module-remap-source source_name=vmic master=virtmic.monitor" in text
    assert "source_dont_move=true" in text


def test_as_json_it_is_a_list_and_nothing_else(env: Mapping[str, str]) -> None:
    devices = json.loads(run(env, "--json"))
    (monitor,) = (one for one in devices if one["name"] == "client.monitor")
    assert monitor["roles"] == ["client"]
    assert monitor["loopback"] is True
    assert monitor["default"] is True
    assert monitor["rate"] == 48_000


def test_without_a_server_it_still_ends_well(env: Mapping[str, str]) -> None:
    gone = {**env, "PULSE_SERVER": "unix:/nonexistent/native"}
    assert "The client's side" in run(gone)
    assert [one for one in json.loads(run(gone, "--json")) if one["backend"] == "pulse"] == []


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("linux", ("pactl",)),
        ("win32", ('pip install ".[loopback]"', "Not tried on Windows")),
        ("darwin", ("BlackHole", "Not tried on macOS")),
    ],
)
def test_each_system_has_its_way(platform: str, words: tuple[str, ...]) -> None:
    text = how_to(platform)
    assert all(word in text for word in words)
    assert max(map(len, text.splitlines())) <= 110


def test_the_commands_that_it_tells_do_what_it_says() -> None:
    require(PROGRAMS)
    with AudioServer(sinks=("client", "mic")) as server:
        said = how_to("linux").replace("\\\n", " ").replace("source=MIC", "source=mic.monitor")
        commands = [line.split() for line in said.splitlines() if line.startswith("  pactl ")]
        for _, *arguments in commands:
            server.pactl(*arguments)
        assert len(commands) == 3
        assert "vmic" in server.names("sources")
        assert server.pactl("list", "short", "source-outputs").count("\n") == 1  # remap, loopback


def test_a_default_microphone_is_no_default_for_the_client() -> None:
    cable = Device(
        "CABLE Output", "portaudio", "MME", 1, 2, 0, 44_100, loopback=False, default=True
    )
    assert marks(cable) == ["✓", "", ""]
