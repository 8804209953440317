"""What a centre keeps of its sessions, on either database: one secret, what was left, what was ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.callbacks.postgres import Postgres
from tests.headset.source_recording import until
from tests.web.desk_client import GOOD, PASSWORDS
from vad_agent.callbacks.field_encryption import PLAIN, SEALED, FieldEncryption, new_key
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import facts, left_sessions
from vad_agent.errors import StoreError
from vad_agent.web.authentication.login_session_store import LONGER_S, SECRET, SessionStore
from vad_agent.web.authentication.login_sessions import SESSION_S, Role, Session
from vad_agent.web.authentication.users import Users

Opened = Callable[..., Store]


def session(id: str = "s1", operator: str = "olga", since: float = 0.0) -> Session:
    return Session(id, operator, 2e9, Role.OPERATOR, since)


def stored_secret(store: Store) -> str:
    with store.database.reading() as c:
        return str(c.execute(sa.select(facts.c.value).where(facts.c.name == SECRET)).scalar_one())


def left(store: Store) -> list[str]:
    with store.database.reading() as c:
        return sorted(c.execute(sa.select(left_sessions.c.id)).scalars())


def test_nodes_that_start_together_have_one_secret(opened: Opened) -> None:
    stores = [opened(alone=False) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        secrets = {one.secret for one in pool.map(SessionStore, stores)}
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 32


def test_the_secret_is_sealed_also_where_the_key_came_later(opened: Opened) -> None:
    plain = opened()
    secret = SessionStore(plain).secret
    assert stored_secret(plain) == PLAIN + secret
    plain.close()
    sealed = opened(encryption=FieldEncryption(new_key()))
    assert SessionStore(sealed).secret == secret
    assert stored_secret(sealed).startswith(SEALED)
    assert secret not in stored_secret(sealed)
    assert SessionStore(sealed).secret == secret


def test_what_was_left_at_one_node_is_over_at_all(store: Store) -> None:
    here, there = SessionStore(store), SessionStore(store)
    here.leave(session())
    here.leave(session())  # twice: two pages
    assert here.is_over(session())
    assert not there.is_over(session())
    there.refresh()
    assert there.is_over(session())
    assert not there.is_over(session("s2"))
    assert SessionStore(store).is_over(session())


def test_what_has_ended_is_forgotten_later(store: Store) -> None:
    now = [1.9e9]
    kept = SessionStore(store, lambda: now[0])
    kept.leave(session("s1"))
    now[0] = 2e9 + LONGER_S - 1
    kept.leave(Session("s2", "olga", now[0] + SESSION_S))
    assert left(store) == ["s1", "s2"]
    now[0] += 2
    kept.leave(Session("s3", "olga", now[0] + SESSION_S))
    assert left(store) == ["s2", "s3"]


@pytest.mark.parametrize(
    "change",
    [
        lambda people: people.set_password("olga", "battery staple"),
        lambda people: people.set_role("olga", Role.SUPERVISOR),
        lambda people: people.disable("olga"),
    ],
    ids=["password", "role", "bar"],
)
def test_a_change_of_a_person_ends_what_was_begun_before(
    store: Store, change: Callable[[Users], object]
) -> None:
    kept, people = SessionStore(store), Users(store, PASSWORDS)
    added = people.add("olga", Role.OPERATOR, GOOD)
    people.add("anna", Role.OPERATOR, GOOD)
    begun = session(since=added.since.timestamp())
    assert not kept.is_over(begun)  # of somebody who is not known here yet
    kept.refresh()
    assert not kept.is_over(begun)
    change(people)
    people.enable("olga")
    after = people.find("olga")
    assert after is not None
    anew = session("s2", since=after.since.timestamp())
    assert not kept.is_over(anew)  # begun at another node, which knows it already
    kept.refresh()
    assert kept.is_over(begun)
    assert not kept.is_over(anew)
    assert not kept.is_over(session("s3", "anna", since=after.since.timestamp()))


def test_while_the_database_is_away_what_was_known_holds(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = SessionStore(store)
    kept.leave(session("s1"))

    @contextlib.contextmanager
    def away(*_: object) -> object:
        raise StoreError("it is away")
        yield

    with monkeypatch.context() as gone:
        gone.setattr(store.database, "reading", away)
        gone.setattr(store.database, "writing", away)
        kept.refresh()
        kept.leave(session("s2"))
        assert kept.is_over(session("s1"))
        assert kept.is_over(session("s2"))
        assert not kept.is_over(session("s3"))
        with pytest.raises(StoreError):
            SessionStore(store)
    assert [one.getMessage() for one in caplog.records] == [
        "sessions cannot be looked up: those that were known go on"
    ]
    assert left(store) == ["s1"]
    kept.refresh()
    assert left(store) == ["s1", "s2"]


def test_a_server_that_is_stopped_throws_nobody_out(postgres: Postgres, url: str) -> None:
    from tests.web.desk_client import POLICY

    with contextlib.closing(Store(url, POLICY)) as store:
        kept = SessionStore(store)
        postgres.stop()
        kept.leave(session("s1"))
        assert not kept.is_over(session("s2"))
        assert kept.is_over(session("s1"))
        postgres.start()
        kept.refresh()
        assert left(store) == ["s1"]


def test_it_looks_by_itself_until_it_is_closed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vad_agent.web.authentication.login_session_store.REFRESH_S", 0.001)
    kept, people = SessionStore(store), Users(store, PASSWORDS)
    anna = people.add("anna", Role.OPERATOR, GOOD)
    session = Session("1", "anna", kept._clock() + 60, Role.OPERATOR, anna.since.timestamp())
    assert not kept.is_over(session)
    kept.start()
    people.disable("anna")
    until(lambda: kept.is_over(session), 10, "a look")
    kept.close()
    SessionStore(store).close()  # one that was never started
