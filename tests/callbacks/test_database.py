"""The database itself, and what may be wrong with it: a second process, a torn file, no room, no server.

Each refusal is a `StoreError` of one line that says what to do; what was stored stays stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.callbacks.store_requests import NAME, PHONE, asks, at_once, begin, by, client, rows, take
from vad_agent.callbacks import transitions
from vad_agent.callbacks.database import Database, DatabaseLocation
from vad_agent.callbacks.model import Outcome, Policy, State
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.store import Store
from vad_agent.errors import StoreError

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def one_line(told):
    text = str(told.value)
    assert "\n" not in text
    return text


# -- where it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://desk:s3cret@db:5432/calls", "postgresql+psycopg://desk:***@db:5432/calls"),
        ("postgres://desk@db/calls", "postgresql+psycopg://desk@db/calls"),
        ("postgresql+psycopg://db/calls", "postgresql+psycopg://db/calls"),
        ("postgresql://db/calls?password=s3cret&sslmode=require", "postgresql+psycopg://db/calls"),
        ("/var/lib/desk.sqlite3", "/var/lib/desk.sqlite3"),
        ("sqlite:////var/lib/desk.sqlite3", "/var/lib/desk.sqlite3"),
    ],
)
def test_a_place_is_a_servers_url_or_a_file(text, shown):
    where = DatabaseLocation.parse(text)
    assert where.shown == shown
    assert (where.file is None) == text.startswith("postgres")


def test_a_file_is_named_from_the_working_folder():
    assert DatabaseLocation.parse("desk.db").file == Path.cwd() / "desk.db"
    assert DatabaseLocation.parse("sqlite:///desk.db").file == Path.cwd() / "desk.db"


@pytest.mark.parametrize(
    "text",
    [
        "mysql://desk:s3cret@db/calls",
        "postgresql+asyncpg://desk:s3cret@db/calls",
        "postgresql://desk:s3cret@db:port/calls",
        "http://desk:s3cret@db",
        "sqlite://desk:s3cret@db",
    ],
)
def test_a_url_that_is_neither_is_refused_without_its_password(text):
    with pytest.raises(StoreError, match="database: expected postgresql://") as told:
        DatabaseLocation.parse(text)
    assert "s3cret" not in one_line(told)


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://desk:s3cret@127.0.0.1:1/calls",
        "postgresql://127.0.0.1:1/calls?password=s3cret",
        "postgresql://desk:s3cret@127.0.0.1:{port}/calls",
        "postgresql://desk:s3cret@127.0.0.1:{port}/postgres?no_such_option=1",
        "postgresql://desk:{password}@127.0.0.1:{port}/no_such_database",
        "postgresql://desk:s3cret@/calls?host=/nowhere",
    ],
)
def test_a_server_that_cannot_be_used_is_told_without_its_password(postgres, policy, place):
    postgres.start()
    place = place.format(port=postgres.port, password=postgres.password)
    before = time.monotonic()
    with pytest.raises(StoreError, match="postgresql") as told:
        Store(place, policy)
    assert time.monotonic() - before < 8
    text = one_line(told)
    assert "s3cret" not in text
    assert postgres.password not in text


# -- SQLite: as it is opened -----------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / "desk" / "callbacks.sqlite3"


def test_each_connection_of_the_store_writes_through_to_the_disk(file, policy):
    store = Store(str(file), policy)
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "secure_delete": 1,
    }
    with contextlib.ExitStack() as held:  # at once, so that each is another connection
        for _ in range(4):
            c = held.enter_context(store.database.engine.connect())
            raw = c.connection.cursor()
            found = {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}
            assert found == expected
    store.close()


def test_the_server_writes_through_to_its_disk(url, policy):
    store = Store(url, policy)
    for name in ("fsync", "synchronous_commit"):
        assert rows(store, f"SHOW {name}") == [("on",)]
    assert rows(store, "SHOW lock_timeout") == [("5s",)]
    assert rows(store, "SHOW idle_in_transaction_session_timeout") == [("15s",)]
    store.close()


def test_folder_and_file_are_for_their_owner_alone(file, policy):
    Store(str(file), policy).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_readers_do_not_wait_for_who_writes(file, policy, clock):
    store = Store(str(file), policy)
    callback = take(store, clock.now)
    with store.database.writing() as c:
        c.execute(sa.text("UPDATE callbacks SET operator = 'nobody'"))
        assert store.get(callback.id) == callback
    assert store.get(callback.id).operator == "nobody"
    store.close()


# -- one process -----------------------------------------------------------------------------------

CHILD = """
import json, sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo
from vad_agent.callbacks.model import Policy, Request
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import StoreError

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)

