"""Streams and call control in any order; the lines are the real ones, only the connections are fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from tests.headset.speech import speech
from vad_agent.audio.device_recovery import DeviceState, Opened
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage
from vad_agent.core.actions import Phase
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import FRAME_S, Channel
from vad_agent.headset.call_reporter import CallWriter
from vad_agent.headset.callback_write_ahead import OutboxWriter
from vad_agent.script.settings import Settings
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PHRASE_HZ
from vad_agent.speech.prompt_library import Phrase
from vad_agent.telephony.call_control import TapEvent
from vad_agent.telephony.call_router import GONE_S, TOLD_S, CallRouter
from vad_agent.telephony.load_admission import CALL_LOAD, LoadAdmission
from vad_agent.telephony.operator_line import OperatorLine, SharedParts
from vad_agent.telephony.prompt_stream import PromptStream

ROOM = np.random.default_rng(5).normal(0, 12, 160 * 997).astype("<i2").tobytes()
GREETING = speech("man_how_can_i_help")
ALO = speech("caller_alo")


class Phrases:
    """Every phrase is ready: a second of noise."""

    SOUND = np.random.default_rng(1).normal(0, 3000, PHRASE_HZ).astype("<i2").tobytes()

    def get(self, prompt_id: str, text: str) -> Phrase | None:
        return Phrase(text, self.SOUND, recorded=False)

    def __init__(self) -> None:
        self.names: list[str] = []

    def expect_name(self, name: str) -> None:
        self.names.append(name)

    def forget_name(self, name: str) -> None:
        self.names.remove(name)


class Stream:
    def __init__(self) -> None:
        self.sent: list[bytes | None] = []
        self.closed = False

    def send(self, pcm: bytes | None) -> None:
        self.sent.append(pcm)

    def close(self) -> None:
        self.closed = True


class Pbx:
    """A router, a clock, and what the centre has of it."""

    def __init__(
        self,
        folder: Path,
        *,
        control: bool | None = True,
        most: int = 10,
        admission: LoadAdmission | None = None,
    ) -> None:
        self.outbox = Outbox(folder)
        self.reports: list[str] = []
        self.messages = OutboxWriter(self.outbox, self.reports.append)
        self.calls = CallWriter(
            self.messages, self.outbox, self.reports.append, takes_calls=lambda: True
        )
        self.phrases = Phrases()
        self.shared = SharedParts(Settings(), self.messages, self.calls, self.phrases)
        self.hung_up: list[str] = []
        self.lines: list[OperatorLine] = []
        self.dropped: list[OperatorLine] = []
        self.tapped: list[str] = []
        self.control_is_up = control
        self.router = CallRouter(
            self._line,
            self.hung_up.append,
            controlled=None if control is None else lambda: bool(self.control_is_up),
            most_calls=most,
            admission=admission,
            drop_line=self.dropped.append,
            tap=self.tapped.append,
        )
        self.now = 100.0

    def _line(self, operator: str | None, hang_up: Callable[[], None]) -> OperatorLine:
        self.lines.append(OperatorLine(self.shared, operator, hang_up))
        return self.lines[-1]

    def connect(self, tap: str) -> Stream | None:
        stream = Stream()
        return stream if self.router.connected(tap, stream, self.now) else None

    def tell(self, tap: str, kind: EventKind, operator: str | None = "anna", **more: str) -> None:
        event = Event(kind, call_id=f"call-{tap}", **more)  # type: ignore[arg-type]
        self.router.control(TapEvent(tap, event, operator), operator)

    def play(
        self, tap: str, seconds: float, *, client: bytes = ROOM, operator: bytes = ROOM
    ) -> None:
        """Real time, frame by frame; sounds are repeated."""
        for number in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            parts = (
                sound[number * 320 % len(sound) :][:320].ljust(320, b"\0")
                for sound in (client, operator)
            )
            self.router.audio(tap, self.now, *parts)
            self.tick()

    def both(self, taps: dict[str, str], sounds: dict[str, tuple[bytes, bytes]]) -> None:
        """A frame of two calls."""
        self.now += FRAME_S
        at = round(self.now / FRAME_S) * 320
        for name, tap in taps.items():
            client, operator = (
                sound[at % (len(sound) // 320 * 320) :][:320] for sound in sounds[name]
            )
            self.router.audio(tap, self.now, client, operator)
        self.tick()

    def tick(self) -> None:
        self.router.tick(self.now)
        if not self.messages.may_promise:
            self.messages.flush(5.0)

    def greet(self, tap: str) -> None:
        self.play(tap, len(GREETING) / 8_000, operator=GREETING.tobytes())

    def answer(self, tap: str) -> None:
        """The client says «алло»."""
        self.play(tap, len(ALO) / 8_000, client=ALO.tobytes())

    def wait(self, seconds: float) -> None:
        """Time passes without a frame."""
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            self.router.tick(self.now)

    @property
    def asked(self) -> list[OutboxMessage]:
        self.messages.flush(5)
        found = [self.outbox.read(path) for path in self.outbox.waiting()]
        return [message for message in found if message.kind == REQUESTED]


@pytest.fixture
def pbx(tmp_path: Path) -> Iterator[Pbx]:
    pbx = Pbx(tmp_path)
    yield pbx
    pbx.router.close()
    pbx.calls.close()
    pbx.messages.close()


@pytest.mark.parametrize("stream_first", [True, False])
def test_the_stream_and_the_answer_may_come_in_any_order(pbx: Pbx, stream_first: bool) -> None:
    tap = str(uuid4())
    if stream_first:
        pbx.connect(tap)
        pbx.play(tap, 3.0)  # the client hears ringing: of no call yet
        assert pbx.lines == []
    pbx.tell(tap, EventKind.ANSWERED, phone="+79160000001")
    if not stream_first:
        pbx.connect(tap)
    pbx.greet(tap)
    pbx.play(tap, 14.0)
    (message, *_) = pbx.asked
    assert (message.reason, message.operator, message.phone) == (
        "silence_after_greeting",
        "anna",
        "+79160000001",
    )
    assert pbx.router.counters.calls == 1


def test_the_phrases_go_into_the_stream_a_frame_each_tick_and_the_script_hangs_up(pbx: Pbx) -> None:
    tap = str(uuid4())
    stream = pbx.connect(tap)
    pbx.tell(tap, EventKind.ANSWERED)
    pbx.greet(tap)
    pbx.play(tap, 14.0)
    assert stream is not None
    said = [pcm for pcm in stream.sent if pcm is not None and any(pcm)]
    assert 145 <= len(said) <= 155  # three phrases of a second
    assert {len(pcm) for pcm in stream.sent if pcm is not None} == {320}
    assert len(stream.sent) == round((len(GREETING) / 8_000 + 14.0) / FRAME_S)
    assert pbx.hung_up == [tap]


def test_a_word_of_the_client_stops_the_phrase_within_60_ms_of_its_recognition(pbx: Pbx) -> None:
    tap = str(uuid4())
    stream = pbx.connect(tap)
    assert stream is not None
    pbx.tell(tap, EventKind.ANSWERED)
    pbx.greet(tap)
    pbx.play(tap, 2.7)
    assert stream.sent[-1] is not None
    assert any(stream.sent[-1])  # it is being said
    pbx.answer(tap)
    silent = next(n for n, pcm in enumerate(reversed(stream.sent)) if pcm and any(pcm))
    assert silent > 0
    assert not any(stream.sent[-1] or b"")


def test_a_stream_too_many_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path, most=2)
    first, second, third = str(uuid4()), str(uuid4()), str(uuid4())
    assert pbx.connect(first)
    assert pbx.connect(second)
    assert pbx.connect(third) is None
    assert pbx.router.counters.refused == 1
    pbx.router.disconnected(first, pbx.now)
    assert pbx.connect(third)
    pbx.router.draining = True
    assert pbx.connect(str(uuid4())) is None
    pbx.router.close()


def test_a_second_stream_of_one_tap_is_refused(pbx: Pbx) -> None:
    tap = str(uuid4())
    assert pbx.connect(tap)
    assert pbx.connect(tap) is None


def test_a_stream_that_breaks_in_a_call_is_no_silence_and_its_return_is_the_same_call(
    pbx: Pbx,
) -> None:
    tap = str(uuid4())
    pbx.connect(tap)
    pbx.tell(tap, EventKind.ANSWERED)
    pbx.greet(tap)
    pbx.answer(tap)
    pbx.router.disconnected(tap, pbx.now)
    pbx.wait(20.0)
    (line,) = pbx.lines
    assert line.in_call
    assert line.status.suspended
    assert pbx.tapped == [tap] * 4  # a new stream was asked for, at 3, 8, 13 and 18 s
    stream = pbx.connect(tap)
    assert stream is not None
    pbx.play(tap, 12.0)
    assert any(pcm and any(pcm) for pcm in stream.sent)  # the ladder goes on
    assert pbx.asked


def test_a_stream_that_stands_still_is_lost_and_its_return_is_the_same_call(pbx: Pbx) -> None:
    """Call control knows that the call is on: it is our stream, not the client, that is gone."""
    assert pbx.connect("t") is not None
    pbx.tell("t", EventKind.ANSWERED)
    pbx.greet("t")
    pbx.answer("t")
    pbx.wait(25.0)
    assert (pbx.hung_up, pbx.asked) == ([], [])
    [line] = pbx.lines
    assert line.status.sides[Channel.CLIENT].state is DeviceState.LOST
    pbx.answer("t")
    assert line.in_call
    assert line.status.sides[Channel.CLIENT].state is DeviceState.OPEN
    pbx.tell("t", EventKind.HANGUP, party="client")
    assert len(pbx.asked) == 1


def test_a_hold_without_any_frame_is_a_hold(pbx: Pbx) -> None:
    assert pbx.connect("t") is not None
    pbx.tell("t", EventKind.ANSWERED)
    pbx.greet("t")
    pbx.answer("t")
    pbx.tell("t", EventKind.HOLD, party="client")
    pbx.wait(62.0)
    assert len(pbx.asked) == 1  # nobody comes back for a minute


def test_a_recording_server_is_told_nothing_in_a_long_hold_and_the_call_goes_on(
    tmp_path: Path,
) -> None:
    """SIPREC tells holds and ends itself: there is no other call control that could be lost."""
    pbx = Pbx(tmp_path, control=None)
    assert pbx.connect("t") is not None
    pbx.tell("t", EventKind.ANSWERED)
    pbx.greet("t")
    pbx.answer("t")
    pbx.tell("t", EventKind.HOLD, party="operator")
    pbx.wait(GONE_S + 20.0)
    assert pbx.router.in_call == 1
    pbx.tell("t", EventKind.UNHOLD, party="operator")
    pbx.answer("t")
    assert pbx.lines[0].status.sides[Channel.CLIENT].state is DeviceState.OPEN
    pbx.router.close()
    pbx.calls.close()
    pbx.messages.close()


def test_a_side_that_was_lost_before_its_other_leg_stood_still_stays_lost(pbx: Pbx) -> None:
    tap = str(uuid4())
    client, operator = f"{tap[:-1]}0", f"{tap[:-1]}1"
    assert pbx.connect(client) is not None
    second = pbx.connect(operator)
    pbx.tell(client, EventKind.ANSWERED)
    for number in range(100):
        pbx.now += FRAME_S
        pbx.router.audio(client, pbx.now, ROOM[number * 320 :][:320])
        pbx.router.audio(operator, pbx.now, None, ROOM[number * 320 :][:320])
        pbx.tick()
    pbx.router.disconnected(operator, pbx.now, second)
    pbx.wait(8.0)
    for number in range(20):
        pbx.now += FRAME_S
        pbx.router.audio(client, pbx.now, ROOM[number * 320 :][:320])
        pbx.tick()
    [line] = pbx.lines
    assert line.capture.lost == {Channel.OPERATOR}


@pytest.mark.parametrize("breaks", [True, False])
def test_a_pbx_that_is_gone_has_dropped_the_call_and_nobody_is_hung_up_later(
    pbx: Pbx, breaks: bool
) -> None:
    assert pbx.connect("t") is not None
    pbx.tell("t", EventKind.ANSWERED)
    pbx.greet("t")
    pbx.answer("t")
    if breaks:
        pbx.router.disconnected("t", pbx.now)
    pbx.control_is_up = False
    pbx.wait(GONE_S - 2.0)
    assert pbx.asked == []
    pbx.wait(4.0)
    assert len(pbx.asked) == 1
    assert (pbx.hung_up, pbx.router.in_call) == ([], 0)


def test_an_answer_long_after_the_stream_began_is_no_stall(pbx: Pbx) -> None:
    assert pbx.connect("t") is not None
    pbx.play("t", 20.0)
    pbx.tell("t", EventKind.ANSWERED)
    pbx.tick()
    [line] = pbx.lines
    assert line.status.sides[Channel.CLIENT].state is not DeviceState.LOST


def test_the_client_hangs_up_with_the_stream_first_or_the_event_first(pbx: Pbx) -> None:
    for stream_first in (True, False):
        tap = str(uuid4())
        pbx.connect(tap)
        pbx.tell(tap, EventKind.ANSWERED, phone=f"+7916000000{int(stream_first)}")
        pbx.greet(tap)
        pbx.answer(tap)
        if stream_first:
            pbx.router.disconnected(tap, pbx.now)
            pbx.wait(0.3)
        pbx.tell(tap, EventKind.HANGUP, party="client")
        if not stream_first:
            pbx.router.disconnected(tap, pbx.now)
        pbx.wait(2.0)
    assert [message.reason for message in pbx.asked] == ["dropped", "dropped"]
    assert pbx.router._taps == {}


def test_two_operators_at_once_do_not_hear_each_other(pbx: Pbx) -> None:
    taps = {"anna": str(uuid4()), "boris": str(uuid4())}
    streams = {}
    for operator, tap in taps.items():
        streams[operator] = pbx.connect(tap)
        pbx.tell(tap, EventKind.ANSWERED, operator, phone="+79160000001")
    pbx.greet(taps["anna"])
    for _ in range(700):
        sounds = {"anna": (ROOM, ROOM), "boris": (ALO.tobytes(), GREETING.tobytes())}
        pbx.both(taps, sounds)
    assert [message.operator for message in pbx.asked] == ["anna"]
    assert pbx.hung_up == [taps["anna"]]


def test_the_clients_number_is_shown_in_their_call_alone(pbx: Pbx) -> None:
    first, second = str(uuid4()), str(uuid4())
    pbx.connect(first)
    pbx.tell(first, EventKind.ANSWERED, phone="+79160000001")
    pbx.play(first, 0.2)
    (line,) = pbx.lines
    assert line.status.client_phone == "+79160000001"
    pbx.tell(first, EventKind.HANGUP, party="client")
    pbx.connect(second)
    pbx.tell(second, EventKind.ANSWERED)
    pbx.play(second, 0.2)
    assert line.status.client_phone is None


def test_an_operators_line_serves_his_calls_one_after_the_other(pbx: Pbx) -> None:
    for _ in range(3):
        tap = str(uuid4())
        pbx.connect(tap)
        pbx.tell(tap, EventKind.ANSWERED)
        pbx.greet(tap)
        pbx.answer(tap)
        pbx.tell(tap, EventKind.HANGUP, party="operator")
        pbx.router.disconnected(tap, pbx.now)
        pbx.wait(1.5)
    assert len(pbx.lines) == 1
    pbx.router.prune()
    assert pbx.dropped == pbx.lines
    assert pbx.asked == []


def test_a_client_is_passed_on_and_both_operators_have_their_own_call(pbx: Pbx) -> None:
    tap = str(uuid4())
    pbx.connect(tap)
    pbx.tell(tap, EventKind.ANSWERED, "anna")
    pbx.greet(tap)
    pbx.answer(tap)
    pbx.tell(tap, EventKind.HANGUP, "anna", party="operator")
    event = Event(EventKind.ANSWERED, call_id="second")
    pbx.router.control(TapEvent(tap, event, "boris"), "boris")
    pbx.greet(tap)
    pbx.play(tap, 14.0)
    assert [message.operator for message in pbx.asked] == ["boris"]


def test_without_call_control_the_stream_is_the_call_and_its_end_is_a_question(
    tmp_path: Path,
) -> None:
    pbx = Pbx(tmp_path, control=None)
    tap = str(uuid4())
    pbx.connect(tap)
    pbx.greet(tap)
    pbx.play(tap, 0.5)
    pbx.answer(tap)
    pbx.play(tap, 0.5)
    pbx.router.disconnected(tap, pbx.now)
    pbx.wait(TOLD_S + 0.1)
    assert [message.reason for message in pbx.asked] == ["unconfirmed"]
    assert pbx.lines[0].asks
    pbx.router.close()


def test_while_call_control_is_lost_the_operators_voice_is_the_answer(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path, control=False)
    tap = str(uuid4())
    pbx.connect(tap)
    pbx.play(tap, 5.0)  # ringing
    (line,) = pbx.lines
    for _ in range(3):
        pbx.greet(tap)
    pbx.play(tap, 3.0)
    assert line.status.phase is not None
    pbx.control_is_up = True
    pbx.tell(tap, EventKind.ANSWERED)
    pbx.answer(tap)
    pbx.tell(tap, EventKind.HANGUP, party="client")
    pbx.router.disconnected(tap, pbx.now)
    pbx.wait(TOLD_S + 0.1)
    assert [message.reason for message in pbx.asked] == ["dropped"]
    pbx.router.close()


def test_the_process_ends_in_a_call_and_what_is_owed_is_stored(pbx: Pbx) -> None:
    tap = str(uuid4())
    stream = pbx.connect(tap)
    assert stream is not None
    pbx.tell(tap, EventKind.ANSWERED)
    pbx.greet(tap)
    pbx.play(tap, 4.0)
    pbx.router.close()
    assert stream.closed
    assert [message.reason for message in pbx.asked] == ["silence_after_greeting"]


def test_events_of_a_tap_that_is_unknown_are_counted_and_change_nothing(pbx: Pbx) -> None:
    pbx.tell(str(uuid4()), EventKind.HOLD, party="client")
    assert pbx.router.counters.unknown_events == 1
    assert pbx.lines == []


def test_a_clients_name_is_kept_for_his_call_alone(pbx: Pbx) -> None:
    taps = [str(uuid4()), str(uuid4())]
    for tap, operator in zip(taps, ("anna", "boris"), strict=True):
        pbx.connect(tap)
        pbx.tell(tap, EventKind.ANSWERED, operator)
    for line, name in zip(pbx.lines, ("Ольга", "Пётр"), strict=True):
        line.signal(Event(EventKind.CLIENT_NAME, name=name))
    assert pbx.phrases.names == ["Ольга", "Пётр"]
    pbx.lines[0].signal(Event(EventKind.CLIENT_NAME, name="Ольга Ивановна"))
    assert pbx.phrases.names == ["Пётр", "Ольга Ивановна"]
    pbx.tell(taps[1], EventKind.HANGUP, "boris", party="operator")
    pbx.tell(str(uuid4()), EventKind.ANSWERED, "boris")
    assert pbx.phrases.names == ["Ольга Ивановна"]


def test_a_call_from_before_this_process_is_in_the_dialogue(pbx: Pbx) -> None:
    tap = str(uuid4())
    told = TapEvent(tap, Event(EventKind.ANSWERED, call_id="old"), "anna", resumed=True)
    pbx.router.control(told, "anna")
    pbx.wait(3.1)
    assert pbx.tapped == [tap]
    pbx.connect(tap)
    pbx.play(tap, 3.5)
    (line,) = pbx.lines
    assert line.status.phase is Phase.DIALOGUE
    assert line.status.phrase is not None
    assert line.status.phrase.text == "Вас не слышно"


def test_two_calls_of_one_operator_at_once_have_their_own_sound(pbx: Pbx) -> None:
    """The second one waits, or the first one does: in both something may be due."""
    taps = {"first": str(uuid4()), "second": str(uuid4())}
    for number, tap in enumerate(taps.values()):
        pbx.connect(tap)
        pbx.tell(tap, EventKind.ANSWERED, "anna", phone=f"+7916000000{number}")
    assert len({id(line.capture) for line in pbx.lines}) == 2
    pbx.greet(taps["first"])
    for _ in range(700):
        pbx.both(taps, {"first": (ROOM, ROOM), "second": (ALO.tobytes(), GREETING.tobytes())})
    assert [message.phone for message in pbx.asked] == ["+79160000000"]
    assert pbx.hung_up == [taps["first"]]


def test_a_call_that_goes_on_while_the_process_drains_may_be_tapped_again(pbx: Pbx) -> None:
    tap = str(uuid4())
    pbx.connect(tap)
    pbx.tell(tap, EventKind.ANSWERED)
    pbx.router.draining = True
    pbx.router.disconnected(tap, pbx.now)
    pbx.wait(3.1)
    assert pbx.tapped == [tap]
    assert pbx.connect(tap) is not None
    assert pbx.connect(str(uuid4())) is None


# -- a call with a stream for each side ----------------------------------------------------------


def legs_of(call: str) -> tuple[str, str]:
    """The names of a call's mono legs: the client's, the operator's."""
    return f"{call[:-1]}0", f"{call[:-1]}1"


