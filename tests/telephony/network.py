"""A network that can be cut: TCP links, each from a port of its own to another port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


class Network:
    """All its links. `cut`: every connection breaks, and none can be made; `mend`: they can again."""

    def __init__(self) -> None:
        self.is_cut = False
        self._ended = False
        self._listening: list[socket.socket] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def link(self, to: int) -> int:
        """A link to a port. Return its own port."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._listening.append(listening)
        threading.Thread(target=self._accept, args=(listening, to), daemon=True).start()
        port: int = listening.getsockname()[1]
        return port

    def cut(self) -> None:
        """Break every connection."""
        with self._lock:
            self.is_cut = True
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Connections can be made again."""
        with self._lock:
            self.is_cut = False

    def _accept(self, listening: socket.socket, to: int) -> None:
        while not self._ended:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                if self.is_cut:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", to), 2)
                    far.settimeout(None)
                except OSError:
                    near.close()
                    continue
                self._open |= {near, far}
            threading.Thread(target=self._join, args=(near, far), daemon=True).start()

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
        back.start()
        _pass_on(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self.cut()
        for one in self._listening:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
