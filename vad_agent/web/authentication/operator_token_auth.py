"""Token authentication for a single operator's panel, with login throttling.

    listen ── prints /enter?token=… ──> the operator's browser ── cookie ──> their pages, until logout

A link works once; then there is another one, which is shown where the first one was. Nothing here
handles HTTP.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vad_agent.web.authentication.login_session_file import SessionFile
from vad_agent.web.authentication.login_sessions import Session, Sessions
from vad_agent.web.authentication.login_throttle import LoginThrottle
from vad_agent.web.authentication.refusals import Attempted, Refusals
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
        self.one_time = OneTimeLink(address)
        self._refusals = Refusals(timer=timer)
        self._throttle = LoginThrottle(TRIES, PAUSE_S, PAUSE_S, timer=timer)

    @property
    def link(self) -> str:
        """The operator's login link, which works once."""
        return self.one_time.url

    def session(self, cookie: str | None) -> Session | None:
        """The session of this cookie. A session of another operator's name is not valid."""
        session = self.sessions.of(cookie)
        return session if session is not None and session.operator == self.operator else None

    def by_token(self, token: str, network: str) -> str | None:
        """The operator's cookie, for a request from any address. None: the token is wrong.

        Raises:
            TooManyAttempts: the token is wrong, as several before it.
        """
        if self.one_time.use(token):
            return self.sessions.open(self.operator)
        self._throttle.check("")
        self._throttle.wrong("")
        self._refusals.note(Attempted.LINK, network, token)
        return None

    def by_login(self, login: str, password: str, network: str, new: str = "") -> str | None:
        """Always None: there are no passwords."""
        return None


class OneTimeLink:
    """The login link to a panel: it works once, and then there is another one.

    `replaced`: called with each new link, in any thread.
    """

    def __init__(self, address: Origins) -> None:
        self._address = address
        self._lock = threading.Lock()
        self.token = new_token()
        self.replaced: Callable[[str], None] = lambda _: None

    @property
    def url(self) -> str:
        """The link that works now."""
        return f"{self._address.url}/enter?token={self.token}"

    def is_right(self, given: str) -> bool:
        """This is the link's token; compared in constant time."""
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    def use(self, given: str) -> bool:
        """Use the link up. False: this is not its token."""
        with self._lock:
            if not self.is_right(given):
                return False
            self.token = new_token()
        self.replaced(self.url)
        return True


def new_token() -> str:
    """A new token, valid once. Short: its link fits a line of a narrow terminal."""
    return secrets.token_urlsafe(18)
