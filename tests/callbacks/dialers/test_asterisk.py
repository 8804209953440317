"""Asterisk's dialer against its REST interface and events on loopback."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.callbacks.dialers.ari_server import LATE, PASSWORD, USER, AriServer
from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG
from vad_agent.callbacks.dialers.asterisk import AsteriskConfig, AsteriskDialer
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    OutcomeReport,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.model import Outcome

KEY = "3f-a.1.1"
OP, CL = f"{KEY}-op", f"{KEY}-cl"
VARIABLE = "VADAGENT_3f_ha_d1_d1"
NUMBER = "+79161234567"
CHANNELS, MARK = "/ari/channels", "/ari/asterisk/variable"


def order(key: str = KEY, operator: str | None = "anna") -> DialRequest:
    due = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
    return DialRequest(key, NUMBER, due, operator=operator, name="Пётр")


class Desk:
    """What is reported; it fails to store the first `failing` reports."""

    def __init__(self, failing: int = 0) -> None:
        self.told: queue.Queue[OutcomeReport] = queue.Queue()
        self.failing = failing

    def report(self, told: OutcomeReport) -> None:
        if self.failing:
            self.failing -= 1
            raise RuntimeError(f"no database for {NUMBER}")
        self.told.put(told)

    def next(self) -> OutcomeReport:
        return self.told.get(timeout=5)


@pytest.fixture
def ari() -> Iterator[AriServer]:
    with AriServer().serving() as server:
        yield server


@contextmanager
def dialling(
    ari: AriServer, desk: Desk | None = None, *, limit_s: float = 10.0, **settings: Any
) -> Iterator[tuple[AsteriskDialer, Desk]]:
    desk = desk or Desk()
    tick_s = settings.pop("tick_s", 0.02)
    values = {"url": ari.url, "user": USER, "password": PASSWORD, "talk_s": 0.0} | settings
    config = AsteriskConfig(**values)
    dialer = AsteriskDialer(config, limit_s=limit_s, pause_s=0.01, pauses_s=(0.02,), tick_s=tick_s)
    dialer.open(desk.report)
    try:
        assert dialer._events.wait(5)
        yield dialer, desk
    finally:
        dialer.close()


def ring_client(ari: AriServer, dialer: AsteriskDialer) -> None:
    assert dialer.dial(order()) == Ringing(OP)
    ari.answer(OP)
    ari.until_there(CL)


def talk(ari: AriServer, dialer: AsteriskDialer) -> None:
    ring_client(ari, dialer)
    ari.ring(CL)
    ari.answer(CL)
    ari.until_asked("POST", f"/ari/bridges/{KEY}/addChannel")


def test_the_operator_is_rung_first_then_the_client_and_both_are_joined(ari: AriServer) -> None:
    with dialling(ari, talk_s=60.0, caller_id="84950000000") as (dialer, _):
        assert dialer.dial(order()) == Ringing(OP)
        assert ari.rung == ["PJSIP/anna"]
        ari.ring(OP)
        assert dialer.status(KEY, OP) == Ringing(OP)
        ari.answer(OP)
        ari.until_there(CL)
        assert ari.rung == ["PJSIP/anna", f"PJSIP/{NUMBER}@trunk"]
        assert ari.globals == {VARIABLE: "client"}
        ari.answer(CL)
        ari.until(lambda: ari.bridges.get(KEY) == [OP, CL])
        sent = ari.requests("POST", CHANNELS)[1]
        assert NUMBER.lstrip("+") not in sent.path + sent.query
        assert (sent.json["app"], sent.json["appArgs"]) == ("vad-agent", KEY)
        assert (sent.json["timeout"], sent.json["callerId"]) == (40, "84950000000")


def test_the_mark_is_set_before_each_leg_is_made(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        ring_client(ari, dialer)
        posts = [one for one in ari.taken if one.method == "POST"]
        assert [one.path for one in posts] == [MARK, CHANNELS, MARK, CHANNELS]
        assert [one.query.rpartition("=")[2] for one in posts[::2]] == ["operator", "client"]


def test_a_talk_long_enough_is_told_while_it_goes_on(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        talk(ari, dialer)
        assert desk.next() == OutcomeReport(KEY, Outcome.REACHED)
        assert set(ari.channels) == {OP, CL}
        assert dialer.status(KEY, OP) == Ended(Outcome.REACHED)
        ari.hang_up(OP)
        ari.until(lambda: not ari.channels and not ari.bridges)
        assert desk.told.empty()
        ari.until(lambda: not ari.globals)


def test_an_answered_call_that_ends_at_once_is_no_answer(ari: AriServer) -> None:
    with dialling(ari, talk_s=60.0) as (dialer, desk):
        talk(ari, dialer)
        ari.until(lambda: KEY in ari.bridges)
        time_out = time.monotonic() + 5
        while dialer._calls[KEY].stage != "talk":  # the answer to addChannel is on its way
            assert time.monotonic() < time_out
        ari.hang_up(CL)
        assert desk.next() == OutcomeReport(KEY, Outcome.NO_ANSWER, "answered, but ended after 0 s")
        ari.until(lambda: not ari.channels and not ari.bridges)


def test_a_talk_that_lasted_is_reached_at_its_end(ari: AriServer) -> None:
    with dialling(ari, tick_s=60.0) as (dialer, desk):  # nothing is told in between
        talk(ari, dialer)
        ari.hang_up(CL)
        assert desk.next() == OutcomeReport(KEY, Outcome.REACHED)
        ari.until(lambda: not ari.channels)


@pytest.mark.parametrize(
    ("cause", "rang", "outcome"),
    [
        (17, True, Outcome.BUSY),
        (17, False, Outcome.BUSY),
        (18, True, Outcome.NO_ANSWER),
        (19, True, Outcome.NO_ANSWER),
        (20, False, Outcome.NO_ANSWER),
        (21, True, Outcome.NO_ANSWER),
        (0, False, Outcome.NO_ANSWER),
        (1, False, Outcome.FAILED),
        (3, False, Outcome.FAILED),
        (34, False, Outcome.FAILED),
        (58, False, Outcome.FAILED),
        (38, True, Outcome.NO_ANSWER),
    ],
)
def test_a_client_who_does_not_answer(
    ari: AriServer, cause: int, rang: bool, outcome: Outcome
) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        if rang:
            ari.ring(CL)
        ari.hang_up(CL, cause)
        told = desk.next()
        assert (told.key, told.outcome) == (KEY, outcome)
        ari.until(lambda: not ari.channels)


def test_progress_counts_as_ringing(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        ari.say({"type": "Dial", "dialstatus": "PROGRESS", "peer": {"id": CL, "state": "Down"}})
        ari.hang_up(CL, 34)
        assert desk.next().outcome is Outcome.NO_ANSWER


def test_a_machine_by_what_is_set_while_they_talk(ari: AriServer) -> None:
    with dialling(ari, talk_s=60.0) as (dialer, desk):
        talk(ari, dialer)
        ari.variable(CL, "AMDSTATUS", "MACHINE")
        assert desk.next() == OutcomeReport(KEY, Outcome.MACHINE)
        ari.until(lambda: not ari.channels)


def test_a_machine_by_what_was_set_before_it_came(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        ari.variables[CL, "AMDSTATUS"] = "MACHINE"
        ari.answer(CL)
        assert desk.next() == OutcomeReport(KEY, Outcome.MACHINE)
        assert not ari.requests("POST", f"/ari/bridges/{KEY}")


def test_a_person_by_amd_is_joined(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        ari.variable(CL, "AMDSTATUS", "HUMAN")
        ari.variables[CL, "AMDSTATUS"] = "HUMAN"
        ari.answer(CL)
        assert desk.next() == OutcomeReport(KEY, Outcome.REACHED)


@pytest.mark.parametrize("cause", [17, 19, 20])
def test_an_operator_who_does_not_answer(ari: AriServer, cause: int) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        ari.hang_up(OP, cause)
        assert desk.next().outcome is Outcome.OPERATOR_UNAVAILABLE
        assert ari.rung == ["PJSIP/anna"]


@pytest.mark.parametrize(("rang", "outcome"), [(True, Outcome.NO_ANSWER), (False, Outcome.LOST)])
def test_an_operator_who_hangs_up_before_the_client_answers(
    ari: AriServer, rang: bool, outcome: Outcome
) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        if rang:
            ari.ring(CL)
        ari.hang_up(OP)
        assert desk.next().outcome is outcome
        ari.until(lambda: not ari.channels)


def test_anybody_is_a_group_where_there_is_one(ari: AriServer) -> None:
    with dialling(ari, any_operator_endpoint="Local/callbacks@queues") as (dialer, _):
        assert dialer.dial(order(operator=None)) == Ringing(OP)
        assert ari.rung == ["Local/callbacks@queues"]


@pytest.mark.parametrize("operator", [None, "anna&PJSIP/all", "a/b", "a@trunk", ""])
def test_without_a_telephone_to_ring_nothing_is_asked(ari: AriServer, operator: str | None) -> None:
    with dialling(ari) as (dialer, _):
        answer = dialer.dial(order(operator=operator))
        assert isinstance(answer, Ended)
        assert answer.outcome is Outcome.OPERATOR_UNAVAILABLE
        assert not ari.rung


def test_a_telephone_that_cannot_be_rung_is_an_operator_unavailable(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        ari.fails("POST", CHANNELS, 500)
        answer = dialer.dial(order())
        assert isinstance(answer, Ended)
        assert answer.outcome is Outcome.OPERATOR_UNAVAILABLE
        assert dialer.status(KEY, "") == answer


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_rings_nobody(ari: AriServer, status: int) -> None:
    with dialling(ari) as (dialer, _):
        ari.fails("POST", CHANNELS, status)
        with pytest.raises(DialRefused, match=str(status)):
            dialer.dial(order())
        assert not ari.rung


@pytest.mark.parametrize("fault", [502, 503, CUT, DROP, HANG, LATE])
def test_where_the_answer_fails_it_is_uncertain(ari: AriServer, fault: int | str) -> None:
    with dialling(ari, limit_s=0.2) as (dialer, _):
        ari.fails("POST", CHANNELS, fault)
        with pytest.raises(DialUncertain):
            dialer.dial(order())
        assert len(ari.requests("POST", CHANNELS)) == 1


def test_after_a_time_out_it_is_found_ringing_and_was_rung_once(ari: AriServer) -> None:
    with dialling(ari, limit_s=0.2) as (dialer, desk):
        ari.fails("POST", CHANNELS, LATE)
        with pytest.raises(DialUncertain):
            dialer.dial(order())
        assert dialer.status(KEY, "") == Ringing(OP)
        assert dialer.dial(order()) == Ringing(OP)
        ari.answer(OP)
        ari.until_there(CL)
        ari.answer(CL)
        assert desk.next().outcome is Outcome.REACHED
        assert ari.rung == ["PJSIP/anna", f"PJSIP/{NUMBER}@trunk"]


def test_while_it_is_asked_for_it_has_not_ended(ari: AriServer) -> None:
    with dialling(ari, limit_s=0.5) as (dialer, desk):
        ari.fails("POST", CHANNELS, HANG)

        def dial() -> None:
            with pytest.raises(DialUncertain):
                dialer.dial(order())

        asking = threading.Thread(target=dial)
        asking.start()
        ari.until_asked("POST", CHANNELS)
        assert dialer.status(KEY, "") == Ringing(OP)
        asking.join(5)
        assert desk.told.empty()


def test_a_request_that_never_arrived_leaves_the_operator_to_others(ari: AriServer) -> None:
    with dialling(ari, limit_s=0.2) as (dialer, desk):
        ari.fails("POST", CHANNELS, DROP)
        with pytest.raises(DialUncertain):
            dialer.dial(order())
        answer = dialer.status(KEY, "")
        assert isinstance(answer, Ended)
        assert answer.outcome is Outcome.OPERATOR_UNAVAILABLE
        assert desk.next().outcome is Outcome.OPERATOR_UNAVAILABLE
        # it arrives after all: he is hung up, and the client is not rung for it
        ari.channels[OP] = {"state": "Down", "args": [KEY]}
        ari.answer(OP)
        ari.until(lambda: not ari.channels)
        assert not ari.rung


def test_a_known_id_is_under_way_already(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        ari.channels[OP] = {"state": "Ringing", "args": [KEY]}
        assert dialer.dial(order()) == Ringing(OP)
        assert not ari.rung


def test_dialled_twice_it_rings_once(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        assert dialer.dial(order()) == dialer.dial(order()) == Ringing(OP)
        assert ari.rung == ["PJSIP/anna"]


@pytest.mark.parametrize("fault", [HANG, DROP, GARBAGE, 503])
def test_where_the_mark_cannot_be_read_nothing_is_rung(ari: AriServer, fault: int | str) -> None:
    with dialling(ari, limit_s=0.15) as (dialer, _):
        ari.fails("GET", MARK, *[fault] * 3)
        with pytest.raises(DialRefused):
            dialer.dial(order())
        assert not ari.rung


def test_without_a_server_nothing_rings() -> None:
    with AriServer().serving() as gone:
        url = gone.url
    config = AsteriskConfig(url, USER, PASSWORD)
    dialer = AsteriskDialer(config, limit_s=0.1, pause_s=0.01, pauses_s=(0.02,), tick_s=0.02)
    dialer.open(lambda _: None)
    try:
        with pytest.raises(DialRefused):
            dialer.dial(order())
        with pytest.raises(DialUncertain):
            dialer.status(KEY, "")
        dialer.hang_up(KEY, "")
    finally:
        dialer.close()


def test_without_events_nothing_is_rung(ari: AriServer) -> None:
    with dialling(ari, limit_s=0.1) as (dialer, _):
        ari.deaf = True
        ari.cut_events()
        ari.until(lambda: not ari._sockets)
        time_out = time.monotonic() + 5
        while dialer._events.wait(0):  # it learns of it in its own thread
            assert time.monotonic() < time_out
        with pytest.raises(DialRefused, match="events"):
            dialer.dial(order())
        assert not ari.rung


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(500, Outcome.FAILED), (400, Outcome.FAILED), (404, Outcome.FAILED)],
)
def test_a_clients_leg_that_is_refused(ari: AriServer, fault: int, outcome: Outcome) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        ari.fails("POST", CHANNELS, fault)
        ari.answer(OP)
        assert desk.next().outcome is outcome
        ari.until(lambda: not ari.channels)


def test_a_clients_leg_whose_request_has_no_answer_goes_on(ari: AriServer) -> None:
    with dialling(ari, limit_s=0.15) as (dialer, desk):
        dialer.dial(order())
        ari.fails("POST", CHANNELS, LATE)
        ari.answer(OP)
        ari.until_there(CL)
        ari.answer(CL)
        assert desk.next().outcome is Outcome.REACHED
        assert len(ari.rung) == 2


def test_a_clients_leg_that_comes_late_is_waited_for(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        ari.fails("POST", CHANNELS, DROP)
        ari.answer(OP)
        ari.until_asked("POST", CHANNELS, 2)
        assert dialer.status(KEY, OP) == Ringing(OP)
        ari.channels[CL] = {"state": "Down", "args": [KEY]}
        ari.answer(CL)
        assert desk.next().outcome is Outcome.REACHED


def test_a_clients_leg_that_never_came_is_lost_in_the_end(ari: AriServer) -> None:
    with dialling(ari, limit_s=0.15, check_s=0.1) as (dialer, desk):
        dialer.dial(order())
        ari.fails("POST", CHANNELS, DROP)
        ari.answer(OP)
        assert desk.next().outcome is Outcome.LOST
        assert ari.rung == ["PJSIP/anna"]


@pytest.mark.parametrize("path", [f"/ari/bridges/{KEY}", f"/ari/bridges/{KEY}/addChannel"])
def test_legs_that_cannot_be_joined_are_hung_up(ari: AriServer, path: str) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        ari.fails("POST", path, 503, 503, 503)
        ari.answer(CL)
        assert desk.next().outcome is Outcome.LOST
        ari.until(lambda: not ari.channels)


# -- events that are lost, come twice, too late, or are none ---------------------------------------


def deafen(ari: AriServer) -> int:
    ari.deaf = True
    ari.cut_events()
    ari.until(lambda: not ari._sockets)
    return ari.connections


def hear(ari: AriServer, before: int) -> None:
    ari.deaf = False
    ari.until(lambda: ari.connections > before)


def test_an_end_while_the_events_were_cut_is_found_after_connecting_again(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        before = deafen(ari)
        ari.hang_up(CL)
        hear(ari, before)
        assert desk.next().outcome is Outcome.LOST
        ari.until(lambda: not ari.channels)


def test_an_operators_end_while_the_events_were_cut(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        before = deafen(ari)
        ari.hang_up(OP)
        hear(ari, before)
        assert desk.next().outcome is Outcome.OPERATOR_UNAVAILABLE
        assert ari.rung == ["PJSIP/anna"]


def test_a_call_goes_on_after_the_events_were_cut(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        before = deafen(ari)
        ari.answer(OP)  # unheard
        hear(ari, before)
        ari.until_there(CL)
        before = deafen(ari)
        ari.answer(CL)
        hear(ari, before)
        assert desk.next().outcome is Outcome.REACHED
        assert len(ari.rung) == 2


def test_a_talk_that_ended_unseen_is_lost_where_it_may_have_been_long(ari: AriServer) -> None:
    with dialling(ari, talk_s=0.0) as (dialer, desk):
        ring_client(ari, dialer)
        ari.fails("GET", f"/ari/channels/{OP}", *[503] * 200)  # it cannot be seen to go on
        ari.answer(CL)
        ari.until_asked("POST", f"/ari/bridges/{KEY}/addChannel")
        before = deafen(ari)
        ari.hang_up(CL)
        ari._faults.clear()
        hear(ari, before)
        assert desk.next().outcome is Outcome.LOST


def test_a_lost_event_is_found_without_a_cut(ari: AriServer) -> None:
    with dialling(ari, check_s=0.05) as (dialer, desk):
        ring_client(ari, dialer)
        ari.hang_up(CL, told=False)
        assert desk.next().outcome is Outcome.LOST


def test_events_that_come_twice_change_nothing(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        ari.answer(OP)
        ari.enter(OP)
        ari.until_there(CL)
        ari.enter(OP)
        ari.answer(CL)
        ari.enter(CL)
        assert desk.next().outcome is Outcome.REACHED
        ari.hang_up(CL)
        ari.say({"type": "ChannelDestroyed", "cause": 17, "channel": {"id": CL, "state": "Down"}})
        ari.until(lambda: not ari.channels)
        assert len(ari.rung) == 2
        assert len(ari.requests("POST", f"/ari/bridges/{KEY}/addChannel")) == 1
        assert desk.told.empty()


def test_events_out_of_order_change_nothing(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        ari.say({"type": "StasisStart", "args": [KEY], "channel": {"id": CL, "state": "Up"}})
        ari.say({"type": "ChannelDestroyed", "cause": 17, "channel": {"id": CL, "state": "Up"}})
        ari.answer(OP)
        ari.until_there(CL)
        ari.hang_up(CL, 17)
        assert desk.next() == OutcomeReport(KEY, Outcome.BUSY)


JUNK = [
    "no json",
    b"\x00\xff",
    "[]",
    "null",
    "{}",
    '{"type": 7}',
    '{"type": "StasisStart"}',
    '{"type": "StasisStart", "channel": null}',
    '{"type": "StasisStart", "channel": {"id": 5}}',
    '{"type": "StasisStart", "args": 7, "channel": {"id": "x-op"}}',
    '{"type": "NeverHeardOf", "channel": {"id": "' + OP + '"}}',
    '{"type": "ChannelDestroyed", "channel": {"id": "' + CL + '"}}',
    '{"type": "ChannelVarset", "channel": {"id": "' + CL + '"}}',
    '{"type": "Dial", "peer": [], "dialstatus": "RINGING"}',
    '{"type": "ApplicationReplaced", "application": "another"}',
]


def test_junk_is_left_out_and_the_call_goes_on(
    ari: AriServer, caplog: pytest.LogCaptureFixture
) -> None:
    with dialling(ari) as (dialer, desk):
        dialer.dial(order())
        for junk in JUNK:
            ari.send(junk)
        ari.answer(OP)
        ari.until_there(CL)
        ari.send('{"type": "ChannelDestroyed", "cause": "17", "channel": {"id": "' + CL + '"}}')
        assert desk.next() == OutcomeReport(KEY, Outcome.NO_ANSWER)
        assert ari.connections == 1
    assert "an event of Asterisk's that cannot be read was left out" in caplog.messages


def test_an_outcome_that_could_not_be_stored_is_told_again(
    ari: AriServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vad_agent.callbacks.dialers.asterisk.TELL_AGAIN_S", 0.02)
    with dialling(ari, Desk(failing=3)) as (dialer, desk):
        dialer.dial(order())
        ari.hang_up(OP)
        assert desk.next().outcome is Outcome.OPERATOR_UNAVAILABLE
        ari.until(lambda: not ari.globals)
        assert desk.told.empty()


# -- after a crash of this program's ---------------------------------------------------------------


def test_what_was_never_asked_for_is_unknown(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        assert dialer.status("other.1.1", "") == Unknown()
        assert dialer.status("other.1.1", "other.1.1-op") == Ended(
            Outcome.LOST, "no trace of it is left"
        )


@pytest.mark.parametrize("alive", [True, False])
def test_broken_off_before_the_client_was_rung_is_no_attempt(ari: AriServer, alive: bool) -> None:
    with dialling(ari) as (dialer, _):
        dialer.dial(order())
    if not alive:
        ari.hang_up(OP)
    with dialling(ari) as (dialer, desk):
        answer = dialer.status(KEY, OP)
        assert isinstance(answer, Ended)
        assert answer.outcome is Outcome.FAILED
        assert desk.next().outcome is Outcome.FAILED
        ari.until(lambda: not ari.channels)
        assert dialer.dial(order()) == answer
        assert len(ari.rung) == 1


def test_an_operator_who_answers_after_the_crash_is_let_go(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        dialer.dial(order())
    with dialling(ari) as (dialer, desk):
        ari.answer(OP)
        assert desk.next().outcome is Outcome.FAILED
        ari.until(lambda: not ari.channels)
        assert len(ari.rung) == 1


def test_a_client_who_rings_during_the_crash_is_joined_after_it(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        ring_client(ari, dialer)
        ari.ring(CL)
    with dialling(ari) as (dialer, desk):
        assert dialer.status(KEY, OP) == Ringing(OP)
        assert f"channel:{CL}" in ari.subscribed
        ari.answer(CL)
        assert desk.next().outcome is Outcome.REACHED
        assert len(ari.rung) == 2


def test_a_client_whose_leg_is_gone_after_the_crash_is_lost(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        ring_client(ari, dialer)
    ari.hang_up(CL)
    with dialling(ari) as (dialer, desk):
        assert dialer.dial(order()) == Ended(Outcome.LOST, "a leg has ended unseen")
        assert desk.next().outcome is Outcome.LOST
        assert len(ari.rung) == 2


# -- hanging up, closing, secrets ------------------------------------------------------------------


def test_what_is_needed_no_more_is_hung_up(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        ring_client(ari, dialer)
        ari.ring(CL)
        dialer.hang_up(KEY, OP)
        assert not ari.channels
        assert desk.next().outcome is Outcome.NO_ANSWER


def test_a_talk_is_not_hung_up(ari: AriServer) -> None:
    with dialling(ari) as (dialer, desk):
        talk(ari, dialer)
        desk.next()
        dialer.hang_up(KEY, OP)
        assert set(ari.channels) == {OP, CL}


def test_legs_of_an_earlier_life_are_hung_up(ari: AriServer) -> None:
    with dialling(ari) as (dialer, _):
        ring_client(ari, dialer)
    with dialling(ari) as (dialer, _):
        dialer.hang_up(KEY, OP)
        assert not ari.channels


@pytest.mark.serial
def test_closed_soon_whatever_hangs(ari: AriServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vad_agent.callbacks.dialers.ari_events.CLOSE_LIMIT_S", 0.1)
    with dialling(ari, limit_s=30.0) as (dialer, _):
        dialer.dial(order())
        ari.fails("POST", CHANNELS, HANG)
        ari.answer(OP)
        ari.until_asked("POST", CHANNELS, 2)
        began = time.monotonic()
        dialer.close()
        assert time.monotonic() - began < 1.5


def test_many_at_once(ari: AriServer) -> None:
    keys = [f"k{n}.1.1" for n in range(8)]
    with dialling(ari) as (dialer, desk):
        threads = [threading.Thread(target=dialer.dial, args=(order(key),)) for key in keys * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert len(ari.rung) == len(keys)
        for key in keys:
            ari.hang_up(f"{key}-op")
        assert {desk.next().key for _ in keys} == set(keys)


def test_secrets_and_personal_data_are_nowhere(
    ari: AriServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with dialling(ari, Desk(failing=1), limit_s=0.2) as (dialer, _):
        ari.fails("POST", CHANNELS, 401)
        with pytest.raises(DialRefused) as refused:
            dialer.dial(order("other.1.1"))
        ring_client(ari, dialer)
        ari.send(f'{{"type": 7, "number": "{NUMBER}"}}')
        deafen(ari)
        dialer.hang_up(KEY, OP)
        shown = repr(dialer._config) + repr(refused.value) + caplog.text
    for secret in (PASSWORD, NUMBER, NUMBER[1:], "Пётр", "ZGVzazphcmk"):
        assert secret not in shown


def test_an_answered_leg_goes_through_the_machine_context_once(ari: AriServer):
    with dialling(ari, machine_context="vad-machine") as (dialer, _):
        ring_client(ari, dialer)
        ari.answer(CL)
        ari.until(lambda: ari.continued == [(CL, "vad-machine", KEY)])
        ari.variable(CL, "AMDSTATUS", "HUMAN")
        ari.enter(CL)
        ari.until_asked("POST", f"/ari/bridges/{KEY}/addChannel")
        assert len(ari.continued) == 1
