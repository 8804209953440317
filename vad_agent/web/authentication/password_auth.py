"""Password authentication for a centre's pages. The user who started the desk gets a link with a token.

    enter ── login, password ──> throttle ──> users (argon2) ──> cookie of this user and role
    serve ── prints /enter?token=… ──────────────────────────> supervisor's cookie of the user who started it

Neither the answer nor its duration reveals whether the login or the password was wrong. Nothing
here handles HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from vad_agent.common.identity import folded
from vad_agent.common.identity import login as user
from vad_agent.web.authentication.authenticator import NewPasswordNeeded
from vad_agent.web.authentication.login_sessions import Role, Session, SessionBackend, Sessions
from vad_agent.web.authentication.login_throttle import LoginThrottle
from vad_agent.web.authentication.operator_token_auth import (
    PAUSE_S,
    TRIES,
    is_token,
    link,
    new_token,
)
from vad_agent.web.authentication.users import LONGEST_LOGIN, UserError, Users
from vad_agent.web.origins import Origins

WITHIN_S = 600.0
NETWORK_TRIES = 30
"""Failures from one network address within `WITHIN_S`, over all logins."""


class PasswordAuth:
    """Authentication for all users of a centre. Any thread may call its methods.

    `started_by`: the login that the link belongs to; None: this process's user. `timer`:
    monotonic seconds.
    """

    has_logins = True

    def __init__(
        self,
        address: Origins,
        kept: SessionBackend,
        people: Users,
        *,
        started_by: str | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.sessions = Sessions(kept)
        self.token = new_token()
        self._people = people
        self._started_by = started_by or user()
        self._tokens = LoginThrottle(TRIES, PAUSE_S, PAUSE_S, timer=timer)
        self._by_login = LoginThrottle(TRIES, WITHIN_S, PAUSE_S, timer=timer)
        self._by_network = LoginThrottle(NETWORK_TRIES, WITHIN_S, timer=timer)

    @property
    def link(self) -> str:
        """The login link for the user who started the desk."""
        return link(self.address, self.token)

    def session(self, cookie: str | None) -> Session | None:
        """The session of this cookie."""
        return self.sessions.of(cookie)

    def by_token(self, token: str, network: str) -> str | None:
        """A supervisor's cookie. None: the token is wrong, or the user who started the desk is
        disabled.

        Raises:
            TooManyAttempts: the token was not checked.
            StoreError: the user cannot be looked up.
        """
        key = _network(network)
        self._tokens.check(key)
        if not is_token(self.token, token):
            self._tokens.wrong(key)
            return None
        self._tokens.right(key)
        person = self._people.find(self._started_by)
        if person is None:
            return self.sessions.open(self._started_by, Role.SUPERVISOR)
        if person.barred is not None:
            return None
        return self.sessions.open(person.login, Role.SUPERVISOR, person.since.timestamp())

    def by_login(self, login: str, password: str, network: str, new: str = "") -> str | None:
        """This user's cookie. None: the login or password is wrong, or the user is disabled. Takes
        a while. `new`: the password from now on, where the given one is good for one login.

        Raises:
            NewPasswordNeeded: the password is right and good for one login, and `new` is not valid.
            TooManyAttempts: the password was not checked.
            StoreError: users cannot be looked up now.
        """
        network = _network(network)
        pair = (folded(login)[:LONGEST_LOGIN], network)
        self._by_network.check(network)
        self._by_login.check(pair)
        person = self._people.check(login, password)
        if person is None:
            self._by_network.wrong(network)
            self._by_login.wrong(pair)
            return None
        self._by_login.right(pair)
        if person.one_time:
            try:
                person = self._people.renew_password(login, password, new)
            except UserError as error:
                raise NewPasswordNeeded from error
        return self.sessions.open(person.login, person.role, person.since.timestamp())


def _network(address: str) -> str:
    """The network of one subscriber: an IPv4 address, or an IPv6 prefix."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.exploded[:19]
