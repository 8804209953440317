"""An index for the scheduler: what waits, by its time."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade the tables."""
    op.create_index("callbacks_by_time", "callbacks", ["state", "next"])
