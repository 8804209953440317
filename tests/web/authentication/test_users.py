"""Who may come in, on either database: logins, roles, passwords, bars, and what each does to sessions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from tests.web.desk_client import GOOD, PASSWORDS
from vad_agent.callbacks.store import Store
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.password_hashing import Passwords
from vad_agent.web.authentication.users import LONGEST_LOGIN, UserError, Users


@pytest.fixture
def people(store: Store) -> Users:
    return Users(store, PASSWORDS)


def test_somebody_comes_in_by_his_password_however_his_login_is_written(people: Users) -> None:
    added = people.add("  Ольга Йорк ", Role.OPERATOR, GOOD)
    assert (added.login, added.role, added.barred) == ("Ольга Йорк", Role.OPERATOR, None)
    for written in ("Ольга Йорк", "ольга йорк", "ОЛЬГА И\u0306ОРК "):
        assert people.find(written) == added
        assert people.check(written, GOOD) == added
    assert people.check("Ольга Йорк", GOOD + " ") is None
    assert people.check("Анна", GOOD) is None
    assert people.find("") is None
    for wrong in ("a\0b", "\ud83d", "x" * 1000):
        assert people.check(wrong, GOOD) is None


def test_they_are_listed_in_order(people: Users) -> None:
    assert people.all() == []
    for login, role in (
        ("olga", Role.OPERATOR),
        ("Anna", Role.SUPERVISOR),
        ("ivan", Role.OPERATOR),
    ):
        people.add(login, role, GOOD)
    told = [(one.login, one.role.value) for one in people.all()]
    assert told == [("Anna", "supervisor"), ("ivan", "operator"), ("olga", "operator")]


@pytest.mark.parametrize("login", ["", "  ", "a\nb", "a\0b", "a\u202eb", "\ud83d", "я" * 101])
def test_what_is_no_login_is_refused(people: Users, login: str) -> None:
    with pytest.raises(UserError, match=r"^login: expected 1 to 100 letters"):
        people.add(login, Role.OPERATOR, GOOD)
    assert people.all() == []


def test_a_login_is_had_once_and_a_password_is_none_or_kept_whole(people: Users) -> None:
    people.add("Olga", Role.OPERATOR, GOOD)
    with pytest.raises(UserError, match=r"^somebody has the login 'Olga'$"):
        people.add("oLGA", Role.OPERATOR, GOOD)
    with pytest.raises(UserError, match=r"^password: expected 8"):
        people.add("anna", Role.OPERATOR, "short")
    people.add("Ольга Йорк", Role.OPERATOR, GOOD)
    with pytest.raises(UserError, match=r"^password: expected another one than the login"):
        people.set_password("ольга йорк", "ОЛЬГА ЙОРК")
    longest = "я" * LONGEST_LOGIN
    assert people.add(longest, Role.OPERATOR, "я" * 256).login == longest
    assert people.check(longest, "я" * 255) is None


def test_of_two_that_are_added_at_once_one_is(people: Users) -> None:
    def add(login: str) -> str:
        try:
            return people.add(login, Role.OPERATOR, GOOD).login
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(add, ["olga", "Olga", "OLGA", "oLga"] * 2))
    assert sum("somebody" in one for one in told) == 7
    assert len(people.all()) == 1


CHANGES: dict[str, Callable[[Users], object]] = {
    "password": lambda people: people.set_password("olga", "battery staple"),
    "role": lambda people: people.set_role("olga", Role.SUPERVISOR),
    "bar": lambda people: people.disable("olga"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_puts_since_forward_whatever_the_clock_says(
    store: Store,
    change: Callable[[Users], object],
) -> None:
    now = datetime(2027, 3, 1, 9, tzinfo=UTC)
    people = Users(store, PASSWORDS, lambda: now)
    made = people.add("Olga", Role.OPERATOR, GOOD)
    assert (made.made, made.since) == (now, now)
    now += timedelta(hours=1)
    change(people)
    assert [one.since for one in people.all()] == [now]
    now -= timedelta(days=1)  # of another machine
    change(people)
    assert [one.since for one in people.all()] == [datetime(2027, 3, 1, 10, 0, 0, 1, tzinfo=UTC)]
    assert [one.made for one in people.all()] == [made.made]


def test_who_is_barred_does_not_come_in_until_he_is_let(people: Users) -> None:
    people.add("olga", Role.OPERATOR, GOOD)
    assert people.disable("Olga").barred is not None
    assert people.check("olga", GOOD) is None
    assert people.enable("Olga").barred is None
    assert people.check("olga", GOOD) is not None


def test_another_password_is_the_only_one(people: Users) -> None:
    people.add("olga", Role.OPERATOR, GOOD)
    people.set_password("olga", "battery staple")
    assert people.check("olga", GOOD) is None
    assert people.check("olga", "battery staple") is not None


@pytest.mark.parametrize("change", [*CHANGES.values(), lambda people: people.enable("olga")])
def test_who_is_not_there_is_told(people: Users, change: Callable[[Users], object]) -> None:
    with pytest.raises(UserError, match=r"^nobody has the login 'olga': vad-agent people list$"):
        change(people)


def test_stronger_parameters_come_with_the_next_login(store: Store) -> None:
    Users(store, PASSWORDS).add("olga", Role.OPERATOR, GOOD)
    before = Users(store, PASSWORDS).all()

    class Counting(PasswordHasher):
        made = 0

        def hash(self, *about: object, **more: object) -> str:
            Counting.made += 1
            return super().hash(*about, **more)  # type: ignore[arg-type]

    stronger = Users(store, Passwords(Counting(time_cost=2, memory_cost=16, parallelism=1)))
    for _ in range(3):
        assert stronger.check("olga", GOOD) == before[0]
    assert Counting.made == 2  # nobody's, and hers once
    assert Users(store, PASSWORDS).all() == before
