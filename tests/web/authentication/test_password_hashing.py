"""Passwords: which may be, and how they are kept."""

from __future__ import annotations

import re

import pytest
from argon2 import PasswordHasher

from tests.web.desk_client import CHEAP
from vad_agent.web.authentication.password_hashing import (
    LEAST,
    MOST,
    Passwords,
    new_password,
    problem,
)


def test_a_password_is_right_however_its_letters_were_put_together() -> None:
    passwords = Passwords(CHEAP)
    kept = passwords.kept("ёлка и шары")
    assert kept.startswith("$argon2id$")
    assert "ёлка" not in kept
    assert passwords.is_right(kept, "е\u0308лка и шары")
    assert not passwords.is_right(kept, "Ёлка и шары")
    assert passwords.kept("ёлка и шары") != kept
    assert not passwords.is_right(None, "ёлка и шары")
    for damaged in ("", "ёлка и шары", "$argon2id$v=19$x"):
        assert not passwords.is_right(damaged, "ёлка и шары")
    assert not passwords.is_right(kept, "\ud83d")


def test_what_was_kept_with_other_parameters_is_right_and_stale() -> None:
    old, new = Passwords(CHEAP), Passwords(PasswordHasher(2, 16, 1))
    kept = old.kept("correct horse")
    assert new.is_right(kept, "correct horse")
    assert new.is_stale(kept)
    assert not old.is_stale(kept)


@pytest.mark.parametrize(
    ("password", "wrong"),
    [
        ("x" * (LEAST - 1), "8 characters at least"),
        ("x" * LEAST, None),
        ("        ", None),
        ("я" * MOST, None),
        ("я" * (MOST + 1), "256 characters at most"),
        ("О.Орлова", "another one than the login"),
        ("correct\nhorse", "one line"),
        ("correct\0horse", "one line"),
        ("correct\ud83d horse", "one line"),
    ],
)
def test_length_is_the_rule(password: str, wrong: str | None) -> None:
    told = problem(password, "о.орлова")
    assert (told is None) == (wrong is None)
    assert (wrong or "") in (told or "")


def test_one_that_is_made_can_be_read_out() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){3}[a-hjkmnp-z2-9]{4}", one) for one in made)