def opened(place):
    return Store(place, Policy(ZoneInfo("Europe/Moscow")))

def take(store, n, name=None):
    request = Request(f"child {n}", "dropped", NOW, 0.0, phone=f"+7912{n:07}", name=name)
    return store.take(request, Actor("child", NOW)).what
"""


def child(code, *arguments, **options):
    """A Python process that runs `CHILD` and the code."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


def said_by(process):
    out, err = process.communicate(timeout=60)
    assert not err, err
    return out.splitlines()


TRY = """
try:
    opened(sys.argv[1]).close()
    print("opened")
except StoreError as error:
    print(error)
"""
HOLD = """
store = opened(sys.argv[1])
take(store, 1)
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_second_process_on_one_file_is_refused_and_says_what_to_do(file, policy):
    store = Store(str(file), policy)
    assert said_by(child(TRY, file)) == [
        f"{file}: another process has the callbacks: stop it, or speak to it (--desk URL)"
    ]
    store.close()
    assert said_by(child(TRY, file)) == ["opened"]


def test_a_process_that_was_killed_leaves_its_callbacks_and_no_lock(file, policy):
    with child(HOLD, file) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match="another process has the callbacks"):
            Store(str(file), policy)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    store = Store(str(file), policy)
    assert [one.phone for one in CallbackQueries(store).page()] == [client(1)]
    store.close()


def test_the_same_process_too_opens_a_file_once(file, policy):
    store = Store(str(file), policy)
    with pytest.raises(StoreError, match="another process has the callbacks"):
        Store(str(file), policy)
    beside = Store(str(file), policy, alone=False)
    assert CallbackQueries(beside).page() == []
    beside.close()
    store.close()


# -- a torn file -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A file of some pages, closed."""
    made = tmp_path_factory.mktemp("pages") / "callbacks.sqlite3"
    store = Store(str(made), Policy(UTC))
    for n in range(150):
        take(store, NOW, phone=client(n), topic="x" * 300)
    store.close()
    assert made.stat().st_size > 100_000
    return made.read_bytes()


@pytest.fixture
def whole(pages, file):
    file.parent.mkdir(mode=0o700)
    file.write_bytes(pages)
    Path(f"{file}.lock").touch()
    return file


def overwritten(data, at, by_what):
    return data[:at] + by_what + data[at + len(by_what) :]


