"""The keyboard of this machine's terminal, key by key: see the two files it comes from."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from vad_agent.headset.windows_keyboard import Keyboard
else:
    from vad_agent.headset.posix_keyboard import Keyboard

__all__ = ["Keyboard"]
