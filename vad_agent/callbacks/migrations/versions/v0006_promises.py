"""Promises: calls whose trace asks for a callback that nobody has requested."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade the tables."""
    op.add_column("calls", sa.Column("owed", sa.DateTime(timezone=True)))
    op.create_index("ix_calls_owed", "calls", ["owed"])