DAMAGES = {
    "cut in a page": lambda data: data[: len(data) // 2 + 1000],
    "cut between pages": lambda data: data[: len(data) // 2 // 4096 * 4096],
    "cut in the header": lambda data: data[:60],
    "one byte": lambda data: data[:1],
    "garbage for a header": lambda data: overwritten(data, 0, os.urandom(100)),
    "zeros for a header": lambda data: overwritten(data, 0, bytes(100)),
    "garbage in the middle": lambda data: overwritten(data, 8 * 4096, b"\xa5" * 4096 * 20),
    "zeros in the middle": lambda data: overwritten(data, 8 * 4096, bytes(4096 * 20)),
    "zeros all over": lambda data: bytes(len(data)),
    "a text": lambda data: b"not a database\n" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_file_is_refused_with_a_copy_and_not_touched(whole, policy, damage):
    torn = DAMAGES[damage](whole.read_bytes())
    whole.write_bytes(torn)
    with pytest.raises(StoreError, match="the database is damaged") as told:
        Store(str(whole), policy)
    text = one_line(told)
    copies = list(whole.parent.glob("*.damaged-*"))
    assert len(copies) == 1
    assert str(copies[0]) in text
    assert "put a backup in its place" in text
    assert copies[0].read_bytes() == torn
    assert whole.read_bytes() == torn


def test_a_torn_file_that_is_tried_again_and_again_is_copied_once(whole, policy):
    whole.write_bytes(DAMAGES["zeros in the middle"](whole.read_bytes()))
    told = set()
    for _ in range(3):
        with pytest.raises(StoreError, match="the database is damaged") as error:
            Store(str(whole), policy)
        told.add(str(error.value))
    assert len(told) == 1
    assert len(list(whole.parent.glob("*.damaged-*"))) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"garbage" * 100,
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        DAMAGES["garbage in the middle"],
    ],
    ids=["garbage", "empty", "cut", "garbage in the middle"],
)
def test_a_torn_file_with_a_journal_keeps_both_as_they_were(whole, policy, damage):
    with child(HOLD, whole) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    journal = Path(f"{whole}-wal")
    good, written = whole.read_bytes(), journal.read_bytes()
    assert written
    torn = damage(good)
    whole.write_bytes(torn)
    with pytest.raises(StoreError, match="the database is damaged") as told:
        Store(str(whole), policy)
    (copy,) = [path for path in whole.parent.glob("*.damaged-*") if not str(path).endswith("-wal")]
    assert f"a copy is {copy}: " in one_line(told)
    for place in (whole, copy):
        assert place.read_bytes() == torn
        assert Path(f"{place}-wal").read_bytes() == written
    whole.write_bytes(good)
    store = Store(str(whole), policy)
    assert CallbackQueries(store).promise().taken == 151
    store.close()


def test_a_backup_put_in_its_place_is_used(whole, policy, clock):
    backup = whole.read_bytes()
    whole.write_bytes(backup[:5000])
    with pytest.raises(StoreError):
        Store(str(whole), policy)
    whole.write_bytes(backup)
    store = Store(str(whole), policy)
    assert CallbackQueries(store).promise().open == 150
    store.close()


def test_a_whole_file_is_opened_as_often_as_one_likes_and_not_copied(whole, policy):
    for _ in range(3):
        store = Store(str(whole), policy)
        assert CallbackQueries(store).promise().open == 150
        store.close()
    assert list(whole.parent.glob("*.damaged-*")) == []


# -- not to be written -----------------------------------------------------------------------------

READ_ONLY = (
    """
import os
os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""
    + TRY
)


@pytest.fixture
def theirs(whole):
    """A file that is another user's, in a folder that he can enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for folder in whole.parents:
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return whole


def test_a_file_that_is_read_only_is_refused(theirs, policy):
    for path in (theirs.parent, Path(f"{theirs}.lock")):
        os.chown(path, 65534, 65534)
    theirs.chmod(0o444)
    before = theirs.read_bytes()
    (told,) = said_by(child(READ_ONLY, theirs))
    assert told.startswith(f"{theirs}: ")
    assert "readonly" in told or "Permission denied" in told
    assert theirs.read_bytes() == before


def test_a_folder_that_is_read_only_is_refused(theirs):
    (told,) = said_by(child(READ_ONLY, theirs))
    assert "nothing can be written there" in told
    (told,) = said_by(child(READ_ONLY, theirs.parent / "more" / "callbacks.sqlite3"))
    assert "cannot make the folder" in told


def test_a_file_that_may_not_be_read_is_refused(theirs):
    for path in (theirs.parent, Path(f"{theirs}.lock")):
        os.chown(path, 65534, 65534)
    theirs.chmod(0o000)
    (told,) = said_by(child(READ_ONLY, theirs))
    assert "cannot be opened" in told
    assert "damaged" not in told


@pytest.mark.parametrize("place", ["", "/", "a\0b", "/dev/null/callbacks.sqlite3", "{folder}"])
def test_what_is_no_file_is_refused(tmp_path, policy, place):
    with pytest.raises(StoreError) as told:
        Store(place.format(folder=tmp_path), policy)
    one_line(told)


def test_a_file_that_becomes_read_only_fails_and_works_again(file, policy, clock):
    store = Store(str(file), policy)
    kept = take(store, clock.now)
    store.database.engine.dispose()

    @sa.event.listens_for(store.database.engine, "connect")
    def read_only(connection, _):
        connection.execute("PRAGMA query_only=ON")

    with pytest.raises(StoreError, match="readonly"):
        take(store, clock.now, phone=client(2))
    assert store.get(kept.id) == kept
    sa.event.remove(store.database.engine, "connect", read_only)
    store.database.engine.dispose()
    take(store, clock.now, phone=client(2))
    assert CallbackQueries(store).promise().open == 2
    store.close()


# -- no room ---------------------------------------------------------------------------------------

FILL = """
import resource
store = opened(sys.argv[1])
take(store, 0)
if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
stored, why = [0], ""
for n in range(1, 4000):
    try:
        take(store, n, "x" * 2000)
        stored.append(n)
    except StoreError as error:
        why = str(error)
        break
print(json.dumps([stored, why]), flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    print(take(store, 5000), flush=True)
except StoreError as error:
    print(error, flush=True)
store.close()
"""


def filled(process, room_again):
    """Whose requests were stored, and what was said when there was no room."""
    stored, why = json.loads(process.stdout.readline())
    assert len(stored) > 5
    assert why, "the disk was never full"
    assert "\n" not in why
    assert "x" * 100 not in why
    room_again()
    out, err = process.communicate("go\n", timeout=60)
    assert not err, err
    assert out == "taken\n"
    return {client(n) for n in [*stored, 5000]}, why


def test_where_files_may_not_grow_nothing_is_lost_and_it_works_again(file, policy):
    with child(FILL, file, 1_500_000) as process:
        stored, why = filled(process, lambda: None)
    assert why.startswith(f"{file}: ")
    store = Store(str(file), policy)
    assert {one.phone for one in CallbackQueries(store).all()} == stored
    assert CallbackQueries(store).promise().missing == 0
    store.close()


def test_on_a_full_disk_nothing_is_lost_and_it_works_again(tmp_path, policy):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(300_000))
        file = disk / "callbacks.sqlite3"
        with child(FILL, file, 0) as process:
            stored, why = filled(process, ballast.unlink)
        assert why == f"{file}: database or disk is full"
        store = Store(str(file), policy)
        assert {one.phone for one in CallbackQueries(store).all()} == stored
        store.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# -- the server goes away --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_goes_away_is_told_at_once_and_the_store_works_when_it_is_back(
    postgres, url, policy, clock, how
):
    store = Store(url, policy)
    kept = take(store, clock.now, name=NAME)
    key = begin(store, kept, clock.now)
    request = asks(clock.now, phone=client(2), name=NAME)
    getattr(postgres, how)()
    for work in (
        lambda: store.take(request, by(clock.now)),
        lambda: store.get(kept.id),
        lambda: store.end(key, Outcome.BUSY, "", by(clock.now)),
        lambda: CallbackQueries(store).promise(),
        lambda: CallbackQueries(store).page(),
    ):
        before = time.monotonic()
        with pytest.raises(StoreError, match="postgresql") as told:
            work()
        assert time.monotonic() - before < 5
        text = one_line(told)
        assert not any(secret in text for secret in (PHONE, NAME, postgres.password))
    postgres.start()
    assert store.get(kept.id).state is State.RINGING
    assert store.take(request, by(clock.now)).what == "taken"
    assert store.end(key, Outcome.BUSY, "", by(clock.now)) is not None
    assert CallbackQueries(store).promise().missing == 0
    store.close()


