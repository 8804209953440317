"""Migrations of the callbacks' tables, oldest first in `versions/`."""

from __future__ import annotations

from pathlib import Path

from vad_agent.callbacks.database import Database
from vad_agent.errors import StoreError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa

HERE = Path(__file__).parent
HEAD = max(one.stem for one in (HERE / "versions").glob("v*.py"))[1:5]
"""The newest revision. Alembic, 10 MB, is loaded only for tables of another one."""
VERSION = sa.table("alembic_version", sa.column("version_num"))
LOCK = 7_239_001
"""Key of PostgreSQL's advisory lock: nodes that start together migrate one after the other."""


def migrate(database: Database, *, make: bool = True) -> None:
    """Create the tables, or upgrade them to this version; their content is kept.

    `make`: False: the tables must exist; on a server, where a desk of an older version may use
    them, they must also be of this version.

    Raises:
        StoreError: the tables are of a newer version than this program, or cannot be changed; or
            they are not as `make` requires.
    """
    if not make:
        _check(database)
    with database.writing() as connection:
        if database.on_server:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        found = None
        if sa.inspect(connection).has_table(VERSION.name):
            found = connection.execute(sa.select(VERSION)).scalar()
        if found != HEAD:
            _upgrade(database, connection, found)


def _check(database: Database) -> None:
    with database.reading() as connection:
        found = None
        if sa.inspect(connection).has_table(VERSION.name):
            found = connection.execute(sa.select(VERSION)).scalar()
    if found is None:
        raise StoreError(database.empty)
    if database.on_server and found < HEAD:
        raise StoreError(
            f"{database.where.shown}: its tables are of version {found}, this program's of {HEAD}: "
            "`vad-agent serve` upgrades them"
        )


def _upgrade(database: Database, connection: sa.Connection, found: str | None) -> None:
    with extra("callbacks", "the store of callbacks"):
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(HERE))
    known = ScriptDirectory.from_config(config)
    try:
        if found is not None:
            known.get_revision(found)
    except CommandError:
        raise StoreError(
            f"{database.where.shown}: it was written by a newer version of this program "
            f"({found}): install that one"
        ) from None
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
