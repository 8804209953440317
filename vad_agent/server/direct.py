"""The callbacks of a store that no desk has open: changed here, rung once a desk runs.

What headsets of this machine have written, and nobody read yet, is read first: after a headset was killed its
callback is in the list.
"""

from __future__ import annotations

from collections.abc import Callable

from vad_agent.callbacks import retention
from vad_agent.callbacks.clock import Clock, machine_time
from vad_agent.callbacks.outbox import REFUSED
from vad_agent.callbacks.outbox_consumer import Inbox
from vad_agent.callbacks.queries import Ledger
from vad_agent.callbacks.service import Desk
from vad_agent.callbacks.unit_of_work import By
from vad_agent.common.identity import login
from vad_agent.server.config import DeskConfig
from vad_agent.server.desk_callbacks import DeskCallbacks
from vad_agent.server.running import open_store


class LocalCallbacks(DeskCallbacks):
    """The store of a desk's settings, until `close`. `report`: told a line that a person should know.

    Raises:
        StoreError: it cannot be opened: on SQLite also where another process has it.
        SettingsError: the script is wrong.
    """

    def __init__(self, config: DeskConfig, report: Callable[[str], None]) -> None:
        self._store = open_store(config)
        try:
            database = self._store.database
            self._clock = Clock(database.time if database.on_server else machine_time)
            desk = Desk(self._store, self._clock)
            super().__init__(desk, Ledger(self._store), f"cli:{login()}", rings=False)
            self._read_letters(config, report)
        except BaseException:
            self.close()
            raise

    def _read_letters(self, config: DeskConfig, report: Callable[[str], None]) -> None:
        if not config.inbox.is_dir():
            return
        refused = config.inbox / REFUSED
        before = set(refused.glob("*"))
        Inbox(config.inbox, self._desk).read_all()
        if news := len(set(refused.glob("*")) - before):
            report(f"{refused}: {news} of the headset's requests cannot be understood, kept there")

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def erase(self, days: float) -> int:
        """As `Callbacks.erase`."""
        why = f"ended {days:g} days ago and more"
        return retention.erase(self._store, days, By(self._who, self._clock.now(), why))
