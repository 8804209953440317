"""Sessions of a panel: a signed cookie for 12 hours, which whoever has left it cannot use again.

    cookie = sign(secret, [id, operator, ends, role, since])        csrf = HMAC(secret, id)

What cannot stand in a cookie is asked of `SessionBackend`: the secret, and whether a session is over
before its time. Nothing here speaks HTTP.
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
    """What somebody may see: his own panel, or everybody's too."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has come in."""

    id: str
    operator: str
    ends: float
    """Unix time."""
    role: Role = Role.OPERATOR
    since: float = 0.0
    """Unix time from which his sessions held, as he came in; a later one ends this session.

    The two are of one clock, so that no difference between the clocks of two machines matters."""


class SessionBackend(Protocol):
    """What outlives the program. Methods may be called by any thread."""

    @property
    def secret(self) -> str:
        """Signs cookies."""

    def is_over(self, session: Session) -> bool:
        """It was left, or ended by a new password, another role or a bar. Never waits: a loop asks."""

    def leave(self, session: Session) -> None:
        """It is over from now on. May take a while."""


class Sessions:
    """Sessions of one panel. Methods may be called by any thread. `clock`: Unix time."""

    def __init__(self, kept: SessionBackend, *, clock: Callable[[], float] = time.time) -> None:
        self._kept = kept
        self._clock = clock
        self._signer = URLSafeSerializer(
            kept.secret, SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )

    def open(self, operator: str, role: Role = Role.OPERATOR, since: float = 0.0) -> str:
        """A new session's cookie."""
        ends = round(self._clock() + SESSION_S)
        signed = self._signer.dumps([secrets.token_hex(8), operator, ends, role.value, since])
        return signed if isinstance(signed, str) else signed.decode()

    def of(self, cookie: str | None) -> Session | None:
        """Whose cookie this is; None: nobody's, any more."""
        if not cookie:
            return None
        try:
            session = _read(self._signer.loads(cookie))
        except (BadData, ValueError):  # also letters that no cookie has
            return None
        return session if session is not None and self.is_on(session) else None

    def is_on(self, session: Session) -> bool:
        """It has neither ended nor been ended."""
        return self._clock() < session.ends and not self._kept.is_over(session)

    def leave(self, session: Session) -> None:
        """End it, whoever has a copy of the cookie. May take a while."""
        self._kept.leave(session)

    def csrf(self, session: Session) -> str:
        """What a page of the session proves itself with."""
        key = self._kept.secret.encode()
        return hmac.new(key, f"csrf {session.id}".encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session: Session, given: str) -> bool:
        """The page proves itself."""
        return hmac.compare_digest(given.encode(errors="replace"), self.csrf(session).encode())


def _read(told: Any) -> Session | None:
    """Signed by us, but maybe by an earlier version: then there was no role."""
    match told:
        case [str(id), str(operator), int() | float() as ends, "operator" | "supervisor" as role,
              int() | float() as since]:  # fmt: skip
            return Session(id, operator, ends, Role(role), since)
    return None
