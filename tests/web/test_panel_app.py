"""The panel over HTTP, on a real socket: who comes in, what is refused, what a page is told and may send."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from tests.web.panel_client import Following, OnePanel, PanelClient, one_panel
from vad_agent.client.headset_protocol import Command
from vad_agent.core.actions import Phase
from vad_agent.core.events import Event, EventKind
from vad_agent.errors import OutputError
from vad_agent.web.authentication.login_sessions import SESSION_S
from vad_agent.web.authentication.operator_token_auth import PAUSE_S, TRIES
from vad_agent.web.panel_server import PanelServer


@pytest.fixture
def one(tmp_path: Path) -> Iterator[OnePanel]:
    with one_panel(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnePanel]:
    """One for all tests that change nothing of it."""
    with one_panel(tmp_path_factory.mktemp("panel")) as one:
        one.headset()
        yield one


@pytest.fixture(scope="module")
def come_in(lasting: OnePanel) -> PanelClient:
    return lasting.page()


@pytest.fixture
def shared(lasting: OnePanel) -> OnePanel:
    lasting.sent.clear()
    return lasting


# -- coming in -------------------------------------------------------------------------------------


def test_the_link_lets_in_and_the_cookie_keeps(one: OnePanel) -> None:
    stranger = one.stranger()
    assert stranger.get("/").headers["location"] == "/enter"
    assert stranger.get("/panel/stream").status_code == 401
    entered = stranger.get(one.authenticator.link)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert "Secure" not in cookie
    assert str(round(SESSION_S)) in cookie
    shown = stranger.get("/")
    assert shown.status_code == 200
    assert "ivan" in shown.text
    assert stranger.get("/enter").headers["location"] == "/"


def test_the_form_lets_in_by_the_token_or_the_whole_link(one: OnePanel) -> None:
    for whole in (False, True):
        stranger = one.stranger()
        token = one.authenticator.link if whole else one.authenticator.one_time.token
        asked = stranger.get("/enter")
        assert (asked.status_code, "<form" in asked.text) == (200, True)
        headers = {"Origin": one.authenticator.address.url}
        entered = stranger.post("/enter", data={"token": token}, headers=headers)
        assert entered.status_code == 303, entered.text
        assert stranger.get("/").status_code == 200


def test_the_link_works_once_and_does_no_harm_where_one_is_in(one: OnePanel) -> None:
    link, stranger = one.authenticator.link, one.stranger()
    assert stranger.get(link).status_code == 303
    assert stranger.get(link).headers["location"] == "/"
    assert one.stranger().get(link).status_code == 401
    assert one.stranger().get(one.authenticator.link).status_code == 303


def test_wrong_tokens_are_paused(one: OnePanel) -> None:
    stranger = one.stranger()
    for number in range(TRIES):
        wrong = stranger.get("/enter", params={"token": f"wrong {number}"})
        assert wrong.status_code == 401
        assert "не подходит" in wrong.text
    pause = stranger.get("/enter", params={"token": "wrong again"})
    assert pause.status_code == 429
    assert 0 < int(pause.headers["retry-after"]) <= PAUSE_S
    assert "set-cookie" not in pause.headers


def test_a_link_on_a_foreign_page_uses_up_no_try(one: OnePanel) -> None:
    stranger = one.stranger()
    for _ in range(2 * TRIES):
        asked = stranger.get("/enter?token=x", headers={"Sec-Fetch-Site": "cross-site"})
        assert asked.status_code == 200
    assert stranger.get(one.authenticator.link).status_code == 303


def test_who_has_left_is_out_with_every_copy_of_the_cookie(one: OnePanel) -> None:
    page, copy = one.page(), one.stranger()
    copy.cookies = httpx.Cookies(page.client.cookies)
    with Following(page) as following:
        following.until(lambda state: state)
        assert (
            page.client.post(
                "/leave", headers={"Origin": one.authenticator.address.url}
            ).status_code
            == 403
        )
        left = page.client.post(
            "/leave",
            data={"csrf": page.headers["X-CSRF-Token"]},
            headers={"Origin": one.authenticator.address.url},
        )
        assert (left.status_code, left.headers["location"]) == (303, "/enter")
        one.headset()
        assert following.ended.wait(5)
    assert page.get("/").headers["location"] == "/enter"
    assert copy.get("/panel/stream").status_code == 401


def test_another_operator_comes_in_anew(one: OnePanel) -> None:
    page = one.page()
    page.client.cookies = httpx.Cookies(
        {one.authenticator.address.cookie: one.authenticator.sessions.open("olga")}
    )
    assert page.get("/").headers["location"] == "/enter"


def test_a_port_that_is_taken_is_one_line(one: OnePanel, tmp_path: Path) -> None:
    port = int(one.authenticator.address.url.rpartition(":")[2])
    with pytest.raises(OutputError, match=f"127.0.0.1:{port}: cannot show the panel there"):
        PanelServer("ivan", port=port, folder=tmp_path)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
def test_a_foreign_host_is_refused(shared: OnePanel, come_in: PanelClient, host: str) -> None:
    one, page = shared, come_in
    port = one.authenticator.address.url.rpartition(":")[2]
    for path in ("/", "/enter", "/panel/stream", "/static/panel.css"):
        answer = page.client.get(path, headers={"Host": host.format(port=port)})
        assert answer.status_code == 400
        assert one.authenticator.address.url in answer.json()["error"]


def test_the_other_name_of_this_machine_is_not_foreign(one: OnePanel) -> None:
    answer = one.stranger().get(
        "/enter",
        headers={"Host": one.authenticator.address.url[7:].replace("127.0.0.1", "localhost")},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 204),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Origin": "{own}"}, 204),
    ],
)
def test_only_its_own_page_sends(
    shared: OnePanel, come_in: PanelClient, headers: dict[str, str], status: int
) -> None:
    one, page = shared, come_in
    told = {
        name: value.format(own=one.authenticator.address.url) for name, value in headers.items()
    }
    csrf = {"X-CSRF-Token": page.headers["X-CSRF-Token"]}
    answer = page.client.post("/panel/send", json={"kind": "pause"}, headers=told | csrf)
    assert answer.status_code == status
    assert len(one.sent) == (status == 204)


def test_a_page_proves_itself(one: OnePanel) -> None:
    one.headset()
    page, other = one.page(), one.page()
    for wrong in ("", "x", other.headers["X-CSRF-Token"]):
        answer = page.post("/panel/send", {"kind": "pause"}, **{"X-CSRF-Token": wrong})
        assert (answer.status_code, list(answer.json())) == (403, ["error"])
    assert one.sent == []


def test_a_long_body_is_refused(one: OnePanel) -> None:
    page = one.page()
    assert page.send(kind="client_name", name="я" * 20_000).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 1000

    answer = page.client.post("/panel/send", content=chunks(), headers=page.headers)
    assert answer.status_code == 413


STRICT = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def test_every_answer_has_the_headers(one: OnePanel) -> None:
    page, stranger = one.page(), one.stranger()
    answers = [
        *(page.get(path) for path in ("/", "/enter", "/nothing", "/panel/callbacks", "/docs")),
        *(stranger.get(path) for path in ("/", "/enter", "/panel/stream", "/enter?token=x")),
        page.get("/static/panel.css"),
        page.get("/static/../app.py"),
        page.client.get("/", headers={"Host": "evil.example"}),
        page.client.post("/panel/send"),
        page.client.put("/panel/send", headers=page.headers),
        page.send(kind="nothing"),
    ]
    for answer in answers:
        assert STRICT.items() <= dict(answer.headers).items(), answer.url
        kept = "no-cache" if answer.url.path == "/static/panel.css" else "no-store"
        assert answer.headers["cache-control"] == kept, answer.url
        assert "server" not in answer.headers
    with page.client.stream("GET", "/panel/stream") as answer:
        assert STRICT.items() <= dict(answer.headers).items()
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["content-type"].startswith("text/event-stream")


def test_files_are_asked_for_anew_and_not_sent_again(one: OnePanel) -> None:
    stranger = one.stranger()
    first = stranger.get("/static/panel.css?v=1")
    assert first.status_code == 200
    again = stranger.get("/static/panel.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_error_of_ours_is_told_without_what_it_was(one: OnePanel) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("+79123456789")

    one.panel.broker.send = fail  # type: ignore[method-assign]
    answer = one.page().send(kind="pause")
    assert answer.status_code == 500
    assert "9123456789" not in answer.text
    assert STRICT.items() <= dict(answer.headers).items()


# -- the stream ------------------------------------------------------------------------------------


def test_the_stream_tells_the_whole_state_and_then_changes(one: OnePanel) -> None:
    one.status.client_name = 'Ольга\n\ndata: {"phase": "x"}</script>'
    changed = one.headset()
    page = one.page()
    with Following(page) as following:
        state = following.until(lambda state: "keys" in state)
        assert state["client_name"] == one.status.client_name
        assert state["gone"] is False
        one.status.phase = Phase.GREETING
        began = time.perf_counter()
        changed()
        following.until(lambda state: state["phase"] == "greeting")
        at, told = following.told[-1]
        print(f"{(at - began) * 1e3:.1f} ms")
        assert "client_name" not in told
        one.panel.close()
        following.until(lambda state: state["gone"])
        assert following.ended.wait(5)


def test_half_a_letter_ends_no_stream(one: OnePanel) -> None:
    one.status.client_name = "\ud83d"
    one.headset()
    with Following(one.page()) as following:
        assert following.until(lambda state: "keys" in state)["client_name"] == "?"


def test_it_tells_that_it_lives_and_ends_with_the_session(tmp_path: Path) -> None:
    from vad_agent.web.browser_event_stream import events
    from vad_agent.web.state_broker import StateBroker

    on = [True, True, True, False]

    async def follow() -> list[bytes]:
        return [
            told
            async for told in events(StateBroker(), "ivan", lambda: on.pop(0), heartbeat_s=0.01)
        ]

    told = asyncio.run(follow())
    assert told == [b"retry: 1000\n\n", b'data: {"gone":true}\n\n', *[b"data: {}\n\n"] * 2]


def test_it_tells_when_there_are_callbacks_to_ask_for() -> None:
    from vad_agent.web.browser_event_stream import events
    from vad_agent.web.state_broker import StateBroker

    on, news = [True, True, True, False], [7, 7, 8]

    async def follow() -> list[bytes]:
        following = events(
            StateBroker(), "ivan", lambda: on.pop(0), heartbeat_s=0.01, news=lambda: news.pop(0)
        )
        return [told async for told in following]

    assert asyncio.run(follow())[1:] == [
        b'data: {"callbacks":7}\n\n',
        b'data: {"gone":true}\n\n',
        b"data: {}\n\n",
        b'data: {"callbacks":8}\n\n',
        b"data: {}\n\n",
    ]


def test_a_page_that_has_gone_is_not_followed_any_more(one: OnePanel) -> None:
    one.headset()
    with Following(one.page()) as following:
        following.until(lambda state: state)
        port = int(one.authenticator.address.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"GET /panel/stream HTTP/1.1\r\n")  # never ends: keeps nobody waiting
            assert len(one.panel.broker._operators["ivan"].followers) == 1
    deadline = time.monotonic() + 5
    while one.panel.broker._operators["ivan"].followers and time.monotonic() < deadline:
        one.status.call_s += 1
        time.sleep(0.02)
    assert not one.panel.broker._operators["ivan"].followers


# -- keys ------------------------------------------------------------------------------------------


def test_keys_reach_the_headset(one: OnePanel) -> None:
    one.headset()
    page = one.page()
    for what in (
        {"kind": "pause"},
        {"kind": "client_name", "name": "Ольга"},
        {"kind": "hold", "party": "client"},
        {"command": "end_call"},
    ):
        assert page.send(**what).status_code == 204
    assert one.sent == [
        Event(EventKind.PAUSE),
        Event(EventKind.CLIENT_NAME, name="Ольга"),
        Event(EventKind.HOLD, party="client"),
        Command.END_CALL,
    ]


def test_an_agreed_callback_tells_how_soon_it_is(one: OnePanel) -> None:
    one.headset()
    at = "2026-03-01T12:00:00+03:00"
    assert one.page().send(kind="callback_agreed", at=at).status_code == 204
    (agreed,) = one.sent
    assert isinstance(agreed, Event)
    assert agreed.at == at
    assert datetime.fromisoformat(agreed.ts or "").tzinfo is not None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "Ожидается объект JSON"),
        (b"[]", "Ожидается объект JSON"),
        (b"[" * 10_000, "Ожидается объект JSON"),
        (b'{"kind": "jump"}', "Неизвестное событие"),
        (b'{"kind": "device_lost", "party": "client"}', "Неизвестное событие"),
        (b'{"kind": "callback_agreed", "at": "soon"}', "Время перезвона не понято"),
        (b'{"kind": "client_name", "name": 1.5e400}', None),
        (b'{"kind": "client_name", "name": ["x"]}', "Имя не понято"),
        (b'{"kind": "client_name", "name": "\\ud83d"}', "Имя не понято"),
        (b'{"command": "line_unused"}', "Неизвестная команда"),
        (b'{"command": "quit"}', "Программу закрывают там, где она запущена"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    shared: OnePanel, come_in: PanelClient, body: bytes, told: str | None
) -> None:
    one, page = shared, come_in
    answer = page.client.post("/panel/send", content=body, headers=page.headers)
    if told is None:
        assert answer.status_code == 204  # as on the socket of events: a number is a name
        return
    assert (answer.status_code, answer.json()) == (400, {"error": told})
    assert one.sent == []


def test_without_a_headset_it_says_so(one: OnePanel) -> None:
    answer = one.page().send(kind="pause")
    assert answer.status_code == 409
    assert "не слушает" in answer.json()["error"]
