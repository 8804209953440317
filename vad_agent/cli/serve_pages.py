"""The pages of a centre's desk, put together: `vad-agent serve` shows them on the port of its API.

headsets ── /api/v1/headsets ──> hub ──> operators' panels, the supervisor's floor
store ──> people, sessions ──> door ──> all of them
desk ──> callbacks of each operator; ledger, calls, alarms ──> the supervisor's page
"""

from __future__ import annotations

from vad_agent.panel import routes_supervisor
from vad_agent.panel.address import Address
from vad_agent.panel.app import create_panel
from vad_agent.panel.callback_news import CallbackNews
from vad_agent.panel.centre import Centre
from vad_agent.panel.desk_door import DeskDoor
from vad_agent.panel.headsets import headsets
from vad_agent.panel.hub import Hub
from vad_agent.panel.kept_store import KeptStore
from vad_agent.panel.people import People
from vad_agent.server.config import DeskConfig
from vad_agent.server.desk_callbacks import DeskCallbacks
from vad_agent.server.running import RunningDesk

HEARTBEAT_S = 2.0
"""A page without a call hears of a new callback within it."""


class DeskPages:
    """`vad_agent.server.front.Front` of a running desk, whose server listens on `port`.

    Raises:
        SettingsError: an origin is none.
        StoreError: the sessions' secret cannot be read or made.
    """

    def __init__(self, desk: RunningDesk, config: DeskConfig, port: int) -> None:
        api = config.api
        office, store = desk.office, desk.store
        address = Address(port, host=api.host, https=bool(api.cert_file), also=config.panel.origins)
        self.hub = Hub()
        self._kept = KeptStore(store)
        self._kept.start()
        door = DeskDoor(address, self._kept, People(store))
        self.link = door.link
        self.url = address.url

        self._news = CallbackNews(store)
        self._news.start()

        def callbacks_of(operator: str) -> DeskCallbacks:
            return DeskCallbacks(office.desk, office.ledger, f"panel:{operator}", rings=True)

        self.app = create_panel(
            self.hub,
            door,
            callbacks_of=callbacks_of,
            news=self._news.number,
            more=(routes_supervisor.router,),
            centre=Centre(office, office.desk.calls, self.hub),
            heartbeat_s=HEARTBEAT_S,
        )
        self.routers = (headsets(self.hub),)

    def hush(self) -> None:
        """Pages and headsets are told that the desk ends."""
        self.hub.close()

    def close(self) -> None:
        """After the server's end."""
        self.hub.close()
        self._news.close()
        self._kept.close()
