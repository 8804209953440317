"""Sessions of a panel: a signed cookie, valid for 12 hours or until logout.

    cookie = sign(secret, [id, operator, ends, role, since])        csrf = HMAC(secret, id)

`SessionBackend` stores what a cookie cannot contain: the secret, and sessions that ended early.
Nothing here handles HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from vad_agent.errors import extra

with extra("callbacks", "the panel"):
    from itsdangerous import BadData, URLSafeSerializer

SESSION_S = 12 * 3600.0
SALT = "vad-agent panel"


class Role(StrEnum):
    """What a user may see: their own panel, or everybody's too."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True)
class Session:
    """The session of an authenticated user."""

    id: str
    operator: str
    ends: float
    """Unix time."""
    role: Role = Role.OPERATOR
    since: float = 0.0
    """The user's `since` at login, Unix time. A later value in the store ends this session.

    Both are of one clock, so that differences between machines' clocks do not matter.
    """


class SessionBackend(Protocol):
    """Session data that survive a restart. Any thread may call its methods."""

    @property
    def secret(self) -> str:
        """The key that signs cookies."""

    def is_over(self, session: Session) -> bool:
        """The session was ended, by logout, a new password, another role or disabling.

        Never blocks: an event loop calls it.
        """

    def leave(self, session: Session) -> None:
        """End the session. May take a while."""


class Sessions:
    """Sessions of one panel. Any thread may call its methods. `clock`: Unix time."""

    def __init__(self, kept: SessionBackend, *, clock: Callable[[], float] = time.time) -> None:
        self._kept = kept
        self._clock = clock
        self._signer = URLSafeSerializer(
            kept.secret, SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )

    def open(self, operator: str, role: Role = Role.OPERATOR, since: float = 0.0) -> str:
        """Create a session and return its cookie."""
        ends = round(self._clock() + SESSION_S)
        signed = self._signer.dumps([secrets.token_hex(8), operator, ends, role.value, since])
        return signed if isinstance(signed, str) else signed.decode()

    def of(self, cookie: str | None) -> Session | None:
        """The session of this cookie. None: it is not valid (any more)."""
        if not cookie:
            return None
        try:
            session = _read(self._signer.loads(cookie))
        except (BadData, ValueError):  # also characters that no cookie contains
            return None
        return session if session is not None and self.is_on(session) else None

    def is_on(self, session: Session) -> bool:
        """The session has neither expired nor been ended."""
        return self._clock() < session.ends and not self._kept.is_over(session)

    def leave(self, session: Session) -> None:
        """End it, including all copies of its cookie. May take a while."""
        self._kept.leave(session)

    def csrf(self, session: Session) -> str:
        """The token by which a page of the session authenticates its requests."""
        key = self._kept.secret.encode()
        return hmac.new(key, f"csrf {session.id}".encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session: Session, given: str) -> bool:
        """The page's token is correct."""
        return hmac.compare_digest(given.encode(errors="replace"), self.csrf(session).encode())


def _read(told: Any) -> Session | None:
    """The session in a signed cookie. An earlier version may have signed it: then it has no role."""
    match told:
        case [str(id), str(operator), int() | float() as ends, "operator" | "supervisor" as role,
              int() | float() as since]:  # fmt: skip
            return Session(id, operator, ends, Role(role), since)
    return None