@pytest.mark.parametrize("operator_first", [True, False])
def test_two_mono_legs_are_one_call_and_the_phrases_go_to_the_client(
    pbx: Pbx, operator_first: bool
) -> None:
    client_leg, operator_leg = legs_of(str(uuid4()))
    streams = {}
    for tap in (operator_leg, client_leg) if operator_first else (client_leg, operator_leg):
        streams[tap] = pbx.connect(tap)
        assert streams[tap] is not None
    assert pbx.router.streams == 1
    pbx.tell(client_leg, EventKind.ANSWERED)
    sounds = {client_leg: (ROOM, None), operator_leg: (None, GREETING.tobytes() + ROOM)}
    for number in range(850):
        pbx.now += FRAME_S
        for tap, parts in sounds.items():
            one, two = (None if part is None else part[number * 320 :][:320] for part in parts)
            pbx.router.audio(tap, pbx.now, one, two)
        pbx.tick()
    assert [message.reason for message in pbx.asked] == ["silence_after_greeting"]
    to_client, to_operator = streams[client_leg], streams[operator_leg]
    assert to_client is not None
    assert to_operator is not None
    assert any(pcm and any(pcm) for pcm in to_client.sent)
    assert not any(pcm and any(pcm) for pcm in to_operator.sent)
    assert len(to_operator.sent) == len(to_client.sent)  # silence keeps the leg open
    assert pbx.hung_up == [client_leg]
    assert pbx.router.counters.calls == 1


