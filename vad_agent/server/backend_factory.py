"""Chooses how a command accesses the callbacks. The first available way of these:

    1. the desk at --desk URL, or of VAD_AGENT_DESK      by HTTP, with a token
    2. a desk that runs on this machine                  the same; see `discovery`
    3. the store itself: of --config, or the user's own  no dialling

With --config, a local desk that reports another database is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vad_agent.client.discovery import DeskRecord, find_local_desk, read_token, tls_context
from vad_agent.errors import RuleError, StoreError

if TYPE_CHECKING:
    from vad_agent.client.backend import Backend
    from vad_agent.server.desk_config import DeskConfig


@contextmanager
def open_backend(
    desk: str | None,
    config: Path | None,
    report: Callable[[str], None],
    *,
    store_itself: bool = False,
) -> Iterator[Backend]:
    """Open the callbacks. `store_itself`: for operations that the API does not offer. `report`:
    called with notices.

    Raises:
        SettingsError: the desk's URL, its token or the settings are not valid.
        StoreError: the callbacks cannot be accessed now.
        RuleError: only a desk can access them, and `store_itself`.
    """
    if desk:
        with _remote(DeskRecord(desk, 0), store_itself) as remote:
            yield remote
        return
    place = find_local_desk()
    settings = _load(config) if place is None or config or store_itself else None
    if place is not None and settings is not None and _passed_by(place, settings, store_itself):
        place = None
    if place is not None:
        with _remote(place, store_itself) as remote:
            yield remote
        return
    from vad_agent.server.local_backend import LocalBackend

    assert settings is not None
    with closing(LocalBackend(settings, report)) as local:
        yield local


def _passed_by(place: DeskRecord, settings: DeskConfig, store_itself: bool) -> bool:
    """This desk has other callbacks, or the store can be used next to it."""
    from vad_agent.callbacks.database import DatabaseLocation

    where = DatabaseLocation.parse(settings.database)
    if store_itself and where.file is None:
        return True
    return bool(place.database) and where.shown != place.database


@contextmanager
def _remote(place: DeskRecord, store_itself: bool) -> Iterator[Backend]:
    from vad_agent.client.backend import NOT_BY_HTTP
    from vad_agent.client.http_client import HttpBackend

    if store_itself:
        raise RuleError(f"{place.url}: {NOT_BY_HTTP}")
    try:
        whom = tls_context(place.url, place.certificate)
    except (OSError, ValueError) as error:
        raise StoreError(f"{place.certificate}: the desk's certificate: {error}") from error
    with closing(HttpBackend(place.url, read_token(), whom)) as remote:
        yield remote


def _load(config: Path | None) -> DeskConfig:
    from vad_agent.server.desk_config import DeskConfig

    return DeskConfig.load(config)
