"""Full load: 200 headsets with live levels at one desk, each with an open page that queries callbacks."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from argon2 import PasswordHasher
from websockets.asyncio.client import connect

from benchmarks.measure import Figure, Table
from tests.web.browser import shown, silent
from tests.web.desk_process import DeskProcess
from vad_agent.callbacks.model import Request
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.server.container import open_store
from vad_agent.server.desk_config import DeskConfig
from vad_agent.web.authentication.login_session_store import SessionStore
from vad_agent.web.authentication.login_sessions import Role, Sessions
from vad_agent.web.authentication.password_hashing import Passwords
from vad_agent.web.authentication.users import Users

LEVELS_S = 0.1
POLL_S = 15.0
SHARE = 0.6


def measure(folder: Path, count: int, seconds: float) -> Table:
    """`count` headsets and pages; the server is monitored for `seconds` at each stage."""
    desk = DeskProcess(folder)
    try:
        cookies = _people(desk, count)
        return asyncio.run(_measure(desk, cookies, seconds))
    finally:
        desk.end()


def _people(desk: DeskProcess, count: int) -> dict[str, str]:
    """Create operators, each with an open callback. Return login → cookie."""
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    with closing(
        open_store(DeskConfig.load(None, database=str(desk.process.database)), alone=False)
    ) as store:
        people, sessions = Users(store, cheap), Sessions(SessionStore(store))
        cookies = {}
        now = datetime.now(UTC)
        for number in range(count):
            person = people.add(f"operator{number:03}", Role.OPERATOR, "a long enough one")
            cookies[person.login] = sessions.open(
                person.login, person.role, person.since.timestamp()
            )
            request = Request(
                key=f"crowd-{number}",
                reason="dropped",
                asked=now,
                at=None,
                due_in_s=3600.0,
                phone=f"+7912{number:07}",
                operator=person.login,
            )
            store.take(request, Actor("bench", now))
        assert now + timedelta(hours=1) > datetime.now(UTC)
        return cookies


async def _measure(desk: DeskProcess, cookies: dict[str, str], seconds: float) -> Table:
    server = psutil.Process(desk.process.process.pid)
    figures = [Figure("the desk alone", 100 * await _busy(server, seconds), "% of a core")]
    count = len(cookies)
    told = [0]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_headset(desk, login, told)) for login in cookies]
        await asyncio.sleep(3)
        links = await _busy(server, seconds)
        figures.append(
            Figure(f"{count} headsets, levels ten times a second", 100 * links, "% of a core")
        )
        tasks += [group.create_task(_page(desk, cookie, told)) for cookie in cookies.values()]
        await asyncio.sleep(3)
        before, began = told[0], time.monotonic()
        pages = await _busy(server, seconds)
        rate = (told[0] - before) / (time.monotonic() - began)
        figures.append(
            Figure(
                f"the same, and {count} pages that follow them",
                100 * pages,
                "% of a core",
                ratio=pages / links,
                than="without pages",
                target=f"≤ {SHARE:.0%}",
                met=pages <= SHARE,
            )
        )
        tasks += [group.create_task(_poll(desk, cookie)) for cookie in cookies.values()]
        await asyncio.sleep(3)
        polled = await _busy(server, seconds)
        figures.append(
            Figure(
                f"the same, and each asks for its callbacks every {POLL_S:g} s",
                100 * polled,
                "% of a core",
                ratio=polled / pages,
                than="without",
                target=f"≤ {SHARE:.0%}",
                met=polled <= SHARE,
            )
        )
        for task in tasks:
            task.cancel()
    notes = (
        f"{rate:,.0f} messages a second to the pages, from {count} headsets",
        "the load runs on the other core",
    )
    return Table("Full load", figures, notes)


async def _headset(desk: DeskProcess, login: str, told: list[int]) -> None:
    """The messages of a headset's link: the whole state first, then levels and the clock."""
    dice = random.Random(login)
    await asyncio.sleep(dice.random())
    headers = {"Authorization": f"Bearer {desk.token}"}
    url = desk.url.replace("http", "ws") + "/api/v1/headsets"
    async with connect(url, additional_headers=headers, compression=None, proxy=None) as wire:
        await wire.send(json.dumps({"hello": 1, "operator": login}))
        state = shown(silent(1.0))
        await wire.send(json.dumps({"state": state}, ensure_ascii=False))
        number = 0
        while True:
            number += 1
            sides = {
                name: side | {"level": round(dice.random(), 2)}
                for name, side in state["sides"].items()
            }
            silence = round(number * LEVELS_S % 3, 2)
            news = {
                "sides": sides,
                "clock": state["clock"] | {"silence_s": silence},
                "call_s": number / 10,
            }
            await wire.send(json.dumps({"state": news}, ensure_ascii=False))
            await asyncio.sleep(LEVELS_S)


async def _page(desk: DeskProcess, cookie: str, told: list[int]) -> None:
    async with _asked(desk, cookie, "/panel/stream") as reader:
        while line := await reader.readline():
            told[0] += line.startswith(b"data:")


async def _poll(desk: DeskProcess, cookie: str) -> None:
    """The queries of a page whose server announces changes."""
    await asyncio.sleep(random.random() * POLL_S)
    while True:
        async with _asked(desk, cookie, "/panel/callbacks") as reader:
            assert b" 200 " in await reader.readline()
            await reader.read()
        await asyncio.sleep(POLL_S)


@asynccontextmanager
async def _asked(desk: DeskProcess, cookie: str, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request as a browser does, and yield its answer as it arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    try:
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{desk.port}",
            f"Cookie: vad_agent_panel_{desk.port}={cookie}",
            "Connection: close",
        )
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        yield reader
    finally:
        writer.close()


async def _busy(process: psutil.Process, seconds: float) -> float:
    """Share of a core that the process takes during `seconds`."""
    before = process.cpu_times()
    began = time.monotonic()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    used = float(after.user + after.system - before.user - before.system)
    return used / (time.monotonic() - began)
