"""`python -m benchmarks.web.link_latency`: latency from a headset to the desk's pages, and the desk's cost.

    publish() ─> HeadsetLink ─> WebSocket ─> uvicorn, broker ─> a page's stream    the desk: a process
    send() ───────────────────> WebSocket ─> bare echo ─> recv()                   compared with it, in turns

Both use the machine's monotonic clock. The many headsets are coroutines of another process that use
the link's protocol; a bare echo server gets the same messages at the same rate.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.sync.client import connect as connect_here

from benchmarks.measure import Figure, Table, percentile
from benchmarks.web.desk_process import SENT, TOKEN
from vad_agent.audio.device_recovery import DeviceState
from vad_agent.client.discovery import DeskEndpoint
from vad_agent.client.headset_link import HeadsetLink
from vad_agent.core.actions import Phase
from vad_agent.core.frames import Channel
from vad_agent.headset.status import PhraseStatus, Status
from vad_agent.headset.status_publisher import Snapshot, snapshot

ROOT = Path(__file__).parents[2]
APART_S = 0.05
"""Seconds between two changes: longer than the interval in which changes are combined."""
HEADSETS = 200
STATES_PER_S = 10
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Process:
    """`desk_process.py` in one of its roles."""

    def __init__(self, role: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.web.desk_process", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.address = f"127.0.0.1:{int(self._out.readline())}"

    def ask(self, command: str) -> dict[str, Any]:
        print(command, file=self._in, flush=True)
        told: dict[str, Any] = json.loads(self._out.readline())
        return told

    def end(self) -> None:
        self._in.close()
        self._process.wait(30)
        self._out.close()


@contextmanager
def process(role: str) -> Any:
    one = Process(role)
    try:
        yield one
    finally:
        one.end()


def state(number: int) -> Snapshot:
    """A headset's state in a dialogue; the levels, the clock and the call's length differ each time."""
    status = Status(phase=Phase.DIALOGUE, client_name="Ольга", window_s=(2.0, 3.0))
    status.call_s, status.silence_s = number / STATES_PER_S, number % 30 / 10
    for channel in Channel:
        side = status.sides[channel]
        side.device, side.state = "Гарнитура", DeviceState.OPEN
        side.level_db = -60 + (number * 7 + len(channel.value)) % 50
    status.upcoming = PhraseStatus("Ольга, вы меня слышите?", "next", 1.0, 2.0)
    status.messages.append((1.0, "звонок начался"))
    return snapshot(status, "ivan")


def _changes(number: int) -> Snapshot:
    before, now = state(number - 1), state(number)
    return {key: value for key, value in now.items() if before[key] != value}


# -- one headset -----------------------------------------------------------------------------------


def latency(samples: int) -> Table:
    """One change at a time."""
    with process("desk") as desk, process("echo") as echo:
        link = HeadsetLink(lambda: DeskEndpoint(f"http://{desk.address}", TOKEN), print)
        link.attach("0", lambda _: None)
        desk.ask("follow 1")
        link.publish("0", state(0))
        while desk.ask("figures")["told"] < 2:
            time.sleep(0.01)
        bare: list[float] = []
        with connect_here(f"ws://{echo.address}", compression=None, proxy=None) as connection:
            for number in range(1, samples + 1):
                time.sleep(APART_S / 2)
                link.publish("0", state(number) | {SENT: time.perf_counter()})
                time.sleep(APART_S / 2)
                text = json.dumps({"state": _changes(number)}, ensure_ascii=False)
                began = time.perf_counter()
                connection.send(text)
                connection.recv()
                bare.append(time.perf_counter() - began)
        time.sleep(0.2)
        took = desk.ask("figures")["after_s"]
        link.stop()
    assert len(took) == samples, f"{len(took)} of {samples} came"
    figures = []
    for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0)):
        mine, its = percentile(took, share), percentile(bare, share)
        figures += [
            Figure(f"a change at a page's stream, {name}", mine * 1000, "ms", mine / its, "echo"),
            Figure(f"bare echo, there and back, {name}", its * 1000, "ms"),
        ]
    return Table("A headset's state on its way", figures, [f"{samples} changes, one at a time"])


# -- many headsets ---------------------------------------------------------------------------------


async def _send(connection: ClientConnection, first: int, seconds: float) -> int:
    """Send `STATES_PER_S` states a second, each headset with its own phase. Return their number."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(first / HEADSETS / STATES_PER_S)
    began = loop.time()
    for number in count(1):
        pause = began + number / STATES_PER_S - loop.time()
        if number > seconds * STATES_PER_S:
            return number - 1
        await asyncio.sleep(max(0.0, pause))
        await connection.send(_TEXTS[number % len(_TEXTS)])
    raise AssertionError(first)


_TEXTS = [json.dumps({"state": _changes(number)}, ensure_ascii=False) for number in range(1, 60)]


async def _ignore(connection: ClientConnection) -> None:
    async for _ in connection:
        pass


async def _many(one: Process, path: str, hello: bool, seconds: float) -> dict[str, float]:
    async def ask(command: str) -> dict[str, Any]:
        return await asyncio.to_thread(one.ask, command)

    async with AsyncExitStack() as stack:
        connections = []
        for number in range(HEADSETS):
            connection = await stack.enter_async_context(
                connect(
                    f"ws://{one.address}{path}",
                    additional_headers=BEARER,
                    compression=None,
                    proxy=None,
                    ping_interval=None,
                )
            )
            if hello:
                await connection.send(json.dumps({"hello": 1, "operator": str(number)}))
                await connection.send(json.dumps({"state": state(0)}, ensure_ascii=False))
            connections.append(connection)
        hearing = [asyncio.create_task(_ignore(connection)) for connection in connections]
        await ask(f"follow {HEADSETS}")
        await asyncio.sleep(0.5)
        before, began = await ask("figures"), time.perf_counter()
        sent = await asyncio.gather(
            *(_send(connection, number, seconds) for number, connection in enumerate(connections))
        )
        after, took_s = await ask("figures"), time.perf_counter() - began
        for task in hearing:
            task.cancel()
    return {
        "share": (after["cpu_s"] - before["cpu_s"]) / took_s,
        "each_s": (after["cpu_s"] - before["cpu_s"]) / sum(sent),
        "told": (after.get("told", 0) - before.get("told", 0)) / sum(sent),
        "rss": after["rss"],
    }


def many(seconds: float) -> Table:
    """The desk's processor time."""
    with process("echo") as echo:
        bare = asyncio.run(_many(echo, "/", False, seconds))
    with process("desk") as desk:
        mine = asyncio.run(_many(desk, "/api/v1/headsets", True, seconds))
    ratio = mine["share"] / bare["share"]
    return Table(
        f"{HEADSETS} headsets, {STATES_PER_S} states a second each, a page's stream for each",
        [
            Figure("the desk, of one core", mine["share"] * 100, "%", ratio, "echo"),
            Figure("bare echo of the same messages", bare["share"] * 100, "%"),
            Figure("the desk, a state", mine["each_s"] * 1e6, "µs"),
            Figure("states that reached the stream", mine["told"] * 100, "%"),
            Figure("the desk's memory", mine["rss"] / 1e6, "MB"),
        ],
        [f"{seconds:g} s each; messages of {len(_TEXTS[0].encode())} bytes"],
    )
