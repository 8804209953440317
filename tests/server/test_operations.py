"""What docs/operations.md says, done as it is written: the unit, backup, restore, webhook, monitoring."""

from __future__ import annotations

import ast
import contextlib
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.callbacks.conftest import postgres, url, where
from tests.callbacks.dialers.test_webhook import SECRET
from tests.callbacks.store_requests import asks, by, client
from tests.server.api_desk import ApiDesk
from tests.server.serve_process import LIMIT_S, ServeProcess
from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.model import Outcome, Policy, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.store import Store

__all__ = ["postgres", "url", "where"]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
POLICY = Policy(ZoneInfo("Europe/Moscow"))
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def blocks(language: str) -> list[str]:
    """The page's fenced blocks."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


# -- the service -----------------------------------------------------------------------------------


class Unit(dict[str, list[str]]):
    """A unit's keys; a key may stand several times."""

    def __init__(self, text: str) -> None:
        for line in text.splitlines():
            name, is_key, value = line.partition("=")
            if is_key:
                self.setdefault(name, []).append(value)


@pytest.fixture
def unit() -> str:
    (text,) = blocks("ini")
    return text


def test_the_unit_starts_the_desk_as_it_is_written(unit: str, tmp_path: Path) -> None:
    """Its command, its environment, its umask and its signal, with folders of the test's own."""
    keys = Unit(unit)
    (command,) = keys["ExecStart"]
    words = shlex.split(command)
    assert words[0] == "/usr/local/bin/vad-agent"
    assert words[1] == "serve"
    own = {"/etc/vad-agent": str(tmp_path / "etc"), "/var/lib": str(tmp_path / "lib")}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "desk.toml").write_text("[api]\nport = 0\n", encoding="utf-8")

    def moved(text: str) -> str:
        for from_, to in own.items():
            text = text.replace(from_, to)
        return text

    environment = dict(moved(each).split("=", 1) for each in keys["Environment"])
    (tmp_path / "lib").mkdir()
    before = os.umask(int(keys["UMask"][0], 8))
    try:
        desk = ServeProcess(tmp_path / "lib", *map(moved, words[2:]), **environment)
    finally:
        os.umask(before)
    place = desk.ready()
    assert httpx.get(f"{place}/health", trust_env=False).json()["alive"] is True
    assert (tmp_path / "lib" / "vad-agent" / "callbacks.sqlite").exists()
    assert desk.end(getattr(signal, keys["KillSignal"][0])) == 0
    assert keys["Restart"] == ["always"]
    assert keys["StateDirectory"] == ["vad-agent"]  # what systemd makes is what the desk uses


