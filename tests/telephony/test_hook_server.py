"""The listener for posted events, on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import httpx
import pytest

from tests.headset.softphone import free_port
from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.dialers.mango_signing import MangoKeys
from vad_agent.errors import OutputError
from vad_agent.telephony import hook_server
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.event_hooks import SignedEvents
from vad_agent.telephony.hook_server import MOST_BYTES, HookServer
from vad_agent.telephony.mango_control import MangoControl
from vad_agent.telephony.process_pool import Share

SECRET = "correct-horse-battery"
KEYS = MangoKeys("key", "salt")
BODY = json.dumps({"call_id": "17", "seq": 1, "kind": "answered", "operator": "101"}).encode()
MANGO = {
    "entry_id": "e",
    "call_id": "l",
    "seq": 1,
    "call_state": "Connected",
    "from": {"number": "74955404444"},
    "to": {"extension": "123"},
}


def run(test: Callable[[httpx.AsyncClient, HookServer, list[TapEvent]], Awaitable[None]]) -> None:
    async def main() -> None:
        told: list[TapEvent] = []
        signed = SignedEvents(SECRET, told.extend)
        mango = MangoControl(KEYS, "http://127.0.0.1:9", told.extend)
        server = HookServer({"events": signed, "mango": mango})
        try:
            host, port = await server.start("127.0.0.1", 0)
            url = f"http://{host}:{port}"
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
                await test(client, server, told)
        finally:
            await server.close()
            signed.close()
            mango.close()

    asyncio.run(main())


def signed(body: bytes = BODY) -> dict[str, str]:
    return message_signing.signed(SECRET, body, time.time())


def check(answer: httpx.Response, status: int, code: str, said: str) -> None:
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert said in error["text"]
    assert len(error["text"].splitlines()) == 1


def test_an_event_is_taken_once_and_told_at_once() -> None:
    async def test(client: httpx.AsyncClient, server: HookServer, told: list[TapEvent]) -> None:
        first = await client.post("/events", content=BODY, headers=signed())
        second = await client.post("/events", content=BODY, headers=signed())
        assert (first.json(), second.json()) == ({"taken": True}, {"taken": False})
        assert [one.tap for one in told] == ["17"]
        form = urlencode(KEYS.form(MANGO))
        answer = await client.post("/mango/events/call", content=form)
        assert answer.json() == {"taken": True}
        assert [(one.tap, one.operator) for one in told][1:] == [("e", "123")]
        assert server.counts["taken"] == 2

    run(test)


def test_each_bad_request_is_one_line_of_json() -> None:
    async def test(client: httpx.AsyncClient, server: HookServer, told: list[TapEvent]) -> None:
        check(await client.post("/events", content=BODY), 401, "unauthorized", "expected X-Vad")
        wrong = signed(b"another")
        answer = await client.post("/events", content=BODY, headers=wrong)
        check(answer, 401, "unauthorized", "wrong secret")
        check(await client.post("/nobody", content=BODY), 404, "not_found", "nothing is taken")
        check(await client.post("/", content=BODY), 404, "not_found", "Not Found")
        check(await client.get("/events"), 405, "not_allowed", "Method Not Allowed")
        large = b"x" * (MOST_BYTES + 1)
        check(await client.post("/events", content=large), 413, "too_large", "65536 bytes at most")
        body = b'{"call_id": "17"}'
        answer = await client.post("/events", content=body, headers=signed(body))
        check(answer, 422, "invalid", "kind: expected one of answered")
        answer = await client.post("/mango/events/call", content="json={}")
        check(answer, 401, "unauthorized", "not this account's")
        assert told == []
        assert server.counts["unauthorized"] == 3

    run(test)


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_server, "LIMIT_S", 0.05)

    async def test(client: httpx.AsyncClient, server: HookServer, told: list[TapEvent]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        answer = await asyncio.wait_for(reader.read(), 10)  # the connection is closed
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"body: expected within" in answer
        writer.close()
        good = await client.post("/events", content=BODY, headers=signed())
        assert good.json() == {"taken": True}  # nobody else is disturbed

    run(test)


def test_a_taken_port_is_one_line() -> None:
    async def test(client: httpx.AsyncClient, server: HookServer, told: list[TapEvent]) -> None:
        with pytest.raises(OutputError, match="cannot listen there for call events"):
            await HookServer({}).start("127.0.0.1", client.base_url.port or 0)

    run(test)


def test_of_several_processes_each_is_told() -> None:
    async def main() -> None:
        base = free_port(socket.SOCK_STREAM)
        told: list[list[TapEvent]] = [[], [], []]
        events = [SignedEvents(SECRET, one.extend) for one in told]
        servers = [
            HookServer({"events": one}, Share(index, len(events)))
            for index, one in enumerate(events)
        ]
        for server in servers:
            await server.start("127.0.0.1", base)
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            url = f"http://127.0.0.1:{base + 1}/events"
            answer = await client.post(url, content=BODY, headers=signed())
            assert answer.json() == {"taken": True}
            assert [len(one) for one in told] == [1, 1, 1]
            await servers[2].close()
            other = BODY.replace(b"17", b"18")
            answer = await client.post(url, content=other, headers=signed(other))
            check(answer, 503, "unavailable", "post it again")
            assert [len(one) for one in told] == [2, 2, 1]
        for server in servers[:2]:
            await server.close()
        for one in events:
            one.close()

    asyncio.run(main())