def test_the_legs_of_one_name_are_told_apart_by_their_side(pbx: Pbx) -> None:
    streams = [Stream() for _ in range(4)]
    sides = (Channel.CLIENT, Channel.OPERATOR, Channel.CLIENT, None)
    taken = [
        pbx.router.connected("call-1", stream, pbx.now, side=side)
        for stream, side in zip(streams, sides, strict=True)
    ]
    assert taken == [True, True, False, False]


def test_a_leg_that_breaks_is_a_lost_side_and_comes_back(pbx: Pbx) -> None:
    first, second, again = Stream(), Stream(), Stream()
    pbx.router.connected("call-1", first, pbx.now, side=Channel.CLIENT)
    pbx.router.connected("call-1", second, pbx.now, side=Channel.OPERATOR)
    pbx.tell("call-1", EventKind.ANSWERED)
    pbx.greet("call-1")
    pbx.answer("call-1")
    (line,) = pbx.lines
    pbx.router.disconnected("call-1", pbx.now, first)
    assert line.status.suspended or line.capture.lost == {Channel.CLIENT}
    assert line.capture.state(Channel.OPERATOR) is DeviceState.OPEN
    assert pbx.router.connected("call-1", again, pbx.now, side=Channel.CLIENT)
    assert not line.capture.lost
    pbx.play("call-1", 12.0)
    assert any(pcm and any(pcm) for pcm in again.sent)


