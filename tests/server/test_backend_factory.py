"""How a command finds the callbacks: a desk that is named, one that runs here, the store."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.callback_commands import Run, runner, take
from tests.server.api_desk import TOKEN, TOKENS, ApiDesk, api_desk, served
from vad_agent.callbacks.model import Outcome
from vad_agent.client import discovery, http_client
from vad_agent.client.discovery import (
    find_local_desk,
    is_desk_local,
    own_token,
    read_token,
    remove_desk_record,
    tls_context,
    token_file,
    write_desk_record,
)
from vad_agent.client.http_client import HttpBackend, checked_url
from vad_agent.errors import NumberError, OutputError, RuleError, SettingsError, StoreError
from vad_agent.server.api_app import create_app
from vad_agent.server.backend_factory import open_backend
from vad_agent.server.local_backend import LocalBackend


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("VAD_AGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "vad-agent"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


@pytest.fixture
def here(state: Path) -> Iterator[ApiDesk]:
    """A desk that runs on this machine and says so, as `serve` does."""
    with api_desk(state) as one:
        app = create_app(one.app_state, TOKENS | {"own": own_token()})
        with served(app) as url:
            write_desk_record(url)
            yield one
            remove_desk_record()


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Something that answers every request so; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def saying(status: int, body: bytes | dict[str, Any], **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


ALIVE = saying(200, {"alive": True, "node": "desk-1"})


def silent(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@contextlib.contextmanager
def remote(url: str, token: str | None = TOKEN) -> Iterator[HttpBackend]:
    with contextlib.closing(HttpBackend(url, token, tls_context(url))) as callbacks:
        yield callbacks


def unwanted(line: str) -> None:
    raise AssertionError(line)


# -- the place -------------------------------------------------------------------------------------


def test_a_desk_says_where_it_is_until_it_ends(state):
    assert find_local_desk() is None
    with answering(ALIVE) as url:
        write_desk_record(url, database="/x.sqlite")
        file = state / "desk.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        found = find_local_desk()
        assert found is not None
        assert (found.url, found.pid, found.database) == (url, os.getpid(), "/x.sqlite")
        remove_desk_record()
        assert list(state.iterdir()) == []
        remove_desk_record()
    assert find_local_desk() is None


def test_the_desk_of_a_process_that_is_gone_is_none(state):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with answering(ALIVE) as url:
        write_desk_record(url)
        file = state / "desk.json"
        told = json.loads(file.read_text())
        file.write_text(json.dumps(told | {"pid": ended.pid}))
        assert find_local_desk() is None
        remove_desk_record()
        assert file.exists()  # it is not this process's to remove
        for wrong in (0, -1, 10**30, "1", None, True):
            file.write_text(json.dumps(told | {"pid": wrong}))
            assert find_local_desk() is None
        for text in ("", "[]", "{", "null", '{"pid": 1}', "\xff", json.dumps(told | {"url": 5})):
            file.write_text(text)
            assert find_local_desk() is None
        file.write_text(json.dumps(told | {"url": "file:///etc/passwd"}))
        assert find_local_desk() is None


def test_a_desk_is_near_while_its_process_lives_and_is_not_asked(state):
    assert not is_desk_local()
    write_desk_record("http://127.0.0.1:1")
    assert is_desk_local()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    told = json.loads((state / "desk.json").read_text())
    for text in (json.dumps(told | {"pid": ended.pid}), "", "{", '{"pid": 1}'):
        (state / "desk.json").write_text(text)
        assert not is_desk_local()


@pytest.mark.parametrize(
    "answer",
    [
        saying(404, b"none"),
        saying(200, b"<html>"),
        saying(200, {"alive": "yes"}),
        saying(302, b"", Location="http://127.0.0.1:1/"),
        silent,
    ],
)
def test_what_has_taken_its_port_is_no_desk(answer):
    with answering(answer) as url:
        write_desk_record(url)
        assert find_local_desk() is None


def test_a_port_where_nobody_is():
    write_desk_record("http://127.0.0.1:1")
    assert find_local_desk() is None


def test_a_desk_with_a_certificate_of_its_own(tmp_path):
    pem = certificate(tmp_path / "desk.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with answering(ALIVE, context) as url:
        write_desk_record(url)
        assert find_local_desk() is None
        write_desk_record(url, certificate=str(certificate(tmp_path / "other.pem")))
        assert find_local_desk() is None
        write_desk_record(url, certificate=str(pem))
        assert find_local_desk() is not None
        write_desk_record(url, certificate=str(tmp_path / "gone.pem"))
        assert find_local_desk() is None


def certificate(path: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "desk")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, *private))
    return path


# -- the token -------------------------------------------------------------------------------------


def test_the_own_token_is_made_once_and_is_for_its_owner_alone(state):
    assert read_token({}) is None
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: own_token(), range(32)))
    assert len(tokens) == 1
    (token,) = tokens
    assert len(token) >= 40
    assert read_token({}) == token
    assert read_token({"VAD_AGENT_TOKEN": " other \n"}) == "other"
    assert read_token({"VAD_AGENT_TOKEN": " "}) == token
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["token"]


def test_a_token_where_there_are_no_links(monkeypatch):
    monkeypatch.setattr(
        discovery.os, "link", lambda *_: (_ for _ in ()).throw(OSError(95, "no links"))
    )
    assert own_token() == own_token()


def test_a_token_that_cannot_be_made(state):
    state.mkdir()
    token_file().write_text("\n")
    with pytest.raises(OutputError, match="expected a token in it: remove the file"):
        own_token()
    token_file().unlink()
    token_file().mkdir()
    with pytest.raises(OutputError):
        own_token()


# -- which one -------------------------------------------------------------------------------------


def test_the_desk_of_this_machine_is_found(here, run):
    callback = take(here)
    done = run("list")
    assert (done.status, done.err) == (0, "")
    assert callback.id in done.out
    assert run("cancel", callback.id).errors == []
    assert here.app_state.queries.history(callback.id)[-1].who == "api:own"


def test_a_desk_that_is_named_goes_before_it(here, tmp_path, monkeypatch):
    with api_desk(tmp_path / "other") as other, served(other.app) as url:
        callback = take(other)
        monkeypatch.setenv("VAD_AGENT_TOKEN", TOKEN)
        for where in (url, f"{url}/", f"{url}/api/v1"):
            with open_backend(where, None, unwanted) as callbacks:
                assert [one.id for one in callbacks.all()] == [callback.id]


def test_where_no_desk_runs_it_is_the_store(state):
    write_desk_record("http://127.0.0.1:1")
    with open_backend(None, None, unwanted) as callbacks:
        assert isinstance(callbacks, LocalBackend)
        assert not callbacks.rings
    assert (state / "callbacks.sqlite").exists()


def test_settings_of_another_database_pass_the_desk_by(here, tmp_path):
    config = tmp_path / "desk.toml"
    config.write_text('database = "other.sqlite"\n')
    url = find_local_desk().url
    with open_backend(None, config, unwanted) as callbacks:  # the desk has not said which it has
        assert callbacks.rings
    write_desk_record(url, database=here.store.database.where.shown)
    with open_backend(None, config, unwanted) as callbacks:
        assert not callbacks.rings
    config.write_text(f'database = "{here.store.database.where.shown}"\n')
    with open_backend(None, config, unwanted) as callbacks:
        assert callbacks.rings


def test_erasing_needs_the_store_itself(here, run):
    for arguments in ([], ["--desk", find_local_desk().url]):
        done = run("erase", "--older-than", 90, "--yes", *arguments)
        assert (done.status, done.out) == (1, "")
        assert "stop the desk, or keep the callbacks on PostgreSQL" in done.line
    with (
        remote(find_local_desk().url) as callbacks,
        pytest.raises(RuleError, match="stop the desk"),
    ):
        callbacks.erase(1)


def test_erasing_on_a_server_goes_beside_the_desk(here, monkeypatch):
    assert find_local_desk() is not None
    monkeypatch.setenv("VAD_AGENT_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    with (
        pytest.raises(StoreError, match="postgresql"),
        open_backend(None, None, unwanted, store_itself=True),
    ):
        pass


# -- a desk by HTTP --------------------------------------------------------------------------------


def test_what_the_desk_answers_is_what_the_store_has(one):
    for _ in range(3):
        take(one)
    callback = take(one, due_in_s=0.0)
    with served(one.app) as url, remote(url) as callbacks:
        assert list(callbacks.all()) == list(one.app_state.queries.all())
        assert callbacks.beginning(callback.id) == [callback]
        assert callbacks.get(callback.id).callback == callback
        assert callbacks.promise() == one.app_state.queries.promise()
        after = callbacks.done(callback.id, Outcome.NO_ANSWER, "")
        assert after == one.store.get(callback.id)
        with pytest.raises(RuleError, match="there is no such callback"):
            callbacks.cancel("zzzzzzzzzzzz", "")
        with pytest.raises(NumberError, match="too short"):
            callbacks.set_number(callback.id, "12")
        with pytest.raises(RuleError):
            callbacks.cancel(callback.id, "x" * 1000)


def test_more_than_a_page(one, monkeypatch):
    monkeypatch.setattr(http_client, "MOST_LISTED", 2)
    taken = {take(one).id for _ in range(5)}
    with served(one.app) as url, remote(url) as callbacks:
        assert {each.id for each in callbacks.all()} == taken
        page = callbacks.page("open", phone=None, operator=None, limit=3)
        assert page == one.app_state.queries.page(limit=3)


def test_callbacks_that_change_while_they_are_read_are_all_read(one, monkeypatch):
    monkeypatch.setattr(http_client, "MOST_LISTED", 2)
    taken = [take(one).id for _ in range(6)]
    changed = []

    def get(self, path, query=None):
        told = ask(self, path, query)
        if query and query.get("state") == "open" and len(changed) < 1:  # the mark of the next page
            changed.append(told["callbacks"][-1]["id"])
            one.desk.cancel(changed[0], "test")
        return told

    ask = HttpBackend._get
    monkeypatch.setattr(HttpBackend, "_get", get)
    with served(one.app) as url, remote(url) as callbacks:
        assert sorted(each.id for each in callbacks.all()) == sorted(taken)
    assert len(changed) == 1


def test_a_token_that_is_not_let_in(one, run):
    with served(one.app) as url:
        done = run("list", "--desk", url)
        assert (done.status, done.out) == (2, "")
        assert done.line.startswith(f"{url}: no token: set VAD_AGENT_TOKEN")
        own_token()
        done = run("list", "--desk", url)
        assert (done.status, done.out) == (2, "")
        assert done.line.startswith(f"{url}: the token is not accepted: set VAD_AGENT_TOKEN")
        with pytest.raises(SettingsError, match="the token: expected letters"), remote(url, "я"):
            pass


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (saying(404, b"<html>"), "expected a desk there, got HTTP 404"),
        (saying(502, b"<html>"), "expected a desk there, got HTTP 502"),
        (saying(302, b"", Location="http://x"), "expected a desk there, got HTTP 302"),
        (saying(200, b"<html>"), "expected a desk there, but another program answers"),
        (saying(200, b"[]"), "expected a desk there, but another program answers"),
        (saying(200, {"taken": "all"}), "is it of another version"),
        (saying(200, {}), "is it of another version"),
        (saying(500, {"error": {"code": "broken", "text": "it\nfailed"}}), "it failed"),
        (saying(503, {"error": {"code": "unavailable", "text": "send it again"}}), "again"),
        (silent, "the desk did not answer"),
    ],
)
def test_what_is_no_desk_or_a_broken_one(run, answer, told):
    own_token()
    with answering(answer) as url:
        done = run("promise", "--desk", url)
        assert (done.status, done.out) == (1, "")
        assert done.line.startswith(f"{url}: ")
        assert told in done.line


def test_a_change_without_an_answer_may_have_been_done(run):
    own_token()
    with answering(silent) as url:
        assert (
            "may have been carried out: check before you repeat it"
            in run("called", "89123456789", "--desk", url).line
        )
    done = run("list", "--desk", "http://127.0.0.1:1")
    assert done.status == 1
    assert (
        done.line == "http://127.0.0.1:1: no desk answers: connection refused: does it run there?"
    )


@pytest.mark.parametrize(
    "url", ["desk:8600", "ftp://desk", "http://", "http://a:b@c", "http://x:99999", "http://x/ y"]
)
def test_a_url_that_is_none(run, url):
    done = run("list", "--desk", url)
    assert (done.status, done.out) == (2, "")
    assert done.line.startswith("--desk: expected a URL such as http://desk:8600")
    assert "a:b" not in done.line


def test_a_url_is_taken_without_the_version():
    assert checked_url("https://desk/callbacks/api/v1/") == "https://desk/callbacks"
