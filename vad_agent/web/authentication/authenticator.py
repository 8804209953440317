"""The authentication port of the panel, for one operator or for a whole centre."""

from __future__ import annotations

from typing import Protocol

from vad_agent.errors import VadAgentError
from vad_agent.web.authentication.login_sessions import Session, Sessions
from vad_agent.web.origins import Origins


class NewPasswordNeeded(VadAgentError):
    """The password was right and is good for one login, which must set another one."""


class Authenticator(Protocol):
    """Authenticates users. Any thread may call its methods."""

    @property
    def address(self) -> Origins:
        """The panel's origins."""

    @property
    def sessions(self) -> Sessions:
        """The sessions of authenticated users."""

    @property
    def has_logins(self) -> bool:
        """The panel asks for a login and a password, and users log out."""

    def session(self, cookie: str | None) -> Session | None:
        """The session of this cookie. None: the cookie is not valid now. Never blocks."""

    def by_token(self, token: str, network: str) -> str | None:
        """The cookie for the token of the link, sent from this network address. None: the token is
        wrong.

        Raises:
            TooManyAttempts: the token was not checked.
            StoreError: users cannot be looked up now.
        """

    def by_login(self, login: str, password: str, network: str, new: str = "") -> str | None:
        """The cookie for this login and password. None: one of them is wrong. May block. `new`: the
        password from now on, where the given one is good for one login.

        Raises:
            NewPasswordNeeded: it is, and `new` is not valid.
            TooManyAttempts, StoreError: as `by_token`.
        """
