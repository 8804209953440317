"""Two `listen` on one output: the second one is told of the first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import Listening
from vad_agent.audio.devices import Device
from vad_agent.errors import DeviceError
from vad_agent.headset.prompt_device_lock import PromptDeviceLock


def output(name: str) -> Device:
    return Device(name, "pulse", "PulseAudio", None, 0, 1, 48_000, loopback=False, default=False)


def test_a_device_has_one_holder_until_it_is_released(tmp_path: Path) -> None:
    first = PromptDeviceLock(output("virtmic"), tmp_path / "locks")
    with pytest.raises(DeviceError, match=rf"virtmic: .*\(process {os.getpid()}\)"):
        PromptDeviceLock(output("virtmic"), tmp_path / "locks")
    first.close()
    PromptDeviceLock(output("virtmic"), tmp_path / "locks").close()


def test_another_device_or_another_sound_server_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = PromptDeviceLock(output("virtmic"), tmp_path)
    PromptDeviceLock(output("headset"), tmp_path).close()
    monkeypatch.setenv("PULSE_SERVER", "unix:/another")
    PromptDeviceLock(output("virtmic"), tmp_path).close()
    held.close()


def test_where_no_lock_can_be_written_the_device_is_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    PromptDeviceLock(output("virtmic"), tmp_path / "file" / "locks").close()


def test_a_second_listen_on_one_output_names_the_first_and_ends(
    audio_server: AudioServer, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with Listening(audio_server, one) as first:
        second = Listening(audio_server, two)
        assert second.process.wait(30) == 2
        told = f"another vad-agent listen (process {first.process.pid}) speaks into it"
        assert f"--prompt-device virtmic: {told}" in second.log
        second.stop()
        assert first.process.poll() is None
    with Listening(audio_server, two):
        pass
