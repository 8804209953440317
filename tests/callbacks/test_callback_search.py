"""Search by number, name, login and id, with and without encryption. On both databases."""

from __future__ import annotations

import pytest

from tests.callbacks.store_requests import take
from vad_agent.callbacks import callback_search
from vad_agent.callbacks.callback_search import CallbackSearch, SearchResult
from vad_agent.callbacks.field_encryption import FieldEncryption, new_key


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def store(opened, request):
    return opened(encryption=FieldEncryption(new_key() if request.param else None))


@pytest.fixture
def ids(store, clock):
    now = clock.now
    found = {
        "anna": take(store, now, phone="+79261112233", name="Анна Львовна", operator="Ольга"),
        "пётр": take(store, clock.move(1), phone="+74951234567", name="Пётр", operator="boris"),
        "ext": take(store, clock.move(1), phone=None, phone_given="доб. 1122", name=None),
    }
    return {name: one.id for name, one in found.items()}


def names(store, ids, text):
    by_id = {id: name for name, id in ids.items()}
    return [by_id[one.id] for one in CallbackSearch(store).find(text).callbacks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8 (926) 111-22-33", ["anna"]),
        ("+79261112233", ["anna"]),
        ("926 111", ["anna"]),
        ("8926", ["anna"]),
        ("22-33", ["anna"]),
        ("1122", ["ext", "anna"]),
        ("8 495 123 45 67", ["пётр"]),
        ("львовна", ["anna"]),
        ("  АННА  ", ["anna"]),
        ("ПЁТР", ["пётр"]),
        ("BORIS", ["пётр"]),
        ("ольг", ["anna"]),
        ("11", []),
        ("()", []),
        ("никто", []),
        ("%", []),
        ("_", []),
        ("\x00", []),
        ("\ud83d", []),
        ("9" * 300, []),
    ],
)
def test_what_is_found(store, ids, text, expected):
    assert names(store, ids, text) == expected


def test_an_id_is_found_by_its_beginning_in_any_case(store, ids):
    for name, id in ids.items():
        for text in (id, id.upper(), id[:5]):
            assert name in names(store, ids, text)


def test_nothing_is_asked_nothing_is_read(store, ids):
    assert CallbackSearch(store).find("  ") == SearchResult()


def test_what_is_older_than_is_compared_is_found_by_the_whole_number_alone(store, ids, monkeypatch):
    monkeypatch.setattr(callback_search, "MOST_COMPARED", 1)
    result = CallbackSearch(store).find("Анна")
    assert (list(result.callbacks), result.compared, result.total) == ([], 1, 3)
    assert names(store, ids, "926 111") == []
    assert names(store, ids, "8 926 111-22-33") == ["anna"]
    assert names(store, ids, ids["anna"]) == ["anna"]


def test_the_newest_are_shown_first_and_more_are_told(store, ids, clock, monkeypatch):
    monkeypatch.setattr(callback_search, "MOST_FOUND", 2)
    made = [take(store, clock.move(1), phone=None, name="Вера") for _ in range(3)]
    result = CallbackSearch(store).find("вера")
    assert [one.id for one in result.callbacks] == [one.id for one in made[:0:-1]]
    assert result.is_cut
