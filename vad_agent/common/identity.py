"""Logins: the default operator of this machine, and comparison of logins."""

from __future__ import annotations

import getpass
import unicodedata


def login() -> str:
    """The user's name; "unknown" if there is none, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def folded(login: str) -> str:
    """The login for comparison: case does not matter."""
    return unicodedata.normalize("NFC", login.strip()).casefold()
