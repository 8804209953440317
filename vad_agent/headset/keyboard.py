"""The keyboard of the terminal, key by key: POSIX or Windows."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from vad_agent.headset.windows_keyboard import Keyboard
else:
    from vad_agent.headset.posix_keyboard import Keyboard

__all__ = ["Keyboard"]
