"""Finished calls with their steps, and the users of the pages."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _moment(name: str, nullable: bool = False, index: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, index=index)


def upgrade() -> None:
    """Upgrade the tables."""
    op.create_table(
        "calls",
        sa.Column("call", sa.String(200), primary_key=True),
        sa.Column("operator", sa.Text, index=True),
        sa.Column("mode", sa.String(8), nullable=False),
        _moment("began", index=True),
        sa.Column("seconds", sa.Float, nullable=False),
        _moment("taken"),
        sa.Column("lines", sa.Text),
    )
    op.create_table(
        "steps",
        sa.Column("call", sa.String(200), sa.ForeignKey("calls.call"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        _moment("at", index=True),
        sa.Column("prompt", sa.String(40), nullable=False),
        sa.Column("lo_s", sa.Float, nullable=False),
        sa.Column("hi_s", sa.Float, nullable=False),
        sa.Column("silence_s", sa.Float, nullable=False),
        sa.Column("outcome", sa.String(24), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
    )
    op.create_table(
        "people",
        sa.Column("login", sa.String(100), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        _moment("made"),
        _moment("since"),
        _moment("barred", nullable=True),
    )
    op.create_table(
        "left_sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        _moment("ends", index=True),
    )
