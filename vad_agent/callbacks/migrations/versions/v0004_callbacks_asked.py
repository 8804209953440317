"""When a callback's call requested it: a headset's request may reach the desk much later."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade the tables."""
    op.add_column("callbacks", sa.Column("asked", sa.DateTime(timezone=True)))
