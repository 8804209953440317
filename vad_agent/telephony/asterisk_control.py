"""Call control at Asterisk through its REST interface (ARI): follows the calls with a tap, hangs up.

    events (a thread) ──> AsteriskCalls ──> tell(TapEvent …), in that thread
    hang_up(tap) ──> a writer thread ──> DELETE /channels/ID
    tap(tap) ──────> the same ─────────> POST /channels: the context [vad-again] begins a new tap

ARI carries events and commands alone. While it is away calls go on, and are recognized by ear; when
it is back, its channels and bridges say which call is whose.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vad_agent.callbacks.dialers.ari_events import PAUSES_S, AriEvents
from vad_agent.callbacks.dialers.http_transport import HttpTransport
from vad_agent.common.writer_thread import WriterThread
from vad_agent.errors import DialError
from vad_agent.telephony.asterisk_calls import VARIABLE, AsteriskCalls
from vad_agent.telephony.call_control import TapEvent

log = logging.getLogger(__name__)

APP = "vad-agent-media"
"""The ARI application; each process, and the callbacks' dialer, has another one: the events of one go to one
connection.
"""
LIMIT_S = 5.0
GONE = 404
NO_DEVICES = (400, 404, 409, 422)
"""res_stasis_device_state is not loaded."""
CLOSE_S = 2.0
MOST_COMMANDS = 1000


class AsteriskControl:
    """`url`: without /ari. `tell`: called with what happens, by the events' thread. `media`: HOST:PORT
    at which Asterisk reaches our listener. `app`: the ARI application.
    """

    def __init__(
        self,
        url: str,
        auth: tuple[str, str],
        tell: Callable[[Sequence[TapEvent]], None],
        *,
        media: str = "",
        app: str = APP,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._tell = tell
        self._media = media
        self._app = app
        self._calls = AsteriskCalls()
        self._lock = threading.Lock()
        base = f"{url.rstrip('/')}/ari"
        self._http = HttpTransport("asterisk", base, auth=auth, limit_s=LIMIT_S)
        self._events = AriEvents(
            base,
            app,
            auth,
            opened=self._restore,
            event=self._take,
            tick=lambda: None,
            pauses_s=pauses_s,
            all_channels=True,
        )
        self._commands: WriterThread[tuple[Callable[[str, str], None], str]] = WriterThread(
            "ari commands", self._send, most=MOST_COMMANDS
        )

    def start(self) -> None:
        """Connect in the background."""
        self._events.start()

    @property
    def connected(self) -> bool:
        """Events are being received."""
        return self._events.connected

    @property
    def waiting(self) -> int:
        """Commands that are not carried out yet."""
        return self._commands.waiting

    def wait(self, limit_s: float) -> bool:
        """Whether events are being received, now or within `limit_s` seconds."""
        return self._events.wait(limit_s)

    def hang_up(self, tap: str) -> None:
        """End the client's channel of this tap. Does not block; what fails is logged."""
        self._put(self._hang_up_channel, tap)

    def tap(self, tap: str) -> None:
        """Begin a new stream of a call that has none. Does not block; what fails is logged."""
        self._put(self._tap_channel, tap)

    def _put(self, command: Callable[[str, str], None], tap: str) -> None:
        if not self._commands.put((command, tap)):
            log.error("a command to Asterisk is lost: too many wait")

    def close(self) -> None:
        """Receive no more; hang up what is due."""
        self._events.close()
        self._commands.close(CLOSE_S)
        self._http.close()

    # -- the events' thread ------------------------------------------------------------------------

    def _take(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            found = self._calls.take(event)
        if found:
            self._tell(found)

    def _restore(self) -> None:
        """The calls as they are now; those that began or ended meanwhile are told."""
        self._leave_devices()
        channels = [
            (channel, value)
            for channel in self._list("/channels")
            if isinstance(channel, dict) and (value := self._variable(channel)) is not None
        ]
        bridges = [bridge for bridge in self._list("/bridges") if isinstance(bridge, dict)]
        with self._lock:
            found = self._calls.restore(channels, bridges)
        log.info("call control is connected", extra={"by": "ARI", "calls": len(self._calls)})
        if found:
            self._tell(found)

    def _leave_devices(self) -> None:
        """Take no states of devices, which are not used.

        A WebSocket that closes while one is told deadlocks Asterisk's (issue 2170, open): until a restart
        of Asterisk nobody can connect for events.
        """
        self._http.send(
            "DELETE",
            f"/applications/{self._app}/subscription",
            repeatable=True,
            accept=NO_DEVICES,
            params={"eventSource": "deviceState:"},
        )

    def _list(self, path: str) -> Sequence[Any]:
        told = self._http.json(self._http.send("GET", path, repeatable=True))
        return told if isinstance(told, list) else ()

    def _variable(self, channel: Mapping[str, Any]) -> str | None:
        """The tap's UUID; empty: a channel without one. None: the channel is gone."""
        answer = self._http.send(
            "GET",
            f"/channels/{channel.get('id')}/variable",
            repeatable=True,
            accept=(GONE,),
            params={"variable": VARIABLE},
        )
        if answer.status_code == GONE:  # no such variable, or no such channel
            return ""
        told = self._http.json(answer)
        value = told.get("value") if isinstance(told, dict) else None
        return value if isinstance(value, str) else ""

    # -- the commands' thread ----------------------------------------------------------------------

    def _send(self, item: tuple[Callable[[str, str], None], str]) -> None:
        command, tap = item
        with self._lock:
            channel = self._calls.client_channel(tap)
        if channel is None:
            return  # it is over
        try:
            command(channel, tap)
        except DialError as error:
            log.error("Asterisk did not carry out a command", extra={"why": str(error)})

    def _hang_up_channel(self, channel: str, tap: str) -> None:
        self._http.send("DELETE", f"/channels/{channel}", repeatable=True, accept=(GONE,))

    def _tap_channel(self, channel: str, tap: str) -> None:
        self._http.send(
            "POST",
            "/channels",
            repeatable=False,
            json={
                "endpoint": f"Local/spy{channel}@vad/n",
                "context": "vad-again",
                "extension": "s",
                "priority": 1,
                "variables": {"VAD_CALL": tap, "VAD_MEDIA": self._media},
            },
        )
