"""Sessions: what a cookie says, and which cookies say nothing any more."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from itsdangerous import URLSafeSerializer

from vad_agent.web.authentication.login_sessions import SALT, SESSION_S, Role, Session, Sessions


class InMemory:
    """`SessionBackend` until the test ends."""

    def __init__(self, secret: str = "s" * 32) -> None:
        self.secret = secret
        self.left: list[str] = []

    def is_over(self, session: Session) -> bool:
        return session.id in self.left

    def leave(self, session: Session) -> None:
        self.left.append(session.id)


def of(sessions: Sessions, cookie: str) -> Session:
    return sessions.of(cookie) or pytest.fail("it is none")


def test_a_cookie_tells_who_came_in_as_what_and_until_when() -> None:
    now = [1_000_000.25]
    sessions = Sessions(InMemory(), clock=lambda: now[0])
    cookie = sessions.open("Ольга", Role.SUPERVISOR, 12.345678)
    session = of(sessions, cookie)
    assert (session.operator, session.role) == ("Ольга", Role.SUPERVISOR)
    assert (session.ends, session.since) == (1_000_000 + SESSION_S, 12.345678)
    assert of(sessions, sessions.open("Ольга")).role is Role.OPERATOR
    now[0] += SESSION_S
    assert sessions.of(cookie) is None


def test_who_has_left_is_out() -> None:
    kept = InMemory()
    sessions = Sessions(kept)
    cookie, other = sessions.open("olga"), sessions.open("olga")
    session = of(sessions, cookie)
    sessions.leave(session)
    assert kept.left == [session.id]
    assert sessions.of(cookie) is None
    assert not sessions.is_on(session)
    assert sessions.of(other) is not None


def test_a_page_proves_itself_for_its_own_session() -> None:
    sessions = Sessions(InMemory())
    one, other = (of(sessions, sessions.open("olga")) for _ in range(2))
    assert sessions.is_csrf(one, sessions.csrf(one))
    assert Sessions(InMemory()).csrf(one) == sessions.csrf(one)
    for wrong in ("", "\ud83d", sessions.csrf(other), Sessions(InMemory("t" * 32)).csrf(one)):
        assert not sessions.is_csrf(one, wrong)


@pytest.mark.parametrize(
    "told",
    [
        ["id", "olga", 2e9],  # before there were roles
        ["id", "olga", 2e9, "boss", 0],
        ["id", "olga", "2e9", "operator", 0],
        ["id", 1, 2e9, "operator", 0],
        {"id": "id"},
        None,
    ],
)
def test_what_an_earlier_version_has_signed_is_no_session(told: Any) -> None:
    kept = InMemory()
    signer = URLSafeSerializer(kept.secret, SALT, signer_kwargs={"digest_method": hashlib.sha256})
    assert Sessions(kept, clock=lambda: 1e9).of(signer.dumps(told)) is None  # type: ignore[arg-type]
    assert Sessions(kept, clock=lambda: 1e9).of(
        signer.dumps(["id", "olga", 2e9, "operator", 0])  # type: ignore[arg-type]
    ) == Session("id", "olga", 2e9, Role.OPERATOR, 0)


def test_what_another_has_signed_is_no_session() -> None:
    cookie = Sessions(InMemory("t" * 32)).open("olga")
    for wrong in (None, "", "x", cookie, cookie[:-2], "\ud83d"):
        assert Sessions(InMemory()).of(wrong) is None
