"""Who works on this machine, where nobody named an operator."""

from __future__ import annotations

import getpass


def login() -> str:
    """The user's name; "unknown": he has none, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
