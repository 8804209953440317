"""Owed callbacks against the desk's store: kept, late, missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from vad_agent.archive.callback_join import joined
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Policy, Request
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.server.local_backend import ServiceBackend

BEGAN = datetime(2026, 11, 30, 7, 15, tzinfo=UTC)
PHONE = "+79161234567"


class Desk:
    """A store of callbacks, and the time."""

    def __init__(self, path):
        self.now = BEGAN
        self.store = Store(str(path / "callbacks.sqlite3"), Policy(ZoneInfo("Europe/Moscow")))
        service = CallbackService(self.store, Clock(lambda: self.now))
        self.backend = ServiceBackend(service, CallbackQueries(self.store), "test", rings=False)

    def asked(self, after_s: float, **more):
        self.now = BEGAN + timedelta(seconds=after_s)
        request = Request(key=f"{after_s}", reason="dropped", asked=self.now, due_in_s=0.0, **more)
        return self.store.take(request, Actor("test", self.now)).callback

    def rung(self, callback, after_s: float) -> None:
        self.now = BEGAN + timedelta(seconds=after_s)
        assert self.store.begin(callback.key, "node", Actor("test", self.now)) is not None

    def joined(self, *calls, now_s: float = 3600.0):
        return list(joined(calls, self.backend, BEGAN + timedelta(seconds=now_s)))


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.store.close()


def call(**more):
    return {
        "id": "a.wav", "call": None, "number": "8 916 123-45-67", "began": BEGAN, "seconds": 60.0,
        "owed": True, "owed_at_s": 50.0, "owed_due_in_s": 0.0,
    } | more  # fmt: skip


def status(rows):
    return [(row["status"], row.get("late_s")) for row in rows]


def test_a_call_that_owes_nothing_has_no_row(desk):
    assert desk.joined(call(owed=False), call(owed=None)) == []


def test_an_owed_callback_that_nobody_requested_is_missing(desk):
    assert status(desk.joined(call())) == [("missing", None)]


def test_one_of_another_number_or_another_day_is_not_the_calls(desk):
    desk.asked(60, phone="+79990000000")
    desk.asked(86_400, phone=PHONE)
    assert status(desk.joined(call())) == [("missing", None)]


def test_without_number_time_and_id_nothing_is_known(desk):
    assert status(desk.joined(call(number=None), call(began=None))) == [("unknown", None)] * 2


@pytest.mark.parametrize(("rung_at", "expected"), [(100, ("kept", None)), (300, ("late", 250.0))])
def test_the_first_attempt_keeps_it_or_is_late(desk, rung_at, expected):
    desk.rung(desk.asked(50, phone=PHONE), rung_at)
    assert status(desk.joined(call())) == [expected]


def test_one_whose_time_has_passed_without_an_attempt_is_late_until_now(desk):
    desk.asked(50, phone=PHONE)
    assert status(desk.joined(call(), now_s=90)) == [("open", None)]
    assert status(desk.joined(call(), now_s=3650)) == [("late", 3600.0)]


def test_a_live_call_is_found_by_its_id_without_a_number(desk):
    made = desk.asked(50, call="anna-17")
    [row] = desk.joined(call(call="anna-17", number=None), now_s=60)
    assert (row["status"], row["callback"]) == ("open", made.id)


def test_a_client_who_called_again_was_served(desk):
    desk.asked(50, phone=PHONE)
    desk.now = BEGAN + timedelta(seconds=70)
    desk.backend.client_called(PHONE)
    assert status(desk.joined(call())) == [("kept", None)]