def test_a_stream_that_takes_no_prompts_leaves_them_to_the_operator(pbx: Pbx) -> None:
    stream = Stream()
    pbx.router.connected("fork", stream, pbx.now, two_way=False)
    pbx.tell("fork", EventKind.ANSWERED)
    pbx.greet("fork")
    pbx.play("fork", 4.0)
    (line,) = pbx.lines
    assert line.status.phrase is not None
    assert line.status.phrase.state == "cue"
    assert not any(pcm and any(pcm) for pcm in stream.sent)


def test_what_a_stream_tells_of_its_call_is_used_where_nobody_else_does(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path, control=None)
    pbx.router.connected("c", Stream(), pbx.now, operator="anna", phone="+79160000001")
    pbx.greet("c")
    pbx.play("c", 14.0)
    assert [(one.operator, one.phone) for one in pbx.asked] == [("anna", "+79160000001")]
    pbx.router.close()


# -- a peer with a queue -------------------------------------------------------------------------


class Queue(Stream):
    """A peer that paces: what is in its queue, and what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[bytes] = []
        self.marks: list[tuple[int, Mark]] = []
        self.cleared = 0
        self.marks_begin = True

    def send_ahead(self, pcm: bytes) -> None:
        self.queue.append(pcm)

    def mark(self, number: int, mark: Mark) -> None:
        self.marks.append((number, mark))

    def clear(self) -> None:
        self.cleared += 1
        self.queue.clear()


def queued(pbx: Pbx) -> tuple[Queue, OperatorLine]:
    """In the first phrase of a call."""
    stream = Queue()
    pbx.router.connected("q", stream, pbx.now)
    pbx.tell("q", EventKind.ANSWERED)
    pbx.greet("q")
    while not stream.queue:
        pbx.play("q", FRAME_S)
    return stream, pbx.lines[0]


def test_a_peer_that_paces_gets_the_phrase_at_once_and_its_marks_are_the_true_times(
    pbx: Pbx,
) -> None:
    stream, line = queued(pbx)
    assert [len(pcm) for pcm in stream.queue] == [16_000]  # the whole second
    assert stream.marks == [(1, Mark.STARTED), (1, Mark.ENDED)]
    pbx.router.marked("q", 1, Mark.STARTED, pbx.now + FRAME_S)
    pbx.play("q", 1.3)
    assert not told(line, "сказана")  # the peer has not said that it is over
    pbx.router.marked("q", 1, Mark.ENDED, pbx.now)
    pbx.play("q", 0.1)
    assert told(line, "сказана")


def told(line: OperatorLine, word: str) -> bool:
    """The operator's page says so."""
    return any(word in text for _, text in line.status.messages)


