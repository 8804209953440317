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


def migrate(database: Database) -> None:
    """Create the tables, or upgrade them to this version; their content is kept.

    Raises:
        StoreError: the tables are of a newer version than this program, or cannot be changed.
    """
    with database.writing() as connection:
        if database.on_server:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        found = None
        if sa.inspect(connection).has_table(VERSION.name):
            found = connection.execute(sa.select(VERSION)).scalar()
        if found != HEAD:
            _upgrade(database, connection, found)


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
