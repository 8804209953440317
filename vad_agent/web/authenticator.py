"""What the panel needs of authentication, for one operator or for all of a centre."""

from __future__ import annotations

from typing import Protocol

from vad_agent.web.origins import Origins
from vad_agent.web.sessions import Session, Sessions


class Authenticator(Protocol):
    """Authenticates. Methods may be called by any thread."""

    @property
    def address(self) -> Origins:
        """Where it is."""

    @property
    def sessions(self) -> Sessions:
        """Of those who have come in."""

    @property
    def has_logins(self) -> bool:
        """It asks for a login and a password; who came in leaves by himself."""

    def session(self, cookie: str | None) -> Session | None:
        """Whose cookie this is; None: nobody's who may be here now. Never waits."""

    def by_token(self, token: str, network: str) -> str | None:
        """The cookie of who has the link's token, from this network address; None: it is wrong.

        Raises:
            TooMany: it does not matter now.
            StoreError: nobody can be looked up now.
        """

    def by_login(self, login: str, password: str, network: str) -> str | None:
        """The cookie of who has this login and password; None: one of them is wrong. May take a while.

        Raises:
            TooMany, StoreError: as `by_token`.
        """
