"""A panel's question every 3 s opens the store only when something has been written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.test_serve import PHONE, letter
from vad_agent.callbacks.model import Outcome
from vad_agent.callbacks.outbox import Outbox
from vad_agent.server.backend_factory import open_backend
from vad_agent.server.callback_list_cache import CallbackListCache


class Opened:
    """Counts how often the store was opened."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def __call__(self) -> Iterator[Any]:
        self.count += 1
        with open_backend(None, None, print) as store:
            yield store


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "vad-agent"


def page(store: CallbackListCache) -> list[str | None]:
    return [one.phone for one in store.page("open", phone=None, operator="ivan", limit=50)]


def test_the_store_is_opened_when_something_was_written_and_at_no_other_time(state: Path) -> None:
    opened, outbox = Opened(), Outbox(state / "outbox")
    store = CallbackListCache(opened, state / "callbacks.sqlite", state / "outbox")
    assert store.is_near()
    assert page(store) == []
    assert (opened.count, (state / "callbacks.sqlite").exists()) == (0, False)
    outbox.post(letter("k1", PHONE))
    assert page(store) == [PHONE]
    page(store)
    before = opened.count
    for _ in range(5):
        assert page(store) == [PHONE]
    assert opened.count == before <= 2
    (callback,) = store.page("open", phone=None, operator="ivan", limit=50)
    with open_backend(None, None, print) as other:  # another process, so to say
        other.done(callback.id, Outcome.REACHED, "", key=callback.key)
    assert page(store) == []
    outbox.post(letter("k2", PHONE))
    assert page(store) == [PHONE]


def test_a_panel_without_a_callback_loads_no_database() -> None:
    code = (
        "import sys, vad_agent.web.panel_server, vad_agent.server.callback_list_cache,"
        "vad_agent.server.backend_factory, vad_agent.server.desk_config;"
        "heavy = ('sqlalchemy', 'alembic', 'psycopg', 'cryptography', 'httpx', 'pygments');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_an_open_store_on_a_file_loads_neither_postgresql_nor_migrations(state: Path) -> None:
    Outbox(state / "outbox").post(letter("k1", PHONE))
    code = (
        "import sys\nfrom vad_agent.server.backend_factory import open_backend\n"
        "for turn in range(2):\n    with open_backend(None, None, print) as store:\n"
        "        store.page('open', phone=None, operator=None, limit=1)\n"
        "heavy = ('alembic', 'psycopg', 'cryptography', 'httpx', 'pygments')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    for told in ("['alembic', 'pygments']", "[]"):  # the first one makes the tables
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
        )
        assert done.stdout.strip() == told, done.stdout + done.stderr
