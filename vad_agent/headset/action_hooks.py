"""Hooks: passes each action as JSON to a command's stdin, or as a POST to a URL.

    --on-action hangup.sh                    the kinds of DEFAULT
    --on-action hangup=hangup.sh             one kind, or several: hangup,callback=…
    --on-action callback=https://crm/hook

Each hook has its own worker, so the call never waits. Order is kept. Vital actions (the call's end,
callbacks) are retried. Failures are reported without names, numbers or prompts.
"""

from __future__ import annotations

import http.client
import json
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vad_agent.common.writer_thread import WriterThread
from vad_agent.core import actions as act
from vad_agent.core.actions import Action
from vad_agent.errors import SettingsError
from vad_agent.trace.trace_format import record

KINDS = (
    "phase",
    "speech",
    "line",
    "prompt",
    "cue",
    "callback",
    "callback_revised",
    "callback_withdrawn",
    "hangup",
    "alert",
)
DEFAULT = frozenset(KINDS) - {"speech", "line"}
VITAL = frozenset({"callback", "callback_revised", "callback_withdrawn", "hangup"})
PAUSES_S = (0.5, 2.0)
"""Seconds before the second and the third try of a vital action."""
LIMIT_S = 10.0
MOST_WAITING = 500
URL = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Target:
    """One hook: the kinds of actions, and what is run or called."""

    kinds: frozenset[str]
    where: str

    @classmethod
    def parse(cls, spec: str) -> Target:
        """Parse `[KIND[,KIND]=]COMMAND|URL`.

        Raises:
            ValueError: an unknown kind, nothing to run, or a program that does not exist.
        """
        kinds, where = DEFAULT, spec.strip()
        head, found, tail = where.partition("=")
        names = [name.strip() for name in head.split(",")]
        if found and all(name.replace("_", "").isalpha() and name.isascii() for name in names):
            unknown = [name for name in names if name not in KINDS]
            if unknown:
                raise ValueError(f"{spec!r}: no kind {unknown[0]!r}: one of {', '.join(KINDS)}")
            kinds, where = frozenset(names), tail.strip()
        if not where:
            raise ValueError(f"{spec!r}: expected a command or a URL")
        if where.startswith(URL):
            _check_url(spec, where)
        else:
            try:
                words = command(where)
            except ValueError as error:
                raise ValueError(f"{spec!r}: {error}") from None
            if shutil.which(words[0]) is None:
                raise ValueError(f"{spec!r}: there is no program {words[0]}")
        return cls(kinds, where)


def _check_url(spec: str, where: str) -> None:
    try:
        parts = urllib.parse.urlsplit(where)
        known = bool(parts.hostname) and (parts.port or 1)
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{spec!r}: expected a URL with a host, and a number for its port")
    if "@" in parts.netloc:
        raise ValueError(f"{spec!r}: a user in it is not supported: use a command that sends it")
    if not where.isascii() or not where.isprintable() or " " in where:
        raise ValueError(f"{spec!r}: expected a URL of ASCII characters without spaces")


def command(where: str) -> list[str]:
    """Split a command line into words; no shell is involved.

    Raises:
        ValueError: an unclosed quotation.
    """
    if sys.platform == "win32":  # there \\ is not an escape
        return [word.strip('"') for word in shlex.split(where, posix=False)]
    return shlex.split(where)


def message(action: Action, call: str) -> dict[str, object] | None:
    """The message for a hook: the action's trace line, the call, and the data needed for dialling."""
    if (line := record(action)) is None:
        return None
    line = {"call": call, **line}
    if isinstance(action, act.CallbackRequested):
        line |= {"name": action.name, "phone": action.phone, "topic": action.topic}
    return line


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect counts as a failure: a redirected POST would become a GET without its body."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
"""Without the desktop's proxy: hooks are the centre's own servers."""


