"""Migrations of the callbacks' tables, oldest first in `versions/`."""

from __future__ import annotations

from pathlib import Path

from vad_agent.callbacks.database import Database
from vad_agent.errors import StoreError, extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

LOCK = 7_239_001
"""Key of PostgreSQL's advisory lock: nodes that start together migrate one after the other."""


def migrate(database: Database) -> None:
    """Create the tables, or upgrade them to this version; their content is kept.

    Raises:
        StoreError: the tables are of a newer version than this program, or cannot be changed.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with database.writing() as connection:
        if database.on_server:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        found = MigrationContext.configure(connection).get_current_revision()
        known = ScriptDirectory.from_config(config)
        if found == known.get_current_head():
            return
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
