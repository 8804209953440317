"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = "state IN ('needs_number', 'needs_person', 'needs_time', 'ringing', 'waiting')"


def _moment(name: str, nullable: bool = True, index: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, index=index)


def _callback() -> sa.Column[object]:
    key = sa.ForeignKey("callbacks.id")
    return sa.Column("callback", sa.String(32), key, nullable=False, index=True)


def upgrade() -> None:
    """Upgrade the tables."""
    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("reasons", sa.JSON, nullable=False),
        _moment("created", nullable=False, index=True),
        _moment("due"),
        _moment("next"),
        _moment("early"),
        sa.Column("fixed", sa.Boolean, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("asked_operators", sa.JSON, nullable=False),
        _moment("again"),
        sa.Column("phone", sa.Text),
        sa.Column("phone_given", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("topic", sa.Text),
        sa.Column("opening", sa.Text),
        sa.Column("operator", sa.Text),
        sa.Column("session", sa.Text),
        _moment("ended", index=True),
        sa.Column("client", sa.String(64)),
    )
    op.create_index(
        "one_open_callback_for_a_client",
        "callbacks",
        ["client"],
        unique=True,
        sqlite_where=sa.text(_OPEN),
        postgresql_where=sa.text(_OPEN),
    )
    op.create_table(
        "requests",
        sa.Column("key", sa.String(200), primary_key=True),
        _callback(),
        sa.Column("call", sa.String(200), index=True),
        sa.Column("reason", sa.String(32), nullable=False),
        _moment("taken", nullable=False, index=True),
        _moment("withdrawn"),
        sa.Column("body", sa.Text),
    )
    op.create_table(
        "attempts",
        sa.Column("key", sa.String(64), primary_key=True),
        _callback(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("operator", sa.Text),
        sa.Column("node", sa.String(64), nullable=False),
        _moment("due", nullable=False),
        _moment("intent", nullable=False, index=True),
        _moment("dialled"),
        sa.Column("reference", sa.Text, nullable=False, server_default=""),
        _moment("ended", index=True),
        sa.Column("outcome", sa.String(24)),
        sa.Column("detail", sa.Text),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _callback(),
        _moment("at", nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.String(24), nullable=False, index=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("change", sa.JSON, nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(64), primary_key=True),
        _moment("started", nullable=False),
        _moment("beat", nullable=False),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
