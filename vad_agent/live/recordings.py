"""`--record DIR`: each call's sound, events and trace, in files of its own. Without it no sound is stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from vad_agent.common.private_files import private_folder
from vad_agent.core.actions import Action
from vad_agent.core.session import CallSession
from vad_agent.live.record import CallRecorder, Tap
from vad_agent.script.settings import Settings

CLOSE_S = 5.0


class Recordings:
    """An outlet that records each call; `tap` comes before the call's `begin`.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(
        self, folder: Path, settings: Settings, mode: str, report: Callable[[str], None]
    ) -> None:
        private_folder(folder)
        self._folder = folder
        self._settings = settings
        self._mode = mode
        self._report = report
        self._next: deque[CallRecorder] = deque()
        self._now: CallRecorder | None = None
        self._ended: list[CallRecorder] = []

    def tap(self, session: CallSession, call: str) -> CallSession:
        """The session, with all that it is given copied to its recording."""
        recorder = CallRecorder(self._folder, call, self._settings, self._mode, self._report)
        self._next.append(recorder)
        return Tap(session, recorder)  # type: ignore[return-value]

    def begin(self, call: str, began: datetime) -> None:
        """The actions that follow are of this call."""
        self._now = self._next.popleft() if self._next else None

    def take(self, actions: Sequence[Action]) -> None:
        """Actions in order."""
        if self._now is not None:
            self._now.take(actions)

    def end(self) -> None:
        """The call is over: its files are finished behind the loop's back."""
        recorder, self._now = self._now, None
        if recorder is not None:
            recorder.finish()
            self._ended = [one for one in self._ended if not one.close(0.0)] + [recorder]

    def finish(self) -> None:
        """No more calls will come."""
        self.end()

    def close(self) -> None:
        """Wait until all files are whole; what is not, is told."""
        self.finish()
        whole = [one.close(CLOSE_S) for one in self._ended]
        if not all(whole):
            self._report(f"{self._folder}: запись не дописана: диск не отвечает")
