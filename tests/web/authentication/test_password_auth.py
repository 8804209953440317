"""The door of a desk: who comes in as what, what it tells of a mistake, and when nobody is let in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.web.desk_client import CHEAP, GOOD, ManualClock
from vad_agent.callbacks.alerts import AlertBoard, Kind
from vad_agent.callbacks.store import Store
from vad_agent.common.identity import login
from vad_agent.web.authentication.login_session_file import SessionFile
from vad_agent.web.authentication.login_session_store import SessionStore
from vad_agent.web.authentication.login_sessions import Role, Session
from vad_agent.web.authentication.login_throttle import TooManyAttempts
from vad_agent.web.authentication.operator_token_auth import PAUSE_S, TRIES
from vad_agent.web.authentication.password_auth import (
    FEWER_TRIES,
    NETWORK_TRIES,
    WITHIN_S,
    PasswordAuth,
)
from vad_agent.web.authentication.password_hashing import Passwords
from vad_agent.web.authentication.refusals import ALARM_FROM, Refusals
from vad_agent.web.authentication.users import Users
from vad_agent.web.origins import Origins

HOME = "10.0.0.1"


class Counting(Passwords):
    """Keeps which passwords were looked at, and whether somebody had them."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.looked: list[tuple[bool, str]] = []

    def is_right(self, kept: str | None, password: str) -> bool:
        self.looked.append((kept is not None, password))
        return super().is_right(kept, password)


class Desk:
    """Its door, people and sessions."""

    def __init__(self, store: Store, started_by: str | None = "root") -> None:
        self.timer = ManualClock()
        self.passwords = Counting()
        self.people = Users(store, self.passwords)
        self.kept = SessionStore(store)
        self.authenticator = PasswordAuth(
            Origins(8600), self.kept, self.people, started_by=started_by, timer=self.timer
        )

    def enter(self, name: str, password: str = GOOD, network: str = HOME) -> Session | None:
        return self.authenticator.session(self.authenticator.by_login(name, password, network))

    def by_token(self, token: str | None = None, network: str = HOME) -> Session | None:
        return self.authenticator.session(
            self.authenticator.by_token(token or self.authenticator.one_time.token, network)
        )

    def wait_s(self, name: str = "olga", password: str = GOOD, network: str = HOME) -> float:
        """0: one may be made, and was."""
        try:
            self.enter(name, password, network)
        except TooManyAttempts as pause:
            return pause.wait_s
        return 0


@pytest.fixture
def desk(store: Store) -> Desk:
    one = Desk(store)
    one.people.add("Olga", Role.OPERATOR, GOOD)
    one.people.add("Irina", Role.SUPERVISOR, GOOD)
    return one


def test_each_comes_in_under_his_login_and_in_his_role(desk: Desk) -> None:
    olga, irina = desk.enter("oLGA "), desk.enter("irina")
    assert olga is not None
    assert irina is not None
    assert (olga.operator, olga.role) == ("Olga", Role.OPERATOR)
    assert (irina.operator, irina.role) == ("Irina", Role.SUPERVISOR)


def test_an_unknown_login_is_looked_at_as_a_known_one(desk: Desk) -> None:
    for name in ("olga", "nobody", "x" * 5000, "a\0b"):
        assert desk.enter(name, "wrong") is None
    assert desk.passwords.looked == [(True, "wrong"), *[(False, "wrong")] * 3]


def test_who_started_the_desk_is_supervisor_by_the_link(desk: Desk, store: Store) -> None:
    token = desk.authenticator.one_time.token
    assert desk.authenticator.link == f"http://127.0.0.1:8600/enter?token={token}"
    root = desk.by_token()
    assert root is not None
    assert (root.operator, root.role) == ("root", Role.SUPERVISOR)
    assert desk.by_token("wrong") is None
    assert Desk(store).authenticator.one_time.token != desk.authenticator.one_time.token
    own = Desk(store, None).by_token()
    assert own is not None
    assert own.operator == login()


def test_who_started_it_may_have_a_login_too(desk: Desk, store: Store) -> None:
    again = Desk(store, "olga")
    olga = again.by_token()
    assert olga is not None
    assert (olga.operator, olga.role) == ("Olga", Role.SUPERVISOR)
    again.people.disable("olga")
    again.kept.refresh()
    assert not again.authenticator.sessions.is_on(olga)
    assert again.by_token() is None


