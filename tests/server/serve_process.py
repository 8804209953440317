"""`vad-agent serve` as a process of its own: its output, its signals, its files."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

LIMIT_S = 30.0


class ServeProcess:
    """One process; `state`: its XDG_STATE_HOME; `files`: its `ulimit -n`."""

    def __init__(
        self, state: Path, *arguments: object, files: int | None = None, **environment: str
    ) -> None:
        self.folder = state / "vad-agent"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VAD_AGENT_")}
        limit = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            [*limit, sys.executable, "-m", "vad_agent.cli.main", "serve", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean | {"XDG_STATE_HOME": str(state), "PYTHONUTF8": "1"} | environment,
            cwd=state,
            encoding="utf-8",
        )
        self.said: list[str] = []
        self.errors: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read_out),
            threading.Thread(target=self._read_errors),
        ]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        self.errors.extend(line.rstrip("\n") for line in self.process.stderr or ())

    def until(self, begin: str) -> str:
        """The next line that begins so."""
        while (line := self._lines.get(timeout=LIMIT_S)) is not None:
            self.said.append(line)
            if line.startswith(begin):
                return line
        raise AssertionError((begin, self.said, self.errors))

    def ready(self) -> str:
        """Its URL, when it has said where its token is."""
        url = self.until("desk ").split()[1]
        self.until("token ")
        return url

    def end(self, number: int | None = None) -> int:
        """Its status, and all of its output read."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(LIMIT_S)
        for reader in self._readers:
            reader.join(LIMIT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return status

    @property
    def place(self) -> Path:
        return self.folder / "desk.json"

    @property
    def database(self) -> Path:
        return self.folder / "callbacks.sqlite"

    def bearer(self) -> dict[str, str]:
        token = (self.folder / "token").read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}"}
