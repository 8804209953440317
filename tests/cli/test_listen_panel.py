"""`vad-agent listen --panel` as its users run it: the link, a call on the page, its keys, the end."""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.headset.audio_server import PROGRAMS, AudioServer
from tests.headset.conftest import require
from tests.headset.listen_process import INTERRUPTED, Listening, kind
from tests.headset.source_recording import until
from tests.headset.test_faults import begin
from tests.web.panel_client import Following, PanelClient, State
from vad_agent.core.actions import Phase
from vad_agent.errors import install_extra
from vad_agent.headset.screen import render
from vad_agent.headset.status import Status

LINK = re.compile(r"panel     (http://127\.0\.0\.1:(\d+)/enter\?token=\S+)")
DEVICES = (
    "--client-device=client.monitor",
    "--operator-device=mic.monitor",
    "--prompt-device=virtmic",
)


@pytest.fixture(scope="module")
def server() -> Iterator[AudioServer]:
    require(PROGRAMS)
    with AudioServer() as server:
        server.keep_awake("client", "virtmic", "mic")
        yield server


def link(listening: Listening) -> str:
    until(lambda: LINK.search(listening.log), 10, "the panel's link")
    found = LINK.search(listening.log)
    assert found is not None
    return found[1]


@pytest.mark.serial
def test_a_call_is_on_the_page_and_its_keys_work(server: AudioServer, tmp_path: Path) -> None:
    with Listening(server, tmp_path, "--panel", "--panel-port=0", "--operator=ivan") as listening:
        page = PanelClient(link(listening))
        with closing(page.client), Following(page) as following:
            state = following.until(lambda state: state.get("sides"))
            assert (state["operator"], state["phase"], state["gone"]) == ("ivan", None, False)
            begin(server, listening)
            following.until(lambda state: state["phase"] == "greeting", 5)
            following.until(lambda state: (state["phrase"] or {}).get("state") == "next", 10)
            assert following.state["clock"]["silence_s"] is not None

            took = []
            for _ in range(5):
                for key, paused in (("pause", True), ("resume", False)):
                    began = time.perf_counter()
                    assert page.send(kind=key).status_code == 204
                    following.until(
                        lambda state, paused=paused: (
                            ("ПАУЗА" in (state["clock"]["stands"] or "")) is paused
                        ),
                        2,
                    )
                    took.append(following.told[-1][0] - began)
            print(
                f"a key to the page: {statistics.median(took) * 1e3:.0f} ms, {max(took) * 1e3:.0f} ms"
            )
            assert statistics.median(took) < 0.1

            assert page.send(kind="client_name", name="<b>Ольга").status_code == 204
            following.until(lambda state: state["client_name"] == "<b>Ольга")
            line = listening.wait(kind("prompt"), 15)
            assert line["outcome"] == "said"
            states = [(told.get("phrase") or {}).get("state") for _, told in following.told]
            assert "playing" in states
            assert page.send(command="quit").status_code == 400
            assert page.send(command="end_call").status_code == 204
            following.until(lambda state: state["phase"] is None)
            assert any("завершён" in text for _, text in following.state["messages"])

            assert page.get("/panel/callbacks").json()["rings"] is False
            assert listening.stop() == INTERRUPTED
            following.until(lambda state: state["gone"])
            assert following.ended.wait(5)
        assert "Traceback" not in listening.log
        assert listening.log.count("token=") == 2  # the link that was used up, and the next one
        assert "token=" not in listening.trace_path.read_text(encoding="utf-8")


def level(told: State) -> float:
    return float(told["sides"]["client"]["level"])


