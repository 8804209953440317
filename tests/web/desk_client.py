"""A centre's pages on a real socket, with people who have cheap passwords, and clocks moved by hand."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import uvicorn
from argon2 import PasswordHasher

from tests.web.panel_client import quick
from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.store import Store
from vad_agent.web.authentication.login_session_store import SessionStore
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.password_auth import PasswordAuth
from vad_agent.web.authentication.password_hashing import Passwords
from vad_agent.web.authentication.users import Users
from vad_agent.web.origins import Origins
from vad_agent.web.panel_app import create_panel
from vad_agent.web.state_broker import StateBroker

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORDS = Passwords(CHEAP)
GOOD = "correct horse"
POLICY = Policy(ZoneInfo("Europe/Moscow"))


class ManualClock:
    """A timer that is moved by hand, s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class DeskPages:
    """One desk's pages; several may share a store. What others changed it knows after `kept.refresh()`."""

    def __init__(self, store: Store, *, also: tuple[str, ...] = (), **more: Any) -> None:
        self.timer = ManualClock()
        self.people = Users(store, PASSWORDS)
        self.kept = SessionStore(store)
        self.broker = StateBroker()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = Origins(self._listening.getsockname()[1], also=also)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.authenticator = PasswordAuth(
            self.address, self.kept, self.people, started_by="root", timer=self.timer
        )
        self.app = create_panel(self.broker, self.authenticator, heartbeat_s=0.05, **more)
        config = uvicorn.Config(
            self.app, log_config=None, access_log=False, ws="none", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listening]}, daemon=True
        )
        self._thread.start()
        self._browsers: list[httpx.Client] = []

    def browser(self, **more: Any) -> httpx.Client:
        """Nobody has come in there yet."""
        self._browsers.append(quick(self.url, **{"headers": {"Origin": self.url}} | more))
        return self._browsers[-1]

    def enter(
        self, browser: httpx.Client, login: str, password: str = GOOD, **more: str
    ) -> httpx.Response:
        """The form, filled in."""
        told = {"login": login, "password": password} | more
        return browser.post("/enter", data=told)

    def come_in(self, login: str, password: str = GOOD) -> httpx.Client:
        """A browser with a session."""
        browser = self.browser()
        entered = self.enter(browser, login, password)
        assert entered.status_code == 303, entered.text
        return browser

    def close(self) -> None:
        for browser in self._browsers:
            browser.close()
        self.broker.close()
        self.kept.close()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._listening.close()


def csrf(browser: httpx.Client) -> str:
    """Of the own panel, as it is shown."""
    found = re.search(r'name="csrf" content="(\w+)"', browser.get("/panel").text)
    assert found is not None
    return found[1]


def opened(folder: Path) -> Store:
    """With one operator and one supervisor."""
    store = Store(str(folder / "callbacks.sqlite"), POLICY)
    people = Users(store, PASSWORDS)
    people.add("Olga", Role.OPERATOR, GOOD)
    people.add("Irina", Role.SUPERVISOR, GOOD)
    return store


@contextlib.contextmanager
def nodes(folder: Path, count: int = 1, **more: Any) -> Iterator[list[DeskPages]]:
    """Of one centre, whose store is in `folder`."""
    with contextlib.closing(opened(folder)) as store, contextlib.ExitStack() as stack:
        started = []
        for _ in range(count):
            started.append(DeskPages(store, **more))
            stack.callback(started[-1].close)
        yield started
