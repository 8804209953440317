"""Offers of the manual dialer: what it has begun, and nobody has ended, is offered, not ringing."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OPEN = "state IN ('needs_number', 'needs_person', 'needs_time', 'offered', 'ringing', 'waiting')"
INDEX = "one_open_callback_for_a_client"


def upgrade() -> None:
    """Upgrade the tables."""
    op.add_column("callbacks", sa.Column("since", sa.DateTime(timezone=True)))
    op.add_column("attempts", sa.Column("accepted", sa.DateTime(timezone=True)))
    op.drop_index(INDEX, "callbacks")
    op.create_index(
        INDEX,
        "callbacks",
        ["client"],
        unique=True,
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    op.execute(
        """
        UPDATE callbacks SET state = 'offered', since = (
            SELECT max(intent) FROM attempts WHERE callback = callbacks.id AND ended IS NULL
        )
        WHERE state = 'ringing' AND EXISTS (
            SELECT 1 FROM attempts
            WHERE callback = callbacks.id AND ended IS NULL AND reference = 'manual'
            AND key = callbacks.id || '.' || callbacks.generation || '.' || callbacks.attempt
        )
        """
    )
