"""Erasing: what is personal goes after so many days, what is counted stays. On both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.callbacks.store_requests import (
    NAME,
    OPENING,
    PHONE,
    TOPIC,
    begin,
    by,
    client,
    reached,
    rows,
    take,
    whats,
)
from vad_agent.callbacks import transitions
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key
from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.retention import erase
from vad_agent.callbacks.store import Store
from vad_agent.errors import RuleError

DAY_S = 86400.0
GIVEN = {"name": NAME, "topic": TOPIC, "opening": OPENING}
ALL_PERSONAL = (
    "SELECT phone, phone_given, name, topic, opening, client FROM callbacks WHERE id = :id"
)


@pytest.mark.parametrize("key", [None, new_key()], ids=["no key", "a key"])
def test_after_erasing_nothing_personal_is_left_and_the_promise_is_what_it_was(opened, clock, key):
    store = opened(encryption=FieldEncryption(key))
    callback = take(store, clock.now, call="c1", **GIVEN)
    take(store, clock.now, call="c2", reason="hold", **GIVEN)
    callback = reached(store, callback, clock.now)
    promise = CallbackQueries(store).promise()
    assert erase(store, 30, by(clock.move(30 * DAY_S), "retention", who="cron")) == 1
    assert rows(store, ALL_PERSONAL, id=callback.id) == [(None,) * 6]
    assert rows(store, "SELECT DISTINCT body FROM requests") == [(None,)]
    after = store.get(callback.id)
    assert (after.phone, after.name, after.topic, after.opening) == (None, None, None, "")
    assert (after.state, after.ended, after.due) == (State.REACHED, callback.ended, callback.due)
    assert CallbackQueries(store).promise() == promise
    assert len(store.attempts_of(callback.id)) == 1
    assert whats(store, callback.id) == ["taken", "taken", "merged", "begun", "reached", "erased"]
    last = CallbackQueries(store).history(callback.id)[-1]
    assert (last.who, last.why, last.at, last.change) == ("cron", "retention", clock.now, {})
    assert CallbackQueries(store).page(phone=PHONE) == []


@pytest.mark.parametrize(
    ("age_s", "erased"),
    [
        (29 * DAY_S, 0),
        (30 * DAY_S - 0.000001, 0),
        (30 * DAY_S, 1),
        (30 * DAY_S + 0.000001, 1),
        (31 * DAY_S, 1),
    ],
)
def test_what_ended_so_many_days_ago_and_more_is_erased(store, clock, age_s, erased):
    callback = reached(store, take(store, clock.now, **GIVEN), clock.now)
    assert erase(store, 30, by(clock.move(age_s))) == erased
    assert (store.get(callback.id).name is None) == bool(erased)


def test_it_is_erased_once(store, clock):
    callback = reached(store, take(store, clock.now, **GIVEN), clock.now)
    now = clock.move(30 * DAY_S)
    assert [erase(store, 30, by(now)), erase(store, 30, by(now))] == [1, 0]
    assert whats(store, callback.id).count("erased") == 1


def test_what_is_open_is_never_erased_however_old(store, clock):
    waits = take(store, clock.now, phone=client(1), **GIVEN)
    lacks = take(store, clock.now, phone=None, phone_given="8 912", **GIVEN)
    rings = take(store, clock.now, phone=client(2), **GIVEN)
    begin(store, rings, clock.now)
    assert erase(store, 0, by(clock.move(1000 * DAY_S))) == 0
    for callback in (waits, lacks, rings):
        assert store.get(callback.id).name == NAME
    assert len(rows(store, "SELECT * FROM requests WHERE body IS NOT NULL")) == 3


def test_it_counts_from_the_end_not_from_the_request(store, clock):
    callback = take(store, clock.now, at="2026-12-20T12:00", **GIVEN)
    clock.move(30 * DAY_S)
    callback = reached(store, callback, clock.now)
    assert erase(store, 30, by(clock.move(29 * DAY_S))) == 0
    assert erase(store, 30, by(clock.move(1 * DAY_S))) == 1


def test_one_without_a_number_is_erased_too(store, clock):
    callback = take(store, clock.now, phone=None, phone_given="8 912 345")
    store.change(
        callback.id, "cancelled", by(clock.now), lambda c: transitions.cancel(c, clock.now)
    )
    assert erase(store, 30, by(clock.move(30 * DAY_S))) == 1
    assert rows(store, ALL_PERSONAL, id=callback.id) == [(None,) * 6]


def test_a_late_outcome_and_a_retry_find_nothing_to_ring(store, clock):
    callback = take(store, clock.now, **GIVEN)
    key = begin(store, callback, clock.now)
    store.change_client(
        PHONE, "client_called", by(clock.now), lambda c: transitions.client_called(c, clock.now)
    )
    erase(store, 30, by(clock.move(30 * DAY_S)))
    assert store.end(key, Outcome.BUSY, "", by(clock.now)) is None
    with pytest.raises(RuleError, match="it has no number"):
        store.change(
            callback.id, "retried", by(clock.now), lambda c: transitions.retry(c, clock.now)
        )
    assert take(store, clock.now, **GIVEN).id != callback.id


def test_a_key_that_comes_later_finds_nothing_left_to_erase(opened, clock):
    store = opened()
    reached(store, take(store, clock.now, **GIVEN), clock.now)
    assert erase(store, 30, by(clock.move(30 * DAY_S))) == 1
    store.close()
    assert erase(opened(encryption=FieldEncryption(new_key())), 30, by(clock.now)) == 0


def test_the_file_itself_holds_nothing_of_what_was_erased(tmp_path, policy, clock):
    file = tmp_path / "callbacks.sqlite3"

    def on_the_disk() -> bool:
        data = b"".join(part.read_bytes() for part in sorted(Path(tmp_path).iterdir()))
        return any(text.encode() in data for text in (NAME, TOPIC, PHONE))

    store = Store(str(file), policy)
    for n in range(40):  # some share pages with what stays
        callback = take(store, clock.now, phone=client(n) if n % 2 else PHONE, **GIVEN)
        reached(store, callback, clock.now)
    assert on_the_disk()
    assert erase(store, 30, by(clock.move(30 * DAY_S))) == 40
    assert not on_the_disk()
    store.close()
    assert not on_the_disk()


def test_erasing_waits_for_who_changes_the_callback(url, policy, clock):
    """A callback that is retried just then keeps its number."""
    store = Store(url, policy)
    callback = reached(store, take(store, clock.now, **GIVEN), clock.now)
    now = clock.move(30 * DAY_S)
    with ThreadPoolExecutor(1) as pool:
        with store.database.writing() as c:
            before = store.load(c, callback.id)
            store.save(c, before, transitions.retry(before, now), "retried", by(now))
            erasing = pool.submit(erase, store, 30, by(now))
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not erasing.done() and not rows(store, waits)[0][0]:
                pass
        assert erasing.result() == 0
    after = store.get(callback.id)
    assert (after.state, after.phone, after.name) == (State.WAITING, PHONE, NAME)
    with store.database.reading() as c:
        assert c.execute(sa.text("SELECT count(*) FROM requests WHERE body IS NULL")).scalar() == 0
    store.close()
