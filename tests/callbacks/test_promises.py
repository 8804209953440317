"""Several requests of one number: what is one promise, and what is one of its own. On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.callbacks.store_requests import (
    PHONE,
    TOPIC,
    asks,
    at_once,
    begin,
    by,
    client,
    reached,
    rows,
    seconds,
    take,
    waiting,
    whats,
)
from vad_agent.callbacks import promises, transitions
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key
from vad_agent.callbacks.model import Callback, Outcome, Policy, Request, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.retention import erase
from vad_agent.callbacks.service import CallbackService

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
POLICY = Policy(ZoneInfo("Europe/Moscow"))
TODAY, LATER, TOMORROW = "2026-11-24T15:30", "2026-11-24T15:40", "2026-11-25T10:00"
NUMBER = "8 495 123-25-11"


@pytest.fixture
def desk(store, clock) -> CallbackService:
    return CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))


def one(**about: object) -> Callback:
    return transitions.take(request(**about), "c1", POLICY, NOW)


def request(**about: object) -> Request:
    return asks(NOW, **about)


# -- the rule ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Анна", "Анна", True),
        ("Анна", "  анна ", True),
        ("Алёна", "алена", True),
        ("Анна", "Анна Петровна Кузнецова", True),
        ("Кузнецова, Анна", "Анна Кузнецова", True),
        ("Анна", None, True),
        (None, "Анна", True),
        ("", "Анна", True),
        ("Николай", "Николай", True),
        ("Анна", "Вера", False),
        ("Анна Петровна", "Анна Сергеевна", False),
    ],
)
def test_a_person_is_known_by_the_words_of_the_name(first, second, same):
    assert promises.same_client(one(name=first), request(name=second)) is same


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("100", "100", True), ("100", None, True), (None, "100", True), ("100", "200", False)],
)
def test_another_extension_is_another_client(first, second, same):
    assert promises.same_client(one(extension=first), request(extension=second)) is same


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"due": 0.0}, {"due": 90.0}, True),
        ({"due": 0.0}, {"at": TOMORROW}, False),
        ({"at": TOMORROW}, {"due": 0.0}, False),
        ({"at": TODAY}, {"at": LATER}, False),
        ({"at": TODAY}, {"at": TODAY + "+03:00"}, True),
        ({"at": TODAY}, {"due": None, "reason": "agreed"}, True),
        ({"due": None, "reason": "agreed"}, {"at": TODAY}, True),
        ({"due": None, "reason": "agreed"}, {"due": 0.0}, False),
        ({"at": "2026-11-24T11:00"}, {"due": 0.0}, True),  # its time has come
        ({"due": 0.0}, {"at": "2026-11-24T11:00"}, True),
    ],
)
def test_an_agreed_time_that_has_not_come_is_a_promise_of_its_own(first, second, same):
    assert promises.same_time(one(**first), request(**second), NOW, POLICY) is same


def test_of_several_the_one_whose_extension_and_name_are_the_same_answers():
    unknown, anna, vera = one(), one(name="Анна", extension="1"), one(name="Вера", extension="1")
    found = promises.answering(
        [unknown, vera, anna], request(name="анна", extension="1"), NOW, POLICY
    )
    assert found is anna
    assert promises.answering([vera, anna], request(), NOW, POLICY) is vera
    assert promises.answering([vera, anna], request(name="Олег"), NOW, POLICY) is None


# -- F2: what a merge dropped ------------------------------------------------------------------------


def test_two_people_at_two_extensions_of_one_number_are_called_at_their_two_times(
    desk, store, clock
):
    ask = {"reason": "agreed"}
    anna = desk.take(
        asks(clock.now, phone=f"{NUMBER}, доб. 100", at=TODAY, name="Анна", **ask), "api"
    )
    vera = desk.take(
        asks(clock.now, phone=f"{NUMBER}, доб. 200", at=LATER, name="Вера", topic=TOPIC, **ask),
        "api",
    )
    assert (anna.what, vera.what) == ("taken", "taken")
    first, second = store.get(anna.callback.id), store.get(vera.callback.id)
    assert (first.phone, first.extension, first.name) == ("+74951232511", "100", "Анна")
    assert (second.phone, second.extension, second.name) == ("+74951232511", "200", "Вера")
    assert second.topic == TOPIC
    assert (second.due - first.due, first.fixed, second.fixed) == (
        timedelta(minutes=10),
        True,
        True,
    )
    assert len(waiting(store)) == 2


def test_a_drop_is_rung_now_and_the_agreed_time_is_kept(desk, store, clock):
    agreed = desk.take(asks(clock.now, at=TOMORROW, reason="agreed", name="Анна"), "api").callback
    dropped = desk.take(asks(clock.move(60), name="Анна"), "api").callback
    assert dropped.id != agreed.id
    assert seconds(dropped.due, clock.now) == 0
    reached(store, dropped, clock.now)
    kept = store.get(agreed.id)
    assert (kept.state, kept.due) == (State.WAITING, datetime(2026, 11, 25, 7, tzinfo=UTC))
    promise = CallbackQueries(store).promise(now=clock.now)
    assert (promise.taken, promise.reached, promise.open, promise.missing) == (2, 1, 1, 0)


def test_a_time_agreed_after_a_drop_does_not_stop_the_call_back_at_once(desk, store, clock):
    dropped = desk.take(asks(clock.now), "api").callback
    agreed = desk.take(asks(clock.now, at=TOMORROW, reason="agreed"), "api").callback
    assert {dropped.key, agreed.key} == set(waiting(store))


def test_a_drop_of_the_call_that_agreed_the_time_is_rung_now_too(desk, store, clock):
    agreed = desk.take(asks(clock.now, at=TOMORROW, reason="agreed", call="c1"), "headset").callback
    dropped = desk.take(asks(clock.move(30), call="c1", call_on=True), "headset").callback
    assert dropped.id != agreed.id
    desk.call_ended("c1", "headset")
    assert seconds(store.get(dropped.id).due, clock.now) == 0
    desk.withdraw("c1", "headset")
    assert store.get(dropped.id).state is State.CANCELLED
    assert store.get(agreed.id).state is State.WAITING


def test_a_time_agreed_while_the_client_is_rung_is_a_promise_of_its_own(desk, store, clock):
    ringing = desk.take(asks(clock.now), "api").callback
    key = begin(store, ringing, clock.now)
    agreed = desk.take(asks(clock.now, at=TOMORROW, reason="agreed"), "api").callback
    assert agreed.id != ringing.id
    desk.report(key, Outcome.REACHED, "dialer")
    assert store.get(agreed.id).state is State.WAITING


def test_dropped_twice_is_one_promise_with_both_topics_and_everything_that_was_asked(
    desk, store, clock
):
    first = desk.take(
        asks(clock.now, due=90.0, name="Анна", topic="чек", operator="olga", call="c1"), "headset"
    ).callback
    again = desk.take(
        asks(clock.move(60), name="Анна Львовна", topic="доставка", operator="ivan", call="c2",
             reason="silence_in_dialogue"), "headset",
    )  # fmt: skip
    assert (again.what, again.callback.id) == ("merged", first.id)
    found = store.get(first.id)
    assert (found.topic, found.merged) == ("чек; доставка", 1)
    assert found.reasons == ("dropped", "silence_in_dialogue")
    told = CallbackQueries(store).requests_of(first.id)
    assert [(one.operator, one.name, one.topic, one.call) for one in told] == [
        ("olga", "Анна", "чек", "c1"), ("ivan", "Анна Львовна", "доставка", "c2"),
    ]  # fmt: skip
    assert [one.due_in_s for one in told] == [90.0, 0.0]
    assert told[1].asked == clock.now
    merged = CallbackQueries(store).history(first.id)[-1]
    assert (merged.what, merged.why) == ("merged", "asked for by ivan: silence_in_dialogue")
    assert whats(store, first.id) == ["taken", "taken", "merged"]
    asked = CallbackQueries(store).history(first.id)[1].change
    assert (asked["operator"], asked["call"]) == ("ivan", "c2")


def test_what_was_asked_is_sealed_and_erased_as_names_are(opened, clock):
    store = opened(encryption=FieldEncryption(new_key()))
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))
    id = desk.take(asks(clock.now, phone=f"{NUMBER} доб. 100", name="Анна"), "api").callback.id
    [sealed] = rows(store, "SELECT extension FROM callbacks")
    assert sealed.extension.startswith("f:")
    desk.cancel(id, "irina")
    erase(store, 0, by(clock.move(1)))
    [entry] = CallbackQueries(store).requests_of(id)
    assert (entry.name, entry.extension, entry.reason) == (None, None, "dropped")
    assert store.get(id).extension is None


def test_a_number_that_is_found_joins_the_promise_of_the_same_person_alone(desk, store, clock):
    anna = desk.take(asks(clock.now, name="Анна"), "api").callback
    unknown = desk.take(asks(clock.now, phone=None, name="Вера"), "api").callback
    other = desk.take(asks(clock.now, phone=None, name="анна", topic="чек"), "api").callback
    assert desk.set_number(unknown.id, PHONE, "irina").id == unknown.id
    joined = desk.set_number(other.id, PHONE, "irina")
    assert (joined.id, joined.topic, joined.merged) == (anna.id, "чек", 1)
    assert len(waiting(store)) == 2


def test_an_extension_that_a_person_finds_is_stored(desk, store, clock):
    callback = desk.take(asks(clock.now, phone=None), "api").callback
    desk.set_number(callback.id, f"{NUMBER} доб. 7", "irina")
    assert store.get(callback.id).extension == "7"


def test_a_retry_joins_no_promise_for_another_time(desk, store, clock):
    dropped = desk.take(asks(clock.now), "api").callback
    reached(store, dropped, clock.now)
    agreed = desk.take(asks(clock.now, at=TOMORROW, reason="agreed"), "api").callback
    assert desk.retry(dropped.id, "irina").id == dropped.id
    assert len(waiting(store)) == 2
    assert store.get(agreed.id).due is not None


@pytest.mark.parametrize("people", [1, 3])
def test_fifty_requests_at_once_are_one_promise_for_each_person(desk, store, clock, people):
    names = ("Анна", "Вера", "Олег")[:people]
    at_once(lambda n: desk.take(asks(clock.now, name=names[n % people]), "api"), 51)
    found = rows(store, "SELECT merged FROM callbacks")
    assert sorted(row.merged for row in found) == [51 // people - 1] * people
    promise = CallbackQueries(store).promise(now=clock.now)
    assert (promise.taken, promise.open, promise.missing) == (51, 51, 0)


# -- R5: the client has called himself ----------------------------------------------------------------


def test_an_older_request_that_comes_after_its_client_has_called_rings_nobody(desk, store, clock):
    asked = clock.now
    desk.client_called("8 912 345-67-89", "switchboard")
    called = clock.move(0)
    clock.move(600)
    late = desk.take(asks(asked - timedelta(seconds=60), call="c1"), "headset")
    callback = store.get(late.callback.id)
    assert (late.what, callback.state, callback.ended) == ("taken", State.CLIENT_CALLED, clock.now)
    assert waiting(store) == {}
    last = CallbackQueries(store).history(callback.id)[-1]
    assert last.what == "client_called"
    local = called.astimezone(POLICY.zone)
    assert last.why == f"the client called at {local:%Y-%m-%d %H:%M:%S}, after this request"
    promise = CallbackQueries(store).promise(now=clock.now)
    assert (promise.taken, promise.client_called, promise.missing) == (1, 1, 0)


def test_a_request_after_the_client_has_called_is_rung(desk, store, clock):
    desk.client_called(PHONE, "switchboard")
    clock.move(60)
    callback = desk.take(asks(clock.now), "headset").callback
    assert set(waiting(store)) == {callback.key}


def test_the_call_of_another_number_settles_nothing(desk, store, clock):
    desk.client_called(client(2), "switchboard")
    callback = desk.take(asks(clock.now - timedelta(seconds=60)), "headset").callback
    assert set(waiting(store)) == {callback.key}


def test_the_last_of_several_calls_counts(desk, store, clock):
    for _ in range(3):
        desk.client_called(PHONE, "switchboard")
        clock.move(60)
    late = desk.take(asks(clock.now - timedelta(seconds=90)), "headset").callback
    assert late.state is State.CLIENT_CALLED


def test_who_calls_closes_what_was_promised_to_them(desk, store, clock):
    dropped = desk.take(asks(clock.now), "api").callback
    agreed = desk.take(asks(clock.now, at=TOMORROW, reason="agreed"), "api").callback
    assert desk.client_called(PHONE, "switchboard") is not None
    assert {store.get(one.id).state for one in (dropped, agreed)} == {State.CLIENT_CALLED}


def test_a_number_of_several_people_that_calls_closes_nothing_and_history_says_so(
    desk, store, clock
):
    anna = desk.take(asks(clock.now, name="Анна"), "api").callback
    vera = desk.take(asks(clock.now, name="Вера"), "api").callback
    assert desk.client_called(PHONE, "switchboard") is None
    assert set(waiting(store)) == {anna.key, vera.key}
    assert whats(store, anna.id)[-1] == whats(store, vera.id)[-1] == "number_called"


def test_a_key_set_later_seals_which_numbers_have_called(opened, clock):
    store = opened()
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))
    desk.client_called(PHONE, "switchboard")
    store.close()
    store = opened(encryption=FieldEncryption(new_key()))
    [row] = rows(store, "SELECT client FROM client_calls")
    assert PHONE not in row.client
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))
    late = desk.take(asks(clock.now - timedelta(seconds=60)), "headset").callback
    assert late.state is State.CLIENT_CALLED


def test_which_numbers_have_called_is_erased_with_the_rest(desk, store, clock):
    desk.client_called(PHONE, "switchboard")
    erase(store, 30, by(clock.move(29 * 86400.0)))
    assert len(rows(store, "SELECT * FROM client_calls")) == 1
    erase(store, 30, by(clock.move(86400.0)))
    assert rows(store, "SELECT * FROM client_calls") == []


def test_a_callback_made_from_a_trace_is_not_rung_after_its_client_has_called(desk, store, clock):
    asked = clock.now
    desk.client_called(PHONE, "switchboard")
    made = replace(asks(asked - timedelta(seconds=5), call="c1"), made=True, key="trace c1")
    assert desk.take(made, "irina").callback.state is State.CLIENT_CALLED


def test_an_agreed_time_is_merged_with_itself_only_once(desk, store, clock):
    first = desk.take(asks(clock.now, at=TODAY, reason="agreed"), "api")
    again = desk.take(asks(clock.now, at=TODAY, reason="agreed"), "api")
    assert (again.what, again.callback.id) == ("merged", first.callback.id)
    assert take(store, clock.now, at=LATER, reason="agreed").id != first.callback.id
