"""Detects client silence in call-centre calls, and steps through the script.

>>> from vad_agent import CallSession, Settings
>>> call = CallSession(Settings(), sample_rate=8000)
>>> call.feed(bytes(320), bytes(320))[0]
PhaseChanged(frame=1, phase=<Phase.GREETING: 'greeting'>)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vad_agent.core.events import Event
    from vad_agent.core.session import CallSession
    from vad_agent.script.settings import Settings

__version__ = "0.1.0"
__all__ = ["CallSession", "Event", "Settings", "__version__"]

_HOMES = {
    "CallSession": "vad_agent.core.session",
    "Event": "vad_agent.core.events",
    "Settings": "vad_agent.script.settings",
}


def __getattr__(name: str) -> object:
    # Lazy: `vad-agent --help` needs none of them, and importing pydantic takes 50 ms.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