class Hook:
    """One hook and its worker."""

    def __init__(
        self, target: Target, report: Callable[[str], None], *, limit_s: float = LIMIT_S
    ) -> None:
        self._target = target
        self._report = report
        self._limit_s = limit_s
        self._writer = WriterThread("hook", self._deliver, most=MOST_WAITING)

    def put(self, key: str, body: dict[str, object]) -> None:
        """Queue an action. One that is not vital is dropped if the queue is full."""
        kind = str(body["kind"])
        if kind not in self._target.kinds:
            return
        if kind not in VITAL and self._writer.waiting >= MOST_WAITING // 2:
            self._report(f"--on-action {self._name}: too slow, {kind} was left out")
            return
        if not self._writer.put((key, body)):
            self._report(f"--on-action {self._name}: too slow, {kind} was LOST")

    def finish(self) -> None:
        """No more actions will come."""
        self._writer.end()

    def close(self, limit_s: float) -> None:
        """Send queued actions within `limit_s` seconds, counted from `finish`."""
        if not self._writer.close(limit_s):
            self._report(f"--on-action {self._name}: some actions were not sent before the end")

    @property
    def _name(self) -> str:
        """The hook's name without secrets: no URL path or query, no arguments of a command."""
        if self._target.where.startswith(URL):
            scheme, _, rest = self._target.where.partition("://")
            return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
        return command(self._target.where)[0]

    def _deliver(self, item: tuple[str, dict[str, object]]) -> None:
        key, body = item
        tries = 1 + (len(PAUSES_S) if body["kind"] in VITAL else 0)
        for number in range(tries):
            if (why := self._safely(key, body)) is None:
                return
            if number < tries - 1:
                time.sleep(PAUSES_S[number])
        times = f", {tries} times" if tries > 1 else ""
        self._report(f"--on-action {self._name}: {body['kind']} failed{times}: {why}")

    def _safely(self, key: str, body: dict[str, object]) -> str | None:
        """As `_send`, but any exception is a failure, and the worker continues."""
        try:
            return self._send(key, body)
        except Exception as error:
            return type(error).__name__

    def _send(self, key: str, body: dict[str, object]) -> str | None:
        """Send one action. Return why it failed. None: it was sent."""
        data = json.dumps(body).encode()  # ASCII: a lone surrogate in external text must not fail
        if self._target.where.startswith(URL):
            return self._post(key, data)
        return self._call(data)

    def _call(self, body: bytes) -> str | None:
        try:
            done = subprocess.run(
                command(self._target.where),
                input=body + b"\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self._limit_s,
            )
        except subprocess.TimeoutExpired:
            return f"not within {self._limit_s:g} s"
        except OSError as error:
            return error.strerror or type(error).__name__
        return None if done.returncode == 0 else f"status {done.returncode}"

    def _post(self, key: str, body: bytes) -> str | None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        request = urllib.request.Request(self._target.where, body, headers, method="POST")
        try:
            with _OPENER.open(request, timeout=self._limit_s):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}"
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                return f"not within {self._limit_s:g} s"
            return str(getattr(error.reason, "strerror", None) or error.reason)
        except http.client.HTTPException as error:
            return f"no HTTP ({type(error).__name__})"
        except TimeoutError:
            return f"not within {self._limit_s:g} s"
        except (OSError, ValueError) as error:
            return str(getattr(error, "strerror", None) or type(error).__name__)


class ActionHooks:
    """All hooks, as an action sink of the loop. `report` is called with failures.

    Raises:
        SettingsError: some are invalid; one problem for each.
    """

    def __init__(
        self,
        specs: Sequence[str],
        report: Callable[[str], None],
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        targets, problems = [], []
        for spec in specs:
            try:
                targets.append(Target.parse(spec))
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError("--on-action", problems)
        self._hooks = [Hook(target, report, limit_s=limit_s) for target in targets]
        self._call = ""
        self._count = self._late = 0

    def begin(self, call: str) -> None:
        """The following actions belong to this call."""
        self._call, self._count = call, 0

    def take(self, actions: Sequence[Action]) -> None:
        """Queue the actions in order; never blocks."""
        for action in actions:
            self._count += self._queue(action, self._call, f"{self._call}-{self._count + 1}")

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Queue actions of a call that is over."""
        for action in actions:
            self._late += self._queue(action, call, f"{call}-late-{self._late + 1}")

    def _queue(self, action: Action, call: str, key: str) -> bool:
        """Whether the action has a message."""
        if (body := message(action, call)) is None:
            return False
        for hook in self._hooks:
            hook.put(key, body)
        return True

    def finish(self) -> None:
        """No more actions will come."""
        for hook in self._hooks:
            hook.finish()

    def close(self, limit_s: float = 5.0) -> None:
        """Send queued actions within `limit_s` seconds, counted from `finish`."""
        self.finish()
        for hook in self._hooks:
            hook.close(limit_s)
