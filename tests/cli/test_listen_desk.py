"""`listen` shows itself to the desk: the one of this machine, once it runs, or the one that it is told of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headset.audio_server import PROGRAMS, AudioServer
from tests.headset.conftest import require
from tests.headset.listen_process import INTERRUPTED, Listening
from tests.headset.source_recording import until
from tests.web.link_desk import TOKEN, LinkDesk, link_desk
from vad_agent.client.headset_protocol import Command
from vad_agent.core.events import Event, EventKind


@pytest.fixture
def server() -> Iterator[AudioServer]:
    require(PROGRAMS)
    with AudioServer() as server:
        server.keep_awake("client", "virtmic", "mic")
        yield server


def state_folder(server: AudioServer) -> Path:
    folder = server.directory / ".local" / "state" / "vad-agent"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(TOKEN, encoding="ascii")
    return folder


def a_call_is_seen_and_its_keys_work(desk: LinkDesk, listening: Listening) -> None:
    desk.until("anna", phase=None, operator="anna", gone=False)
    listening.send(kind="answered")
    desk.until("anna", phase="greeting")
    for key, paused in ((EventKind.PAUSE, True), (EventKind.RESUME, False)):
        assert desk.broker.send("anna", Event(key))
        until(
            lambda paused=paused: (
                ("ПАУЗА" in (desk.state("anna")["clock"]["stands"] or "")) is paused
            ),
            2,
            "the key",
        )
    assert desk.broker.send("anna", Command.QUIT)
    assert desk.broker.send("anna", Command.END_CALL)
    desk.until("anna", phase=None)


def test_the_desk_of_this_machine_is_found_whenever_it_comes(
    server: AudioServer, tmp_path: Path
) -> None:
    folder = state_folder(server)
    with Listening(server, tmp_path, "--operator=anna") as listening:
        with link_desk() as desk:
            told = {"url": desk.url, "pid": os.getpid()}
            (folder / "desk.json").write_text(json.dumps(told), encoding="ascii")
            a_call_is_seen_and_its_keys_work(desk, listening)
        (folder / "desk.json").unlink()
        with link_desk() as desk:
            told = {"url": desk.url, "pid": os.getpid()}
            (folder / "desk.json").write_text(json.dumps(told), encoding="ascii")
            desk.until("anna", phase=None, gone=False)
            assert listening.stop() == INTERRUPTED
            desk.until("anna", gone=True)
        assert "стол" not in listening.log
        assert "Traceback" not in listening.log


def test_a_desk_elsewhere_sees_it_too(server: AudioServer, tmp_path: Path) -> None:
    state_folder(server)
    with link_desk() as desk:
        with Listening(server, tmp_path, "--operator=anna", f"--desk={desk.url}") as listening:
            a_call_is_seen_and_its_keys_work(desk, listening)
            port = desk.port
            desk.stop()
            until(lambda: "стол не видит эту гарнитуру" in listening.log, 10, "the report")
            with link_desk(port) as again:
                again.until("anna", phase=None, gone=False)
                until(lambda: "стол снова видит эту гарнитуру" in listening.log, 10, "its end")
                assert listening.stop() == INTERRUPTED
        assert listening.log.count("стол") == 2
        assert TOKEN not in listening.log
        assert "Traceback" not in listening.log
