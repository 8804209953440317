"""`pbx check`: places a call through the PBX and proves each path of the sound and of call control.

    our client ──AudioSocket──> Asterisk <──AudioSocket── our operator
         ^ 700 Hz                  │ tap                     1,100 Hz
         └───── 1,900 Hz ──────── our tap: left 700 Hz, right 1,100 Hz

All three connections come to one port of this check. A second call goes through [vad-tap], to the port of
`vad-agent pbx`, where nothing listens there now. A third, if a telephone is named, rings it: its user puts
the call on hold. Each finding has its remedy.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable
from uuid import uuid4

from vad_agent.core.events import EventKind
from vad_agent.core.frames import FRAME_S
from vad_agent.errors import DialError, MediaError
from vad_agent.headset.routing_check import Finding
from vad_agent.telephony.asterisk_access import AsteriskAccess, is_connected
from vad_agent.telephony.asterisk_setup import (
    CHECK_MODULES,
    MODULES,
    OLDEST,
    faults,
    parse_version,
)
from vad_agent.telephony.audiosocket import AudioSocketReceiver, CallIdentified
from vad_agent.telephony.call_control import check_tap
from vad_agent.telephony.check_leg import CheckLeg, strength, tone
from vad_agent.telephony.check_tap_path import SETUP, follow_tap

CLIENT_HZ, OPERATOR_HZ, PROMPT_HZ = 700, 1_100, 1_900
CONNECT_S = 10.0
TALK_S = 2.0
HANGUP_S = 3.0
TOLD_S = 3.0
"""Seconds for an event to be told."""
PERSON_S = 30.0
"""Seconds for a person to answer a telephone, and to press its keys."""
LOOK_S = 0.05
EVENTS_REMEDY = "load res_ari_events.so; by AMI: read = call,dialplan in manager.conf"
HOLD_REMEDY = "the telephone's hold must be that of SIP (a re-INVITE): see its settings"
HEARD = 0.25
"""Share of its amplitude from which a tone counts as heard."""
HALVED = 0.7
"""Below this share it has lost 3 dB: some path converts the rate."""
LEAKS = 0.05
LATE_S = 2 * FRAME_S
"""Lateness of frames from which a level says nothing of the PBX."""


class AsteriskCheck:
    """`host`: this machine, as Asterisk reaches it. `phone`: the telephone that rings and is put on hold;
    empty: none. `tapped`: where `vad-agent pbx` takes the taps, with so many `processes`.
    """

    def __init__(
        self,
        access: AsteriskAccess,
        *,
        host: str = "127.0.0.1",
        phone: str = "",
        tapped: tuple[str, int] = ("127.0.0.1", 9092),
        processes: int = 1,
    ) -> None:
        self._access = access
        self._tapped = tapped
        self._processes = processes
        self._phone = phone
        self._host = host
        self._legs: dict[str, CheckLeg] = {}
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._address = ""

    async def findings(self) -> AsyncIterator[Finding]:
        """All tests, in order. After a failure on which the rest depends, nothing more."""
        try:
            async for finding in self._findings():
                yield finding
        finally:
            await self._access.close()

    async def _findings(self) -> AsyncIterator[Finding]:
        name = self._access.name
        try:
            text = await self._access.version()
        except (DialError, TimeoutError) as error:
            remedy = f"{self._access.files}: vad-agent pbx setup asterisk"
            yield Finding(name, False, str(error) or "no answer", remedy)
            return
        version = parse_version(text)
        yield Finding(name, True, f"Asterisk {text or 'of an unknown version'}")
        if version is not None and version < OLDEST:
            yield Finding("version", False, "older than 18", "upgrade Asterisk")
        for fault in faults(version) if version is not None else ():
            yield Finding("version", None, fault.what, fault.remedy)
        missing = False
        async for finding in self._modules():
            missing |= finding.good is False
            yield finding
        if missing:
            return
        server = await asyncio.start_server(self._accept, self._host, 0)
        try:
            self._address = f"{self._host}:{server.sockets[0].getsockname()[1]}"
            self._access.control.start()
            if not await is_connected(self._access, CONNECT_S):
                remedy = "load res_ari_events.so; a proxy must pass WebSockets on"
                yield Finding("call control", False, "no events come", remedy)
                return
            async for finding in self._call():
                yield finding
        finally:
            server.close()
            for writer in self._connections.values():
                writer.close()
            if self._connections:  # a task that is cancelled would be on stderr
                await asyncio.wait(tuple(self._connections), timeout=HANGUP_S)

    # -- before the call ---------------------------------------------------------------------------

    async def _modules(self) -> AsyncIterator[Finding]:
        try:
            running = await self._access.modules()
        except DialError as error:
            remedy = "asterisk -rx 'module show', and the list of vad-agent pbx setup asterisk"
            yield Finding("modules", None, f"they cannot be listed ({error})", remedy)
            return
        for name, why in (MODULES | CHECK_MODULES).items():
            if name not in running:
                yield Finding(
                    "modules", False, f"{name} is not loaded: it {why}", f"load {name}.so"
                )
        if running.issuperset(MODULES | CHECK_MODULES):
            yield Finding("modules", True, "all are loaded")

    # -- the call ----------------------------------------------------------------------------------

    async def _call(self) -> AsyncIterator[Finding]:
        client, operator, tap = (CheckLeg(tone(hz)) for hz in (CLIENT_HZ, OPERATOR_HZ, PROMPT_HZ))
        ids = client_id, operator_id, tap_id = str(uuid4()), str(uuid4()), check_tap()
        self._legs = dict(zip(ids, (client, operator, tap), strict=True))
        try:
            id = await self._originate("s", client_id, tap_id, VAD_PEER=operator_id)
        except DialError as error:
            yield Finding(
                "test call", False, str(error), f"may the user of {self._access.files} originate?"
            )
            return
        for name, leg, remedy in (
            ("the client's leg", client, f"can Asterisk reach {self._address}? a firewall, --host"),
            (
                "the operator's leg",
                operator,
                "the context [vad-check]: vad-agent pbx setup asterisk",
            ),
            ("the tap", tap, "the contexts [vad] and [vad-check]: vad-agent pbx setup asterisk"),
        ):
            if not await _within(leg.connected, CONNECT_S):
                yield Finding("test call", False, f"{name} does not connect", remedy)
                await self._hang_up(id)
                return
        yield Finding("test call", True, "both legs and the tap are connected")
        has_tap, has_test = [
            await self._access.variable(id, f"DIALPLAN_EXISTS({place},1)")
            for place in ("vad-tap,s", "vad-check,tap")
        ]
        await asyncio.sleep(TALK_S / 2)
        for leg in (client, operator, tap):
            leg.late_s = 0.0
        await asyncio.sleep(TALK_S / 2)
        for finding in self._heard(client, operator, tap):
            yield finding
        if not await self._tells(tap_id, EventKind.ANSWERED):
            yield Finding(
                "call control",
                False,
                "who answers is not told",
                f"Set(__VAD=…), two underscores, before Dial; {EVENTS_REMEDY}",
            )
            await self._hang_up(id)
            return
        yield Finding("call control", True, "the call is known by its tap, and who answers it")
        async for finding in self._end(id, tap_id, (client, operator, tap)):
            yield finding
        if has_tap == "0":
            yield Finding("[vad-tap]", False, "it is missing: no call is tapped", SETUP)
        elif has_test == "0":
            yield Finding("[vad-tap]", None, "not tested: [vad-check] is an older one", SETUP)
        elif (led := await self._follow_tap()) is not None:
            yield led
        if not self._phone:
            yield Finding("hold", None, "not tested", "with a telephone at hand: --phone PJSIP/101")
            return
        async for finding in self._hold(self._phone):
            yield finding

    async def _originate(self, exten: str, client: str, tap: str, **variables: str) -> str:
        """Begin a test call. Return the id of the client's channel.

        Raises:
            DialError: it is refused.
        """
        return await self._access.originate(
            self._endpoint(client),
            exten,
            {"__VAD": tap, "VAD_CHECK": self._address, **variables},
        )

    async def _end(self, id: str, tap: str, legs: Iterable[CheckLeg]) -> AsyncIterator[Finding]:
        """Hang up as a script does."""
        self._access.control.hang_up(tap)
        ended = [await _within(leg.ended, HANGUP_S) for leg in legs]
        if not all(ended):
            remedy = f"option E of ChanSpy; the rights of the user of {self._access.files}"
            yield Finding("hang-up", False, "the call goes on", remedy)
            await self._hang_up(id)
            return
        yield Finding("hang-up", True, "the call and its tap end")
        yield (
            Finding("hang-up told", True, "the end of the call is told")
            if await self._tells(tap, EventKind.HANGUP)
            else Finding("hang-up told", False, "nothing tells the end", EVENTS_REMEDY)
        )

    async def _hold(self, phone: str) -> AsyncIterator[Finding]:
        """A second call, to a telephone whose user holds it: only telephones tell Asterisk of a hold."""
        client, tap = str(uuid4()), check_tap()
        leg = CheckLeg(tone(CLIENT_HZ))
        self._legs = {client: leg}
        try:
            id = await self._originate("phone", client, tap, VAD_PHONE=phone)
        except DialError as error:
            yield Finding(
                "hold", False, str(error), f"may the user of {self._access.files} originate?"
            )
            return
        yield Finding(
            "hold", None, f"{phone} rings", "answer it, put the call on hold, take it back"
        )
        missing = None
        for kind, remedy in (
            (EventKind.ANSWERED, f"does {phone} ring? [vad-check]: vad-agent pbx setup asterisk"),
            (EventKind.HOLD, HOLD_REMEDY),
            (EventKind.UNHOLD, HOLD_REMEDY),
        ):
            if not await self._tells(tap, kind, PERSON_S, unless=leg.ended):
                missing = Finding("hold", False, f"{kind.value} is not told", remedy)
                break
        await self._hang_up(id)
        yield missing or Finding("hold", True, "its beginning and its end are told")

    async def _follow_tap(self) -> Finding | None:
        client = str(uuid4())
        self._legs[client] = CheckLeg(tone(CLIENT_HZ))
        return await follow_tap(
            self._access, self._endpoint(client), *self._tapped, processes=self._processes
        )

    def _endpoint(self, client: str) -> str:
        """The client's leg, which connects to this check."""
        return f"AudioSocket/{self._address}/{client}/c(slin)"

    async def _tells(
        self,
        tap: str,
        kind: EventKind,
        limit_s: float = TOLD_S,
        unless: asyncio.Event | None = None,
    ) -> bool:
        """Call control tells this of the tap's call in time. `unless`: what makes waiting useless."""
        for _ in range(round(limit_s / LOOK_S)):
            if any(one.tap == tap and one.event.kind is kind for one in tuple(self._access.told)):
                return True
            if unless is not None and unless.is_set():
                break
            await asyncio.sleep(LOOK_S)
        return False

    def _heard(self, client: CheckLeg, operator: CheckLeg, tap: CheckLeg) -> list[Finding]:
        half = TALK_S / 2
        left, right = tap.last(half, 0), tap.last(half, 1)
        late_s = max(leg.late_s for leg in (client, operator, tap))
        found = [
            level("the client is heard", strength(left, CLIENT_HZ), late_s, "ChanSpy's option D"),
            level(
                "the operator is heard", strength(right, OPERATOR_HZ), late_s, "ChanSpy's option D"
            ),
            level(
                "the client hears a phrase",
                strength(client.last(half), PROMPT_HZ),
                late_s,
                "ChanSpy's option w; an Asterisk that does not mix while the operator is silent",
            ),
        ]
        if strength(left, OPERATOR_HZ) > LEAKS or strength(right, CLIENT_HZ) > LEAKS:
            found.append(
                Finding("sides", False, "each side also carries the other", "ChanSpy's option D")
            )
        if max(strength(left, PROMPT_HZ), strength(right, PROMPT_HZ)) > LEAKS:
            found.append(
                Finding(
                    "own phrases",
                    False,
                    "they come back in the tap",
                    "ChanSpy's option w, not W or B",
                )
            )
        if strength(operator.last(half), PROMPT_HZ) > LEAKS:
            found.append(
                Finding("own phrases", None, "the operator hears them too", "ChanSpy's option w")
            )
        return found

    async def _hang_up(self, channel: str) -> None:
        if not channel:
            return
        try:
            await self._access.hang_up(channel)
        except DialError:
            return  # the findings say that the call goes on

    # -- connections -------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)
        receiver = AudioSocketReceiver()
        try:
            data = await asyncio.wait_for(reader.readexactly(19), CONNECT_S)
            (message,) = receiver.receive(data)
            assert isinstance(message, CallIdentified)
            leg = self._legs[str(message.id)]
        except (MediaError, OSError, EOFError, KeyError, ValueError, AssertionError, TimeoutError):
            writer.close()
            return
        await leg.serve(receiver, reader, writer)


def level(path: str, share: float, late_s: float, remedy: str) -> Finding:
    """What a tone's share of its amplitude says. `late_s`: by how much frames of this check were late."""
    if LEAKS < share < HALVED and late_s > LATE_S:
        what = f"not measured: frames were {late_s * 1000:.0f} ms late"
        return Finding(path, None, what, "this machine is busy: run the check again")
    if share < HEARD:
        return Finding(path, False, "nothing comes", remedy)
    measured = f"{20 * math.log10(share):+.1f} dB"
    if share < HALVED:
        return Finding(path, None, f"too quiet: {measured}", "Local channels with formats=slin")
    return Finding(path, True, measured)


async def _within(event: asyncio.Event, limit_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), limit_s)
    except TimeoutError:
        return False
    return True


async def run(check: AsteriskCheck, show: Callable[[Finding], None]) -> bool:
    """Show each finding as it comes. True: no problems."""
    good = True
    async for finding in check.findings():
        good = good and finding.good is not False
        show(finding)
    return good
