"""Password authentication for a centre's pages. The user who started the desk gets a link with a token.

    enter ── login, password ──> throttle ──> users (argon2) ──> cookie of this user and role
    serve ── prints /enter?token=… ──────────────────────────> supervisor's cookie of the user who started it

Failures are counted by login and network address. Where an address has many failures, each of its
logins has fewer tries; who types the right password is let in, so one person does not lock out an
office behind one address.

Neither the answer nor its duration reveals whether the login or the password was wrong. The link
works once; then there is another one. Nothing here handles HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from vad_agent.common.identity import folded
from vad_agent.common.identity import login as user
from vad_agent.web.authentication.authenticator import NewPasswordNeeded
from vad_agent.web.authentication.login_sessions import Role, Session, SessionBackend, Sessions
from vad_agent.web.authentication.login_throttle import LoginThrottle, TooManyAttempts
from vad_agent.web.authentication.operator_token_auth import PAUSE_S, TRIES, OneTimeLink
from vad_agent.web.authentication.refusals import Attempted, Refusals, network_of
from vad_agent.web.authentication.users import LONGEST_LOGIN, UserError, Users
from vad_agent.web.origins import Origins

WITHIN_S = 600.0
NETWORK_TRIES = 30
"""Failures from one network address within `WITHIN_S`, over all logins, after which each login has
fewer tries from there.
"""
FEWER_TRIES = 2
"""Failures of one login within `WITHIN_S`, from such an address."""


class PasswordAuth:
    """Authentication for all users of a centre. Any thread may call its methods.

    `started_by`: the login that the link belongs to; None: this process's user. `refusals`: counts
    what is wrong. `timer`: monotonic seconds.
    """

    has_logins = True

    def __init__(
        self,
        address: Origins,
        kept: SessionBackend,
        people: Users,
        *,
        started_by: str | None = None,
        refusals: Refusals | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.sessions = Sessions(kept)
        self.one_time = OneTimeLink(address)
        self._refusals = refusals or Refusals(timer=timer)
        self._people = people
        self._started_by = started_by or user()
        self._tokens = LoginThrottle(TRIES, PAUSE_S, PAUSE_S, timer=timer)
        self._by_login = LoginThrottle(TRIES, WITHIN_S, PAUSE_S, timer=timer)
        self._by_login_where_many_fail = LoginThrottle(FEWER_TRIES, WITHIN_S, timer=timer)
        self._by_network = LoginThrottle(NETWORK_TRIES, WITHIN_S, timer=timer)

    @property
    def link(self) -> str:
        """The login link for the user who started the desk. It works once."""
        return self.one_time.url

    def session(self, cookie: str | None) -> Session | None:
        """The session of this cookie."""
        return self.sessions.of(cookie)

    def by_token(self, token: str, network: str) -> str | None:
        """A supervisor's cookie. None: the token is wrong, or the user who started the desk is
        disabled.

        Raises:
            TooManyAttempts: the token is wrong, as several before it from this address.
            StoreError: the user cannot be looked up.
        """
        if not self.one_time.is_right(token):
            key = network_of(network)
            self._tokens.check(key)
            self._tokens.wrong(key)
            self._refusals.note(Attempted.LINK, network, token)
            return None
        person = self._people.find(self._started_by)  # it may fail: the link is used up after it
        if not self.one_time.use(token):
            return None
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
        address, network = network, network_of(network)
        pair = (folded(login)[:LONGEST_LOGIN], network)
        self._by_login.check(pair)
        if self._many_fail(network):
            self._by_login_where_many_fail.check(pair)
        person = self._people.check(login, password)
        if person is None:
            self._by_network.wrong(network)
            for throttle in (self._by_login, self._by_login_where_many_fail):
                throttle.wrong(pair)
            self._refusals.note(Attempted.LOGIN, address, login)
            return None
        for throttle in (self._by_login, self._by_login_where_many_fail):
            throttle.right(pair)
        if person.one_time:
            try:
                person = self._people.renew_password(login, password, new)
            except UserError as error:
                raise NewPasswordNeeded from error
        return self.sessions.open(person.login, person.role, person.since.timestamp())

    def _many_fail(self, network: str) -> bool:
        try:
            self._by_network.check(network)
        except TooManyAttempts:
            return True
        return False
