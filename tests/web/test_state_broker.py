"""The hub: nobody misses a change, however slow; keys go to the headset that is on; many pages are cheap."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.client.headset_protocol import Command, ControlMessage
from vad_agent.core.events import Event, EventKind
from vad_agent.web.state_broker import LinkEnd, StateBroker

State = dict[str, Any]
PAUSE = Event(EventKind.PAUSE)


def run(work: Any) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


async def first(broker: StateBroker) -> State:
    async with aclosing(broker.follow("ivan")) as told:
        return json.loads(await anext(told))


def test_a_page_is_first_told_everything() -> None:
    broker = StateBroker()
    broker.publish("ivan", {"phase": None, "call_s": 0.0})
    broker.publish("ivan", {"phase": "greeting"})
    assert run(first(broker)) == {"gone": False, "phase": "greeting", "call_s": 0.0}
    assert broker.state("ivan") == run(first(broker))


def test_of_a_headset_that_never_was_it_is_told_that_it_is_gone() -> None:
    broker = StateBroker()
    assert run(first(broker)) == broker.state("ivan") == {"gone": True}
    assert broker.operators() == []
    assert not broker._operators  # and nothing is kept of it


def test_capital_letters_of_a_login_do_not_matter() -> None:
    broker, sent = StateBroker(), []
    broker.attach("Ivan", sent.append)
    broker.publish("Ivan", {"phase": None})
    assert run(first(broker)) == broker.state("IVAN") == {"gone": False, "phase": None}
    assert broker.send("ivan", PAUSE)
    assert sent == [PAUSE]
    assert broker.operators() == ["Ivan"], "as the headset writes it"
    broker.detach("ivan")
    assert broker.operators() == []


def test_an_operator_is_followed_while_a_page_of_theirs_is_open() -> None:
    broker, seen = StateBroker(), []
    broker.publish("Ivan", {"phase": None})  # a headset alone is no page

    async def follow() -> None:
        seen.append(broker.is_followed("ivan"))
        async with aclosing(broker.follow("ivan")) as told, aclosing(broker.follow("ivan")) as two:
            await anext(told)
            await anext(two)
            seen.append(broker.is_followed("IVAN"))
            await two.aclose()
            seen.append(broker.is_followed("ivan"))
        seen.append(broker.is_followed("ivan"))

    run(follow())
    assert seen == [False, True, True, False]
    assert not broker.is_followed("nobody")


def test_then_it_is_told_what_has_changed_alone() -> None:
    async def follow() -> list[State]:
        broker, told = StateBroker(), []
        broker.publish("ivan", {"phase": None, "mode": "auto"})
        async with aclosing(broker.follow("ivan", least_s=0)) as states:
            told.append(json.loads(await anext(states)))
            for changed in ({"phase": "greeting", "mode": "auto"}, {"mode": "cue"}):
                broker.publish("ivan", changed)
                told.append(json.loads(await anext(states)))
        return told

    assert run(follow())[1:] == [{"phase": "greeting"}, {"mode": "cue"}]


def test_nothing_new_is_a_sign_of_life() -> None:
    async def follow() -> list[str]:
        broker = StateBroker()
        broker.publish("ivan", {"phase": None})
        async with aclosing(broker.follow("ivan", heartbeat_s=0.02, least_s=0)) as states:
            told = [await anext(states), await anext(states)]
            broker.publish("ivan", {"phase": None})  # changes nothing, and wakes nobody
            return [*told, await anext(states)]

    assert run(follow())[1:] == ["{}", "{}"]


def test_what_comes_faster_is_told_together() -> None:
    async def follow() -> tuple[State, float]:
        broker = StateBroker()
        async with aclosing(broker.follow("ivan", least_s=0.05)) as states:
            await anext(states)
            began = time.perf_counter()
            for number in range(50):
                broker.publish("ivan", {"call_s": number, f"key{number}": True})
            return json.loads(await anext(states)), time.perf_counter() - began

    told, took_s = run(follow())
    assert told["call_s"] == 49
    assert len(told) == 52
    assert took_s >= 0.045


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.integers(0, 3), st.text())),
        max_size=12,
    ),
    st.sets(st.integers(0, 11)),
)
def test_however_slow_a_page_reads_it_has_the_state(states: list[State], read: set[int]) -> None:
    async def follow() -> tuple[State, State]:
        broker, seen = StateBroker(), {}
        async with aclosing(broker.follow("ivan", heartbeat_s=0, least_s=0)) as told:
            for number, state in enumerate(states):
                broker.publish("ivan", state)
                if number in read:
                    seen |= json.loads(await anext(told))
            seen |= json.loads(await anext(told))
        return seen, broker.state("ivan")

    seen, state = run(follow())
    assert seen == state


def test_threads_publish_and_every_page_ends_at_the_last_state() -> None:
    broker = StateBroker()

    def publish(name: str) -> None:
        for number in range(400):
            broker.publish("ivan", {name: number})

    async def follow(least_s: float) -> State:
        seen: State = {}
        async with aclosing(broker.follow("ivan", least_s=least_s)) as states:
            async for told in states:
                seen |= json.loads(told)
                if seen.get("a") == seen.get("b") == 399:
                    return seen
        raise AssertionError("it ended")

    async def all() -> list[State]:
        threads = [threading.Thread(target=publish, args=(name,)) for name in "ab"]
        pages = [asyncio.create_task(follow(least_s)) for least_s in (0, 0, 0.001, 0.02)]
        await asyncio.sleep(0)
        for thread in threads:
            thread.start()
        return await asyncio.gather(*pages)

    assert run(all()) == [{"gone": False, "a": 399, "b": 399}] * 4


def test_keys_go_to_the_headset_that_is_on() -> None:
    broker, sent = StateBroker(), []

    def sink(what: ControlMessage) -> None:
        sent.append(what)

    assert not broker.send("ivan", PAUSE)
    broker.attach("ivan", sink)
    assert broker.operators() == ["ivan"]
    assert broker.send("ivan", PAUSE)
    assert not broker.send("olga", PAUSE)
    broker.detach("ivan")
    assert not broker.send("ivan", Command.END_CALL)
    assert sent == [PAUSE]
    assert broker.operators() == []


def test_a_page_outlives_its_headset() -> None:
    async def follow() -> list[State]:
        broker, told = StateBroker(), []
        broker.attach("ivan", lambda _: None)
        broker.publish("ivan", {"phase": "dialogue"})
        async with aclosing(broker.follow("ivan", least_s=0)) as states:
            told.append(json.loads(await anext(states)))
            broker.detach("ivan")
            told.append(json.loads(await anext(states)))
            broker.attach("ivan", lambda _: None)
            broker.publish("ivan", {"phase": None})
            told.append(json.loads(await anext(states)))
        return told

    assert run(follow()) == [
        {"gone": False, "phase": "dialogue"},
        {"gone": True},
        {"gone": False, "phase": None},
    ]


def test_a_headset_that_was_replaced_takes_nothing_with_it() -> None:
    broker, old, new = StateBroker(), [], []
    broker.attach("ivan", old.append)
    broker.attach("ivan", new.append)
    broker.detach("ivan", old.append)
    assert broker.send("ivan", PAUSE)
    assert (old, new) == ([], [PAUSE])


def test_and_it_tells_nothing_any_more() -> None:
    broker, old, new = StateBroker(), [], []
    broker.attach("ivan", old.append)
    broker.publish("ivan", {"a": 1}, old.append)
    broker.attach("ivan", new.append)
    broker.publish("ivan", {"a": 2}, new.append)
    broker.publish("ivan", {"a": 1}, old.append)
    assert broker.state("ivan") == {"gone": False, "a": 2}


def test_it_is_told_that_it_was_replaced_and_each_that_the_hub_is_closed() -> None:
    broker, over = StateBroker(), []

    def attach(operator: str, name: str) -> None:
        broker.attach(operator, lambda _: None, lambda why: over.append((name, why)))

    attach("ivan", "first")
    attach("ivan", "second")
    assert over == [("first", LinkEnd.REPLACED)]
    attach("olga", "third")
    broker.detach("olga")
    attach("vera", "fourth")
    broker.close()
    assert over[1:] == [("second", LinkEnd.CLOSED), ("fourth", LinkEnd.CLOSED)]
    attach("anna", "late")
    assert over[3:] == [("late", LinkEnd.CLOSED)]


def test_what_a_headset_tells_first_is_all_that_is_so() -> None:
    async def follow() -> list[State]:
        broker, told = StateBroker(), []
        broker.attach("ivan", lambda _: None)
        broker.publish("ivan", {"old": 1, "both": 1})
        async with aclosing(broker.follow("ivan", least_s=0)) as states:
            told.append(json.loads(await anext(states)))
            broker.attach("ivan", lambda _: None)
            assert broker.state("ivan") == {"gone": False, "old": 1, "both": 1}
            broker.publish("ivan", {"both": 1})
            told.append(json.loads(await anext(states)))
            assert broker.state("ivan") == {"gone": False, "both": 1}
        return told

    assert run(follow()) == [
        {"gone": False, "old": 1, "both": 1},
        {"gone": False, "both": 1},
    ]


def test_a_closed_hub_ends_every_page() -> None:
    async def follow() -> int:
        broker = StateBroker()

        async def count() -> int:
            async with aclosing(broker.follow("ivan")) as states:
                return len([told async for told in states])

        pages = [asyncio.create_task(count()) for _ in range(3)]
        await asyncio.sleep(0.01)
        broker.close()
        return sum(await asyncio.gather(*pages))

    assert run(follow()) == 6  # the state, and what was left to tell


@pytest.mark.serial
def test_two_hundred_pages_are_cheap() -> None:
    """Per state and page, in this one thread: far below what the network part costs."""
    pages, states = 200, 50

    async def measure() -> tuple[float, float]:
        broker, told = StateBroker(), 0
        whole = {
            "sides": {"client": {"level": 0.0, "text": "молчит"}},
            "phrase": {"text": "я" * 90},
        }
        broker.publish("ivan", whole)

        async def follow() -> None:
            nonlocal told
            async with aclosing(broker.follow("ivan", least_s=0)) as changes:
                async for _ in changes:
                    told += 1

        tasks = [asyncio.create_task(follow()) for _ in range(pages)]
        while told < pages:
            await asyncio.sleep(0)
        publishing_s, began = 0.0, time.perf_counter()
        for number in range(states):
            whole["sides"]["client"]["level"] = number
            before = time.perf_counter()
            broker.publish("ivan", whole)
            publishing_s += time.perf_counter() - before
            while told < pages * (number + 1):
                await asyncio.sleep(0)
        took_s = time.perf_counter() - began
        broker.close()
        await asyncio.gather(*tasks)
        return publishing_s / states, took_s / states / pages

    publishing_s, each_s = run(measure())
    print(f"publish {publishing_s * 1e6:.0f} µs, a page {each_s * 1e6:.1f} µs")
    assert publishing_s < 0.002
    assert each_s < 0.0002
