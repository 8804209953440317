"""The floor: what a row says, that only changes are told, one look for all pages, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.supervisor_shift import LINE, dead, silent, speaking, status, unplugged
from vad_agent.core.actions import Phase
from vad_agent.core.frames import Channel
from vad_agent.headset.status import Status
from vad_agent.headset.status_publisher import snapshot
from vad_agent.web.state_broker import StateBroker
from vad_agent.web.wallboard import Wallboard, changes, order, row, rows

SOON_S = 0.005
LIMIT_S = 5.0


def shown(told: Status) -> dict[str, Any]:
    return row(json.loads(json.dumps(snapshot(told, "ivan"))))


def on(broker: StateBroker, operator: str, told: Status) -> None:
    broker.attach(operator, lambda _: None)
    broker.publish(operator, snapshot(told, operator))


# -- a row -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (status(None), {"idle": True, "state": "ждёт звонка", "time": "", "line": ""}),
        (speaking(Channel.CLIENT), {"speaks": "говорит клиент", "line": "", "urgent": 0}),
        (status(), {"state": "Диалог", "time": "3:42", "client": "Анна Львовна", "speaks": "молчат"}),
        (silent(1.96), {"line": "клиента не слышно 2,0 с", "look": "on", "urgent": 0}),
        (silent(2.0), {"look": "in", "urgent": 1, "window": "2–3 с", "bar": (53, 27, 53)}),
        (silent(3.02), {"look": "past", "urgent": 2}),
        (silent(1.0, "cue"), {"phrase_state": "оператор должен сказать", "urgent": 1}),
        (silent(1.0), {"phrase": "Анна Львовна, вас не слышно", "phrase_state": "следующая"}),
        (dead(), {"line": "звук от клиента не приходит, клиента не слышно 1,1 с"}),
        (unplugged(), {"wrong": "наушники отключены", "line": "", "urgent": 2}),
        (LINE["Юлия Ткач"], {"line": "пауза контроля", "look": "", "bar": None}),
        (LINE["Павел Громов"], {"state": "Удержание", "line": "на удержании 0:42"}),
        (status(hang_up=True), {"wrong": "оператор должен завершить звонок", "urgent": 2}),
        (status(None, voice_problem="нет голоса"), {"idle": False, "urgent": 2}),
        (silent(1.0), {"message": "0:00 звонок начался"}),
        (status(Phase.ENDED), {"state": "Звонок завершён", "idle": False}),
    ],
)  # fmt: skip
def test_a_row_says_it_in_words(told: Status, expected: dict[str, Any]) -> None:
    found = shown(told)
    assert {name: found[name] for name in expected} == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
NAMES = ("phase", "phase_text", "call_s", "clock", "phrase", "sides", "messages", "client_name")
CLOCK = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("silence_s", "lo_s", "hi_s", "odd"), JSON)
)
SIDES = st.fixed_dictionaries({}, optional=dict.fromkeys(("operator", "client"), JSON))


@given(
    state=st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON)),
    clock=CLOCK | JSON,
    sides=SIDES | JSON,
)
def test_whatever_a_headset_tells_is_a_row(state: dict[str, Any], clock: Any, sides: Any) -> None:
    found = row({**state, "clock": clock, "sides": sides})
    assert found.keys() == row({}).keys()
    assert all(len(value) < 500 for value in found.values() if isinstance(value, str))
    json.dumps(found, allow_nan=False)


def test_what_is_urgent_comes_first_and_who_waits_is_left_out() -> None:
    broker = StateBroker()
    for operator, told in LINE.items():
        on(broker, operator, told)
    names = [operator for operator, _ in order(rows(broker))]
    assert names[:3] == ["Дарья Ким", "Сергей Климов", "Анна Белова"]
    assert names[3:] == ["Иван Панин", "Мария Орлова", "Ольга Дёмина", "Павел Громов", "Юлия Ткач"]


# -- changes -----------------------------------------------------------------------------------------


def test_changes_are_of_rows_and_of_their_fields() -> None:
    one, two = {"state": "Диалог", "time": "0:01"}, {"state": "Диалог", "time": "0:02"}
    assert changes(None, {"a": one}) == {"whole": True, "rows": {"a": one}}
    assert changes({"a": one}, {"a": one}) == {}
    assert changes({"a": one}, {"a": two, "b": one}) == {"rows": {"a": {"time": "0:02"}, "b": one}}
    assert changes({"a": one, "b": one}, {"a": one}) == {"rows": {"b": None}}


class Page:
    """Follows a floor."""

    def __init__(self, told: AsyncGenerator[str, None]) -> None:
        self._told = told

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT_S):
            told: dict[str, Any] = json.loads(await anext(self._told))
        return told

    async def news(self) -> dict[str, Any]:
        """But for signs of life."""
        while not (told := await self.next()):
            pass
        return told


class Looks(StateBroker):
    """Counts how often it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def operators(self) -> list[str]:
        self.count += 1
        return super().operators()


def always() -> bool:
    return True


def test_a_page_is_told_all_then_what_changes() -> None:
    async def play() -> None:
        broker = StateBroker()
        on(broker, "ivan", silent(1.0))
        floor = Wallboard(broker, every_s=SOON_S)
        async with aclosing(floor.follow(always)) as told:
            page = Page(told)
            first = await page.next()
            assert first["whole"] is True
            assert first["rows"]["ivan"]["line"] == "клиента не слышно 1,0 с"
            on(broker, "ivan", silent(1.1))
            told_of = (await page.news())["rows"]["ivan"]
            assert told_of == {"line": "клиента не слышно 1,1 с", "bar": [53, 27, 29]}
            on(broker, "anna", status(None))
            assert (await page.news())["rows"]["anna"]["idle"] is True
            broker.detach("ivan")
            assert await page.news() == {"rows": {"ivan": None}}

    asyncio.run(play())


def test_pages_share_one_look_which_ends_with_the_last_of_them() -> None:
    async def play() -> None:
        broker = Looks()
        floor = Wallboard(broker, every_s=LIMIT_S)
        async with aclosing(floor.follow(always)) as one, aclosing(floor.follow(always)) as two:
            first, second = Page(one), Page(two)
            assert await first.next() == await second.next() == {"whole": True, "rows": {}}
            assert broker.count <= 2
        assert floor._task is None
        async with aclosing(floor.follow(always)) as again:
            on(broker, "ivan", status())
            assert "rows" in await Page(again).next()

    asyncio.run(play())


def test_a_sign_of_life_and_the_end_with_the_session() -> None:
    async def play() -> None:
        session = [True]
        floor = Wallboard(StateBroker(), every_s=LIMIT_S)
        told = floor.follow(lambda: session[0], heartbeat_s=SOON_S)
        page = Page(told)
        assert (await page.next())["whole"] is True
        assert await page.next() == {}
        session[0] = False
        with pytest.raises(StopAsyncIteration):
            await page.next()
        assert floor._task is None

    asyncio.run(play())


def test_the_stream_ends_when_the_hub_closes() -> None:
    async def play() -> None:
        broker = StateBroker()
        floor = Wallboard(broker, every_s=LIMIT_S)
        async with aclosing(floor.follow(always)) as told:
            page = Page(told)
            await page.next()
            await asyncio.sleep(0)  # the look begins
            broker.close()
            async with asyncio.timeout(LIMIT_S):
                assert [one async for one in told] == ["{}"]

    asyncio.run(play())
