"""`vad-agent serve` as its users run it: a process, its output, its signals, its files."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.callbacks.conftest import postgres, url
from tests.server.serve_process import LIMIT_S, ServeProcess
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage
from vad_agent.callbacks.phone_numbers import masked
from vad_agent.server.container import DeskContainer
from vad_agent.server.process import is_loopback

__all__ = ["postgres", "url"]

PHONE, OTHER = "+79123456789", "+79123456780"
NAME = "Анна Петровна"


@pytest.fixture
def serve(tmp_path) -> Iterator[object]:
    """Starts one with `--port 0`; what a test leaves running is killed."""
    started: list[ServeProcess] = []

    def start(*arguments, port=0, state=tmp_path, **environment):
        state.mkdir(exist_ok=True)
        started.append(ServeProcess(state, "--port", port, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        if one.process.stdout is not None and not one.process.stdout.closed:
            one.end()


def letter(key: str, phone: str) -> OutboxMessage:
    now = datetime.now(UTC).isoformat()
    return OutboxMessage(REQUESTED, key, f"call {key}", now, "dropped", 0.0, phone=phone, name=NAME)


NO_FAREWELL = '[callbacks]\nfarewell_s = 0.0\nzone = "Europe/Moscow"\n'
ANNOUNCED = "ПЕРЕЗВОНИТЕ"


def settings(folder: Path, text: str = "") -> Path:
    (folder / "script.toml").write_text(NO_FAREWELL, encoding="utf-8")
    file = folder / "desk.toml"
    file.write_text(f'script = "script.toml"\n{text}', encoding="utf-8")
    return file


def whole(database: Path) -> list[str]:
    """The states in a file that is whole, whatever the journal holds."""
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [state for (state,) in connection.execute("SELECT state FROM callbacks")]
    finally:
        connection.close()


# -- a desk's day ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "number"), [("http", signal.SIGTERM), ("https", signal.SIGINT)])
def test_it_says_where_it_is_rings_answers_and_ends_by_a_signal(serve, tmp_path, scheme, number):
    certified, verify = {}, True
    if scheme == "https":
        certified = {"certificate": str(certificate(tmp_path))}
        verify = ssl.create_default_context(cafile=certified["certificate"])
    config = settings(tmp_path, TLS if certified else "")
    desk = serve("--config", config, "--node", "one")
    url = desk.ready()
    assert [line.split()[0] for line in desk.said] == [
        "desk",
        "callbacks",
        "dialer",
        "zone",
        "letters",
        "token",
    ]
    assert "zone      Europe/Moscow" in desk.said
    told = json.loads(desk.place.read_text(encoding="utf-8"))
    where = {"url": url, "pid": desk.process.pid, "database": str(desk.database)}
    assert told == where | certified
    assert re.fullmatch(scheme + r"://127\.0\.0\.1:\d+", url)

    Outbox(desk.folder / "outbox").post(letter("k1", PHONE))
    assert desk.until(ANNOUNCED) == f"{ANNOUNCED} {masked(PHONE)}, попытка 1 из 3"
    then = desk.until("  потом:")
    id = then.split()[4]

    with httpx.Client(base_url=url, verify=verify, trust_env=False, timeout=LIMIT_S) as client:
        assert client.get("/health").json()["node"] == "one"
        assert client.get("/ready").json() == {"ready": True, "why": []}
        for headers in ({}, {"Authorization": "Bearer wrong-token-wrong-token"}):
            assert client.get("/api/v1/callbacks", headers=headers).status_code == 401
        (callback,) = client.get("/api/v1/callbacks", headers=desk.bearer()).json()["callbacks"]
    assert (callback["id"], callback["phone"], callback["state"]) == (id, PHONE, "offered")

    assert desk.end(number) == (130 if number == signal.SIGINT else 0)
    assert not desk.place.exists()
    assert whole(desk.database) == ["offered"]
    assert not list((desk.folder / "outbox").glob("*.json"))
    (line,) = desk.errors
    assert "WARNING wrong credentials what=token address=127.0.0.1" in line
    assert "wrong-token" not in line
    everything = "\n".join(desk.said)
    assert not [word for word in (PHONE, *NAME.split()) if word in everything]


def test_a_start_after_a_kill_finds_all(serve, tmp_path):
    """What rang rings on, what came meanwhile rings, and the place of the killed one is nobody's."""
    config = settings(tmp_path)
    first = serve("--config", config)
    first.ready()
    outbox = Outbox(first.folder / "outbox")
    outbox.post(letter("k1", PHONE))
    first.until("  потом:")
    with httpx.Client(trust_env=False, headers=first.bearer(), timeout=LIMIT_S) as client:
        url = json.loads(first.place.read_text(encoding="utf-8"))["url"]
        waits = client.post(
            f"{url}/api/v1/callbacks", json={"reason": "dropped", "due_in_s": 600, "phone": OTHER}
        )
        assert waits.is_success, waits.text
    first.process.kill()
    assert first.end() == -signal.SIGKILL
    assert first.place.exists()
    outbox.post(letter("k2", "+79123456781"))
    second = serve("--config", config)
    url = second.ready()
    second.until(f"{ANNOUNCED} {masked('+79123456781')}")
    assert json.loads(second.place.read_text(encoding="utf-8"))["pid"] == second.process.pid
    with httpx.Client(trust_env=False, headers=second.bearer(), timeout=LIMIT_S) as client:
        found = client.get(f"{url}/api/v1/callbacks").json()["callbacks"]
    assert sorted((one["phone"], one["state"]) for one in found) == [
        (OTHER, "waiting"),
        ("+79123456781", "offered"),
        (PHONE, "offered"),
    ]
    assert second.end(signal.SIGKILL) == -signal.SIGKILL
    assert sorted(whole(second.database)) == ["offered", "offered", "waiting"]


