"""The panel of `vad-agent listen --panel`: a server in a thread of that process, on loopback only.

a socket ─> token auth ─> app ─> uvicorn (thread)          close: pages' streams, server, thread

The composition publishes the headset's status to `broker` and receives the page's commands from it.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from vad_agent.common.http_connections import EmbeddedServer
from vad_agent.common.private_files import why
from vad_agent.errors import OutputError, extra
from vad_agent.web.authentication.operator_token_auth import TokenAuth
from vad_agent.web.operator_callbacks import CallbackSource, Reach
from vad_agent.web.origins import Origins
from vad_agent.web.panel_app import create_panel
from vad_agent.web.state_broker import StateBroker

with extra("callbacks", "the panel"):
    import uvicorn

HOST = "127.0.0.1"
PORT = 8601
GRACE_S = 1
LAST_WORD_S = 3.0


class PanelServer:
    """A panel. Its port is taken by the constructor; it serves from `start` until `close`.

    `port`: 0, any free one. `folder`: of the sessions' secret; None: the user's state folder.

    Raises:
        OutputError: the port cannot be taken, or the secret cannot be written.
    """

    def __init__(
        self,
        operator: str,
        *,
        port: int = PORT,
        callbacks: CallbackSource | Reach | None = None,
        broker: StateBroker | None = None,
        folder: Path | None = None,
    ) -> None:
        self.operator = operator
        self.broker = broker or StateBroker()
        self._told: Callable[[str], None] = lambda _: None
        self._closing = False
        self._listening = _listen(port)
        try:
            address = Origins(self._listening.getsockname()[1], host=HOST)
            self.authenticator = TokenAuth(address, operator, folder=folder)
        except BaseException:
            self._listening.close()
            raise
        app = create_panel(
            self.broker,
            self.authenticator,
            callbacks_of=None if callbacks is None else lambda _: callbacks,
        )
        self._server = EmbeddedServer(
            uvicorn.Config(
                app,
                access_log=False,  # the login link contains the token
                log_config=None,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name="panel", daemon=True)

    def start(self, report: Callable[[str], None] | None = None) -> None:
        """Serve. `report`: called with a line that the operator should see."""
        self._told = report or self._told
        for name in (
            "uvicorn",
            "vad_agent.web",
        ):  # without a handler logging would write to the terminal's screen
            logger = logging.getLogger(name)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        self._thread.start()

    def report(self, text: str) -> None:
        """Report a problem of the panel."""
        self._told(text)

    def close(self) -> None:
        """Stop the server; pages show that the headset is gone."""
        self._closing = True
        self.broker.detach(self.operator)
        self.broker.close()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(LAST_WORD_S)
        self._listening.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        except Exception as error:
            self.report(f"панель закрылась: {type(error).__name__}; звонки идут дальше")
        else:
            if not self._closing:
                self.report("панель закрылась; звонки идут дальше")


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=128)
    except (OSError, OverflowError) as error:
        told = why(error) if isinstance(error, OSError) else str(error)
        hint = "name another one with --panel-port"
        raise OutputError(f"{HOST}:{port}: cannot show the panel there: {told}: {hint}") from error
