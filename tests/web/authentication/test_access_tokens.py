"""Tokens of the store, on either database: whose they are, since when, and when they are no longer valid."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.web.desk_client import GOOD, PASSWORDS, ManualClock
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import tokens as table
from vad_agent.errors import StoreError
from vad_agent.web.authentication.access_tokens import AccessTokens, Credential, Scope
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.users import UserError, Users


@pytest.fixture
def people(store: Store) -> Users:
    one = Users(store, PASSWORDS)
    one.add("Ольга", Role.OPERATOR, GOOD)
    return one


@pytest.fixture
def tokens(store: Store, people: Users) -> AccessTokens:
    return AccessTokens(store, user=lambda: "root")


def found(tokens: AccessTokens, token: str) -> Credential | None:
    tokens.refresh()
    return tokens.find(token)


def test_a_headsets_token_is_that_of_its_operator(tokens: AccessTokens) -> None:
    made, token = tokens.make(Scope.HEADSET, "оЛЬГА", "cli:root")
    assert (made.scope, made.name, made.made_by) == (Scope.HEADSET, "Ольга", "cli:root")
    credential = found(tokens, token)
    assert credential is not None
    assert (credential.who, credential.login) == ("headset:Ольга", "Ольга")
    assert credential.is_for("ольга")
    assert credential.is_for(None)
    assert not credential.is_for("anna")
    assert tokens.is_valid(credential)


def test_a_programs_token_is_for_any_operator(tokens: AccessTokens) -> None:
    _, token = tokens.make(Scope.CRM, "crm-1", "cli:root")
    credential = found(tokens, token)
    assert credential is not None
    assert (credential.who, credential.login) == ("api:crm-1", None)
    assert credential.is_for("anna")


def test_no_token_stands_in_the_store(tokens: AccessTokens, store: Store) -> None:
    _, token = tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    with store.database.reading() as c:
        (row,) = c.execute(sa.select(table)).all()
    assert token not in str(row)
    assert len(token) >= 40
    assert found(tokens, token[:-1]) is None
    assert found(tokens, "") is None


def test_another_token_replaces_the_one_before(tokens: AccessTokens) -> None:
    _, before = tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    old = found(tokens, before)
    _, token = tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    assert found(tokens, before) is None
    assert found(tokens, token) is not None
    assert old is not None
    assert not tokens.is_valid(old)
    assert [(one.scope, one.name) for one in tokens.all()] == [(Scope.HEADSET, "Ольга")]


def test_a_revoked_token_is_none(tokens: AccessTokens) -> None:
    _, token = tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    assert tokens.revoke(Scope.HEADSET, "ольга")
    assert found(tokens, token) is None
    assert not tokens.revoke(Scope.HEADSET, "ольга")


def test_a_barred_users_token_is_none_until_they_are_let(
    tokens: AccessTokens, people: Users
) -> None:
    _, token = tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    people.disable("Ольга")
    assert found(tokens, token) is None
    with pytest.raises(UserError, match="is barred"):
        tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    people.enable("Ольга")
    assert found(tokens, token) is not None


@pytest.mark.parametrize(
    ("scope", "name", "why"),
    [
        (Scope.HEADSET, "anna", "nobody has the login"),
        (Scope.CRM, "a b", "a program's name"),
        (Scope.METRICS, "", "a program's name"),
    ],
)
def test_nobody_gets_no_token(tokens: AccessTokens, scope: Scope, name: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        tokens.make(scope, name, "cli:root")
    assert tokens.all() == []


def test_which_logins_are_known(tokens: AccessTokens, people: Users, store: Store) -> None:
    tokens.refresh()
    assert all(map(tokens.is_known, ("Ольга", "оЛьГа ", "root")))
    assert not tokens.is_known("anna")
    people.disable("Ольга")
    tokens.refresh()
    assert not tokens.is_known("Ольга")


def test_who_started_the_desk_is_not_known_while_barred(people: Users, store: Store) -> None:
    people.add("Root", Role.OPERATOR, GOOD)
    people.disable("root")
    tokens = AccessTokens(store, user=lambda: "root")
    tokens.refresh()
    assert not tokens.is_known("root")


def test_without_users_any_login_is_known(opened: Callable[..., Store]) -> None:
    alone = AccessTokens(opened())
    alone.start()
    assert alone.is_known("anna")
    alone.close()


def test_while_the_database_is_away_what_was_known_is_valid(
    tokens: AccessTokens,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, token = tokens.make(Scope.HEADSET, "Ольга", "cli:root")
    tokens.refresh()

    @contextlib.contextmanager
    def away(*_: object) -> object:
        raise StoreError("it is away")
        yield

    monkeypatch.setattr(store.database, "reading", away)
    for _ in range(2):
        assert found(tokens, token) is not None
    assert [one.getMessage() for one in caplog.records] == [
        "tokens cannot be looked up: those that were known go on"
    ]


def test_a_flood_of_unknown_tokens_is_looked_up_a_few_times_a_second(
    store: Store, people: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer, reads = ManualClock(), list[float]()
    tokens = AccessTokens(store, timer=timer)
    read = tokens._read
    monkeypatch.setattr(tokens, "_read", lambda: (reads.append(timer.now), read()))
    for tick in range(1000):
        timer.now = 1 + tick / 1000
        tokens.look_again()
    assert reads == pytest.approx([1, 1.2, 1.4, 1.6, 1.8], abs=0.01)
