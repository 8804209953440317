"""Where [vad-tap] leads: `pbx check` listens in place of `vad-agent pbx`, and sends a call through it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from uuid import UUID

from vad_agent.errors import DialError
from vad_agent.headset.routing_check import Finding
from vad_agent.telephony.asterisk_access import AsteriskAccess

SETUP = "vad-agent pbx setup asterisk"
LIMIT_S = 8.0
"""Seconds for the client's leg and the tap to connect."""
READ_S = 3.0
MOST_BYTES = 4096
LOOK_S = 0.05


async def follow_tap(
    access: AsteriskAccess, endpoint: str, host: str, port: int, *, processes: int
) -> Finding | None:
    """A call from `endpoint`, a leg of the check, through [vad-tap]. None: nothing can be said.

    `host`, `port`: of `vad-agent pbx`, with so many `processes`.
    """
    address = f"{host}:{port}"
    came: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):
            came.append(await asyncio.wait_for(reader.read(MOST_BYTES), READ_S))
        writer.close()

    async with AsyncExitStack() as opened:
        try:
            for process in range(processes):
                server = await asyncio.start_server(take, host, port + process)
                opened.callback(server.close)
        except OSError:
            what = f"it is there; a program listens at {address}, so where it leads is not tested"
            return Finding("[vad-tap]", True, what)
        found = False
        try:
            id = await access.originate(endpoint, "tap", {})
            tap = ""
            for _ in range(round(LIMIT_S / LOOK_S)):
                tap = tap or await access.variable(id, "VAD")
                if found := any(_names(data, tap) for data in came):
                    break
                await asyncio.sleep(LOOK_S)
            await access.hang_up(id)
        except DialError:
            return None
    if found:
        return Finding("[vad-tap]", True, f"its stream comes to {address}")
    what = f"its stream does not come to {address}, where vad-agent pbx is to listen"
    return Finding("[vad-tap]", False, what, f"{SETUP} --listen; or name the address: --listen")


def _names(data: bytes, tap: str) -> bool:
    """The beginning of a stream, by AudioSocket or WebSocket, names this tap."""
    with suppress(ValueError):
        return UUID(tap).bytes in data or f"call={tap}".encode() in data
    return False
