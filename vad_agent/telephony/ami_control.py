"""Call control at Asterisk through its Manager Interface (AMI), where ARI is off.

    connect ─> log in ─> CoreShowChannels, Getvar VAD: the calls of now ─> events ─> AsteriskCalls ─> tell
       ^ PAUSES_S                                                         Ping each PING_S │
       └──────────────────────────── lost, or silent ──────────────────────────────────────┘
    hang_up(tap) ──> Hangup        tap(tap) ──> Originate: the context [vad-again]

Runs in the event loop's thread. A hang-up that is asked for while the connection is lost is sent when it
is back; the call goes on until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence

from vad_agent.callbacks.dialers.ari_events import PAUSES_S
from vad_agent.errors import DialError
from vad_agent.telephony.ami import AmiReceiver, Message, action, challenge_key
from vad_agent.telephony.ami_events import as_ari, bridges, channel
from vad_agent.telephony.asterisk_calls import VARIABLE, AsteriskCalls
from vad_agent.telephony.call_control import TapEvent

log = logging.getLogger(__name__)

LIMIT_S = 5.0
"""Seconds for a connection, and for the response to an action."""
PING_S = 10.0
MOST_COMMANDS = 1000
"""Actions without a response, and hang-ups that wait for a connection."""


class AmiControl:
    """`auth`: user and secret of manager.conf. `tell`: called with what happens. `media`: HOST:PORT at
    which Asterisk reaches our listener.
    """

    def __init__(
        self,
        host: str,
        port: int,
        auth: tuple[str, str],
        tell: Callable[[Sequence[TapEvent]], None],
        *,
        media: str = "",
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._address = host, port
        self._auth = auth
        self._tell = tell
        self._media = media
        self._pauses_s = pauses_s
        self._calls = AsteriskCalls()
        self._ids = itertools.count(1)
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[str, _Asked] = {}
        self._held_back: list[Message] | None = None
        """Events during `_restore`; None: they are taken at once."""
        self._due: dict[str, None] = {}
        """Taps to hang up, in order."""
        self.connected = False
        """Events are being received."""
        self.problem = ""
        """Why there is no connection."""

    def start(self) -> None:
        """Connect in the background. A second call does nothing."""
        if self._task is not None:
            return
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def waiting(self) -> int:
        """Commands without a response."""
        return len(self._asked) + len(self._due)

    def hang_up(self, tap: str) -> None:
        """End the client's channel of this tap. Does not block; what fails is logged."""
        if not self.connected:
            if len(self._due) < MOST_COMMANDS:
                self._due[tap] = None
            else:
                log.error("a command to Asterisk is lost: too many wait")
        elif (channel := self._calls.client_channel(tap)) is not None:
            self._command("Hangup", Channel=channel)

    def tap(self, tap: str) -> None:
        """Begin a new stream of a call that has none. Does not block; what fails is logged."""
        channel = self._calls.client_channel(tap)
        if self.connected and channel is not None:
            self._command(
                "Originate",
                Channel=f"Local/spy{channel}@vad/n",
                Context="vad-again",
                Exten="s",
                Priority="1",
                Variable=f"VAD_CALL={tap},VAD_MEDIA={self._media}",
                Async="true",
            )

    def close(self) -> None:
        """Receive no more."""
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()

    # -- the connection ----------------------------------------------------------------------------

    async def _run(self) -> None:
        failed = 0
        while True:
            try:
                await self._connection()
            except (OSError, EOFError, TimeoutError, DialError) as error:
                failed = 0 if self.connected else failed + 1
                why = str(error) if isinstance(error, DialError) else type(error).__name__
                self.problem = why
                if self.connected:
                    text = "lost the connection to Asterisk's AMI, reconnecting"
                else:
                    text = "no connection to Asterisk's AMI, trying again"
                log.warning(text, extra={"why": why})
            finally:
                self.connected = False
            await asyncio.sleep(self._pauses_s[min(failed, len(self._pauses_s) - 1)])

    async def _connection(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            reader, self._writer = await asyncio.open_connection(*self._address)
        reading = asyncio.create_task(self._read(reader))
        try:
            await self._log_in()
            await self._restore()
            self.connected = True
            log.info("call control is connected", extra={"by": "AMI", "calls": len(self._calls)})
            for tap in self._due:
                self.hang_up(tap)
            self._due.clear()
            while not (await asyncio.wait({reading}, timeout=PING_S))[0]:
                await self.ask("Ping")
            await reading
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, EOFError, DialError):
                await reading
            self._writer.close()
            self._writer = None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        receiver = AmiReceiver()
        try:
            while data := await reader.read(65_536):
                for message in receiver.receive(data):
                    self._take(message)
            raise EOFError
        finally:
            for asked in tuple(self._asked.values()):
                asked.fail("the connection has ended")
            self._asked.clear()

    async def _log_in(self) -> None:
        user, secret = self._auth
        told = (await self.ask("Challenge", AuthType="MD5"))[0]
        key = challenge_key(told.get("challenge", ""), secret)
        await self.ask("Login", AuthType="MD5", Username=user, Key=key)

    async def _restore(self) -> None:
        """The calls as they are now; those that began or ended meanwhile are told."""
        self._held_back = []
        try:
            shown = [one for one in await self.ask("CoreShowChannels") if one.get("uniqueid")]
            values = await asyncio.gather(*map(self._variable, shown))
            channels = zip(map(channel, shown), values, strict=True)
            found = self._calls.restore(channels, bridges(shown))
        finally:
            held_back, self._held_back = self._held_back, None
        if found:
            self._tell(found)
        for message in held_back:
            self._take(message)

    async def _variable(self, shown: Message) -> str:
        """The tap's UUID; empty: the channel has none, or is gone."""
        try:
            told = await self.ask("Getvar", Channel=shown["uniqueid"], Variable=VARIABLE)
        except DialError:
            return ""
        return told[0].get("value", "")

    # -- messages ----------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        asked = self._asked.get(message.get("actionid", ""))
        if asked is not None and asked.take(message):
            del self._asked[message["actionid"]]
        elif asked is None and self._held_back is not None:
            self._held_back.append(message)
        elif asked is None and (event := as_ari(message)) is not None:
            found = self._calls.take(event)
            if found:
                self._tell(found)

    async def ask(self, name: str, **headers: str) -> list[Message]:
        """Send an action. Return its response, and the events of a list.

        Raises:
            DialError: it is refused, or the connection has ended.
            TimeoutError: there is no response.
        """
        id = str(next(self._ids))
        asked = self._asked[id] = _Asked(name)
        try:
            assert self._writer is not None
            self._writer.write(action(name, id, **headers))
            async with asyncio.timeout(LIMIT_S):
                return await asked.done
        finally:
            self._asked.pop(id, None)

    def _command(self, name: str, **headers: str) -> None:
        """Send an action whose response is only logged."""
        if len(self._asked) >= MOST_COMMANDS or self._writer is None:
            log.error("a command to Asterisk is lost: too many wait")
            return
        task = asyncio.get_running_loop().create_task(self.ask(name, **headers))
        task.add_done_callback(lambda done: self._commanded(name, done))

    def _commanded(self, name: str, done: asyncio.Task[list[Message]]) -> None:
        if done.cancelled() or (error := done.exception()) is None:
            return
        level = logging.INFO if "No such channel" in str(error) else logging.ERROR  # it is over
        log.log(
            level,
            "Asterisk did not carry out a command",
            extra={"command": name, "why": str(error) or type(error).__name__},
        )


class _Asked:
    """An action, until its response and the events of its list have come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[Message] = []
        self.done: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()

    def take(self, message: Message) -> bool:
        """Take a message with the action's id. True: it is the last one."""
        self._found.append(message)
        if message.get("response") == "Error":
            self.fail(message.get("message", "refused"))
            return True
        if message.get("eventlist", "").lower() == "start":
            return False
        last = "event" not in message or message.get("eventlist", "").lower() == "complete"
        if last and not self.done.done():
            self.done.set_result(self._found)
        return last

    def fail(self, why: str) -> None:
        """There is no response."""
        if not self.done.done():
            self.done.set_exception(DialError(f"AMI: {self._name}: {why}"))
            self.done.exception()  # an action that nobody waits for is no fault
