"""Migrations: what they make is what the tables say; of a newer version is refused. On both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.callbacks.store_requests import at_once, by, rows, take, waiting
from vad_agent.callbacks import migrations
from vad_agent.callbacks.database import Database, DatabaseLocation
from vad_agent.callbacks.migrations import migrate
from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import metadata
from vad_agent.errors import StoreError

ROOT = Path(__file__).resolve().parents[2]

ADDED_BY_0005 = ("callbacks DROP COLUMN since", "attempts DROP COLUMN accepted")
UNDO_0008 = "DROP TABLE tokens"
UNDO_0009 = ("ALTER TABLE people DROP COLUMN one_time", "DROP TABLE user_history")
UNDO_0007 = (
    "DROP INDEX one_user_for_a_login",
    "DROP INDEX history_by_time",
    "ALTER TABLE people DROP COLUMN folded",
    "ALTER TABLE callbacks DROP COLUMN operator_folded",
)
ONE_OPEN = "one_open_callback_for_a_client"
ADDED_BY_0006 = (
    "DROP INDEX ix_calls_owed",
    "ALTER TABLE calls DROP COLUMN owed",
    "ALTER TABLE callbacks DROP COLUMN extension",
    "ALTER TABLE callbacks DROP COLUMN merged",
    "DROP INDEX open_callbacks_of_a_client",
    f"CREATE UNIQUE INDEX {ONE_OPEN} ON callbacks (client) WHERE state = 'waiting'",
    "DROP TABLE client_calls",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    """The place of a database without tables."""
    if request.param == "sqlite":
        yield str(tmp_path / "callbacks.sqlite3")
        return
    server = request.getfixturevalue("postgres")
    server.start()
    place = server.fresh(empty=True)
    yield place
    server.drop(place)


@pytest.fixture
def database(empty):
    made = Database(DatabaseLocation.parse(empty))
    yield made
    made.close()


def differences(database):
    with database.reading() as c:
        # of SQLite's defaults it sees an empty text as none
        options = {"compare_type": True, "compare_server_default": database.on_server}
        found = compare_metadata(MigrationContext.configure(c, opts=options), metadata)
    return [one for each in found for one in (each if isinstance(each, list) else [each])]


def test_the_migrated_tables_are_those_of_the_program(database):
    migrate(database)
    assert differences(database) == []


def test_the_comparison_sees_a_column_and_an_index_that_differ(database):
    migrate(database)
    with database.writing() as c:
        c.execute(sa.text("ALTER TABLE requests ADD COLUMN extra TEXT"))
        c.execute(sa.text("DROP INDEX open_callbacks_of_a_client"))
    assert sorted(kind for kind, *_ in differences(database)) == ["add_index", "remove_column"]


def test_migrating_again_changes_nothing_and_keeps_what_is_there(empty, policy, clock):
    for _ in range(2):
        store = Store(empty, policy)
        callback = take(store, clock.now)
        store.close()
    store = Store(empty, policy)
    assert store.get(callback.id) == callback
    assert len(rows(store, "SELECT * FROM requests")) == 2
    store.close()


def test_a_database_of_the_version_before_is_upgraded_and_what_waited_there_is_found(
    empty, policy, clock
):
    before = Store(empty, policy)
    callback = take(before, clock.now, due=60.0)
    with before.database.writing() as c:  # as version 0003 leaves it
        for column in ("callbacks DROP COLUMN asked", *ADDED_BY_0005):
            c.execute(sa.text(f"ALTER TABLE {column}"))
        for statement in (*UNDO_0009, UNDO_0008, *UNDO_0007, *ADDED_BY_0006):
            c.execute(sa.text(statement))
        c.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))
    kinds = [kind for kind, *_ in differences(before.database)]
    added = [kinds.count(kind) for kind in ("add_column", "add_table", "add_index")]
    assert added == [9, 3, 4]
    before.close()
    store = Store(empty, policy)
    assert differences(store.database) == []
    assert waiting(store) == {callback.key: callback.next}
    store.close()


def test_what_the_manual_dialer_had_begun_in_the_version_before_is_offered(empty, policy, clock):
    before = Store(empty, policy)
    told, rung, ended = (
        take(before, clock.now, phone=f"+7912000000{n}", operator="anna") for n in range(3)
    )
    for one, reference in ((told, "manual"), (rung, "r-1"), (ended, "manual")):
        before.begin(one.key, "north", by(clock.now))
        before.dialled(one.key, reference, clock.now)
    before.end(ended.key, Outcome.NO_ANSWER, "", by(clock.now))
    begun = clock.now
    clock.move(60)
    again = before.get(ended.id)  # its next attempt rings by another dialer
    before.begin(again.key, "north", by(clock.now))
    before.dialled(again.key, "r-2", clock.now)
    old = "state IN ('needs_number', 'needs_person', 'needs_time', 'ringing', 'waiting')"
    with before.database.writing() as c:  # as version 0004 leaves it
        for column in ADDED_BY_0005:
            c.execute(sa.text(f"ALTER TABLE {column}"))
        for statement in (*UNDO_0009, UNDO_0008, *UNDO_0007, *ADDED_BY_0006):
            c.execute(sa.text(statement))
        c.execute(sa.text(f"DROP INDEX {ONE_OPEN}"))
        c.execute(sa.text(f"CREATE UNIQUE INDEX {ONE_OPEN} ON callbacks (client) WHERE {old}"))
        c.execute(sa.text("UPDATE alembic_version SET version_num = '0004'"))
    before.close()
    store = Store(empty, policy)
    assert differences(store.database) == []
    found = {id: store.get(id) for id in (told.id, rung.id, ended.id)}
    assert [one.state for one in found.values()] == [State.OFFERED, State.RINGING, State.RINGING]
    assert [one.since for one in found.values()] == [begun, None, None]
    assert store.accept(told.id, "boris", by(clock.now)).operator == "boris"
    (index,) = (one for one in indexes(store) if one["column_names"] == ["client"])
    assert (index["name"], bool(index["unique"])) == ("open_callbacks_of_a_client", False)
    assert any("offered" in str(option) for option in index["dialect_options"].values())
    store.close()


def test_users_of_the_version_before_keep_their_passwords(empty, policy, clock):
    before = Store(empty, policy)
    with before.database.writing() as c:  # as the version before leaves it
        for statement in UNDO_0009:
            c.execute(sa.text(statement))
        c.execute(sa.text("UPDATE alembic_version SET version_num = '0008'"))
        query = sa.text(
            "INSERT INTO people (login, folded, role, password, made, since)"
            " VALUES ('olga', 'olga', 'operator', 'kept', :now, :now)"
        )
        c.execute(query, {"now": clock.now.isoformat(" ")})
    before.close()
    store = Store(empty, policy)
    assert differences(store.database) == []
    [row] = rows(store, "SELECT login, password, one_time FROM people")
    assert tuple(row) == ("olga", "kept", False)
    store.close()


def test_users_whose_logins_are_one_now_are_all_kept_and_can_be_told_apart(empty, policy, clock):
    before = Store(empty, policy)
    callback = take(before, clock.now, operator="ОЛЬГА")
    with before.database.writing() as c:  # as version 0005 leaves it
        for statement in (*UNDO_0009, UNDO_0008, *UNDO_0007, *ADDED_BY_0006):
            c.execute(sa.text(statement))
        logins = ("Ольга", "ольга", "ОЛЬГА", "ольга (2)", "irina")
        for number, login in enumerate(logins):
            made = clock.move(1)
            c.execute(
                sa.text(
                    "INSERT INTO people (login, role, password, made, since)"
                    " VALUES (:login, 'operator', :password, :made, :made)"
                ),
                {"login": login, "password": f"p{number}", "made": made},
            )
        c.execute(sa.text("UPDATE alembic_version SET version_num = '0005'"))
    before.close()
    store = Store(empty, policy)
    found = rows(store, "SELECT login, folded, password FROM people ORDER BY password")
    assert [tuple(row) for row in found] == [
        ("Ольга", "ольга", "p0"),
        ("ольга (3)", "ольга (3)", "p1"),
        ("ОЛЬГА (4)", "ольга (4)", "p2"),
        ("ольга (2)", "ольга (2)", "p3"),
        ("irina", "irina", "p4"),
    ]
    assert [one.id for one in CallbackQueries(store).page(operator="ольга")] == [callback.id]
    store.close()


def indexes(store):
    with store.database.reading() as c:
        return sa.inspect(c).get_indexes("callbacks")


@pytest.mark.parametrize("version", ["9999", "a_version_to_come"])
def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(empty, policy, clock, version):
    store = Store(empty, policy)
    take(store, clock.now)
    with store.database.writing() as c:
        c.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    store.close()
    with pytest.raises(StoreError, match=rf"newer version of this program \({version}\)") as told:
        Store(empty, policy)
    assert "\n" not in str(told.value)
    database = Database(DatabaseLocation.parse(empty))
    with database.reading() as c:
        assert c.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == version
        assert c.execute(sa.text("SELECT count(*) FROM requests")).scalar() == 1
    database.close()


def test_there_is_no_way_back_and_one_line_of_versions():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    versions = list(scripts.walk_revisions())
    assert len(scripts.get_heads()) == 1
    assert versions
    for version in versions:
        assert not hasattr(version.module, "downgrade"), version
        assert callable(version.module.upgrade)


OPEN = """
import sys
from zoneinfo import ZoneInfo
from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.model import Outcome, State
from vad_agent.callbacks.store import Store
print("ready", flush=True)
sys.stdin.readline()
Store(sys.argv[1], Policy(ZoneInfo("Europe/Moscow"))).close()
print("opened", flush=True)
"""


def test_processes_that_open_an_empty_server_at_once_all_succeed(postgres, policy):
    postgres.start()
    place = postgres.fresh(empty=True)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONUTF8": "1"},
        )
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()
    assert said == [("opened\n", "")] * 3
    store = Store(place, policy)
    assert differences(store.database) == []
    assert len(rows(store, "SELECT * FROM facts")) == 1
    store.close()
    postgres.drop(place)


def test_stores_that_open_an_empty_server_at_once_all_succeed(postgres, policy):
    """Threads meet more closely than processes do."""
    postgres.start()
    place = postgres.fresh(empty=True)
    for store in at_once(lambda _: Store(place, policy), 4, threads=4):
        assert rows(store, "SELECT value FROM facts") == [("p:right",)]
        store.close()
    postgres.drop(place)