TLS = '[api]\ncert_file = "desk.pem"\nkey_file = "desk.key"\n'


def certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself."""
    pem = folder / "desk.pem"
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=desk"
    )
    subject = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "desk.key"), "-out", str(pem)]
    subprocess.run(
        ["openssl", *made.split(), *subject, *files],
        check=True,
        capture_output=True,
    )
    return pem


# -- what it refuses -------------------------------------------------------------------------------


def test_what_is_in_use_already_is_refused_in_one_line(serve, tmp_path):
    """A desk's state folder, its database and its port; that one goes on."""
    first = serve()
    url = first.ready()
    port = url.rpartition(":")[2]
    same = serve("--database", tmp_path / "other.sqlite")
    second = serve("--database", first.database, state=tmp_path / "another")
    third = serve(port=port, state=tmp_path / "else")
    assert same.end() == 1
    assert same.errors == [
        f"vad-agent: {first.place}: a desk of this user runs already, process {first.process.pid} at "
        f"{url}: stop it, or give this one a state folder of its own (XDG_STATE_HOME)"
    ]
    assert not (tmp_path / "other.sqlite").exists()
    assert second.end() == 1
    assert second.errors == [
        f"vad-agent: {first.database}: another process has the callbacks: stop it, or speak to it "
        "(--desk URL)"
    ]
    assert third.end() == 1
    (line,) = third.errors
    assert line.startswith(f"vad-agent: 127.0.0.1:{port}: cannot listen there: ")
    assert not third.database.exists()
    assert not third.place.exists()
    assert json.loads(first.place.read_text(encoding="utf-8"))["url"] == url
    assert httpx.get(f"{url}/health", trust_env=False).json()["alive"] is True


WRONG = [
    ("node =", 2, ["desk.toml: line 1, column 7: expected TOML: "]),
    (
        'node = 5\ncolour = "red"\n[api]\nhost = 5\nx = 1\n',
        2,
        ["desk.toml: node: ", "desk.toml: host: ", "desk.toml: x: ", "desk.toml: colour: "],
    ),
    (
        'dialer = "asterisk"\n[asterisk]\nurl = "http://x"\nuser = "x"\n',
        2,
        ["[asterisk]: password"],
    ),
    ('script = "none.toml"', 2, ["none.toml: no such file"]),
    ('[api.tokens]\ncrm = "none"\n', 2, ["[api.tokens]: crm: "]),
    ('[api.tokens]\ncrm = "short"\n', 2, ["tokens: crm: expected 16 characters"]),
    ('[api.tokens]\nown = "short"\n', 2, ["[api.tokens]: own: expected another name"]),
    ('[api]\ncert_file = "none.pem"\n', 2, ["none.pem: No such file or directory"]),
    ('[api]\ncert_file = "short"\n', 2, ["short: expected a certificate and its key"]),
    ('[api]\nkey_file = "short"\n', 2, ["cert_file: missing"]),
    (
        '[api]\nhost = "203.0.113.1"\nwithout_tls = true\n',
        1,
        ["203.0.113.1:0: cannot listen there"],
    ),
    *(
        (
            f'[api]\nhost = "{host}"\n',
            2,
            [
                f"[api]: host: '{host}' is reached by other machines, and there is no TLS: set cert_file"
            ],
        )
        for host in ("0.0.0.0", "::", "203.0.113.1", "desk.example.ru", "")
    ),
    ('database_wait_s = "x"', 2, ["database_wait_s: expected seconds, got 'x'"]),
    ('database = "mysql://desk@db/x"', 1, ["database: expected postgresql://"]),
    ('database = "."', 1, ["cannot be opened: Is a directory"]),
    ('encryption_key_file = "short"', 1, ["the key of the callbacks: expected 32 bytes"]),
]