def test_a_last_mark_that_never_comes_is_not_waited_for(pbx: Pbx) -> None:
    _, line = queued(pbx)
    pbx.router.marked("q", 1, Mark.STARTED, pbx.now)
    pbx.play("q", 1.9)
    assert not told(line, "сказана")
    pbx.play("q", 0.3)
    assert told(line, "сказана")


@pytest.mark.parametrize("marks_begin", [True, False])
def test_a_peer_that_tells_no_mark_does_not_play_and_the_operator_says_the_phrase(
    pbx: Pbx, marks_begin: bool
) -> None:
    stream, line = queued(pbx)
    stream.marks_begin = marks_begin
    pbx.play("q", 0.5)
    assert not told(line, "не сказана")
    pbx.play("q", 2.0)
    assert line.status.phrase is not None
    assert line.status.phrase.state == "cue"
    assert not told(line, " сказана")
    assert line.output is not None
    assert line.output.state is DeviceState.LOST


def test_a_word_of_the_client_clears_the_queue_within_one_frame_and_its_marks_are_ignored(
    pbx: Pbx,
) -> None:
    stream, line = queued(pbx)
    pbx.router.marked("q", 1, Mark.STARTED, pbx.now)
    for number in range(len(ALO) // 160):
        pbx.play("q", FRAME_S, client=ALO.tobytes()[number * 320 :])
        if line.output is not None and line.output._sent_at is None:
            break
    assert stream.cleared == 1
    pbx.router.marked("q", 1, Mark.ENDED, pbx.now)
    pbx.play("q", 0.1)
    assert told(line, "прервана")
    assert not told(line, "сказана")


def test_no_more_than_the_peer_can_hold_is_sent_ahead() -> None:
    prompts, stream = PromptStream(8_000), Queue()
    prompts.attach(stream)
    prompts.take(Opened(8_000, 1, 0.06, 0))
    number = prompts.play(bytes(PHRASE_HZ * 2 * 30))
    now = 5.0
    prompts.turn(now)
    assert sum(map(len, stream.queue)) / 16_000 == pytest.approx(3.0)
    for _ in range(1_000):
        now += FRAME_S
        prompts.turn(now)
        assert sum(map(len, stream.queue)) / 16_000 <= now - 5.0 + 4.0
    for _ in range(500):
        now += FRAME_S
        prompts.turn(now)
    assert sum(map(len, stream.queue)) == 16_000 * 30
    assert stream.marks == [(number, Mark.STARTED), (number, Mark.ENDED)]


def test_a_call_too_many_for_the_processor_is_refused_and_a_broken_stream_is_taken_again(
    tmp_path: Path,
) -> None:
    pbx = Pbx(tmp_path, admission=LoadAdmission(2.5 * CALL_LOAD))
    first, _, third = taps = [str(uuid4()) for _ in range(3)]
    assert [pbx.connect(tap) is not None for tap in taps] == [True, True, False]
    assert (pbx.router.counters.refused, pbx.router.counters.refused_by_load) == (1, 1)
    pbx.tell(first, EventKind.ANSWERED)
    assert pbx.router.heard == 1  # the other one still rings
    pbx.router.disconnected(first, pbx.now)
    assert pbx.connect(third) is not None
    assert pbx.connect(first) is not None  # it is one of those that were admitted
    assert pbx.router.streams == 3
