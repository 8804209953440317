"""Builds one running desk from the parts of `vad_agent.callbacks`; starts and stops them in order.

store ─ clock ─ scheduler ──────┐
dialer ─ dispatcher ─ service ──┴─ reconciler ─ outbox consumer ─> AppState ─> the API
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.clock import Clock, machine_time
from vad_agent.callbacks.cluster_membership import BEAT_S, DEAD_S, ClusterMembership
from vad_agent.callbacks.dialers.base import Dialer, Hooked
from vad_agent.callbacks.dispatcher import Dispatcher
from vad_agent.callbacks.field_encryption import FieldEncryption
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.policy_from_script import policy_of
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.reconciler import Reconciler
from vad_agent.callbacks.scheduler import Scheduler
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.script.settings import Settings
from vad_agent.server.app_state import AppState
from vad_agent.server.desk_config import DeskConfig
from vad_agent.web.authentication.access_tokens import AccessTokens


def open_store(config: DeskConfig, *, alone: bool = True, make: bool = True) -> Store:
    """Open the store of a desk. `make`: a missing one is created.

    Raises:
        StoreError: it cannot be opened.
        SettingsError: the script is not valid.
    """
    settings = Settings() if config.script is None else Settings.load(config.script)
    encryption = FieldEncryption(config.encryption_key)
    return Store(config.database, policy_of(settings), encryption, alone=alone, make=make)


class DeskContainer:
    """A desk that takes requests and dials, from its construction until `close`.

    `late`: called with the seconds by which each attempt began late. `beat_s`, `dead_s`: see
    `ClusterMembership`.

    Raises:
        StoreError, OutputError, SettingsError: it cannot start; everything is closed again.
    """

    def __init__(
        self,
        config: DeskConfig,
        dialer: Dialer,
        *,
        late: Callable[[float], None] = lambda _: None,
        beat_s: float = BEAT_S,
        dead_s: float = DEAD_S,
    ) -> None:
        self._beat_s, self._dead_s = beat_s, dead_s
        self._stack = ExitStack()
        with ExitStack() as building:
            self._build(config, dialer, late, building)
            self._stack = building.pop_all()

    def _build(
        self,
        config: DeskConfig,
        dialer: Dialer,
        late: Callable[[float], None],
        stack: ExitStack,
    ) -> None:
        self.store = store = open_store(config)
        stack.callback(store.close)
        database = store.database
        self.clock = Clock(database.time if database.on_server else machine_time)
        self.alerts = AlertBoard(config.node, config.alarm_url)
        stack.callback(self.alerts.close)
        scheduler = Scheduler(store, self.clock, config.node)
        leaving = stack.enter_context(ExitStack())  # after the last dial has ended
        stack.callback(scheduler.stop)
        self.service = CallbackService(store, self.clock, scheduler.wake)
        self.dispatcher = Dispatcher(self.service, dialer, config.node, late)
        nodes = ClusterMembership(database, config.node, beat_s=self._beat_s, dead_s=self._dead_s)
        self.reconciler = Reconciler(
            self.service, scheduler, self.dispatcher, nodes, self.alerts, config.node
        )
        dialer.open(self.dispatcher.report)
        stack.callback(dialer.close)
        self.reconciler.start()
        leaving.callback(self.reconciler.leave)
        stack.callback(self.reconciler.stop)
        inbox = OutboxConsumer(config.inbox, self.service, self.alerts)
        inbox.start()
        stack.callback(inbox.stop)
        self.tokens = AccessTokens(store)
        self.tokens.start()
        stack.callback(self.tokens.close)
        hooks = {dialer.name: dialer} if isinstance(dialer, Hooked) else {}
        self.app_state = AppState(
            service=self.service,
            queries=CallbackQueries(store),
            alerts=self.alerts,
            node=config.node,
            report=self.dispatcher.end,
            not_ready=self.not_ready,
            hooks=hooks,
            is_known=self.tokens.knows,
        )
        scheduler.start(self.dispatcher.make)  # last: nothing rings before all of it is there

    def not_ready(self) -> list[str]:
        """Duties of the reconciler that failed the last time; [] if none did.

        Only their names, because everybody may ask; the log contains the reason.
        """
        return sorted(self.reconciler.trouble)

    def close(self) -> None:
        """Stop everything. Attempts under way continue; the next start recovers them."""
        self._stack.close()