@pytest.mark.parametrize(("text", "status", "lines"), WRONG)
def test_what_is_wrong_is_told_line_by_line_and_nothing_is_left_running(
    tmp_path, monkeypatch, capfd, text, status, lines
):
    """In this process, as each start of one costs a second; what ends here has opened nothing for long."""
    from vad_agent.cli import main

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "short").write_text("short", encoding="utf-8")
    file = tmp_path / "desk.toml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["vad-agent", "serve", "--port", "0", "--config", str(file)])
    monkeypatch.setattr("vad_agent.server.logging_setup.log_to_stderr", lambda **_: None)
    with pytest.raises(SystemExit) as ended:
        main.main()
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (status, "")
    told = err.splitlines()
    assert len(told) == len(lines), told
    for line, expected in zip(sorted(told), sorted(lines), strict=True):
        assert line.startswith("vad-agent: ")
        assert expected in line
    assert not (tmp_path / "vad-agent" / "desk.json").exists()


def test_a_port_that_is_none_is_refused(serve):
    desk = serve(port=70000)
    assert desk.end() == 2
    assert len(desk.errors) == 1


def test_a_zone_that_nobody_set_is_told(serve):
    """15:30 would be 18:30 in Moscow."""
    desk = serve(TZ="UTC")
    assert desk.until("zone ") == (
        "zone      UTC: this machine's, because the script names none (zone in [callbacks])"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_this_machine_it_needs_no_tls(host):
    assert is_loopback(host)


def test_other_machines_reach_it_without_tls_where_somebody_says_so(serve):
    desk = serve("--host", "0.0.0.0", "--without-tls")
    assert desk.ready().startswith("http://0.0.0.0:")
    assert desk.end(signal.SIGTERM) == 0


def test_whatever_the_umask_its_files_are_its_owners_alone(serve, tmp_path):
    folder = tmp_path / "vad-agent"
    before = os.umask(0)
    try:
        Outbox(folder / "outbox").post(letter("k1", PHONE))
        folder.joinpath("callbacks.sqlite").touch(mode=0o666)  # restored by hand
        desk = serve()
    finally:
        os.umask(before)
    desk.ready()
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in found} >= {
        "callbacks.sqlite",
        "callbacks.sqlite-wal",
        "desk.json",
        "token",
    }
    assert {path: oct(path.stat().st_mode) for path in found} == dict.fromkeys(found, "0o100600")
    assert desk.end(signal.SIGTERM) == 0


def test_a_start_waits_for_its_database_server(serve, tmp_path, postgres, url):
    """As after a power cut: both machines start, the server later."""
    postgres.stop()
    config = settings(tmp_path, f'database = "{url}"\n')
    desk = serve("--config", config)
    while not any("waiting for the database" in line for line in desk.errors):
        assert desk.process.poll() is None, desk.errors
        desk.process.poll()
        time.sleep(0.05)
    postgres.start()
    desk.ready()
    assert desk.end(signal.SIGTERM) == 0
    assert len(desk.errors) == 1
    assert url.partition("@")[0].rpartition(":")[2] not in desk.errors[0]  # the password


def test_a_server_that_refuses_is_not_waited_for(serve, tmp_path, postgres, url):
    postgres.start()
    config = settings(tmp_path, f'database = "{url.replace("desk:", "nobody:")}"\n')
    desk = serve("--config", config)
    assert desk.end() == 1
    (line,) = desk.errors
    assert "password authentication failed" in line


# -- its parts -------------------------------------------------------------------------------------


def test_everybody_may_ask_whether_it_is_ready_and_learns_no_more_than_what_fails():
    desk = object.__new__(DeskContainer)
    trouble = {"promise": "/var/lib/c.sqlite: locked", "overdue": "db.example: no route"}
    desk.reconciler = SimpleNamespace(trouble=trouble)
    assert desk.not_ready() == ["overdue", "promise"]
    trouble.clear()
    assert desk.not_ready() == []


def test_a_signal_before_it_serves_ends_it_in_order(tmp_path):
    """Between its place and its first answer: whoever reads the place may end it."""
    import uvicorn

    from vad_agent.server.process import DeskServer, _ending

    async def app(scope, receive, send):
        raise AssertionError(scope)

    server = DeskServer(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    before = signal.getsignal(signal.SIGTERM)
    with socket.create_server(("127.0.0.1", 0)) as listening, _ending(server):
        os.kill(os.getpid(), signal.SIGTERM)
        server.run(sockets=[listening])
    assert signal.getsignal(signal.SIGTERM) is before