def test_what_was_stored_when_the_server_was_killed_is_there_and_the_rest_can_be_asked_again(
    postgres, url, policy, clock
):
    store = Store(url, policy)
    requests = [asks(clock.now, phone=client(n)) for n in range(200)]
    stored = set()

    def take_one(n):
        if n == 60:
            postgres.kill()
        with contextlib.suppress(StoreError):
            store.take(requests[n], by(clock.now))
            stored.add(requests[n].phone)

    at_once(take_one, 120, threads=8)
    postgres.start()
    there = {one.phone for one in CallbackQueries(store).all()}
    assert 30 < len(stored) < 120
    assert stored <= there
    whats = {store.take(one, by(clock.now)).what for one in requests}
    assert whats == {"duplicate", "taken"}
    promise = CallbackQueries(store).promise()
    assert (promise.taken, promise.open, promise.missing) == (200, 200, 0)
    store.close()


def test_the_servers_time_is_aware_and_runs(url):
    database = Database(DatabaseLocation.parse(url))
    first, second = database.time(), database.time()
    assert first < second
    assert first.utcoffset() is not None
    database.close()


def test_an_error_names_neither_the_statement_nor_its_values(url, policy, clock):
    store = Store(url, policy)
    callback = take(store, clock.now, name=NAME)
    with pytest.raises(StoreError) as told:
        store.change(
            callback.id, "x" * 100, by(clock.now), lambda c: transitions.cancel(c, clock.now)
        )
    text = one_line(told)
    assert "UPDATE" not in text
    assert "INSERT" not in text
    assert NAME not in text
    assert store.get(callback.id) == callback
    store.close()


def test_no_limit_of_this_process_is_left_behind():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
