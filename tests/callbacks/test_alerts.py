"""Alarms: told once while they are on, posted where the centre wants them, and nothing personal in them."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG, CentreServer
from tests.callbacks.scripted_desk import ScriptedDesk
from tests.callbacks.store_requests import NAME, OPENING, PHONE, TOPIC, client
from vad_agent.callbacks import alerts as sounding
from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialUncertain,
    Ended,
    OutcomeReport,
    Ringing,
)
from vad_agent.callbacks.model import Outcome
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.outbox_message import REQUESTED, OutboxMessage
from vad_agent.errors import StoreError
from vad_agent.server.logging_setup import Fields

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


# -- on and off ------------------------------------------------------------------------------------


def test_while_it_is_on_it_is_told_once(caplog):
    alarms = AlertBoard("north")
    assert alarms.sound(Kind.OVERDUE, "a", NOW, "why")
    assert not alarms.sound(Kind.OVERDUE, "a", NOW + timedelta(seconds=5), "another why")
    (alarm,) = alarms.all()
    assert (alarm.kind, alarm.about, alarm.since, alarm.detail) == (
        Kind.OVERDUE,
        "a",
        NOW,
        "why",
    )
    assert alarms.sounded == {Kind.OVERDUE: 1}
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "alarm")
    assert (record.kind, record.about, record.detail) == ("overdue", "a", "why")


def test_once_settled_it_can_sound_again(caplog):
    caplog.set_level(logging.INFO)
    alarms = AlertBoard("north")
    alarms.sound(Kind.OVERDUE, "a", NOW)
    alarms.settle(Kind.OVERDUE, "a")
    alarms.settle(Kind.OVERDUE, "a")
    assert alarms.all() == []
    assert alarms.sound(Kind.OVERDUE, "a", NOW)
    assert alarms.sounded == {Kind.OVERDUE: 2}
    assert [one.getMessage() for one in caplog.records] == ["alarm", "alarm settled", "alarm"]


def test_the_same_thing_may_be_wrong_in_two_ways_and_two_things_in_one():
    alarms = AlertBoard("north")
    told = [(Kind.OVERDUE, "a"), (Kind.NEEDS_NUMBER, "a"), (Kind.OVERDUE, "b")]
    assert all(alarms.sound(kind, about, NOW) for kind, about in told)
    alarms.settle(Kind.OVERDUE, "a")
    assert [(one.kind, one.about) for one in alarms.all()] == told[1:]


def test_the_oldest_comes_first():
    alarms = AlertBoard("north")
    for about, age in (("b", 1), ("c", 0), ("a", 2)):
        alarms.sound(Kind.OVERDUE, about, NOW - timedelta(seconds=age))
    assert [one.about for one in alarms.all()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("keep", "left"), [([], []), (["a"], ["a"]), (["b", "a"], ["a", "b"]), (["z"], [])]
)
def test_only_settles_the_others_of_its_kind(keep, left):
    alarms = AlertBoard("north")
    for about in ("a", "b"):
        alarms.sound(Kind.OVERDUE, about, NOW)
    alarms.sound(Kind.NODE, "c", NOW)
    alarms.only(Kind.OVERDUE, keep)
    assert [one.about for one in alarms.all()] == [*left, "c"]


# -- posted ----------------------------------------------------------------------------------------


@pytest.fixture
def centre():
    with CentreServer().serving() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch):
    """Those between two tries, which cost no time here."""
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=pauses.append))
    return pauses


def posted(alarms):
    """All that waited has been tried."""
    alarms.close()
    assert not alarms._thread.is_alive()


def test_a_new_alarm_is_posted_as_json(centre, pauses):
    centre.answers("POST", "/hook", 200, {})
    alarms = AlertBoard("north", f"{centre.url}/hook")
    alarms.sound(Kind.OVERDUE, "a", NOW, "why")
    alarms.sound(Kind.OVERDUE, "a", NOW, "why")
    alarms.settle(Kind.OVERDUE, "a")
    posted(alarms)
    (taken,) = centre.taken
    assert taken.headers["content-type"] == "application/json"
    assert taken.json == {
        "node": "north",
        "kind": "overdue",
        "about": "a",
        "since": "2026-11-24T09:00:00+00:00",
        "detail": "why",
    }
    assert pauses == []


@pytest.mark.parametrize("fault", [500, 503, 404, 302, DROP])
def test_it_is_posted_again_until_it_is_taken(centre, pauses, fault):
    centre.answers("POST", "/hook", fault)
    centre.answers("POST", "/hook", fault)
    centre.answers("POST", "/hook", 204)
    alarms = AlertBoard("north", f"{centre.url}/hook")
    alarms.sound(Kind.OVERDUE, "a", NOW)
    posted(alarms)
    assert len(centre.taken) == 3
    assert pauses == [0.5, 1.0]


@pytest.mark.parametrize("fault", [500, CUT, DROP, HANG])
def test_one_that_nobody_takes_is_told_in_the_log_and_the_next_is_posted(
    centre, pauses, fault, caplog
):
    for _ in range(3):
        centre.answers("POST", "/hook", fault)
    centre.answers("POST", "/hook", GARBAGE)  # 200 is enough
    limit_s = 1.0 if fault == HANG else 5.0
    alarms = AlertBoard("north", f"{centre.url}/hook", limit_s=limit_s)
    alarms.sound(Kind.OVERDUE, "a", NOW)
    alarms.sound(Kind.OVERDUE, "b", NOW)
    alarms._queue.put(None)
    alarms._thread.join(20)
    assert [one.json["about"] for one in centre.taken] == ["a", "a", "a", "b"]
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.getMessage() == "an alarm could not be posted"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/hook", "http://127.0.0.1:port/hook", "ftp://x/hook", "nothing"]
)
def test_a_url_that_is_down_or_wrong_breaks_nothing(pauses, url, caplog):
    alarms = AlertBoard("north", url)
    for about in "ab":
        assert alarms.sound(Kind.OVERDUE, about, NOW)
    posted(alarms)
    assert [one.about for one in alarms.all()] == ["a", "b"]
    errors = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert errors == ["an alarm could not be posted"] * 2


def test_more_than_can_wait_are_left_out_and_told(monkeypatch, caplog):
    monkeypatch.setattr(sounding.queue, "Queue", _short_queue(sounding.queue.Queue))
    inside, over = threading.Event(), threading.Event()

    def post(_):
        inside.set()
        over.wait(60)

    monkeypatch.setattr(AlertBoard, "_poster", lambda *_: post)
    alarms = AlertBoard("north", "http://127.0.0.1:1/hook", limit_s=0.05)
    alarms.sound(Kind.OVERDUE, "first", NOW)
    assert inside.wait(10)  # from now on it takes no more
    for number in range(19):
        assert alarms.sound(Kind.OVERDUE, str(number), NOW)
    assert len(alarms.all()) == 20
    assert "too many alarms wait to be posted: one was left out" in caplog.messages
    ended = threading.Thread(target=alarms.close, daemon=True)
    ended.start()
    ended.join(10)  # its end waits for no room either
    still_waits = ended.is_alive()
    over.set()
    assert not still_waits


def _short_queue(kind):
    return lambda _: kind(2)


# -- nothing personal ------------------------------------------------------------------------------

PERSONAL = ("9123456789", "345-67-89", *NAME.split(), "Анне", "пенсия")


def test_no_name_and_no_number_in_any_log_line_or_alarm(
    store, clock, tmp_path, centre, caplog, monkeypatch, pauses
):
    """A run in which all goes wrong that can."""
    caplog.set_level(logging.DEBUG, "vad_agent")
    centre.answers("POST", "/hook", 200, {})
    at = ScriptedDesk(store, clock)
    at.alarms.close()
    at.alarms = at.watch._alerts = AlertBoard("north", f"{centre.url}/hook")
    about = {"name": NAME, "topic": TOPIC, "opening": OPENING}
    _letters(at, tmp_path)
    at.dialer.dials = [
        DialRefused("no route"),
        DialUncertain("no answer"),
        RuntimeError("a bug"),
        Ended(Outcome.FAILED, "no channel"),
        Ringing("r-1"),
    ]
    at.dialer.statuses = [DialUncertain("no answer")]
    for number in range(6):
        at.dispatcher.make(at.take(phone=client(number), **about).key)
    at.take(phone=PHONE, due=600.0, **about)
    at.take(phone=f"{PHONE} доб. что-то", **about)
    at.take(phone=client(77), at=f"завтра, {NAME}", **about)
    at.dispatcher.report(OutcomeReport("else.1.1", Outcome.REACHED))
    at.hand.move(3600)
    at.ahead = timedelta(hours=1)
    duties = (
        at.watch.look_at_clock,
        at.watch._beat,
        at.watch._look_after,
        at.watch.look_for_overdue,
        at.watch.check_promise,
    )
    for duty in duties:
        at.watch._do("a duty", duty)
    with monkeypatch.context() as patch:
        patch.setattr(store.database, "reading", _away)
        for duty in duties:
            at.watch._do("a duty", duty)
    kinds = {one.kind for one in at.alarms.all()}
    posted(at.alarms)
    assert kinds >= {"database", "needs_number", "needs_time", "overdue", "refused"}
    told = [Fields().format(one) for one in caplog.records if one.name.startswith("vad_agent")]
    told += [one.body.decode() for one in centre.taken]
    told += [json.dumps(repr(one), ensure_ascii=False) for one in at.alarms.all()]
    assert len(told) > 30
    said = [(word, line) for word in (*PERSONAL, "+7912") for line in told if word in line]
    assert said == []


def _letters(at, tmp_path):
    outbox = Outbox(tmp_path / "inbox")
    about = {"phone": PHONE, "name": NAME, "topic": TOPIC, "opening": OPENING}
    letter = OutboxMessage(REQUESTED, "k1", "c1", at.now.isoformat(), "dropped", 600.0, **about)
    outbox.post(letter)
    for text in (
        letter.to_json().replace('"k1"', "5"),
        letter.to_json().replace('"k1"', '"k2').replace(at.now.isoformat(), "yesterday"),
        letter.to_json().replace("600.0", "1e400"),
        letter.to_json()[:-20],
    ):
        path = outbox.post(letter)
        path.write_text(text, encoding="utf-8")
    assert OutboxConsumer(outbox.folder, at.desk, at.alarms).read_all() == 1


def _away(*_):
    raise StoreError("desk.sqlite: away")