@pytest.mark.serial
def test_the_clients_meter_is_without_our_own_phrase(server: AudioServer, tmp_path: Path) -> None:
    """The operator hears the phrases in the headset that plays the client."""
    more = ("--panel", "--panel-port=0", "--monitor-device=client")
    with Listening(server, tmp_path, *more) as listening:
        page = PanelClient(link(listening))
        with closing(page.client), Following(page) as following:
            following.until(lambda state: state.get("sides"))
            begin(server, listening)
            listening.wait(lambda line: line["kind"] == "prompt" and line["id"] == "not_heard", 30)
            states: list[State] = []
            for _, told in following.told:
                states.append((states[-1] if states else {}) | told)
            plays = [one for one in states if (one.get("phrase") or {}).get("state") == "playing"]
            second = [level(one) for one in plays if "не слышно" in one["phrase"]["text"]]
            assert len(second) > 8
            print(f"client's level while our phrase plays: {statistics.median(second):.2f}")
            assert statistics.median(second) < 0.25
            assert page.send(command="end_call").status_code == 204


@pytest.mark.serial
def test_a_virtual_microphone_that_is_gone_is_told_on_the_page(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path, "--panel", "--panel-port=0") as listening:
        page = PanelClient(link(listening))
        with closing(page.client), Following(page) as following:
            following.until(lambda state: state.get("speaks"))
            assert following.state["alarms"] == []
            server.remove_sink("virtmic")
            following.until(lambda state: state["alarms"], 5)
            (told,) = following.state["alarms"]
            assert "Вывод фраз отключён — жду его, фразы говорите сами (" in told
            following.until(lambda state: not state["speaks"])
            assert following.state["mode_text"] == "фразы говорите вы"
            server.add_sink("virtmic")
            server.keep_awake("virtmic")
            following.until(lambda state: state["speaks"] and not state["alarms"], 15)
            assert following.state["mode_text"] == "фразы говорит программа"


def listen(server: AudioServer, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vad_agent.cli.main", "listen", *DEVICES, "--plain"]
    return run(server, [*command, f"--trace={folder / 'trace.jsonl'}", *more])


def run(server: AudioServer, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=server.env | {"PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_port_that_is_taken_is_one_line(server: AudioServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = listen(server, tmp_path, "--panel", f"--panel-port={port}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"127.0.0.1:{port}: cannot show the panel there" in line
    assert "--panel-port" in line


def test_without_its_packages_it_says_which_extra_brings_them(
    server: AudioServer, tmp_path: Path
) -> None:
    arguments = ["vad-agent", "listen", *DEVICES, "--plain", "--panel", "--panel-port=0"]
    code = (
        f"import sys; sys.modules['fastapi'] = None; sys.argv = {arguments!r};"
        "from vad_agent.cli.main import main; main()"
    )
    done = run(server, [sys.executable, "-c", code])
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert f"needs fastapi: {install_extra('callbacks')}" in line


def test_without_the_panel_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys, vad_agent.cli.listen_process, vad_agent.headset.composition;"
        "print([name for name in ('fastapi', 'uvicorn', 'vad_agent.web') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


PANEL = f"http://127.0.0.1:8601/enter?token={'x' * 24}"


def shown(status: Status, width: int, height: int) -> str:
    """The screen's text without its indents and line ends: a link in two rows is one."""
    return "".join(line.plain.strip() for line in render(status, width, height))


@pytest.mark.parametrize("width", [20, 24, 40, 60, 66, 80, 200])
def test_the_live_screen_shows_the_whole_link_in_any_window(width: int) -> None:
    rows = -(-len(PANEL) // (width - 8))
    for height in range(1 + rows, 40):
        status = Status(panel=PANEL, voice_problem=None)
        assert PANEL in shown(status, width, height), height
        status.hang_up, status.callback = True, "Перезвонить сразу"
        assert PANEL in shown(status, width, height), height


def test_each_row_of_the_link_opens_all_of_it_and_a_call_with_room_has_it_too() -> None:
    lines = render(Status(panel=PANEL), 40, 15)
    links = {str(span.style) for line in lines for span in line.spans if "link" in str(span.style)}
    assert links == {f"link {PANEL}"}
    call = Status(panel=PANEL, phase=Phase.DIALOGUE)
    assert PANEL in shown(call, 60, 15)
    assert "token" not in shown(call, 60, 8)
