"""Call control by other programs: JSON lines on a socket, or on stdin.

    {"kind": "answered", "call_id": "17"}        an event, see docs/events.md
    {"command": "end_call"}                      start_call, end_call, undo, quit
    <- {"ok": true}, or {"error": "…"}           on a socket, one line per line

The socket is a Unix socket, accessible only to its owner. A port of 127.0.0.1, as on Windows, is
accessible to everybody on this machine: the first line there is the token of a private file.

    {"token": "…"}
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from vad_agent.client.headset_protocol import Command, parse_control
from vad_agent.common.private_files import secret_in, state_folder
from vad_agent.core.events import Event
from vad_agent.errors import EventError, OutputError

LONGEST = 64 * 1024
"""Bytes of a line; a longer one is refused, and reading continues after it."""
MOST_CLIENTS = 32
IDLE_S = 0.5

TOKEN_S = 5.0
"""Seconds for a client of a port to say the token."""
TOKEN_FILE = "events-token"
"""In the user's state folder."""
HTTP = (b"HTTP/1.0", b"HTTP/1.1")
Put = Callable[[Event | Command], None]


class SoftphoneEventSocket:
    """Listens on stdin ("-"), a Unix socket (a path), or 127.0.0.1 (a port number).

    `put` is called in threads of its own; `report` with problems, without personal data.

    Raises:
        OutputError: the socket cannot be created.
    """

    def __init__(self, where: str, put: Put, report: Callable[[str], None]) -> None:
        self._put = put
        self._report = report
        self.token_path: Path | None = None
        """The file of the token that a client needs; None: none is needed."""
        self._token: str | None = None
        self._path: Path | None = None
        self._socket: socket.socket | None = None
        self._ended = threading.Event()
        self._clients: set[socket.socket] = set()
        if where == "-":
            return
        if where.isdecimal():
            self.token_path = state_folder() / TOKEN_FILE
            self._token = secret_in(self.token_path)
            self._socket = _port(int(where))
        else:
            self._path = Path(where)
            self._socket = _unix(self._path)
        self._socket.settimeout(IDLE_S)

    def start(self) -> None:
        """Start listening."""
        run = self._read_stdin if self._socket is None else self._accept
        threading.Thread(target=run, name="inlet", daemon=True).start()

    def close(self) -> None:
        """Stop listening; the socket's file is removed."""
        self._ended.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread blocked in it
            self._socket.close()
        for client in tuple(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    # -- threads --------------------------------------------------------------------------------------

    def _read_stdin(self) -> None:
        if sys.stdin is None:
            return
        # Not the buffer of sys.stdin: a thread blocked in it would abort the interpreter at exit.
        try:
            with open(sys.stdin.fileno(), "rb", buffering=LONGEST, closefd=False) as lines:
                self._read(lines, self._complain)
        except OSError as error:  # for example nohup opens it write-only
            self._report(f"stdin: cannot be read: {error.strerror or type(error).__name__}")

    def _complain(self, answer: dict[str, object]) -> None:
        if "error" in answer:
            self._report(f"stdin: {answer['error']}")

    def _accept(self) -> None:
        assert self._socket is not None
        while not self._ended.is_set():
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:  # closed; or no free descriptor at the moment
                self._ended.wait(IDLE_S)
                continue
            if len(self._clients) >= MOST_CLIENTS:
                client.close()
                continue
            client.settimeout(None)
            self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), name="inlet", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        def answer(what: dict[str, object]) -> None:
            with contextlib.suppress(OSError):  # a closed peer may have left more lines
                client.sendall(json.dumps(what, ensure_ascii=False).encode() + b"\n")

        try:
            with client.makefile("rb") as lines:
                if self._token is not None:
                    client.settimeout(TOKEN_S)
                    if not self._is_let_in(lines, answer, self._token):
                        return
                    client.settimeout(None)
                self._read(lines, answer)
        except OSError:
            pass  # the peer is gone
        finally:
            self._clients.discard(client)
            client.close()

    def _is_let_in(
        self, lines: IO[bytes], answer: Callable[[dict[str, object]], None], token: str
    ) -> bool:
        """Read the first line, which must be the token."""
        line = lines.readline(LONGEST + 1)
        given = None
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(line)
            given = told.get("token") if isinstance(told, dict) else None
        if isinstance(given, str) and hmac.compare_digest(
            given.encode(errors="replace"), token.encode()
        ):
            answer({"ok": True})
            return True
        if line and not line.rstrip().endswith(HTTP):
            answer({"error": f'expected {{"token": "…"}} first, the one in {self.token_path}'})
            self._report("события: чужая программа без токена не допущена")
        return False

    def _read(self, lines: IO[bytes], answer: Callable[[dict[str, object]], None]) -> None:
        """Handle lines; the last one may lack its newline. A line that is too long ends the reading."""
        while not self._ended.is_set() and (line := lines.readline(LONGEST + 1)):
            if len(line) > LONGEST:
                answer({"error": f"expected a line of {LONGEST} bytes at most"})
                while line and not line.endswith(b"\n"):
                    line = lines.readline(LONGEST)
                continue
            if not line.strip():
                continue
            if line.rstrip().endswith(HTTP):
                return  # a browser page can post to a local port: reject HTTP
            try:
                what = parse_control(line)
            except EventError as error:
                answer({"error": str(error)})
            else:
                self._put(what)
                answer({"ok": True})


def _unix(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise OutputError(f"{path}: there are no Unix sockets here: name a port, such as 7070")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path)
        before = os.umask(0o177)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        made.listen()
    except OSError as error:
        made.close()
        why = error.strerror or str(error)
        raise OutputError(f"{path}: cannot make the socket of events: {why}") from error
    except OutputError:
        made.close()
        raise
    return made


def _make_way(path: Path) -> None:
    """Remove a socket file that no process serves any more."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_socket():
        raise OutputError(f"{path}: it is no socket, and is left alone: name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(IDLE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:  # any other error: it is in use, or not ours
            path.unlink()
            return
    raise OutputError(f"{path}: another vad-agent listens there: name another path, or end it")


def _port(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # else the last run's connections block it for a minute
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
        made.listen()
    except (OSError, OverflowError) as error:
        made.close()
        why = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"127.0.0.1:{port}: cannot listen for events: {why}") from error
    return made
