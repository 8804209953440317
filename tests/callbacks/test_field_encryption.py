"""Names and numbers at rest: keys that fit, keys that do not, a key that comes later."""

from __future__ import annotations

import pytest

from tests.callbacks.store_requests import NAME, OPENING, PHONE, TOPIC, by, client, rows, take
from vad_agent.callbacks import transitions
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key
from vad_agent.callbacks.model import State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.store import Store
from vad_agent.errors import StoreError

KEY, OTHER = new_key(), new_key()
GIVEN = {"name": NAME, "topic": TOPIC, "opening": OPENING}
COLUMNS = "SELECT phone, name, topic, opening FROM callbacks"

# -- the seal --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
@pytest.mark.parametrize("text", ["", "Анна", "p:+7", "f:+7", "\n", "x" * 9999], ids=range(6))
def test_what_was_closed_opens_as_it_was(key, text):
    seal = FieldEncryption(key)
    closed = seal.close(text)
    assert seal.open(closed) == text
    assert seal.encrypts == (key is not None)
    if key and len(text) > 1:
        assert text not in closed


def test_what_is_not_known_stays_unknown():
    assert FieldEncryption(KEY).close(None) is None
    assert FieldEncryption(KEY).open(None) is None
    assert FieldEncryption(KEY).look_up(None) is None


def test_the_same_text_is_closed_differently_each_time_and_looked_up_the_same():
    seal = FieldEncryption(KEY)
    assert seal.close(PHONE) != seal.close(PHONE)
    assert seal.look_up(PHONE) == FieldEncryption(KEY).look_up(PHONE)
    assert seal.look_up(PHONE) not in (
        PHONE,
        FieldEncryption(OTHER).look_up(PHONE),
        seal.look_up(client(1)),
    )
    assert FieldEncryption().look_up(PHONE) == PHONE


@pytest.mark.parametrize(
    "key",
    ["short", "я" * 44, "!" * 44, KEY[:-2], KEY + KEY],
    ids=["short", "Russian", "no base64", "cut", "twice"],
)
def test_a_key_that_is_none_is_refused_and_not_repeated(key):
    with pytest.raises(StoreError, match="expected 32 bytes as URL-safe base64") as told:
        FieldEncryption(key)
    assert key not in str(told.value)


def test_a_key_from_a_file_with_a_line_end_is_the_same_key():
    written = FieldEncryption(f" {KEY}\n")
    assert written.open(FieldEncryption(KEY).close(PHONE)) == PHONE
    assert written.look_up(PHONE) == FieldEncryption(KEY).look_up(PHONE)


def test_another_key_opens_nothing():
    closed = FieldEncryption(KEY).close(PHONE)
    with pytest.raises(StoreError, match="have another key"):
        FieldEncryption(OTHER).open(closed)
    with pytest.raises(StoreError, match="set the key"):
        FieldEncryption().open(closed)
    with pytest.raises(StoreError, match="have another key"):
        FieldEncryption(KEY).open(closed[:-4] + "AAA=")


# -- the store -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "message"),
    [(OTHER, "have another key"), (None, "set the key")],
    ids=["another", "none"],
)
def test_an_encrypted_database_opens_with_its_key_alone(opened, clock, key, message):
    store = opened(encryption=FieldEncryption(KEY))
    callback = take(store, clock.now, **GIVEN)
    store.close()
    with pytest.raises(StoreError, match=message):
        opened(encryption=FieldEncryption(key))
    assert opened(encryption=FieldEncryption(KEY)).get(callback.id) == callback


def test_an_empty_database_too_keeps_its_key(opened):
    opened(encryption=FieldEncryption(KEY)).close()
    with pytest.raises(StoreError, match="have another key"):
        opened(encryption=FieldEncryption(OTHER))


def test_with_a_key_look_ups_work_as_without(opened, clock):
    store = opened(encryption=FieldEncryption(KEY))
    callback = take(store, clock.now, due=60.0, **GIVEN)
    assert take(store, clock.now, due=30.0).id == callback.id
    assert [one.id for one in CallbackQueries(store).page(phone=PHONE)] == [callback.id]
    assert CallbackQueries(store).page(phone=client(1)) == []
    changed = store.change_client(
        PHONE, "client_called", by(clock.now), lambda c: transitions.client_called(c, clock.now)
    )
    assert changed is not None
    assert changed[1].id == callback.id
    for row in rows(store, COLUMNS):
        assert [text[:2] for text in row] == ["f:"] * 4


def test_a_key_that_comes_later_seals_what_was_there(opened, clock):
    store = opened()
    waits = take(store, clock.now, **GIVEN)
    lacks = take(store, clock.now, phone=None, phone_given="8 912 345", **GIVEN)
    store.close()
    store = opened(encryption=FieldEncryption(KEY))
    sealed = rows(store, COLUMNS)
    assert all(text is None or text.startswith("f:") for row in sealed for text in row)
    assert all(body.startswith("f:") for (body,) in rows(store, "SELECT body FROM requests"))
    assert rows(store, "SELECT client FROM callbacks WHERE client IS NOT NULL") == [
        (FieldEncryption(KEY).look_up(PHONE),)
    ]
    assert [store.get(waits.id), store.get(lacks.id)] == [waits, lacks]
    assert take(store, clock.now, due=10.0, reason="hold").id == waits.id
    assert store.get(lacks.id).state is State.NEEDS_NUMBER
    assert CallbackQueries(store).promise().missing == 0
    store.close()
    with pytest.raises(StoreError, match="set the key"):
        opened()
    again = opened(encryption=FieldEncryption(KEY))
    assert again.get(lacks.id) == lacks


def test_sealed_later_the_file_itself_holds_nothing_in_the_clear(tmp_path, policy, clock):
    file = str(tmp_path / "callbacks.sqlite3")
    store = Store(file, policy)
    for n in range(20):
        take(store, clock.now, phone=client(n), **GIVEN)
    store.close()

    def on_the_disk() -> bool:
        data = b"".join(part.read_bytes() for part in tmp_path.iterdir())
        return NAME.encode() in data or client(7).encode() in data

    assert on_the_disk()
    store = Store(file, policy, FieldEncryption(KEY))
    assert not on_the_disk()
    store.close()
    assert not on_the_disk()
