"""Password rules, hashing (argon2id) and verification. Independent of the database.

The rule is length, as in NIST SP 800-63B: at least 8 characters of any kind, and not the login. A
stored hash contains its own parameters, so that stronger ones can be set later.
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
"""Without characters that look alike: 31 characters, 79 bits per password."""


class Passwords:
    """`hasher`: its parameters are used for new passwords; None: argon2-cffi's defaults."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()

    def kept(self, password: str) -> str:
        """The stored form of the password. Deliberately slow."""
        return self._hasher.hash(_same(password))

    def is_right(self, kept: str | None, password: str) -> bool:
        """Verify the password. `kept` None: no such user; takes equally long."""
        nobodys = self._nobodys  # created at the first check, for any user
        try:
            right = self._hasher.verify(kept or nobodys, _same(password))
        except (Argon2Error, ValueError):  # also invalid characters, or a damaged row
            return False
        return right and kept is not None

    def is_stale(self, kept: str) -> bool:
        """The hash has other parameters than a new one would have."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_hex(16))


def problem(password: str, login: str) -> str | None:
    """Why this cannot be the password of `login`. None: it can."""
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
    """A new password that can be read out: "k3vq-9m2x-7hap-w4td"."""
    groups = ("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))
    return "-".join(groups)


def _same(text: str) -> str:
    """Normalize: keyboards compose the same letter in different ways."""
    return unicodedata.normalize("NFKC", text)
