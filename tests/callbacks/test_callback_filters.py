"""A period's callbacks by operator, reason and state, in each order, page by page. On both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.callbacks.store_requests import begin, by, client, reached, take
from vad_agent.callbacks.callback_filters import CallbackFilters, Order
from vad_agent.callbacks.model import State
from vad_agent.callbacks.queries import CallbackQueries, Which

HOUR = timedelta(hours=1)


@pytest.fixture
def ids(store, clock):
    """Five callbacks by name: two of anna's, one of boris', two of nobody's; one of each kind is over."""
    now = clock.now
    made = {
        "soon": take(store, now, phone=client(1), due=60.0, operator="anna"),
        "later": take(
            store, now + timedelta(seconds=1), phone=client(2), due=3600.0, operator="Anna",
            reason="client_hold",
        ),
        "nobody": take(store, now + timedelta(seconds=2), phone=client(3), due=120.0),
        "number": take(
            store, now + timedelta(seconds=3), phone=None, operator="boris", reason="x\"%_'",
        ),
    }  # fmt: skip
    over = take(store, now - HOUR, phone=client(5), operator="")
    reached(store, over, now)
    return {name: one.id for name, one in made.items()} | {"over": over.id}


def listed(store, clock, ids, which=None, filters=None, **more):
    names = {id: name for name, id in ids.items()}
    filters = filters or CallbackFilters()
    now = clock.now
    found = CallbackQueries(store).of_day(
        now - 2 * HOUR, now + HOUR, now, which, filters=filters, **more
    )
    return [names[one.id] for one in found]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"soon", "later", "nobody", "number", "over"}),
        ({"operators": ("anna", "Anna")}, {"soon", "later"}),
        ({"operators": ()}, {"nobody", "over"}),
        ({"operators": ("who",)}, set()),
        ({"reason": "client_hold"}, {"later"}),
        ({"reason": "x\"%_'"}, {"number"}),
        ({"reason": "client"}, set()),
        ({"operators": ("anna",), "reason": "dropped"}, {"soon"}),
    ],
)
def test_a_list_is_filtered_and_counted_alike(store, clock, ids, filters, expected):
    chosen = CallbackFilters(**filters)
    assert set(listed(store, clock, ids, filters=chosen)) == expected
    now = clock.now
    counts = CallbackQueries(store).counts_of_day(now - 2 * HOUR, now + HOUR, now, filters=chosen)
    assert counts.total == len(expected)
    for which, count in counts.by_filter.items():
        assert len(listed(store, clock, ids, which, chosen)) == count, which


@pytest.mark.parametrize(
    ("order", "is_reversed", "expected"),
    [
        (Order.NEXT, False, ["number", "soon", "nobody", "later", "over"]),
        (Order.NEXT, True, ["later", "nobody", "soon", "number", "over"]),
        (Order.CREATED, False, ["over", "soon", "later", "nobody", "number"]),
        (Order.CREATED, True, ["number", "nobody", "later", "soon", "over"]),
        (Order.STATE, False, ["soon", "nobody", "later", "number", "over"]),
        (Order.STATE, True, ["over", "number", "soon", "nobody", "later"]),
        (Order.ATTEMPT, False, ["number", "soon", "nobody", "later", "over"]),
    ],
)
def test_each_order(store, clock, ids, order, is_reversed, expected):
    filters = CallbackFilters(order=order, is_reversed=is_reversed)
    assert listed(store, clock, ids, filters=filters) == expected


def test_by_operator_what_is_nobodys_comes_last(store, clock, ids):
    for is_reversed in (False, True):
        filters = CallbackFilters(order=Order.OPERATOR, is_reversed=is_reversed)
        found = listed(store, clock, ids, filters=filters)
        assert found[-1] == "nobody"
        assert found.index("number") > found.index("soon") or is_reversed


@pytest.mark.parametrize("order", Order)
def test_pages_one_after_the_other_are_the_whole_list(store, clock, ids, order):
    filters = CallbackFilters(order=order)
    pages = [
        listed(store, clock, ids, filters=filters, limit=2, offset=offset)
        for offset in (0, 2, 4, 6)
    ]
    assert [one for page in pages for one in page] == listed(store, clock, ids, filters=filters)
    assert pages[-1] == []


def test_the_new_ones_and_those_of_before_are_the_total(store, clock, ids):
    now = clock.now
    counts = CallbackQueries(store).counts_of_day(now, now + HOUR, now)
    assert (counts.total, counts.new) == (5, 4)
    assert counts.by_filter[Which.REACHED] == 1
    assert counts.by_filter[Which.NEEDS_NUMBER] == 1


def test_operators_of_a_period(store, clock, ids):
    now = clock.now
    found = CallbackQueries(store).operators_of_day(now, now + HOUR, now)
    assert sorted(found) == ["Anna", "anna", "boris"]


def test_ringing_begins_with_the_attempt_or_with_the_acceptance_of_its_offer(store, clock):
    now = clock.now
    rings = take(store, now, phone=client(1))
    begin(store, rings, now)
    offered = take(store, now, phone=client(2))
    store.offer(begin(store, offered, now), "manual", by(now))
    accepted = clock.move(40)
    store.accept(offered.id, "anna", by(accepted))
    waits = take(store, now, phone=client(3), due=600.0)
    found = [store.get(one.id) for one in (rings, offered, waits)]
    assert CallbackQueries(store).ringing_since(found) == {rings.id: now, offered.id: accepted}
    assert CallbackQueries(store).ringing_since([waits]) == {}
    assert found[0].state is State.RINGING