def test_systemd_finds_nothing_wrong_in_the_unit(unit: str, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd")
    file = tmp_path / "vad-agent.service"
    file.write_text(unit.replace("/usr/local/bin/vad-agent", sys.executable), encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "vad-agent.service" in line]
    assert ours == [], done.stderr


# -- backup and restore ----------------------------------------------------------------------------


def shell(script: str, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def with_own_paths(script: str, folder: Path, database: str) -> str:
    """The page's command, in a folder and with a database of the test's own, by whoever runs it."""
    script = script.replace("/var/lib/vad-agent", str(folder / "lib"))
    script = script.replace("/var/backups", str(folder / "backups"))
    script = script.replace("postgresql://desk@db/callbacks", database)
    return "\n".join(line for line in script.splitlines() if not line.startswith("chown "))


def content(place: str) -> dict[str, Any]:
    store = Store(place, POLICY)
    try:
        queries = CallbackQueries(store)
        told = {one.id: (one, queries.history(one.id)) for one in queries.all()}
        assert queries.promise().missing == 0
        return told
    finally:
        store.close()


def test_what_a_backup_has_is_there_again_after_a_restore(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """While a desk has the database open: the page's commands, in their order."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "lib").mkdir()
    on_server = where.startswith("postgresql")
    place = where if on_server else str(tmp_path / "lib" / "callbacks.sqlite")
    scripts = [block for block in blocks("sh") if "backups" in block]
    backup, restore = (script for script in scripts if ("pg_" in script) is on_server)
    store = Store(place, POLICY)
    for number in range(5):
        store.take(asks(NOW, phone=client(number), name=f"Анна {number}"), by(NOW))
    shell(with_own_paths(backup, tmp_path, place))
    kept = {one.id for one in CallbackQueries(store).all()}
    after = store.take(asks(NOW, phone=client(9)), by(NOW)).callback
    store.close()
    before = content(place)
    assert after.id in before
    shell(with_own_paths(restore, tmp_path, place))
    found = content(place)
    assert set(found) == kept
    assert all(found[id] == before[id] for id in kept)
    store = Store(place, POLICY)  # and it is a store as any other
    try:
        store.take(asks(NOW, phone=client(9)), by(NOW))
        assert CallbackQueries(store).promise().taken == 6
    finally:
        store.close()


# -- the webhook -----------------------------------------------------------------------------------


@contextlib.contextmanager
def centre(orders: list[tuple[dict[str, str], bytes]], got: threading.Event) -> Iterator[str]:
    """A centre's program that takes every order."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            orders.append(({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()
            got.set()

        def do_GET(self) -> None:
            body = b'{"state": "ringing"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_DELETE(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/vad-agent"
        finally:
            server.shutdown()
            thread.join()


def test_the_webhook_is_as_it_is_written_and_the_example_is_taken(tmp_path: Path) -> None:
    """A desk posts an order with the page's keys; the page's script tells its outcome."""
    orders: list[tuple[dict[str, str], bytes]] = []
    got = threading.Event()
    (settings,) = [block for block in blocks("toml") if "[webhook]" in block]
    (example,) = blocks("json")
    (script,) = [block for block in blocks("sh") if "curl" in block]
    (tmp_path / "webhook.secret").write_text(f"{SECRET}\n", encoding="utf-8")
    with centre(orders, got) as place:
        (tmp_path / "webhook.url").write_text(place, encoding="utf-8")
        file = tmp_path / "desk.toml"
        file.write_text(f"{settings}\n[api]\nport = 0\n", encoding="utf-8")
        desk = ServeProcess(tmp_path, "--config", file)
        try:
            url = desk.ready()
            with httpx.Client(base_url=url, headers=desk.bearer(), trust_env=False) as api:
                asked = {"reason": "dropped", "phone": client(1), "name": "Анна"}
                id = api.post("/api/v1/callbacks", json=asked).json()["callback"]["id"]
                assert got.wait(LIMIT_S), desk.errors
                headers, body = orders[0]
                order, written = json.loads(body), json.loads(example)
                assert list(order) == list(written)
                assert {type(order[name]) for name in ("attempt", "attempts")} == {int}
                message_signing.check(SECRET, headers, body, datetime.now(UTC).timestamp())
                assert headers["idempotency-key"] == order["key"]
                assert order["key"].startswith(id)
                told = shell(script, KEY=order["key"], SECRET=SECRET, DESK=url)
                assert json.loads(told)["reported"] == 1
                story = api.get(f"/api/v1/callbacks/{id}").json()
            assert story["callback"]["state"] == "reached"
            assert story["attempts"][0]["detail"] == "agent 12"
        finally:
            desk.end(signal.SIGTERM)


def test_the_page_names_every_outcome_of_the_webhook() -> None:
    section = TEXT.partition("## The webhook")[2].partition("\n## ")[0]
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in section] == []


# -- monitoring ------------------------------------------------------------------------------------


def test_the_page_names_every_metric_and_no_other(one: ApiDesk) -> None:
    section = TEXT.partition("## Monitoring")[2]
    found = {
        line.split()[2].removesuffix("_created")
        for line in one.get("/metrics").text.splitlines()
        if line.startswith("# TYPE") and not line.split()[2].endswith("_created")
    }
    told = set(re.findall(r"`(vad_agent_\w+)", section))
    parts = re.findall(r"`(_\w+)`", section)
    told |= {f"vad_agent_promise{part}" for part in parts}
    assert {name.removesuffix("_total") for name in told} == {
        name.removesuffix("_total") for name in found
    }
    assert {state.value for state in State} <= set(one.get("/numbers").json()["by_state"])


def test_the_page_names_every_kind_of_alert() -> None:
    assert [kind.value for kind in Kind if f"`{kind.value}`" not in TEXT] == []


def test_the_page_names_every_field_of_the_log() -> None:
    fields: set[str] = set()
    for package in ("callbacks", "server", "web", "common", "client"):
        for path in (ROOT / "vad_agent" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _is_log(node):
                    fields |= _extra(node)
    section = TEXT.partition("### The log")[2]
    assert {"why", "key", "kind"} <= fields
    assert [name for name in sorted(fields) if f"`{name}`" not in section] == []


def _is_log(node: ast.Call) -> bool:
    of = node.func
    return isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name) and of.value.id == "log"


def _extra(node: ast.Call) -> set[str]:
    for keyword in node.keywords:
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
            return {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}
    return set()
