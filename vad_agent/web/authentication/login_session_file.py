"""Session data of a panel on one machine: `panel.json` in the state folder.

    {"secret": …, "left": {session's id: when it would have ended}}         readable only by its owner

It lets pages survive a restart of the program, and keeps ended sessions ended.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vad_agent.common.private_files import private_folder, replacing, state_folder, why
from vad_agent.errors import OutputError
from vad_agent.web.authentication.login_sessions import Session

FILE = "panel.json"


class SessionFile:
    """`SessionBackend` in a file of `folder`; None: the user's state folder. `clock`: Unix time.

    Raises:
        OutputError: the secret cannot be written.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = (folder or state_folder()) / FILE
        self._clock = clock
        self._lock = threading.Lock()
        self.secret, self._left = self._read()
        if not self.secret:
            self.secret = secrets.token_urlsafe(32)
            self._write()

    def is_over(self, session: Session) -> bool:
        """The session was ended."""
        return session.id in self._left

    def leave(self, session: Session) -> None:
        """End the session."""
        with self._lock:
            secret, elsewhere = self._read()  # another panel of this user may have written it
            known = self._left | (elsewhere if secret == self.secret else {})
            now = self._clock()
            self._left = {id: ends for id, ends in known.items() if ends > now} | {
                session.id: session.ends
            }
            with contextlib.suppress(OutputError):  # it stays ended as long as the program runs
                self._write()

    def _read(self) -> tuple[str, dict[str, float]]:
        try:
            told = json.loads(self._path.read_bytes())
            secret, left = told["secret"], told["left"]
            right = isinstance(secret, str) and len(secret) >= 32 and isinstance(left, dict)
            if right and all(isinstance(ends, int | float) for ends in left.values()):
                return secret, left
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return "", {}

    def _write(self) -> None:
        private_folder(self._path.parent)
        text = json.dumps({"secret": self.secret, "left": self._left}) + "\n"
        try:
            with replacing(self._path) as file:
                file.write(text.encode())
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {why(error)}") from error
