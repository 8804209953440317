"""What is let in: on every operation that the API describes, so on each that will be added too."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import httpx
import pytest

from tests.server.api_desk import (
    BEARER,
    TOKEN,
    TOKENS,
    V1,
    ApiDesk,
    InProcess,
    api_desk,
    client,
    served,
)
from vad_agent.callbacks.dialers.base import HookRefused
from vad_agent.errors import SettingsError
from vad_agent.server.api_app import create_app
from vad_agent.server.app_state import AppState
from vad_agent.server.bearer_auth import BearerAuthMiddleware, Tokens
from vad_agent.web.body_limit import MOST_BYTES, BodyLimit

FOR_EVERYBODY = {f"{V1}/health", f"{V1}/ready"}
HOOK = f"{V1}/hooks/{{dialer}}"


def operations() -> list[tuple[str, str]]:
    """Method and path of all that the API describes."""
    paths = create_app(cast(AppState, None), TOKENS).openapi()["paths"]
    return sorted((method.upper(), path) for path, methods in paths.items() for method in methods)


OPERATIONS = operations()
GUARDED = [one for one in OPERATIONS if one[1] not in FOR_EVERYBODY | {HOOK}]
WRITES = [one for one in OPERATIONS if one[0] == "POST"]
GUARDED_WRITES = [one for one in WRITES if one[1] != HOOK]
JSON = {"Content-Type": "application/json"}


class Hook:
    """A dialer that refuses everything."""

    def receive(self, headers: Any, body: bytes) -> list[Any]:
        raise HookRefused("webhook: expected a signature", 401)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with api_desk(tmp_path_factory.mktemp("desk")) as desk:
        yield desk.with_office(hooks={"webhook": Hook()})


@pytest.fixture(autouse=True)
def nothing_is_stored(one: ApiDesk) -> Any:
    yield
    assert list(one.app_state.queries.all()) == []


def at(path: str) -> str:
    return path.replace("{id}", "0123456789ab").replace("{dialer}", "webhook")


def code(answer: httpx.Response) -> str:
    """The error's code, once its form and headers are right."""
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    [(name, error)] = answer.json().items()
    assert name == "error"
    assert set(error) <= {"code", "text", "fields"}
    assert "\n" not in error["text"]
    assert "Traceback" not in answer.text
    return str(error["code"])


def test_the_list_of_operations_is_one():
    assert ("POST", f"{V1}/callbacks") in WRITES
    assert len(WRITES) >= 10
    assert {path for _, path in OPERATIONS} > FOR_EVERYBODY | {HOOK}


# -- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nothing_without_a_token(one, method, path):
    with client(one.app) as anybody:
        answer = anybody.request(method, at(path), content=b"{", headers=JSON)
    assert (answer.status_code, code(answer)) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="vad-agent"'


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nothing_with_a_wrong_token(one, method, path):
    with client(one.app, Authorization="Bearer incorrect-horse-battery") as anybody:
        answer = anybody.request(method, at(path), content=b"x" * (MOST_BYTES + 1), headers=JSON)
    assert (answer.status_code, code(answer)) == (401, "unauthorized")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer crm",
        f"Bearer {'x' * 20_000}",
        b"Bearer \xff\xfe\x00",
    ],
)
def test_what_is_no_token(one, header):
    with client(one.app) as anybody:
        answer = anybody.get(f"{V1}/promise", headers=[(b"authorization", header)])
    assert code(answer) == "unauthorized"


def test_two_tokens_at_once_are_none(one):
    twice = [("Authorization", f"Bearer {TOKEN}")] * 2
    with client(one.app) as anybody:
        assert code(anybody.get(f"{V1}/promise", headers=twice)) == "unauthorized"


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/docs", "/redoc", "/openapi.json", f"{V1}/openapi.json", f"{V1}/x"]
)
def test_paths_that_are_not_described_are_not_open(one, path):
    with client(one.app) as anybody:
        assert code(anybody.get(path)) == "unauthorized"


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", f"{V1}/callbacks/"])
def test_there_are_no_pages_and_no_redirects(one, path):
    assert code(one.client.get(path)) == "not_found"


