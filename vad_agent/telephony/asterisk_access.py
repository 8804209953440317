"""What `pbx check` asks of an Asterisk, by ARI or by AMI: its version, its modules, a call, its end.

Each raises DialError where Asterisk refuses, or does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Protocol
from uuid import uuid4

from vad_agent.callbacks.dialers.ari_events import NOT_THERE, REFUSED
from vad_agent.callbacks.dialers.base import DialRefused
from vad_agent.callbacks.dialers.http_transport import NEVER_SENT, HttpTransport
from vad_agent.errors import DialError
from vad_agent.telephony.ami_control import AmiControl
from vad_agent.telephony.asterisk_control import AsteriskControl
from vad_agent.telephony.call_control import CallControl, TapEvent

LIMIT_S = 5.0
LOOK_S = 0.05
APP = "vad-agent-check"
"""The ARI application of the check: that of `vad-agent pbx` has its one connection already."""


class AsteriskAccess(Protocol):
    """One way to Asterisk."""

    name: str
    """ARI or AMI."""
    files: str
    """Where it is set up."""
    told: list[TapEvent]
    """What its call control has told."""
    control: CallControl

    async def version(self) -> str:
        """Asterisk's version."""

    async def modules(self) -> set[str]:
        """The modules that run, without .so."""

    async def originate(self, channel: str, exten: str, variables: Mapping[str, str]) -> str:
        """Begin a call from a channel into [vad-check]. Return the channel's id."""

    async def variable(self, id: str, name: str) -> str:
        """A channel's variable or function; empty: it has none, or has ended."""

    async def hang_up(self, id: str) -> None:
        """End a channel; one that has ended is fine."""

    async def close(self) -> None:
        """Close the connections."""


async def is_connected(access: AsteriskAccess, limit_s: float) -> bool:
    """Its call control is connected, now or within `limit_s` seconds."""
    for _ in range(round(limit_s / LOOK_S)):
        if access.control.connected:
            return True
        await asyncio.sleep(LOOK_S)
    return False


class AriAccess:
    """By ARI. `url`: Asterisk's HTTP address, without /ari."""

    name = "ARI"
    files = "http.conf and ari.conf"

    def __init__(self, url: str, auth: tuple[str, str]) -> None:
        self._http = HttpTransport("asterisk", f"{url.rstrip('/')}/ari", auth=auth, limit_s=LIMIT_S)
        self.told: list[TapEvent] = []
        self.control: CallControl = AsteriskControl(url, auth, self.told.extend, app=APP)

    async def version(self) -> str:
        """Asterisk's version."""
        try:
            told = await self._ask("GET", "/asterisk/info", refused=REFUSED)
        except DialRefused as error:
            if isinstance(error.__cause__, NEVER_SENT):
                raise DialError(f"{error}: {NOT_THERE}") from error
            raise
        return str(_get(_get(told, "system"), "version") or "")

    async def modules(self) -> set[str]:
        """The modules that run."""
        return {
            str(one.get("name", "")).removesuffix(".so")
            for one in await self._ask("GET", "/asterisk/modules")
            if isinstance(one, dict) and one.get("status") == "Running"
        }

    async def originate(self, channel: str, exten: str, variables: Mapping[str, str]) -> str:
        """Begin a call. Return the channel's id."""
        call = {"endpoint": channel, "context": "vad-check", "extension": exten, "priority": 1}
        told = await self._ask("POST", "/channels", json=call | {"variables": dict(variables)})
        return str(_get(told, "id") or "")

    async def variable(self, id: str, name: str) -> str:
        """A channel's variable or function."""
        path = f"/channels/{id}/variable"
        told = await self._ask("GET", path, accept=(404,), params={"variable": name})
        return str(_get(told, "value") or "")

    async def hang_up(self, id: str) -> None:
        """End a channel."""
        await self._ask("DELETE", f"/channels/{id}", accept=(404,))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self.control.close)
        self._http.close()

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        accept: tuple[int, ...] = (),
        refused: Mapping[int, str] = MappingProxyType({}),
        **request: Any,
    ) -> Any:
        """`refused`: what a status means that raises DialError."""

        def ask() -> Any:
            answer = self._http.send(
                method, path, repeatable=method == "GET", accept=(*accept, *refused), **request
            )
            if (why := refused.get(answer.status_code)) is not None:
                raise DialError(f"HTTP {answer.status_code}: {why}")
            return self._http.json(answer) if answer.content else None

        return await asyncio.to_thread(ask)


class AmiAccess:
    """By AMI."""

    name = "AMI"
    files = "manager.conf"

    def __init__(self, address: tuple[str, int], auth: tuple[str, str]) -> None:
        self.told: list[TapEvent] = []
        self._ami = AmiControl(*address, auth, self.told.extend)
        self.control: CallControl = self._ami
        self._started = False

    async def version(self) -> str:
        """Asterisk's version."""
        self.control.start()
        for _ in range(round(LIMIT_S / LOOK_S)):
            if self._ami.connected or self._ami.problem:
                break
            await asyncio.sleep(LOOK_S)
        if not self._ami.connected:
            raise DialError(self._ami.problem or "AMI: no connection")
        return (await self._ami.ask("CoreSettings"))[0].get("asteriskversion", "")

    async def modules(self) -> set[str]:
        """They cannot be listed without further rights."""
        raise DialError("AMI: a user without the right `system` sees none")

    async def originate(self, channel: str, exten: str, variables: Mapping[str, str]) -> str:
        """Begin a call. Return the channel's id."""
        id = f"vad-check-{uuid4()}"
        await self._ami.ask(
            "Originate",
            Channel=channel,
            ChannelId=id,
            Context="vad-check",
            Exten=exten,
            Priority="1",
            Async="true",
            Variable=",".join(f"{name}={value}" for name, value in variables.items()),
        )
        return id

    async def variable(self, id: str, name: str) -> str:
        """A channel's variable or function."""
        try:
            told = await self._ami.ask("Getvar", Channel=id, Variable=name)
        except DialError:
            return ""
        return told[0].get("value", "")

    async def hang_up(self, id: str) -> None:
        """End a channel."""
        with suppress(DialError):
            await self._ami.ask("Hangup", Channel=id)

    async def close(self) -> None:
        """Close the connection."""
        self.control.close()
        await asyncio.sleep(0)


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None
