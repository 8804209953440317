"""Who added, disabled or changed which user; passwords for one login."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade the tables."""
    op.add_column(
        "people", sa.Column("one_time", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "user_history",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.String(24), nullable=False),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
    )
