"""Named points at which a process may die. The fault tests kill it at each of them.

Nothing durable happens between two points. In production `passed` does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

STORED: Final = "request_stored"
ARMED: Final = "armed"
WOKEN: Final = "woken"
INTENT: Final = "intent_stored"
RANG: Final = "dialled"
DIAL_STORED: Final = "dial_stored"
TOLD: Final = "outcome_told"
OUTCOME_STORED: Final = "outcome_stored"
NEXT_ARMED: Final = "next_armed"
POINTS: Final = (
    STORED,
    ARMED,
    WOKEN,
    INTENT,
    RANG,
    DIAL_STORED,
    TOLD,
    OUTCOME_STORED,
    NEXT_ARMED,
)

_hook: Callable[[str], None] | None = None


def passed(point: str) -> None:
    """The process has reached this point."""
    if _hook is not None:
        _hook(point)


def watch(hook: Callable[[str], None] | None) -> None:
    """Call `hook` at each point, in the thread that passes it."""
    global _hook
    _hook = hook