def test_metrics_are_open_where_the_centre_wants_it(one):
    app = create_app(one.app_state, TOKENS, open_metrics=True)
    with client(app) as anybody:
        assert anybody.get("/metrics").status_code == 200
        assert anybody.get(f"{V1}/metrics").status_code == 200
        assert anybody.get(f"{V1}/promise").status_code == 401


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ({}, "one token at least"),
        ({"crm": "short"}, "16 characters"),
        ({"crm": "with a space in it"}, "letters, digits"),
        ({"crm": "по-русски-не-бывает"}, "letters, digits"),
        ({"a/b": TOKEN}, "a name of letters"),
        ({"a": TOKEN, "b": TOKEN}, "another token for each"),
    ],
)
def test_tokens_that_are_none(tokens, problem):
    with pytest.raises(SettingsError, match=problem) as refused:
        Tokens(tokens)
    assert all(token not in str(refused.value) for token in tokens.values())


def test_a_websocket_needs_one_too():
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def never(*_: Any) -> None:
        raise AssertionError("let in")

    guard = BearerAuthMiddleware(never, Tokens(TOKENS), [], "/hooks/")
    scope = {"type": "websocket", "path": f"{V1}/events", "headers": []}
    asyncio.run(guard(scope, never, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# -- bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_body_that_is_too_large(one, method, path):
    answer = one.client.request(method, at(path), content=b" " * (MOST_BYTES + 1), headers=JSON)
    assert (answer.status_code, code(answer)) == (413, "too_large")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"call":' * 6_000,
        b'{"due_in_s":' + b"9" * 5_000 + b"}",
        b'{"a" "b"}',
    ],
    ids=["cut", "no utf-8", "deep", "deep objects", "endless number", "no json"],
)
@pytest.mark.parametrize(("method", "path"), GUARDED_WRITES)
def test_a_body_that_is_no_json(one, method, path, content):
    answer = one.client.request(method, at(path), content=content, headers=JSON)
    assert (answer.status_code, code(answer)) == (400, "unreadable")


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'"{}"', b"1", b"NaN", b'{"unknown": 1}', rb'{"\ud800": 1}'],
    ids=["none", "null", "list", "text", "number", "nan", "unknown field", "half a letter"],
)
@pytest.mark.parametrize(("method", "path"), GUARDED_WRITES)
def test_a_body_that_is_not_the_expected_object(one, method, path, content):
    answer = one.client.request(method, at(path), content=content, headers=JSON)
    assert (answer.status_code, code(answer)) == (422, "invalid")
    assert answer.json()["error"]["fields"]


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
@pytest.mark.parametrize(("method", "path"), GUARDED_WRITES)
def test_a_body_of_another_type(one, method, path, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    body = b'{"reason": "dropped", "call": "1", "phone": "+79123456789"}'
    answer = one.client.request(method, at(path), content=body, headers=headers)
    assert (answer.status_code, code(answer)) == (422, "invalid")
    assert "Content-Type: application/json" in answer.json()["error"]["text"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_another_method(one, method, path):
    answer = one.client.request("PATCH", at(path), headers=JSON, content=b"{}")
    assert (answer.status_code, code(answer)) == (405, "not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "field",
    [
        '"reason": "fancied"',
        '"reason": 1',
        '"due_in_s": -1',
        '"due_in_s": 31622401',
        '"due_in_s": NaN',
        '"due_in_s": Infinity',
        '"due_in_s": 1e999',
        '"due_in_s": "90"',
        '"due_in_s": true',
        '"at": "soon"',
        '"at": "1999-12-31T23:59"',
        '"at": "2100-01-01T00:00"',
        '"at": "2027-02-30T10:00"',
        '"at": 1767225600',
        '"asked": "2026-01-01T12:00"',
        '"asked": 1767225600',
        '"asked": "1767225600"',
        '"phone": 89123456789',
        f'"phone": "{"8" * 251}"',
        f'"name": "{"я" * 201}"',
        f'"topic": "{"я" * 501}"',
        f'"opening": "{"я" * 1001}"',
        f'"operator": "{"я" * 101}"',
        f'"call": "{"я" * 201}"',
        f'"session": "{"я" * 201}"',
        f'"key": "{"k" * 201}"',
        '"key": ""',
        '"key": "ключ"',
        r'"name": "\u0000"',
        r'"topic": "a\nb"',
        r'"opening": "\u001b[2J"',
        r'"call": "\u009b"',
        r'"operator": "\ud83d"',
        r'"session": "\udc00"',
        '"opening": null',
        '"call_on": "yes"',
        '"keep_wrong_number": 1',
        '"priority": 1',
    ],
)
def test_a_request_with_a_field_that_is_wrong(one, field):
    start = "" if field.startswith('"reason') else '"reason": "dropped", '
    content = f"{{{start}{field}}}".encode()
    answer = one.client.post(f"{V1}/callbacks", content=content, headers=JSON)
    assert (answer.status_code, code(answer)) == (422, "invalid")
    [wrong] = answer.json()["error"]["fields"]
    assert wrong["where"].startswith("body")


@pytest.mark.parametrize("key", ["", "k" * 201, b"\xff", "a\tb"])
def test_an_idempotency_key_that_is_none(one, key):
    body = {"reason": "dropped"}
    headers = [(b"idempotency-key", key)]
    answer = one.client.post(f"{V1}/callbacks", json=body, headers=headers)
    assert (answer.status_code, code(answer)) == (422, "invalid")
    assert answer.json()["error"]["fields"][0]["where"] == "header.Idempotency-Key"


def test_an_error_repeats_nothing_of_the_request(one):
    body = {"reason": "dropped", "name": "Анна\n", "phone": "+79123456789\n", "at": "+79123456789"}
    answer = one.client.post(f"{V1}/callbacks", json=body)
    assert code(answer) == "invalid"
    assert "9123456789" not in answer.text
    assert "Анна" not in answer.text


@pytest.mark.parametrize("id", ["A", "a" * 33, "%00", "%ff", "a%2Fb", "..", "%D1%8F"])
def test_an_id_that_is_none(one, id):
    answer = one.client.get(f"{V1}/callbacks/{id}")
    assert code(answer) in ("invalid", "not_found")


# -- size and time ---------------------------------------------------------------------------------


def test_a_body_in_pieces_is_counted_too(one):
    def pieces() -> Any:
        for _ in range(MOST_BYTES // 1000 + 1):
            yield b" " * 1000

    with served(one.app) as url, httpx.Client(base_url=url, headers=BEARER | JSON) as http:
        answer = http.post(f"{V1}/callbacks", content=pieces())
        assert (answer.status_code, code(answer)) == (413, "too_large")
        small = http.post(f"{V1}/callbacks", content=iter([b'{"reason"', b": 1}"]))
        assert small.status_code == 422


def test_a_body_that_does_not_come_is_not_waited_for(one):
    app = create_app(one.app_state, TOKENS, limit_s=0.05)
    head = (
        f"POST {V1}/callbacks HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
    )
    with served(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as wire:
            wire.settimeout(10)
            wire.sendall(head.encode())
            assert wire.recv(1000).startswith(b"HTTP/1.1 408")


def test_nobody_is_answered_who_has_gone():
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def never(*_: Any) -> None:
        raise AssertionError("answered")

    asyncio.run(BodyLimit(never)({"type": "http", "headers": []}, gone, never))


def test_a_declared_length_of_many_digits_is_too_large(one):
    headers = JSON | {"Content-Length": "9" * 30}
    with httpx.Client(transport=InProcess(one.app), base_url="http://desk") as http:
        answer = http.post(f"{V1}/callbacks", content=b"{}", headers=BEARER | headers)
    assert answer.status_code == 413
