"""A recorded call from its messages and its RTP to the script: the router and the lines are the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.telephony.siprec import (
    CLIENT,
    OFFERS,
    OPERATOR,
    RFC_METADATA,
    Offer,
    broadworks_metadata,
    goodbye,
    rtp,
    sdp,
)
from tests.telephony.test_call_router import ALO, GREETING, ROOM, Pbx
from vad_agent.audio.pcm import to_alaw, to_ulaw
from vad_agent.core.actions import Action, Cue, LineState, Phase
from vad_agent.core.events import Event
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.telephony.operator_line import OperatorLine, SharedParts
from vad_agent.telephony.sdp import parse_offer
from vad_agent.telephony.siprec_call import HELD_S, LEG_END_S, NO_MEDIA_S, RecordingCall
from vad_agent.telephony.siprec_metadata import parse_body, parse_metadata

ROOM_TOO = np.random.default_rng(6).normal(0, 12, 160 * 991).astype("<i2").tobytes()
STREAMS = ("client", "operator")


class CuePbx(Pbx):
    """Nothing is spoken; what lines are told is kept."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, control=None)
        self.shared = SharedParts(self.shared.settings, self.messages, self.calls)
        self.told: list[Event] = []
        self.cues: list[tuple[str | None, str]] = []
        """The phrases that are shown: to whom, and which."""

    def _line(self, operator: str | None, hang_up: Callable[[], None]) -> OperatorLine:
        line = super()._line(operator, hang_up)
        signal = line.signal

        def keep(event: Event) -> None:
            self.told.append(event)
            signal(event)

        line.signal = keep  # type: ignore[method-assign, assignment]
        carry_out = line._sinks.take

        def show(actions: Sequence[Action]) -> None:
            self.cues += [(operator, one.prompt) for one in actions if isinstance(one, Cue)]
            carry_out(actions)

        line._loop._on_actions = show
        return line


