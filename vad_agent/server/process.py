"""Runs `vad-agent serve` until a signal: the desk, its API and the pages.

config ─> dialer ─> desk ─┬─> API ──┬─> our own socket ─> uvicorn      SIGINT, SIGTERM: these first,
                          └─> pages ┘                                  then the desk
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from vad_agent.callbacks.database import DatabaseLocation, wait_for_server
from vad_agent.callbacks.dialers.base import DialRequest
from vad_agent.callbacks.dialers.manual import ManualDialer
from vad_agent.callbacks.model import UNDER_WAY, Policy, State
from vad_agent.callbacks.phone_numbers import masked
from vad_agent.client.discovery import (
    claim_desk_record,
    own_token,
    remove_desk_record,
    token_file,
    write_desk_record,
)
from vad_agent.common.http_connections import EmbeddedServer
from vad_agent.common.live_screen import can_redraw
from vad_agent.common.periodic import Periodic
from vad_agent.common.time_zones import zone_name
from vad_agent.errors import OutputError, SettingsError, extra
from vad_agent.server.api_app import create_app
from vad_agent.server.bearer_auth import Tokens
from vad_agent.server.container import DeskContainer
from vad_agent.server.desk_config import Api, DeskConfig
from vad_agent.server.desk_screen import OUTCOMES, DeskScreen
from vad_agent.server.dialer_factory import make_dialer
from vad_agent.server.metrics import Metrics
from vad_agent.server.mounted_pages import MakePages, PathDispatcher
from vad_agent.web.authentication.refusals import Refusals

with extra("callbacks", "vad-agent serve"):
    import uvicorn
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

GRACE_S = 3
ALIVE_S = 5.0
"""Seconds between pings; a disconnected headset is detected after twice as long."""
LARGEST_MESSAGE = 64 * 1024
SETTLE_S = 10.0


def serve(config: DeskConfig, console: Console, make_front: MakePages | None = None) -> bool:
    """Serve until SIGINT or SIGTERM. `make_front`: makes the pages; None: no pages.

    Returns whether it was SIGINT.

    Raises:
        SettingsError: a token, the dialer's table or the script is not valid; or other machines
            would reach it without TLS.
        StoreError: the callbacks cannot be opened, or this user's desk runs already.
        OutputError: the port cannot be taken.
    """
    own, programs = {"own": own_token()}, _programs(config.api)
    Tokens(own, programs)  # check before anything is opened
    _check_tls(config.api)
    _check_exposure(config.api)
    metrics = Metrics()
    screen: DeskScreen | None = None

    def tell(order: DialRequest) -> None:
        if screen is None:
            tell_to_ring(order, console)
        else:
            console.bell()  # the screen shows whom

    dialer = make_dialer(config, tell)
    with contextlib.ExitStack() as stack:
        stack.callback(claim_desk_record().close)
        wait_for_server(
            DatabaseLocation.parse(config.database),
            config.database_wait_s,
            lambda why: log.warning("waiting for the database", extra={"why": why}),
        )
        listening = _listen(config.api)
        stack.callback(listening.close)
        desk = DeskContainer(config, dialer, late=metrics.late)
        stack.callback(desk.close)
        refusals = Refusals(desk.alerts, metrics.refused, now=desk.clock.now)
        settling = Periodic("refusals", SETTLE_S, refusals.settle)
        settling.start()
        stack.callback(settling.close)
        open_metrics = config.api.metrics_open
        front = None
        if make_front is not None and config.panel.on:
            front = make_front(desk, config, listening.getsockname()[1], refusals)
            stack.callback(front.close)
        app: ASGIApp = create_app(
            desk.app_state,
            Tokens(own, programs, desk.tokens),
            more=() if front is None else front.routers,
            metrics=metrics,
            refusals=refusals,
            open_metrics=open_metrics,
        )
        if front is not None:
            app = PathDispatcher(app, front.app)
        server = DeskServer(
            uvicorn.Config(
                app,
                access_log=False,  # a query may contain a number
                log_config=None,
                lifespan="off",
                ws="none" if front is None else "websockets-sansio",
                ws_max_size=LARGEST_MESSAGE,
                ws_per_message_deflate=False,  # states are small and frequent
                ws_ping_interval=ALIVE_S,
                ws_ping_timeout=ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
                ssl_certfile=config.api.cert_file or None,
                ssl_keyfile=config.api.key_file or None,
            ),
            None if front is None else front.hush,
        )
        # Install the signal handlers first: a reader of the record may send a signal.
        ending = stack.enter_context(_ending(server))
        url = _url(config.api, listening)
        shown = desk.store.database.where.shown
        write_desk_record(url, database=shown, certificate=config.api.cert_file)
        stack.callback(remove_desk_record)
        head = [
            ("desk", url),
            ("callbacks", shown),
            ("dialer", config.dialer),
            ("zone", _zone(desk.store.policy)),
            ("letters", str(config.inbox)),
            ("token", str(token_file())),
        ]
        if front is not None:
            # The login link is for a person at a terminal, not for a journal.
            head.append(("panel", front.link if console.is_terminal else front.url))
        for name, value in head:
            console.print(f"{name:<10}{value}", soft_wrap=True, highlight=False)
        if can_redraw(console):
            by_hand = {State.NEEDS_PERSON}  # the dialer has failed too often
            if config.dialer == ManualDialer.name:
                by_hand |= UNDER_WAY
            queries, attempts = desk.app_state.queries, desk.store.policy.attempts
            screen = DeskScreen(console, head, lambda: queries.page(by_hand), attempts)
            stack.callback(screen.close)
            screen.start()
        if front is not None and console.is_terminal:
            front.on_new_link(partial(_show_link, console, head, screen))
        server.run(sockets=[listening])
        return ending.is_set()


def _show_link(
    console: Console, head: list[tuple[str, str]], screen: DeskScreen | None, link: str
) -> None:
    """The login link was used, and there is another one."""
    head[:] = [(name, link if name == "panel" else value) for name, value in head]
    if screen is None:
        console.print(f"{'panel':<10}{link}", soft_wrap=True, highlight=False)


class DeskServer(EmbeddedServer):
    """Uvicorn's signal handlers would end the process before the desk is closed.

    `hush`: called before the server waits for requests under way.
    """

    def __init__(self, config: uvicorn.Config, hush: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._hush = hush

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        if self._hush is not None:
            self._hush()
        await super().shutdown(sockets)


@contextlib.contextmanager
def _ending(server: uvicorn.Server) -> Iterator[threading.Event]:
    """Signals end the server. The event: it was SIGINT."""
    interrupted = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            interrupted.set()
        server.force_exit = server.should_exit  # a second signal does not wait for requests
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(api: Api) -> socket.socket:
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    try:
        return socket.create_server((api.host, api.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{api.host}:{api.port}: cannot listen there: {why}") from error


def _url(api: Api, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    host = f"[{api.host}]" if ":" in api.host else api.host
    return f"{'https' if api.cert_file else 'http'}://{host}:{port}"


def _programs(api: Api) -> Mapping[str, str]:
    """The tokens of `[api.tokens]`, by name."""
    tokens: dict[str, str] = {}
    problems = []
    for name, file in api.tokens.items():
        if name == "own":
            problems.append(f"{name}: expected another name: it is that of {token_file()}")
            continue
        try:
            tokens[name] = Path(file).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "expected ASCII"
            problems.append(f"{name}: {file}: {why}")
    if problems:
        raise SettingsError("[api.tokens]", problems)
    return tokens


def _check_tls(api: Api) -> None:
    """Check the TLS files before anything is opened: uvicorn would read them last."""
    if not api.cert_file:
        if api.key_file:
            raise SettingsError("[api]", ["cert_file: missing, key_file is set"])
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(api.cert_file, api.key_file or None, password=lambda: "")
    except (OSError, ValueError) as error:  # SSLError is a subclass of OSError
        files = " and ".join(file for file in (api.cert_file, api.key_file) if file)
        why = "expected a certificate and its key, without a password, as PEM"
        if not isinstance(error, ssl.SSLError):
            why = getattr(error, "strerror", None) or why
        raise SettingsError("[api]", [f"{files}: {why}"]) from None


def _zone(policy: Policy) -> str:
    """The zone of agreed times, and how it was chosen."""
    name = zone_name(policy.zone)
    if not policy.zone_is_machines:
        return name
    return f"{name}: this machine's, because the script names none (zone in [callbacks])"


def _check_exposure(api: Api) -> None:
    """Names, numbers and passwords do not cross a network in the clear, unless somebody says so."""
    if api.cert_file or api.without_tls or is_loopback(api.host):
        return
    raise SettingsError(
        "[api]",
        [
            f"host: {api.host!r} is reached by other machines, and there is no TLS: set cert_file and "
            "key_file, or listen on 127.0.0.1 behind a proxy; without_tls = true (--without-tls) "
            "allows it"
        ],
    )


def is_loopback(host: str) -> bool:
    """Only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def tell_to_ring(order: DialRequest, console: Console) -> None:
    """Ask a person at the terminal to call. Without a terminal, as in a journal, the number is masked."""
    number = Text(order.number if console.is_terminal else masked(order.number), "bold")
    if console.is_terminal:
        number.stylize(f"link tel:{order.number}")
        console.bell()
        if order.extension:
            number.append(f", доб. {order.extension}")
    id = order.key.partition(".")[0]
    name = f" {order.name}" if order.name and console.is_terminal else ""
    head = Text.assemble(
        "ПЕРЕЗВОНИТЕ ", number, f"{name}, попытка {order.attempt} из {order.attempts}"
    )
    console.print(head, soft_wrap=True)
    if console.is_terminal and order.opening:
        console.print(f"  «{order.opening}»", soft_wrap=True, highlight=False)
    console.print(f"  звоню: vad-agent callbacks accept {id}", soft_wrap=True)
    then = f"  потом: vad-agent callbacks done {id} {OUTCOMES}"
    console.print(then, soft_wrap=True)
