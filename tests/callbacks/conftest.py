"""A store on either database, the centre's rules, and a clock that is moved by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.callbacks.postgres import Postgres, PostgresNotInstalled
from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.store import Store


class HandClock:
    """`now`: noon in Moscow, until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 9, tzinfo=UTC)

    def move(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Started once; a test that stops it starts it again."""
    try:
        server = Postgres.started()
    except PostgresNotInstalled as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.end()


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """A PostgreSQL database of the test's own."""
    postgres.start()
    place = postgres.fresh()
    yield place
    postgres.start()
    postgres.give_back(place)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The place of a new database."""
    if request.param == "sqlite":
        return str(tmp_path / "desk" / "callbacks.sqlite3")
    place: str = request.getfixturevalue("url")
    return place


@pytest.fixture
def policy() -> Policy:
    return Policy(ZoneInfo("Europe/Moscow"))


@pytest.fixture
def opened(where: str, policy: Policy) -> Iterator[Callable[..., Store]]:
    """Opens stores of `where`; they are closed when the test ends."""
    stores: list[Store] = []

    def open_one(**options: object) -> Store:
        stores.append(Store(where, policy, **options))  # type: ignore[arg-type]
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., Store]) -> Store:
    return opened()
