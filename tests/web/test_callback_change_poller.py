"""Whose callbacks have changed: the number that pages are told, on both databases."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.callbacks.conftest import HandClock
from vad_agent.callbacks import transitions
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Request
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import StoreError
from vad_agent.web import callback_change_poller
from vad_agent.web.callback_change_poller import CallbackChangePoller

PEOPLE = ("anna", "boris")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def news(store: Store, clock: HandClock) -> CallbackChangePoller:
    ask(store, clock.now, "before", "anna")
    return CallbackChangePoller(store)


def ask(store: Store, now: datetime, key: str, operator: str | None) -> str:
    request = Request(
        key=key,
        reason="dropped",
        asked=now,
        due_in_s=0.0,
        phone=f"+7912345{sum(key.encode()):04}",
        operator=operator,
    )
    return store.take(request, Actor("test", now)).callback.id


def numbers(news: CallbackChangePoller) -> list[int]:
    news.look()
    return [news.number(one) for one in PEOPLE]


def grown(before: list[int], after: list[int]) -> list[str]:
    assert all(b <= a for b, a in zip(before, after, strict=True))
    return [one for one, b, a in zip(PEOPLE, before, after, strict=True) if a > b]


def test_nothing_new_is_no_news(news: CallbackChangePoller) -> None:
    assert numbers(news) == numbers(news)


def test_a_new_one_is_its_operators_news(
    news: CallbackChangePoller, store: Store, clock: HandClock
) -> None:
    before = numbers(news)
    ask(store, clock.now, "x", "boris")
    assert grown(before, numbers(news)) == ["boris"]


@pytest.mark.parametrize("nobody", [None, ""])
def test_one_of_nobody_is_everybodys_news(
    news: CallbackChangePoller, store: Store, clock: HandClock, nobody: str | None
) -> None:
    before = numbers(news)
    ask(store, clock.now, "x", nobody)
    assert grown(before, numbers(news)) == ["anna", "boris"]


def test_a_change_is_news_too(news: CallbackChangePoller, store: Store, clock: HandClock) -> None:
    id = ask(store, clock.now, "x", "boris")
    before = numbers(news)
    by = Actor("test", clock.now)
    store.change(id, "cancelled", by, lambda c: transitions.cancel(c, by.at))
    assert grown(before, numbers(news)) == ["boris"]


def test_an_offer_is_everybodys_news_and_so_is_each_audience_that_it_gets(
    store: Store, clock: HandClock
) -> None:
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))
    desk.has_panel = {"anna"}.__contains__
    news = CallbackChangePoller(store, desk.audiences)
    key = store.get(ask(store, clock.now, "x", "anna")).key
    store.begin(key, "desk", Actor("desk", clock.now))
    before = numbers(news)
    store.offer(key, "manual", Actor("desk", clock.now))
    offered = numbers(news)
    assert grown(before, offered) == ["anna", "boris"]
    clock.move(29)
    assert numbers(news) == offered
    clock.move(1)  # nothing is written: its turn comes by the time alone
    widened = numbers(news)
    assert grown(offered, widened) == ["anna", "boris"]
    assert numbers(news) == widened
    desk.accept(key.partition(".")[0], "boris", "panel:boris")
    assert grown(widened, numbers(news)) == ["anna", "boris"]


def test_a_panel_that_is_closed_gives_its_offer_to_the_others(
    store: Store, clock: HandClock
) -> None:
    desk = CallbackService(store, Clock(lambda: clock.now, lambda: clock.now.timestamp()))
    here = {"anna"}
    desk.has_panel = here.__contains__
    news = CallbackChangePoller(store, desk.audiences)
    key = store.get(ask(store, clock.now, "x", "anna")).key
    store.begin(key, "desk", Actor("desk", clock.now))
    store.offer(key, "manual", Actor("desk", clock.now))
    before = numbers(news)
    here.clear()
    assert grown(before, numbers(news)) == ["anna", "boris"]


def test_too_many_at_once_are_everybodys_news(
    news: CallbackChangePoller, store: Store, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_change_poller, "MOST", 2)
    before = numbers(news)
    for key in ("x", "y", "z"):
        ask(store, clock.now, key, "boris")
    after = numbers(news)
    assert grown(before, after) == ["anna", "boris"]
    assert grown(after, numbers(news)) == ["boris"], "the third"


def test_while_the_database_is_away_the_last_number_holds(
    news: CallbackChangePoller, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = numbers(news)

    def away() -> None:
        raise StoreError("away")

    with monkeypatch.context() as patched:
        patched.setattr(store.database, "reading", away)
        with pytest.raises(StoreError):
            news.look()
        assert [news.number(one) for one in PEOPLE] == before
    assert numbers(news) == before
