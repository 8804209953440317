"""Logins as they are compared, and an index for the promise of a period.

Of logins that are one now, the oldest user keeps theirs; each other one gets a number: "olga (2)".
"""

from collections import Counter

import sqlalchemy as sa
from alembic import op

from vad_agent.common.identity import folded

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LONGEST_LOGIN = 100


def upgrade() -> None:
    """Upgrade the tables."""
    op.add_column("callbacks", sa.Column("operator_folded", sa.Text))
    op.add_column("people", sa.Column("folded", sa.Text, nullable=False, server_default=""))
    _fold_operators()
    _fold_people()
    op.create_index("one_user_for_a_login", "people", ["folded"], unique=True)
    op.create_index("history_by_time", "history", ["what", "at"])


def _fold_operators() -> None:
    callbacks = sa.table("callbacks", sa.column("operator"), sa.column("operator_folded"))
    bind = op.get_bind()
    for name in bind.execute(sa.select(callbacks.c.operator).distinct()).scalars().all():
        if name is not None:
            same = callbacks.update().where(callbacks.c.operator == name)
            bind.execute(same.values(operator_folded=folded(name)))


def _fold_people() -> None:
    people = sa.table("people", sa.column("login"), sa.column("folded"), sa.column("made"))
    bind = op.get_bind()
    logins = bind.execute(sa.select(people.c.login).order_by(people.c.made)).scalars().all()
    had = Counter(map(folded, logins))
    kept: set[str] = set()
    for login in logins:
        name, number = login, 1
        while folded(name) in kept or (number > 1 and folded(name) in had):
            number += 1
            name = f"{login[: LONGEST_LOGIN - 8]} ({number})"
        kept.add(folded(name))
        one = people.update().where(people.c.login == login)
        bind.execute(one.values(login=name, folded=folded(name)))
