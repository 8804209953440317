"""Promises: several open callbacks of one number, by extension, person and agreed time; when a number
last called; calls whose trace asks for a callback that nobody has requested.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = "state IN ('needs_number', 'needs_person', 'needs_time', 'offered', 'ringing', 'waiting')"


def upgrade() -> None:
    """Upgrade the tables."""
    op.add_column("calls", sa.Column("owed", sa.DateTime(timezone=True)))
    op.create_index("ix_calls_owed", "calls", ["owed"])
    op.add_column("callbacks", sa.Column("extension", sa.Text))
    op.add_column("callbacks", sa.Column("merged", sa.Integer, nullable=False, server_default="0"))
    op.drop_index("one_open_callback_for_a_client", "callbacks")
    op.create_index(
        "open_callbacks_of_a_client",
        "callbacks",
        ["client"],
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    op.create_table(
        "client_calls",
        sa.Column("client", sa.String(64), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
