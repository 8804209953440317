"""The files by which a sound server makes the virtual microphone at its start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vad_agent.audio import server_startup
from vad_agent.audio.server_startup import BEGIN, END, pipewire_file, pulse_file, remove, write
from vad_agent.errors import OutputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sound servers of Linux")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_a_new_default_pa_includes_the_systems_and_goes_with_the_block() -> None:
    assert write("mic", pipewire=False) == pulse_file()
    text = pulse_file().read_text()
    assert text.index(".include /etc/pulse/default.pa") < text.index("load-module module-null-sink")
    assert "source=mic sink=virtmic " in text
    assert server_startup.written()
    assert remove() == [pulse_file()]
    assert not pulse_file().exists()
    assert not server_startup.written()
    assert remove() == []


@pytest.mark.parametrize("own", ["load-module a\n", "load-module a", "load-module a\n\n\n"])
def test_the_users_own_default_pa_stays_as_it_is_around_the_block(own: str) -> None:
    pulse_file().parent.mkdir()
    pulse_file().write_text(own)
    for microphone in ("mic", "mic", "another"):
        write(microphone, pipewire=False)
        text = pulse_file().read_text()
        assert text.startswith(own)
        assert [text.count(mark) for mark in (BEGIN, END, ".include")] == [1, 1, 0]
    assert "source=another " in text
    with pulse_file().open("a") as file:
        file.write("load-module b\n")
    remove()
    assert pulse_file().read_text().split() == [*own.split(), "load-module", "b"]


def test_a_linked_default_pa_stays_a_link(home: Path) -> None:
    real = home / "dotfiles.pa"
    real.write_text("load-module a\n")
    pulse_file().parent.mkdir()
    pulse_file().symlink_to(real)
    write("mic", pipewire=False)
    assert pulse_file().is_symlink()
    assert BEGIN in real.read_text()


def test_pipewire_gets_a_file_of_its_own_with_quoted_arguments() -> None:
    assert write("mic", pipewire=True) == pipewire_file()
    text = pipewire_file().read_text()
    assert text.count('cmd = "load-module"') == 3
    assert "sink_properties=\\\"device.description='vad-agent phrases'\\\"" in text
    assert remove() == [pipewire_file()]


def test_a_file_that_cannot_be_written_is_told() -> None:
    pulse_file().mkdir(parents=True)
    with pytest.raises(OutputError, match=r"default\.pa: cannot be read"):
        write("mic", pipewire=False)
