"""Letters that the desk of the same machine reads: each is taken once, and goes when it is stored."""

from __future__ import annotations

import dataclasses
import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from vad_agent.callbacks import outbox
from vad_agent.callbacks import outbox_consumer as module
from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Callback, Policy, State
from vad_agent.callbacks.outbox import Outbox, one_reader
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.outbox_message import CALL, ENDED, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.trace_compression import pack
from vad_agent.errors import StoreError

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
NUMBER = "+79123456789"
LINES = [{"t": 4.0, "kind": "phase", "phase": "ended"}]


class Centre:
    """A desk on a real store at noon, the folder that it reads, and a headset that posts there."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        policy = Policy(ZoneInfo("Europe/Moscow"))
        self.store = store or Store(str(folder / "callbacks.sqlite"), policy)
        self.desk = CallbackService(self.store, Clock(lambda: NOON, lambda: 0.0))
        self.alarms = AlertBoard("desk-1")
        self.folder = folder / "outbox"
        self.outbox = Outbox(self.folder)
        self.inbox = OutboxConsumer(self.folder, self.desk, self.alarms)
        self.count = 0

    def post(self, kind: str = REQUESTED, call: str = "call-1", **more: Any) -> Path:
        self.count += 1
        letter = OutboxMessage(kind, f"k{self.count}", call, NOON.isoformat(), "dropped", 0.0)
        return self.outbox.post(dataclasses.replace(letter, **more))

    def post_call(self, call: str = "call-1", **more: Any) -> Path:
        told = {"began": NOON.isoformat(), "mode": "cue", "lines": pack(LINES), "operator": "o1"}
        return self.post(CALL, call, reason=None, due_in_s=None, **(told | more))

    @property
    def callbacks(self) -> list[Callback]:
        return list(CallbackQueries(self.store).all())

    @property
    def callback(self) -> Callback:
        [one] = self.callbacks
        return one

    @property
    def whats(self) -> list[str]:
        return [change.what for change in CallbackQueries(self.store).history(self.callback.id)]

    @property
    def refused(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "refused").glob("*"))

    @property
    def waiting(self) -> list[str]:
        return [path.name for path in self.outbox.waiting()]

    @property
    def sounding(self) -> list[tuple[Kind, str]]:
        return [(alarm.kind, alarm.about) for alarm in self.alarms.all()]


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path)
    yield one
    one.store.close()


# -- a letter is taken ------------------------------------------------------------------------------


def test_a_letter_becomes_a_callback_with_all_that_is_in_it_and_goes(centre: Centre):
    centre.post(phone="8 912 345-67-89", name="Анна", topic="РМ 3", opening="Анна, это", operator="o1",
                session="pbx-7")  # fmt: skip
    assert centre.inbox.read_all() == 1
    one = centre.callback
    assert (one.state, one.phone, one.reasons) == (State.WAITING, NUMBER, ("dropped",))
    assert (one.name, one.topic, one.opening) == ("Анна", "РМ 3", "Анна, это")
    assert (one.operator, one.session) == ("o1", "pbx-7")
    assert centre.waiting == centre.refused == centre.sounding == []


def test_while_its_call_may_be_on_it_waits_for_the_farewell(centre: Centre):
    centre.post(phone=NUMBER)
    centre.inbox.read_all()
    policy = centre.store.policy
    assert centre.callback.due == NOON + timedelta(seconds=policy.farewell_s)
    centre.post(ENDED)
    centre.inbox.read_all()
    assert centre.callback.due == NOON


def test_letters_are_taken_in_the_order_in_which_they_were_posted(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    calls = [f"call-{number}" for number in (5, 3, 9, 1)]
    for call in calls:
        centre.post(call=call)
    taken: list[str | None] = []
    take = centre.desk.take
    monkeypatch.setattr(
        centre.desk, "take", lambda request, who: (taken.append(request.call), take(request, who))
    )
    assert centre.inbox.read_all() == 4
    assert taken == calls


def test_an_empty_folder_takes_nothing_and_locks_nothing(centre: Centre):
    assert centre.inbox.read_all() == 0
    assert list(centre.folder.iterdir()) == []


def test_the_history_says_that_a_headset_asked(centre: Centre):
    centre.post()
    centre.inbox.read_all()
    [change] = CallbackQueries(centre.store).history(centre.callback.id)
    assert (change.what, change.who) == ("taken", "headset")


def test_the_same_letter_twice_is_one_request(centre: Centre):
    first = centre.post(phone=NUMBER)
    shutil.copy(first, centre.folder / f"9{first.name}")
    assert centre.inbox.read_all() == 2
    assert centre.whats == ["taken"]
    assert CallbackQueries(centre.store).promise().taken == 1
    assert centre.waiting == []


def test_a_call_that_asks_anew_revises_its_callback(centre: Centre):
    centre.post(phone=NUMBER, opening="раньше")
    centre.post(reason="agreed", at="2026-11-24T15:30+03:00", due_in_s=None, opening="теперь")
    centre.inbox.read_all()
    one = centre.callback
    assert one.due == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
    assert (one.fixed, one.opening, one.phone) == (True, "теперь", NUMBER)


def test_an_agreed_time_counts_more_than_the_seconds_until_then(centre: Centre):
    centre.post(reason="agreed", at="2026-11-24T15:30", due_in_s=7.0, phone=NUMBER)
    centre.inbox.read_all()
    assert centre.callback.due == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def test_a_withdrawn_callback_is_cancelled(centre: Centre):
    centre.post(phone=NUMBER)
    centre.post(WITHDRAWN, reason=None)
    centre.post(ENDED, reason=None)
    assert centre.inbox.read_all() == 3
    assert centre.callback.state is State.CANCELLED
    assert centre.waiting == []


@pytest.mark.parametrize("kind", [WITHDRAWN, ENDED])
def test_an_unknown_call_is_no_error(kind: str, centre: Centre):
    centre.post(phone=NUMBER)
    centre.post(kind, call="call-of-nobody")
    assert centre.inbox.read_all() == 2
    assert centre.callback.state is State.WAITING
    assert centre.waiting == centre.refused == centre.sounding == []


@pytest.mark.parametrize("kind", [WITHDRAWN, ENDED])
def test_a_call_whose_callback_has_ended_is_no_error(kind: str, centre: Centre):
    centre.post(phone=NUMBER)
    centre.inbox.read_all()
    centre.desk.cancel(centre.callback.id, "o1")
    centre.post(kind)
    assert centre.inbox.read_all() == 1
    assert centre.callback.state is State.CANCELLED
    assert centre.refused == []


@pytest.mark.parametrize("phone", ["12", "sip:anna@pbx", "112233445566778899", "", None])
def test_a_request_whose_number_cannot_be_rung_is_kept_and_needs_one(
    phone: str | None, centre: Centre
):
    centre.post(phone=phone, name="Анна")
    assert centre.inbox.read_all() == 1
    one = centre.callback
    assert (one.state, one.phone, one.phone_given) == (State.NEEDS_NUMBER, None, phone or None)
    assert one.name == "Анна"


@pytest.mark.parametrize(
    "at",
    ["half past three", "", "2026-13-01T10:00", "0001-01-01T00:00+14:00", "2026-12-01", "20261201"],
)
def test_a_request_whose_agreed_time_cannot_be_read_is_kept_and_needs_one(at: str, centre: Centre):
    centre.post(reason="agreed", at=at, due_in_s=None, phone=NUMBER)
    assert centre.inbox.read_all() == 1
    assert centre.callback.state is State.NEEDS_TIME


@pytest.mark.parametrize("text", ["Ан\ud800на", "Ан\0на"])
def test_half_a_letter_in_a_name_loses_nothing(text: str, centre: Centre):
    centre.post(phone=NUMBER, name=text, opening=text)
    assert centre.inbox.read_all() == 1
    assert centre.callback.state is State.WAITING


# -- the store is away ------------------------------------------------------------------------------


def failing(error: Exception, times: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What is wrapped fails so often, then does what it did."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        left = [error] * times

        def call(*args: Any, **more: Any) -> Any:
            if left:
                raise left.pop()
            return real(*args, **more)

        return call

    return wrap


@pytest.mark.parametrize(
    ("kind", "method"), [(REQUESTED, "take"), (WITHDRAWN, "withdraw"), (ENDED, "call_ended")]
)
def test_a_letter_that_cannot_be_stored_stays_and_is_taken_once_later(
    kind: str, method: str, centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    if kind != REQUESTED:
        centre.post(phone=NUMBER)
        centre.inbox.read_all()
    first, second = centre.post(kind), centre.post(call="call-2")
    wrap = failing(StoreError("away"))
    monkeypatch.setattr(centre.store, method, wrap(getattr(centre.store, method)))
    with pytest.raises(StoreError):
        centre.inbox.read_all()
    assert centre.waiting == [first.name, second.name]
    assert centre.refused == centre.sounding == []
    assert centre.inbox.read_all() == 2
    assert centre.waiting == []
    assert CallbackQueries(centre.store).promise().taken == 2


def test_a_letter_goes_only_after_the_store_has_it(centre: Centre, monkeypatch: pytest.MonkeyPatch):
    path = centre.post(phone=NUMBER)
    take = centre.store.take
    there: list[bool] = []

    def look(*args: Any) -> Any:
        taken = take(*args)
        there.append(path.exists())
        return taken

    monkeypatch.setattr(centre.store, "take", look)
    centre.inbox.read_all()
    assert there == [True]
    assert not path.exists()


def test_a_letter_that_was_stored_and_not_removed_is_taken_once(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    first, _ = centre.post(phone=NUMBER), centre.post(call="call-2")
    wrap = failing(OSError(errno.EROFS, "Read-only file system"))
    monkeypatch.setattr(Outbox, "done", wrap(Outbox.done))
    centre.inbox.read_all()
    assert centre.waiting == [first.name]
    assert len(centre.callbacks) == 2
    assert centre.sounding == [(Kind.REFUSED, first.name)]
    assert centre.inbox.read_all() == 1
    assert len(centre.callbacks) == 2
    assert centre.waiting == centre.sounding == []


@pytest.fixture
def cursed(store: Store) -> Iterator[Store]:
    """Its database accepts no request with the reason "cursed"."""
    refuse, accept = (
        "ALTER TABLE requests ADD CONSTRAINT cursed CHECK (reason <> 'cursed')",
        "ALTER TABLE requests DROP CONSTRAINT cursed",
    )
    if not store.database.on_server:
        refuse = (
            "CREATE TRIGGER cursed BEFORE INSERT ON requests WHEN NEW.reason = 'cursed'"
            " BEGIN SELECT RAISE(ABORT, 'cursed'); END"
        )
        accept = "DROP TRIGGER cursed"
    with store.database.writing() as c:
        c.execute(sa.text(refuse))
    yield store
    with store.database.writing() as c:
        c.execute(sa.text(accept))


def test_a_letter_that_can_never_be_stored_is_kept_apart_and_those_after_it_are_taken(
    cursed: Store, tmp_path: Path
):
    """A trigger or a constraint: the next try would fail as this one, and every letter behind it wait."""
    centre = Centre(tmp_path / "headset", cursed)
    first = centre.post(reason="cursed", name="Anna", phone=NUMBER)
    centre.post(call="call-2", phone="+79123456780")
    assert centre.inbox.read_all() == 1
    assert centre.callback.phone == "+79123456780"
    assert centre.refused == [first.name]
    assert centre.waiting == []
    assert centre.sounding == [(Kind.REFUSED, first.name)]
    [alarm] = centre.alarms.all()
    assert "it can never be stored" in alarm.detail
    assert "Anna" not in alarm.detail
    assert NUMBER not in alarm.detail


def test_while_the_store_is_away_the_passes_become_rarer_and_one_line_says_so(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    now, passes = [0.0], []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    centre.post()
    take, away = centre.store.take, [True]

    def store(*args: Any) -> Any:
        passes.append(now[0])
        if away:
            raise StoreError("away")
        return take(*args)

    monkeypatch.setattr(centre.store, "take", store)
    while now[0] < 15:
        centre.inbox._read()
        now[0] += 0.5
    assert passes == [0, 0.5, 1.5, 3.5, 6.5, 9.5, 12.5]
    assert [record.message for record in caplog.records] == ["messages wait for the store"]
    away.clear()
    now[0] += 3
    centre.inbox._read()
    assert centre.waiting == []


# -- letters that are none --------------------------------------------------------------------------

BROKEN = {
    "no JSON": b"{",
    "nested without end": b"[" * 60_000,
    "too long": b" " * 70_000,
    "asked at no time": OutboxMessage(
        REQUESTED, "k", "c", "Anna +79123456789", "dropped"
    ).to_json(),
    "asked without a zone": OutboxMessage(
        REQUESTED, "k", "c", "2026-11-24T12:00", "dropped"
    ).to_json(),
    "asked before all time": OutboxMessage(
        REQUESTED, "k", "c", "0001-01-01T00:00+14:00", "dropped", due_in_s=0
    ).to_json(),
    "due after all time": OutboxMessage(
        REQUESTED, "k", "c", NOON.isoformat(), "dropped", due_in_s=1e30
    ).to_json(),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_letter_is_kept_apart_and_alarms_and_those_after_it_are_taken(
    data: bytes | str, centre: Centre
):
    broken = centre.folder / "0-0.json"
    broken.write_bytes(data if isinstance(data, bytes) else data.encode())
    centre.post(phone=NUMBER)
    assert centre.inbox.read_all() == 1
    assert centre.callback.phone == NUMBER
    assert centre.refused == ["0-0.json"]
    assert centre.waiting == []
    assert centre.sounding == [(Kind.REFUSED, "0-0.json")]
    [alarm] = centre.alarms.all()
    assert "refused/0-0.json" in alarm.detail
    assert "Anna" not in alarm.detail
    assert "79123456789" not in alarm.detail


def test_a_broken_letter_that_cannot_be_moved_stays_and_alarms_once(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    (centre.folder / "0-0.json").write_bytes(b"{")
    centre.post()
    wrap = failing(OSError(errno.EROFS, "Read-only file system"), times=2)
    monkeypatch.setattr(outbox, "private_folder", wrap(outbox.private_folder))
    assert [centre.inbox.read_all(), centre.inbox.read_all()] == [1, 0]
    assert centre.waiting == ["0-0.json"]
    assert centre.alarms.sounded[Kind.REFUSED] == 1


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), KeyError("Anna")])
def test_a_letter_that_cannot_be_read_now_stays_alarms_and_is_taken_later(
    error: Exception, centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    first, _ = centre.post(call="call-1", name="Анна"), centre.post(call="call-2")
    monkeypatch.setattr(Outbox, "read", failing(error)(Outbox.read))
    assert centre.inbox.read_all() == 1
    assert centre.waiting == [first.name]
    assert centre.refused == []
    [alarm] = centre.alarms.all()
    assert alarm.about == first.name
    assert "Anna" not in alarm.detail
    assert centre.inbox.read_all() == 1
    assert centre.waiting == centre.sounding == []
    assert len(centre.callbacks) == 2


def test_a_letter_that_another_has_just_taken_is_no_error(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    gone = centre.folder / "0-0.json"
    monkeypatch.setattr(Outbox, "waiting", lambda self: [gone, *sorted(self.folder.glob("*.json"))])
    centre.post()
    assert centre.inbox.read_all() == 1
    assert centre.refused == centre.sounding == []


# -- whole calls ------------------------------------------------------------------------------------


def test_a_call_is_kept_with_its_trace_and_its_letter_goes(centre: Centre):
    centre.post_call()
    centre.post_call()
    assert centre.inbox.read_all() == 2
    found = centre.desk.calls.get("call-1")
    assert found is not None
    row, lines = found
    assert (row.operator, row.mode, row.began, row.seconds) == ("o1", "cue", NOON, 4.0)
    assert lines == LINES
    assert centre.waiting == centre.refused == centre.sounding == centre.callbacks == []


def test_callbacks_are_taken_before_calls(centre: Centre, monkeypatch: pytest.MonkeyPatch):
    took: list[str] = []
    monkeypatch.setattr(module, "take", lambda desk, letter: took.append(letter.call))
    for call in ("c1", "c2"):
        centre.post_call(call)
    for call in ("k1", "k2"):
        centre.post(call=call)
    assert centre.inbox.read_all() == 4
    assert took == ["k1", "k2", "c1", "c2"]


WRONG_CALLS: dict[str, dict[str, Any]] = {
    "began at no time": {"began": "Anna +79123456789"},
    "began without a zone": {"began": "2026-11-24T12:00"},
    "began before all time": {"began": "0001-01-01T00:00+14:00"},
    "began by a clock that was never set": {"began": "1970-01-01T00:00:07+00:00"},
    "no trace": {"lines": "Anna"},
    "a bomb": {"lines": "A" * 60_004},
    "a prompt that is none": {"lines": pack([{"t": 1, "kind": "prompt", "text": "Anna"}])},
}


@pytest.mark.parametrize("wrong", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_call_that_is_none_is_kept_apart_and_alarms_nobody(
    wrong: dict[str, Any], centre: Centre, caplog: pytest.LogCaptureFixture
):
    path = centre.post_call(**wrong)
    centre.post(phone=NUMBER)
    centre.post_call("call-2")
    assert centre.inbox.read_all() == 2
    assert centre.refused == [path.name]
    assert centre.waiting == centre.sounding == []
    assert centre.callback.phone == NUMBER
    assert [record.message for record in caplog.records] == ["a call was not taken"]
    assert "Anna" not in str([vars(record) for record in caplog.records])


def test_a_calls_letter_that_is_none_inside_alarms_nobody(centre: Centre):
    (centre.folder / "0-0.call.json").write_bytes(b"{")
    assert centre.inbox.read_all() == 0
    assert centre.refused == ["0-0.call.json"]
    assert centre.sounding == []


def test_a_call_that_cannot_be_stored_stays_and_is_kept_later(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
):
    path = centre.post_call()
    wrap = failing(StoreError("away"))
    monkeypatch.setattr(centre.desk.calls, "take", wrap(centre.desk.calls.take))
    with pytest.raises(StoreError):
        centre.inbox.read_all()
    assert centre.waiting == [path.name]
    assert centre.inbox.read_all() == 1
    assert centre.desk.calls.get("call-1") is not None


def test_a_call_that_cannot_be_read_now_stays_and_is_logged_once(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    path = centre.post_call()
    wrap = failing(OSError(errno.EMFILE, "Too many open files"), times=3)
    monkeypatch.setattr(Outbox, "read", wrap(Outbox.read))
    assert [centre.inbox.read_all() for _ in range(3)] == [0] * 3
    assert centre.waiting == [path.name]
    assert (centre.sounding, len(caplog.records)) == ([], 1)
    assert centre.inbox.read_all() == 1


# -- one reader -------------------------------------------------------------------------------------


def test_while_another_reads_the_folder_its_letters_stay(centre: Centre):
    path = centre.post()
    with one_reader(centre.folder):
        assert centre.inbox.read_all() == 0
        assert centre.waiting == [path.name]
    assert centre.inbox.read_all() == 1


def test_two_desks_that_read_one_folder_take_each_letter_once(centre: Centre):
    for number in range(20):
        centre.post(call=f"call-{number}")
    together = threading.Barrier(2)
    counts: list[int] = []

    def read() -> None:
        inbox = OutboxConsumer(centre.folder, centre.desk, centre.alarms)
        together.wait()
        while centre.waiting:
            counts.append(inbox.read_all())

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 20
    assert len(centre.callbacks) == 20
    assert centre.sounding == []


# -- its thread -------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)


def stored(centre: Centre, monkeypatch: pytest.MonkeyPatch, *faults: Exception) -> threading.Event:
    """Set when a request has been stored, before that these are raised."""
    done, left, take = threading.Event(), list(faults), centre.store.take

    def store(*args: Any) -> Any:
        if left:
            raise left.pop(0)
        taken = take(*args)
        done.set()
        return taken

    monkeypatch.setattr(centre.store, "take", store)
    return done


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "faults", [(), (StoreError("away"),) * 3, (MemoryError("Anna"), StoreError("away"))]
)
def test_the_thread_takes_letters_through_faults(
    faults: tuple[Exception, ...],
    centre: Centre,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    done = stored(centre, monkeypatch, *faults)
    centre.inbox.start()
    centre.post(name="Anna", phone=NUMBER)
    assert done.wait(10)
    centre.inbox.stop()
    assert centre.callback.phone == NUMBER
    assert centre.waiting == []
    assert "Anna" not in caplog.text


@pytest.mark.usefixtures("at_once")
def test_after_stop_nothing_is_taken(centre: Centre):
    centre.inbox.start()
    centre.inbox.stop()
    centre.post()
    assert not any(thread.name == "inbox" for thread in threading.enumerate())
    assert len(centre.waiting) == 1


def test_an_inbox_that_was_never_started_can_be_stopped(centre: Centre):
    centre.inbox.stop()
    assert centre.inbox.read_all() == 0
