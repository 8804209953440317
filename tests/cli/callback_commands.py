"""`vad-agent callbacks` as its users type it, beside a store of this machine or a desk that is served."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.server.api_desk import ApiDesk, api_desk
from vad_agent.callbacks.model import Callback, Request
from vad_agent.cli import main

PHONES = [f"+7912345{number}" for number in range(1000, 1100)]
_keys = count(1)


@dataclass
class CommandResult:
    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Lines of stderr, each of which must be one of ours."""
        lines = self.err.splitlines()
        assert all(line.startswith("vad-agent: ") for line in lines), self.err
        return [line.removeprefix("vad-agent: ") for line in lines]

    @property
    def line(self) -> str:
        """The one line of stderr."""
        (line,) = self.errors
        return line


Run = Callable[..., CommandResult]


@dataclass
class CallbackCommands:
    """Callbacks, and the command beside them."""

    run: Run
    by_http: bool
    opened: Callable[[], AbstractContextManager[ApiDesk]]

    def take(self, **about: object) -> Callback:
        """A new callback, or the one that a request became part of."""
        with self.opened() as one:
            return take(one, **about)

    def get(self, callback: Callback) -> Callback:
        with self.opened() as one:
            return one.store.get(callback.id)

    def who(self) -> str:
        return "api:crm" if self.by_http else "cli:"


def take(one: ApiDesk, **about: object) -> Callback:
    number = next(_keys)
    values: dict[str, object] = {
        "key": f"k{number}",
        "reason": "dropped",
        "asked": datetime.now(UTC),
        "due_in_s": 600.0,
        "phone": PHONES[number % len(PHONES)],
    }
    return one.desk.take(Request(**(values | about)), "test").callback  # type: ignore[arg-type]


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["vad-agent", "callbacks", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, *capfd.readouterr())

    return run


def own_store(folder: Path) -> Callable[[], AbstractContextManager[ApiDesk]]:
    """Opened for a moment, as the command needs it for itself."""

    @contextlib.contextmanager
    def opened() -> Iterator[ApiDesk]:
        with api_desk(folder) as one:
            yield one

    return opened
