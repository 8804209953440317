"""The connection to AMI against a server that says what Asterisk was captured saying, and against faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vad_agent.core.events import EventKind
from vad_agent.telephony import ami_control
from vad_agent.telephony.ami import challenge_key
from vad_agent.telephony.ami_control import AmiControl
from vad_agent.telephony.call_control import TapEvent

CAPTURED = (Path(__file__).parent / "captured" / "asterisk_22_ami.txt").read_bytes()
BLOCKS = CAPTURED.split(b"\r\n\r\n")
CHANNELS = [block for block in BLOCKS if b"Event: CoreShowChannel\r\n" in block]
EVENTS = [block for block in BLOCKS if b"Privilege:" in block]
HOLD = next(block for block in EVENTS if block.startswith(b"Event: Hold"))
TAP = "96340328-a48c-42c7-85f9-44d08421abe4"
CLIENT = "1796079981.0"
SECRET = "of manager.conf"
Action = dict[str, str]


class Pbx:
    """Answers actions as Asterisk does. `in_call`: the captured call is on."""

    def __init__(self) -> None:
        self.port = 0
        self.in_call = False
        self.mute = False
        """No action is answered."""
        self.actions: list[Action] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.early: list[bytes] = []
        """Events that come between an action of the list and its response."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                block = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
                told = dict(line.split(": ", 1) for line in block.split("\r\n"))
                self.actions.append(told)
                if not self.mute:
                    self._answer(told, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, told: Action, writer: asyncio.StreamWriter) -> None:
        id = told["ActionID"]

        def say(block: str) -> None:
            head, _, rest = block.partition("\n")
            lines = [head, f"ActionID: {id}", *rest.splitlines()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")

        match told["Action"]:
            case "Challenge":
                say("Response: Success\nChallenge: 5")
            case "Login" if told["Key"] != challenge_key("5", SECRET):
                say("Response: Error\nMessage: Authentication failed")
            case "CoreShowChannels":
                say("Response: Success\nEventList: start")
                for block in CHANNELS if self.in_call else ():
                    writer.write(block.replace(b"ActionID: 2", f"ActionID: {id}".encode()))
                    writer.write(b"\r\n\r\n")
                self.tell(*self.early)
                say("Event: CoreShowChannelsComplete\nEventList: Complete")
            case "Getvar":
                say(f"Response: Success\nVariable: VAD\nValue: {TAP}")
            case "Hangup" if told["Channel"] != CLIENT:
                say("Response: Error\nMessage: No such channel")
            case _:
                say("Response: Success")

    def tell(self, *blocks: bytes) -> None:
        for block in blocks:
            self._writers[-1].write(block + b"\r\n\r\n")

    def cut(self) -> None:
        """The connection breaks."""
        self._writers[-1].transport.abort()

    def of(self, name: str) -> list[Action]:
        return [one for one in self.actions if one["Action"] == name]


@asynccontextmanager
async def centre(secret: str = SECRET) -> AsyncIterator[tuple[Pbx, AmiControl, list[TapEvent]]]:
    pbx, told = Pbx(), list[TapEvent]()
    server = await asyncio.start_server(pbx.serve, "127.0.0.1", 0)
    pbx.port = server.sockets[0].getsockname()[1]
    auth = ("vad-agent", secret)
    control = AmiControl(
        "127.0.0.1", pbx.port, auth, told.extend, media="127.0.0.1:9092", pauses_s=(0.01,)
    )
    try:
        control.start()
        yield pbx, control, told
    finally:
        control.close()
        server.close()
        for writer in pbx._writers:
            writer.close()
        await asyncio.sleep(0)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def kinds(told: list[TapEvent]) -> list[str]:
    return [one.event.kind.value for one in told]


def test_a_call_is_told_and_hung_up() -> None:
    async def run() -> None:
        async with centre() as (pbx, control, told):
            await until(lambda: control.connected)
            pbx.tell(*EVENTS[: EVENTS.index(HOLD) + 1])
            await until(lambda: len(told) == 2)
            assert kinds(told) == ["answered", "hold"]
            control.hang_up(TAP)
            control.hang_up("another control's")
            await until(lambda: pbx.of("Hangup"))
            assert [one["Channel"] for one in pbx.of("Hangup")] == [CLIENT]
            control.tap(TAP)
            await until(lambda: pbx.of("Originate"))
            (originate,) = pbx.of("Originate")
            assert originate["Channel"] == f"Local/spy{CLIENT}@vad/n"
            assert originate["Context"] == "vad-again"
            assert originate["Variable"] == f"VAD_CALL={TAP},VAD_MEDIA=127.0.0.1:9092"
            await until(lambda: control.waiting == 0)

    asyncio.run(run())


def test_after_a_reconnect_the_calls_are_those_that_the_pbx_has() -> None:
    async def run() -> None:
        async with centre() as (pbx, control, told):
            await until(lambda: control.connected)
            pbx.in_call = True
            pbx.cut()
            await until(lambda: told)
            assert (kinds(told), told[0].resumed) == (["answered"], True)
            pbx.in_call = False
            pbx.cut()
            await until(lambda: len(told) == 2)
            assert told[1].event.kind is EventKind.HANGUP
            assert told[1].event.party == "network"

    asyncio.run(run())


def test_what_happens_while_the_calls_are_read_is_told_after_them() -> None:
    async def run() -> None:
        async with centre() as (pbx, control, told):
            pbx.in_call, pbx.early = True, [HOLD]
            await until(lambda: control.connected)
            assert kinds(told) == ["answered", "hold"]

    asyncio.run(run())


def test_a_hangup_asked_for_while_the_connection_is_lost_is_sent_when_it_is_back() -> None:
    async def run() -> None:
        async with centre() as (pbx, control, _):
            pbx.in_call = True
            await until(lambda: control.connected)
            pbx.mute = True
            pbx.cut()
            await until(lambda: not control.connected)
            control.hang_up(TAP)
            control.tap(TAP)  # the router asks again
            assert control.waiting
            pbx.mute = False
            pbx.cut()
            await until(lambda: pbx.of("Hangup"))
            assert pbx.of("Originate") == []

    asyncio.run(run())


def test_a_wrong_secret_is_logged_in_one_line_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with centre("another") as (pbx, control, _):
            await until(lambda: len(pbx.of("Login")) == 2)
            assert not control.connected

    asyncio.run(run())
    (first, *_) = caplog.records
    assert first.why == "AMI: Login: Authentication failed"  # type: ignore[attr-defined]
    assert "another" not in caplog.text


def test_a_pbx_that_answers_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_control, "LIMIT_S", 0.05)
    monkeypatch.setattr(ami_control, "PING_S", 0.02)

    async def run() -> None:
        async with centre() as (pbx, control, _):
            await until(lambda: pbx.of("Ping"))
            assert control.connected
            pbx.mute = True  # half open: nothing comes, and nothing is closed
            await until(lambda: not control.connected)
            pbx.mute = False
            await until(lambda: control.connected)

    asyncio.run(run())


def test_a_refused_command_is_logged_and_a_call_that_is_over_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with centre() as (pbx, control, _):
            pbx.in_call = True
            await until(lambda: control.connected)
            control._command("Hangup", Channel="1.1")
            await until(lambda: pbx.of("Hangup") and not control.waiting)

    asyncio.run(run())
    assert [one.levelname for one in caplog.records if "command" in one.message] == []


def test_garbage_from_the_pbx_ends_the_connection_and_nothing_else() -> None:
    async def run() -> None:
        async with centre() as (pbx, control, _):
            await until(lambda: control.connected)
            logins = len(pbx.of("Login"))
            pbx._writers[-1].write(b"Event: " + b"x" * 300_000)
            await until(lambda: len(pbx.of("Login")) > logins and control.connected)

    asyncio.run(run())
