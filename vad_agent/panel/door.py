"""Who comes in to the panel: a token for each start, a signed cookie for 12 hours, a few tries a minute.

    listen ── prints /enter?token=… ──> the operator's browser ── cookie ──> his pages, until he leaves

The cookie is signed with a secret of the state folder, so that pages outlive a restart of the program. What
was left stays left: that is written beside the secret. Nothing here speaks HTTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vad_agent.errors import OutputError, VadAgentError, extra
from vad_agent.private_files import open_private, private_folder, state_folder, why

with extra("callbacks", "the panel"):
    from itsdangerous import BadData, URLSafeSerializer

SESSION_S = 12 * 3600.0
TRIES = 5
"""Wrong tokens, after which nobody is let in for a while."""
PAUSE_S = 60.0
FILE = "panel.json"
SALT = "vad-agent panel"


class TooMany(VadAgentError):
    """Too many wrong tokens; `wait_s`: until the next may be tried."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many wrong tokens: wait {wait_s:.0f} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has come in."""

    id: str
    operator: str
    ends: float
    """Unix time."""


class Door:
    """The door of a panel at one address. Methods may be called by any thread.

    `folder`: of the secret; None: the user's state folder. `clock`: Unix time; `timer`: one that only grows.

    Raises:
        OutputError: the secret cannot be written.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        https: bool = False,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        scheme, usual = ("https", 443) if https else ("http", 80)
        names = {host, "localhost"} if host.startswith("127.") else {host}
        shown = {name: name if port == usual else f"{name}:{port}" for name in names}
        self.hosts = frozenset(shown.values())
        """What a Host header may say: else a foreign name was pointed at this address."""
        self.origins = frozenset(f"{scheme}://{name}" for name in self.hosts)
        self.url = f"{scheme}://{shown[host]}"
        self.https = https
        self.cookie = f"vad_agent_panel_{port}"
        """Its name: cookies know hosts, not ports, and two panels must not end each other's sessions."""
        self.token = secrets.token_urlsafe(18)
        """Lets in, as long as the program runs. Its link fits a line of a narrow terminal."""
        self._clock = clock
        self._timer = timer
        self._lock = threading.Lock()
        self._wrong: deque[float] = deque(maxlen=TRIES)
        self._kept = _Kept((folder or state_folder()) / FILE, clock)
        self._signer = URLSafeSerializer(
            self._kept.secret, SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )

    @property
    def link(self) -> str:
        """Where the operator comes in."""
        return f"{self.url}/enter?token={self.token}"

    # -- coming in ------------------------------------------------------------------------------------

    def try_token(self, given: str) -> bool:
        """Is this the token?

        Raises:
            TooMany: it does not matter now.
        """
        with self._lock:
            now = self._timer()
            if len(self._wrong) == TRIES and (wait := self._wrong[-1] + PAUSE_S - now) > 0:
                raise TooMany(wait)
            while self._wrong and self._wrong[0] + PAUSE_S <= now:
                self._wrong.popleft()
            right = hmac.compare_digest(given.encode(errors="replace"), self.token.encode())
            if right:
                self._wrong.clear()
            else:
                self._wrong.append(now)
        return right

    def open(self, operator: str) -> str:
        """A new session's cookie."""
        told = [secrets.token_hex(8), operator, round(self._clock() + SESSION_S)]
        signed = self._signer.dumps(told)
        return signed if isinstance(signed, str) else signed.decode()

    def session(self, cookie: str | None) -> Session | None:
        """Whose cookie this is; None: nobody's, any more."""
        if not cookie:
            return None
        try:
            session = Session(*self._signer.loads(cookie))
        except (BadData, TypeError):
            return None
        return session if self.is_on(session) else None

    def is_on(self, session: Session) -> bool:
        """It has neither ended nor been left."""
        return self._clock() < session.ends and session.id not in self._kept.left

    def csrf(self, session: Session) -> str:
        """What a page of the session proves itself with."""
        key = self._kept.secret.encode()
        return hmac.new(key, f"csrf {session.id}".encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session: Session, given: str) -> bool:
        """The page proves itself."""
        return hmac.compare_digest(given.encode(errors="replace"), self.csrf(session).encode())

    def leave(self, session: Session) -> None:
        """End it, whoever has a copy of the cookie."""
        with self._lock:
            self._kept.leave(session)


class _Kept:
    """The file: {"secret": …, "left": {session's id: when it would have ended}}, for its owner alone."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self.secret, self.left = self._read()
        if not self.secret:
            self.secret = secrets.token_urlsafe(32)
            self._write()

    def leave(self, session: Session) -> None:
        """A session was left."""
        secret, elsewhere = self._read()  # another panel of this user may have written
        known = self.left | (elsewhere if secret == self.secret else {})
        now = self._clock()
        self.left = {id: ends for id, ends in known.items() if ends > now} | {
            session.id: session.ends
        }
        with contextlib.suppress(OutputError):  # it is left for as long as the program runs
            self._write()

    def _read(self) -> tuple[str, dict[str, float]]:
        try:
            told = json.loads(self._path.read_bytes())
            secret, left = told["secret"], told["left"]
            right = isinstance(secret, str) and len(secret) >= 32 and isinstance(left, dict)
            if right and all(isinstance(ends, int | float) for ends in left.values()):
                return secret, left
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return "", {}

    def _write(self) -> None:
        """Whole or not at all."""
        private_folder(self._path.parent)
        draft = self._path.with_name(f"{FILE}.{secrets.token_hex(4)}.draft")
        text = json.dumps({"secret": self.secret, "left": self.left}) + "\n"
        try:
            with open_private(draft, "xb") as file:
                file.write(text.encode())
            os.replace(draft, self._path)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {why(error)}") from error
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
