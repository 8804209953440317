"""Logins: who works on this machine, where nobody named an operator; and when two are one."""

from __future__ import annotations

import getpass
import unicodedata


def login() -> str:
    """The user's name; "unknown": he has none, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def folded(login: str) -> str:
    """What two writings of one login share: capital letters do not matter."""
    return unicodedata.normalize("NFC", login.strip()).casefold()
