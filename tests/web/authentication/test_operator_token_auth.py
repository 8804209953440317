"""The door of one operator: sessions that outlive the program, tries that are counted, a kept secret."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from vad_agent.web.authentication.login_session_file import FILE
from vad_agent.web.authentication.login_sessions import SESSION_S, Role
from vad_agent.web.authentication.login_throttle import TooManyAttempts
from vad_agent.web.authentication.operator_token_auth import PAUSE_S, TRIES, TokenAuth
from vad_agent.web.origins import Origins

HERE = Origins(8601)


def test_a_session_outlives_the_program_but_not_its_end(tmp_path: Path) -> None:
    now, timer = [1_000_000.0], [0.0]

    def authenticator(operator: str = "ivan") -> TokenAuth:
        return TokenAuth(
            HERE, operator, folder=tmp_path, clock=lambda: now[0], timer=lambda: timer[0]
        )

    def cookie_of(authenticator: TokenAuth) -> str:
        return authenticator.by_token(authenticator.one_time.token, "127.0.0.1") or pytest.fail(
            "it is the token"
        )

    first = authenticator()
    cookie, left = cookie_of(first), cookie_of(first)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    first.sessions.leave(first.session(left) or pytest.fail("it is none"))
    again = authenticator()
    session = again.session(cookie)
    assert session is not None
    assert (session.operator, session.role) == ("ivan", Role.OPERATOR)
    assert again.sessions.csrf(session) == first.sessions.csrf(session)
    assert again.one_time.token != first.one_time.token
    assert again.session(left) is None
    assert again.session(cookie[:-2]) is None
    assert again.session(None) is None
    assert authenticator("olga").session(cookie) is None
    now[0] += SESSION_S
    assert again.session(cookie) is None
    assert not again.sessions.is_on(session)


def test_wrong_tokens_are_forgotten_after_a_minute(tmp_path: Path) -> None:
    timer = [0.0]
    authenticator = TokenAuth(HERE, "ivan", folder=tmp_path, timer=lambda: timer[0])
    for number in range(TRIES):
        assert authenticator.by_token("wrong", f"10.0.0.{number}") is None
    with pytest.raises(TooManyAttempts) as pause:
        authenticator.by_token("wrong", "127.0.0.1")
    assert pause.value.wait_s == PAUSE_S
    assert authenticator.by_token(authenticator.one_time.token, "127.0.0.1")
    timer[0] = PAUSE_S
    assert authenticator.by_token("wrong", "127.0.0.1") is None


def test_a_link_works_once_and_the_next_one_is_told(tmp_path: Path) -> None:
    authenticator = TokenAuth(HERE, "ivan", folder=tmp_path)
    told: list[str] = []
    authenticator.one_time.replaced = told.append
    first = authenticator.one_time.token
    assert authenticator.by_token(first, "127.0.0.1")
    assert authenticator.by_token(first, "127.0.0.1") is None
    assert told == [authenticator.link]
    assert first not in authenticator.link
    assert authenticator.by_token(authenticator.one_time.token, "127.0.0.1")


def test_nobody_comes_in_by_a_login(tmp_path: Path) -> None:
    authenticator = TokenAuth(HERE, "ivan", folder=tmp_path)
    assert not authenticator.has_logins
    assert authenticator.by_login("ivan", authenticator.one_time.token, "127.0.0.1") is None


def test_a_damaged_secret_is_made_anew(tmp_path: Path) -> None:
    for damaged in (b"", b"{}", b"\xff", b'{"secret": "short", "left": {}}'):
        (tmp_path / FILE).write_bytes(damaged)
        authenticator = TokenAuth(HERE, "ivan", folder=tmp_path)
        cookie = authenticator.by_token(authenticator.one_time.token, "")
        assert authenticator.session(cookie) is not None
        assert len(json.loads((tmp_path / FILE).read_bytes())["secret"]) >= 32