def test_five_wrong_ones_close_a_login_for_a_minute_there_and_no_other(desk: Desk) -> None:
    for _ in range(TRIES):
        assert desk.enter("olga", "wrong") is None
    assert desk.wait_s("OLGA") == PAUSE_S
    assert len(desk.passwords.looked) == TRIES  # no more than a look at the clock
    assert desk.wait_s("irina") == 0
    assert desk.wait_s("olga", network="10.0.0.2") == 0
    desk.timer.now += PAUSE_S
    assert desk.wait_s("olga") == 0


def test_a_right_one_forgives_mistakes(desk: Desk) -> None:
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert desk.enter("olga", "wrong") is None
        assert desk.enter("olga") is not None


def test_one_who_tries_many_logins_does_not_lock_out_the_office_behind_his_address(
    desk: Desk,
) -> None:
    for number in range(NETWORK_TRIES + 5):
        assert desk.enter(f"name {number}", "password") is None
    assert desk.enter("olga") is not None
    assert desk.enter("irina") is not None


def test_where_many_logins_fail_each_has_fewer_tries(desk: Desk) -> None:
    for number in range(NETWORK_TRIES):
        assert desk.enter(f"name {number}", "password") is None
        desk.timer.now += 1
    for _ in range(FEWER_TRIES):
        assert desk.wait_s("irina", "wrong") == 0
    assert desk.wait_s("irina") == WITHIN_S
    assert desk.wait_s("irina", network="10.0.0.2") == 0
    desk.timer.now += WITHIN_S
    assert desk.wait_s("irina") == 0


def test_wrong_logins_and_links_are_counted_logged_masked_and_alarmed(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    alerts, counted = AlertBoard("desk-1"), list[str]()
    refusals = Refusals(alerts, counted.append)
    auth = PasswordAuth(
        Origins(8600), SessionStore(store), Users(store, Counting()), refusals=refusals
    )
    with caplog.at_level("WARNING"):
        for number in range(ALARM_FROM - 1):
            auth.by_login(f"a-password-{number}", "wrong", HOME)
        assert alerts.all() == []
        auth.by_token("wrong-token", HOME)
    assert counted == ["login"] * (ALARM_FROM - 1) + ["link"]
    (alert,) = alerts.all()
    assert (alert.kind, alert.about) == (Kind.CREDENTIALS, HOME)
    assert alert.detail == f"link: 1, login: {ALARM_FROM - 1}"
    logged = [record for record in caplog.records if record.getMessage() == "wrong credentials"]
    assert [vars(one)["given"] for one in logged] == ["a-…"] * 5
    assert all(vars(one)["address"] == HOME for one in logged)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", HOME, True),
        (HOME, "10.0.0.2", False),
        ("", "", True),
    ],
)
def test_a_subscriber_of_ipv6_has_a_whole_network(
    desk: Desk, one: str, other: str, same: bool
) -> None:
    for _ in range(TRIES):
        assert desk.enter("olga", "wrong", one) is None
    assert (desk.wait_s(network=other) > 0) is same


def test_wrong_tokens_are_paused_and_the_right_one_is_let_in(desk: Desk) -> None:
    for _ in range(TRIES):
        assert desk.by_token("wrong") is None
    with pytest.raises(TooManyAttempts):
        desk.by_token("wrong")
    assert desk.by_token() is not None
    desk.timer.now += PAUSE_S
    assert desk.by_token("wrong") is None


def test_the_link_works_once(desk: Desk) -> None:
    link = desk.authenticator.one_time.token
    assert desk.by_token(link) is not None
    assert desk.by_token(link) is None
    assert desk.by_token() is not None


def test_a_cookie_of_another_secret_is_none(desk: Desk, tmp_path: Path) -> None:
    other = PasswordAuth(Origins(8600), SessionFile(tmp_path), desk.people)
    assert desk.authenticator.session(other.by_login("olga", GOOD, HOME)) is None


@pytest.mark.serial
def test_looking_whether_a_session_is_on_asks_no_database(desk: Desk, store: Store) -> None:
    session = desk.enter("olga")
    assert session is not None
    store.close()
    began = time.perf_counter()
    for _ in range(1000):
        assert desk.authenticator.sessions.is_on(session)
    assert time.perf_counter() - began < 1
