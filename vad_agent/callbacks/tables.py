"""The tables of the callbacks. Nothing is deleted; every change of a callback has a row in `history`.

    requests ──n:1──> callbacks ──1:n──> attempts       nodes   heartbeats
                          └─────1:n──> history          facts   the database's own state

    calls ──1:n──> steps    finished calls as headsets reported them
    client_calls            when a number last called
    people, left_sessions   users of the pages; user_history: who changed them
    tokens                  of headsets and programs

Every change of a table here needs a migration in `migrations/`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vad_agent.callbacks.model import OPEN
from vad_agent.errors import extra

with extra("callbacks", "the store of callbacks"):
    import sqlalchemy as sa
    from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC to the microsecond on every database."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert to UTC; SQLite stores no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise AssertionError(f"a time without a zone: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Make the time aware again."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


metadata = sa.MetaData()

IS_OPEN = f"state IN ({', '.join(sorted(repr(state.value) for state in OPEN))})"

callbacks = sa.Table(
    "callbacks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("created", UtcDateTime, nullable=False, index=True),
    sa.Column("due", UtcDateTime),
    sa.Column("next", UtcDateTime),
    sa.Column("early", UtcDateTime),
    sa.Column("fixed", sa.Boolean, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("asked_operators", sa.JSON, nullable=False),
    sa.Column("again", UtcDateTime),
    sa.Column("phone", sa.Text),
    sa.Column("phone_given", sa.Text),
    sa.Column("extension", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("topic", sa.Text),
    sa.Column("opening", sa.Text),
    sa.Column("operator", sa.Text),
    sa.Column("session", sa.Text),
    sa.Column("ended", UtcDateTime, index=True),
    sa.Column("asked", UtcDateTime),  # of the last call that requested it
    sa.Column("since", UtcDateTime),  # of an offer, or of its acceptance
    sa.Column("merged", sa.Integer, nullable=False, server_default="0"),  # number of requests
    sa.Column("client", sa.String(64)),  # the number's look-up value
    sa.Column("operator_folded", sa.Text),  # as logins are compared
)
sa.Index(  # one for each promise (`promises.py`): whoever adds one locks the client first
    "open_callbacks_of_a_client",
    callbacks.c.client,
    sqlite_where=sa.text(IS_OPEN),
    postgresql_where=sa.text(IS_OPEN),
)

sa.Index("callbacks_by_time", callbacks.c.state, callbacks.c.next)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("callback", sa.ForeignKey("callbacks.id"), nullable=False, index=True),
    sa.Column("call", sa.String(200), index=True),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("taken", UtcDateTime, nullable=False, index=True),
    sa.Column("withdrawn", UtcDateTime),
    sa.Column("body", sa.Text),  # the request as made, encrypted
)

client_calls = sa.Table(
    "client_calls",
    metadata,
    sa.Column("client", sa.String(64), primary_key=True),  # the number's look-up value
    sa.Column("at", UtcDateTime, nullable=False),  # when the client last called
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("callback", sa.ForeignKey("callbacks.id"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("operator", sa.Text),
    sa.Column("node", sa.String(64), nullable=False),
    sa.Column("due", UtcDateTime, nullable=False),
    sa.Column("intent", UtcDateTime, nullable=False, index=True),  # before dialling
    sa.Column("dialled", UtcDateTime),
    sa.Column("reference", sa.Text, nullable=False, server_default=""),
    sa.Column("accepted", UtcDateTime),  # by `operator`
    sa.Column("ended", UtcDateTime, index=True),
    sa.Column("outcome", sa.String(24)),
    sa.Column("detail", sa.Text),
)

history = sa.Table(
    "history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("callback", sa.ForeignKey("callbacks.id"), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.String(24), nullable=False, index=True),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("change", sa.JSON, nullable=False),  # {field: [before, after]}, no personal data
)

sa.Index("history_by_time", history.c.what, history.c.at)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("started", UtcDateTime, nullable=False),
    sa.Column("beat", UtcDateTime, nullable=False),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call", sa.String(200), primary_key=True),  # as in requests
    sa.Column("operator", sa.Text, index=True),
    sa.Column("mode", sa.String(8), nullable=False),
    sa.Column("began", UtcDateTime, nullable=False, index=True),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("taken", UtcDateTime, nullable=False),
    sa.Column("lines", sa.Text),  # the trace, encrypted: it contains the client's name and number
    # when the callback that its trace asks for counts as lost; null: it asks for none, or a request came
    sa.Column("owed", UtcDateTime, index=True),
)

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("call", sa.ForeignKey("calls.call"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("prompt", sa.String(40), nullable=False),
    sa.Column("lo_s", sa.Float, nullable=False),
    sa.Column("hi_s", sa.Float, nullable=False),
    sa.Column("silence_s", sa.Float, nullable=False),
    sa.Column("outcome", sa.String(24), nullable=False),
    sa.Column("verdict", sa.String(8), nullable=False),
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("login", sa.String(100), primary_key=True),
    sa.Column("folded", sa.Text, nullable=False, server_default=""),  # as logins are compared
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.Text, nullable=False),  # argon2
    sa.Column("made", UtcDateTime, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),  # sessions begun before are invalid
    sa.Column("barred", UtcDateTime),  # when the user was disabled
    # the password is good for one login, which sets another one
    sa.Column("one_time", sa.Boolean, nullable=False, server_default=sa.false()),
)

user_history = sa.Table(
    "user_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.String(24), nullable=False),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
)

sa.Index("one_user_for_a_login", people.c.folded, unique=True)

left_sessions = sa.Table(
    "left_sessions",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("ends", UtcDateTime, nullable=False, index=True),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("scope", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(100), primary_key=True),  # the login of a headset's operator
    sa.Column("hash", sa.String(64), nullable=False, unique=True),  # SHA-256 of a random token
    sa.Column("made", UtcDateTime, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
)
