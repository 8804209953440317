"""Builds the pages of a centre's desk; `vad-agent serve` serves them on the port of its API.

headsets ── /api/v1/headsets ──> broker ──> operators' panels, the supervisor's wallboard
store ──> users, sessions ──> authenticator ──> all pages
desk ──> callbacks of each operator; queries, calls, alerts ──> the supervisor's page
"""

from __future__ import annotations

from collections.abc import Callable

from vad_agent.server.container import DeskContainer
from vad_agent.server.desk_config import DeskConfig
from vad_agent.server.local_backend import ServiceBackend
from vad_agent.web import routes_supervisor
from vad_agent.web.authentication.login_session_store import SessionStore
from vad_agent.web.authentication.password_auth import PasswordAuth
from vad_agent.web.authentication.refusals import Refusals
from vad_agent.web.authentication.users import Users
from vad_agent.web.callback_change_poller import CallbackChangePoller
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.headset_ws import headsets
from vad_agent.web.origins import Origins
from vad_agent.web.panel_app import create_panel
from vad_agent.web.state_broker import StateBroker

HEARTBEAT_S = 2.0
"""Seconds within which a page without a call learns of a new callback."""


class DeskPages:
    """`vad_agent.server.mounted_pages.MountedPages` of a running desk, whose server listens on `port`.

    Raises:
        SettingsError: an origin is not valid.
        StoreError: the sessions' secret cannot be read or created.
    """

    def __init__(
        self, desk: DeskContainer, config: DeskConfig, port: int, refusals: Refusals
    ) -> None:
        api = config.api
        app_state, store = desk.app_state, desk.store
        address = Origins(port, host=api.host, https=bool(api.cert_file), also=config.panel.origins)
        self.broker = StateBroker()
        app_state.service.has_panel = self.broker.is_followed
        self._kept = SessionStore(store)
        self._kept.start()
        users = Users(store, changed=self._kept.refresh)
        authenticator = PasswordAuth(address, self._kept, users, refusals=refusals)
        self._one_time = authenticator.one_time
        self.url = address.url

        self._news = CallbackChangePoller(store, app_state.service.audiences)
        self._news.start()

        def callbacks_of(operator: str) -> ServiceBackend:
            return ServiceBackend(
                app_state.service, app_state.queries, f"panel:{operator}", rings=True
            )

        self.app = create_panel(
            self.broker,
            authenticator,
            callbacks_of=callbacks_of,
            news=self._news.number,
            more=(routes_supervisor.router,),
            dashboard=Dashboard(app_state, app_state.service.calls, self.broker, users),
            heartbeat_s=HEARTBEAT_S,
        )
        tokens = desk.tokens
        accept = headsets(
            self.broker, is_known=tokens.is_known, knows=tokens.knows, is_valid=tokens.is_valid
        )
        self.routers = (accept,)

    @property
    def link(self) -> str:
        """As `MountedPages.link`."""
        return self._one_time.url

    def on_new_link(self, tell: Callable[[str], None]) -> None:
        """As `MountedPages.on_new_link`."""
        self._one_time.replaced = tell

    def hush(self) -> None:
        """Tell pages and headsets that the desk stops."""
        self.broker.close()

    def close(self) -> None:
        """Clean up after the server has stopped."""
        self.broker.close()
        self._news.close()
        self._kept.close()
