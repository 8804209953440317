"""Token authentication for a single operator's panel, with login throttling.

    listen ── prints /enter?token=… ──> the operator's browser ── cookie ──> their pages, until logout

Nothing here handles HTTP.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from vad_agent.web.authentication.login_session_file import SessionFile
from vad_agent.web.authentication.login_sessions import Session, Sessions
from vad_agent.web.authentication.login_throttle import LoginThrottle
from vad_agent.web.origins import Origins

TRIES = 5
"""Wrong tokens before logins are paused."""
PAUSE_S = 60.0


class TokenAuth:
    """Authentication for one operator. Any thread may call its methods.

    `folder`: of the secret; None: the user's state folder. `clock`: Unix time; `timer`: monotonic.

    Raises:
        OutputError: the secret cannot be written.
    """

    has_logins = False

    def __init__(
        self,
        address: Origins,
        operator: str,
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.operator = operator
        self.sessions = Sessions(SessionFile(folder, clock), clock=clock)
        self.token = new_token()
        self._throttle = LoginThrottle(TRIES, PAUSE_S, PAUSE_S, timer=timer)

    @property
    def link(self) -> str:
        """The operator's login link."""
        return link(self.address, self.token)

    def session(self, cookie: str | None) -> Session | None:
        """The session of this cookie. A session of another operator's name is not valid."""
        session = self.sessions.of(cookie)
        return session if session is not None and session.operator == self.operator else None

    def by_token(self, token: str, network: str) -> str | None:
        """The operator's cookie, for a request from any address. None: the token is wrong.

        Raises:
            TooManyAttempts: the token was not checked.
        """
        self._throttle.check("")
        if not is_token(self.token, token):
            self._throttle.wrong("")
            return None
        self._throttle.right("")
        return self.sessions.open(self.operator)

    def by_login(self, login: str, password: str, network: str, new: str = "") -> str | None:
        """Always None: there are no passwords."""
        return None


def new_token() -> str:
    """A new token, valid while the program runs. Short: its link fits a line of a narrow terminal."""
    return secrets.token_urlsafe(18)


def is_token(right: str, given: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())


def link(address: Origins, token: str) -> str:
    """The login link with the token."""
    return f"{address.url}/enter?token={token}"