class Recorded:
    """A recording client with a call. `ptime`: samples of a packet."""

    def __init__(
        self, pbx: CuePbx, offer: Offer = OFFERS[0], *, ptime: int = 160,
        telephones: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.pbx = pbx
        self.ended: list[str] = []
        self.call = RecordingCall(
            "siprec c1", pbx.router, telephones or {}, lambda: self.ended.append("hang up")
        )
        assert pbx.router.connected("siprec c1", self.call, pbx.now)
        self.ptime = ptime
        self.payload_type = 0 if "RTP/AVP 0\r" in offer.sdp else 8
        self.sent = [0] * 3  # samples of each line
        self.packets = [0] * 3
        self.offer(offer)

    def offer(self, offer: Offer) -> list[bool]:
        body = parse_body("multipart/mixed;boundary=OSS-unique-boundary-42", offer.body)
        metadata = parse_metadata(body.metadata) if body.metadata else None
        assert body.sdp is not None
        return self.call.offered(parse_offer(body.sdp), metadata, self.pbx.now)

    def established(self) -> Recorded:
        self.call.established(self.pbx.now)
        return self

    def play(self, seconds: float, *sounds: bytes | None) -> None:
        """Real time; sounds are repeated; None: the line sends nothing."""
        until, at = self.pbx.now + seconds, 0
        while self.pbx.now < until - 1e-9:
            self.pbx.now += self.ptime / 8_000
            for line, sound in enumerate(sounds):
                self.sent[line] += self.ptime
                if sound is None:
                    continue
                begin = at % (len(sound) // 320 * 320)
                pcm = (sound[begin:] + sound)[: self.ptime * 2]
                payload = to_ulaw(pcm, 2) if self.payload_type == 0 else to_alaw(pcm, 2)
                data = rtp(
                    self.packets[line],
                    self.sent[line] + 0xFFFF0000,
                    payload,
                    payload_type=self.payload_type,
                    ssrc=50 + line,
                )
                self.packets[line] += 1
                self.call.datagram(line, data, self.pbx.now)
            at += self.ptime * 2
            self.turn()

    def say(self, line: int, sound: bytes) -> None:
        """A phrase on one line, the room on the other."""
        sounds = [ROOM, ROOM_TOO]
        sounds[line] = sound
        self.play(len(sound) / 16_000, *sounds)

    def turn(self) -> None:
        assert self.call.tick(self.pbx.now)
        self.pbx.router.tick(self.pbx.now)
        self.pbx.messages.flush(5.0)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            self.pbx.now += FRAME_S
            self.turn()

    @property
    def kinds(self) -> list[str]:
        return [f"{event.kind} {event.party or ''}".strip() for event in self.pbx.told]

    @property
    def line(self) -> OperatorLine:
        return self.pbx.lines[-1]


@pytest.fixture
def pbx(tmp_path: Path) -> Iterator[CuePbx]:
    pbx = CuePbx(tmp_path)
    yield pbx
    pbx.router.close()
    pbx.calls.close()
    pbx.messages.close()


def test_a_call_is_answered_when_its_session_is_confirmed_with_the_clients_name_and_number(
    pbx: CuePbx,
) -> None:
    call = Recorded(pbx, telephones={OPERATOR: "anna"})
    call.play(1.0, ROOM, ROOM_TOO)  # of no call yet
    assert pbx.lines == []
    call.established()
    assert call.line.operator == "anna"
    assert call.kinds == ["answered", "client_name"]
    assert pbx.told[0].phone == CLIENT
    assert pbx.told[0].call_id == "siprec c1"
    assert pbx.told[1].name == "Иван Петров"


@pytest.mark.parametrize("ptime", [160, 240])
@pytest.mark.parametrize(
    "offer", [one for one in OFFERS if "both" not in one.sides], ids=lambda offer: offer.name
)
def test_the_script_runs_on_each_vendors_streams(pbx: CuePbx, offer: Offer, ptime: int) -> None:
    call = Recorded(pbx, offer, ptime=ptime).established()
    call.say(offer.sides.index("operator"), GREETING.tobytes())
    call.play(14.0, ROOM, ROOM_TOO)
    assert pbx.cues == [(OPERATOR, "greeting_again")]
    assert pbx.told[0].phone == CLIENT


def test_a_client_who_answers_is_heard_on_their_own_line(pbx: CuePbx) -> None:
    crossed = next(offer for offer in OFFERS if offer.sides == ("operator", "client"))
    call = Recorded(pbx, crossed).established()
    call.say(0, GREETING.tobytes())
    call.say(1, ALO.tobytes())
    call.play(2.0, ROOM, ROOM_TOO)
    assert pbx.asked == []
    assert pbx.cues == []
    assert call.line._loop.tracker.session.phase is Phase.DIALOGUE  # type: ignore[union-attr]


def test_a_mix_of_both_sides_decides_nothing_and_says_so(pbx: CuePbx) -> None:
    mixed = Offer("mixed", sdp(("1",)), broadworks_metadata("mixed"))
    call = Recorded(pbx, mixed).established()
    talk = GREETING.tobytes() + ALO.tobytes()
    call.play(3 * len(talk) / 16_000, talk)
    call.play(15.0, ROOM)
    session = call.line._loop.tracker.session
    assert session is not None
    assert "sides_alike" in session.suspended
    assert pbx.asked == []


def test_hold_and_back_name_the_one_who_holds(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    pbx.told.clear()
    for directions in (
        ("inactive", "sendonly"), ("sendonly", "sendonly"), ("sendonly", "inactive"),
        ("inactive", "inactive"), ("inactive", "inactive"), ("sendonly", "sendonly"),
    ):  # fmt: skip
        call.offer(Offer("re-INVITE", sdp(directions=directions), RFC_METADATA))
    assert call.kinds == [
        "hold operator", "unhold operator", "hold client", "unhold client", "hold", "unhold",
    ]  # fmt: skip


def test_a_call_whose_streams_are_all_inactive_is_not_answered_yet(pbx: CuePbx) -> None:
    empty = RFC_METADATA.partition(" <participantstreamassoc")[0] + "</recording>"
    held = Offer("Cisco", sdp(directions=("inactive", "inactive")), empty)
    call = Recorded(pbx, held).established()
    assert call.kinds == []
    call.offer(OFFERS[0])
    assert call.kinds == ["answered", "client_name"]


def test_a_long_hold_without_media_is_no_drop(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    call.say(1, GREETING.tobytes())
    call.say(0, ALO.tobytes())
    call.offer(Offer("hold", sdp(directions=("inactive", "sendonly")), RFC_METADATA))
    call.wait(20.0)
    assert call.line.in_call
    call.offer(OFFERS[0])
    call.say(0, ALO.tobytes())
    assert pbx.asked == []


def test_a_sender_that_is_silent_is_no_media_and_never_silence(pbx: CuePbx) -> None:
    """The client's telephone stops sending (DTX): no phrase is due, however long it lasts."""
    call = Recorded(pbx).established()
    call.say(1, GREETING.tobytes())
    call.say(0, ALO.tobytes())
    call.play(8.0, None, ROOM_TOO)
    assert call.line.status.sides[Channel.CLIENT.value].line is LineState.NO_MEDIA
    session = call.line._loop.tracker.session
    assert session is not None
    assert "no_client_media" in session.suspended
    assert pbx.cues == []
    call.say(0, ALO.tobytes())
    assert call.line.status.sides[Channel.CLIENT.value].line is LineState.LIVE


def test_what_is_lost_keeps_both_sides_in_step(pbx: CuePbx) -> None:
    """Each tenth packet of the client is lost, and 0.4 s at once."""
    call = Recorded(pbx).established()
    pairs = []
    call.line._loop._after_pair = lambda _, pair: pairs.append(pair)
    push, number = call.call.datagram, 0

    def lossy(line: int, data: bytes, now: float, *, control: bool = False) -> None:
        nonlocal number
        number += line == 0
        if line == 0 and (number % 10 == 0 or 100 < number <= 120):
            return
        push(line, data, now)

    call.call.datagram = lossy  # type: ignore[method-assign]
    same = np.random.default_rng(7).normal(0, 1_000, 160 * 400).astype("<i2").tobytes()
    call.play(6.0, same, same)
    call.wait(0.4)
    both = [pair for pair in pairs if pair.client is not None and pair.operator is not None]
    assert len(both) >= 250
    assert all(pair.client == pair.operator for pair in both)
    lost = [pair for pair in pairs if pair.client is None and pair.operator is not None]
    assert 45 <= len(lost) <= 55
    assert call.line.capture.lane(Channel.CLIENT).late == 0
    assert call.line.capture.lane(Channel.CLIENT).stretched == 0


# -- the end ----------------------------------------------------------------------------------------


def test_the_end_of_the_session_does_not_say_who_hung_up(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    call.say(1, GREETING.tobytes())
    call.say(0, ALO.tobytes())
    call.play(1.0, ROOM, ROOM_TOO)
    line = call.line
    call.call.ended("BYE", pbx.now)
    assert call.kinds[-1] == "line_gone"
    assert not line.in_call
    assert line.asks  # the operator says how it ended
    pbx.wait(2.0)
    assert pbx.router.streams == 0
    assert pbx.tapped == []


@pytest.mark.parametrize(("line", "party"), [(0, "client"), (1, "operator")])
def test_an_rtcp_goodbye_says_who_hung_up(pbx: CuePbx, line: int, party: str) -> None:
    call = Recorded(pbx).established()
    call.play(1.0, ROOM, ROOM_TOO)
    call.call.datagram(line, goodbye(50 + line), pbx.now, control=True)
    call.call.ended("BYE", pbx.now)
    assert call.kinds[-1] == f"hangup {party}"


def test_an_rtcp_goodbye_without_media_after_it_ends_the_call(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    call.play(1.0, ROOM, ROOM_TOO)
    call.call.datagram(0, goodbye(50), pbx.now)  # on the port of RTP: rtcp-mux
    call.play(LEG_END_S - 0.1, None, ROOM_TOO)
    assert call.line.in_call
    call.play(0.2, None, ROOM_TOO)
    assert call.kinds[-1] == "hangup client"
    call.call.ended("BYE", pbx.now)
    assert call.kinds.count("hangup client") == 1
    assert "line_gone" not in call.kinds


def test_a_goodbye_of_an_old_ssrc_or_before_more_media_ends_nothing(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    call.play(1.0, ROOM, ROOM_TOO)
    call.call.datagram(0, goodbye(49), pbx.now, control=True)
    call.call.datagram(1, goodbye(51), pbx.now, control=True)
    call.play(5.0, ROOM, ROOM_TOO)
    assert call.line.in_call


def test_media_that_stops_on_hold_with_a_goodbye_ends_nothing(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    call.play(1.0, ROOM, ROOM_TOO)
    call.call.datagram(0, goodbye(50), pbx.now, control=True)
    call.offer(Offer("hold", sdp(directions=("inactive", "inactive")), RFC_METADATA))
    call.wait(10.0)
    assert call.line.in_call


def test_another_operator_has_a_call_of_their_own(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    call.say(1, GREETING.tobytes())
    call.say(0, ALO.tobytes())
    other = RFC_METADATA.replace("sip:101@", "sip:102@").replace("cGFydHky", "cGFydHkz")
    call.offer(Offer("transfer", sdp(), other))
    assert [line.operator for line in pbx.lines] == ["101", "102"]
    assert [line.in_call for line in pbx.lines] == [False, True]
    assert call.kinds == [
        "answered", "client_name", "hangup operator", "answered", "client_name",
    ]  # fmt: skip
    assert pbx.told[3].call_id == "siprec c1 2"
    call.say(1, GREETING.tobytes())
    call.play(14.0, ROOM, ROOM_TOO)
    assert pbx.cues == [("102", "greeting_again")]


def test_a_client_without_a_number_has_none(pbx: CuePbx) -> None:
    anonymous = RFC_METADATA.replace(CLIENT, "anonymous")
    Recorded(pbx, Offer("anonymous", sdp(), anonymous)).established()
    assert pbx.told[0].phone is None


def test_a_session_without_media_is_dead_and_one_on_hold_is_not(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    assert call.call.tick(pbx.now + NO_MEDIA_S)
    assert not call.call.tick(pbx.now + NO_MEDIA_S + 0.1)
    call.offer(Offer("hold", sdp(directions=("inactive", "inactive")), RFC_METADATA))
    assert call.call.tick(pbx.now + HELD_S)
    assert not call.call.tick(pbx.now + HELD_S + 0.1)


def test_the_process_ends_and_so_do_its_sessions(pbx: CuePbx) -> None:
    call = Recorded(pbx).established()
    pbx.router.close()
    assert call.ended == ["hang up"]


def test_a_datagram_of_an_unknown_line_is_ignored(pbx: CuePbx) -> None:
    third = next(offer for offer in OFFERS if "nobody" in offer.sides)
    call = Recorded(pbx, third).established()
    assert call.offer(third) == [True, True, False]
    call.call.datagram(2, rtp(1, 1, bytes(160)), pbx.now)
    call.call.datagram(9, b"no RTP", pbx.now)
