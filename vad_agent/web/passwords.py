"""Passwords: which ones may be, how they are kept (argon2id) and looked at. Nothing here knows a database.

Length is the rule, as NIST SP 800-63B has it: 8 characters at least, any of them, and not the login. What is
kept tells its own parameters, so that stronger ones can be set later.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import cached_property

from vad_agent.errors import extra

with extra("callbacks", "the panel's logins"):
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error

LEAST, MOST = 8, 256
GROUPS, GROUP = 4, 4
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for one another: 31 of them, 79 bits a password."""


class Passwords:
    """`hasher`: its parameters are what a new password is kept with; None: argon2-cffi's own."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()

    def kept(self, password: str) -> str:
        """The form in which it is kept. Takes a while, on purpose."""
        return self._hasher.hash(_same(password))

    def is_right(self, kept: str | None, password: str) -> bool:
        """It is this one; `kept` None: nobody's, which takes as long."""
        nobodys = self._nobodys  # made at the first look, whosever that is
        try:
            right = self._hasher.verify(kept or nobodys, _same(password))
        except (Argon2Error, ValueError):  # also what no keyboard gives, or a damaged row
            return False
        return right and kept is not None

    def is_stale(self, kept: str) -> bool:
        """It was kept with other parameters than a new one would be."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_hex(16))


def problem(password: str, login: str) -> str | None:
    """Why this cannot be the password of `login`; None: it can."""
    length = len(_same(password))
    if length < LEAST:
        return f"expected {LEAST} characters at least"
    if length > MOST:
        return f"expected {MOST} characters at most"
    if any("\ud800" <= letter <= "\udfff" or letter in "\0\r\n" for letter in password):
        return "expected one line of text"
    if _same(password).casefold() == _same(login).casefold():
        return "expected another one than the login"
    return None


def new_password() -> str:
    """One that can be read out: "k3vq-9m2x-7hap-w4td"."""
    groups = ("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))
    return "-".join(groups)


def _same(text: str) -> str:
    """However a keyboard has put a letter together."""
    return unicodedata.normalize("NFKC", text)
