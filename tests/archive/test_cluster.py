"""A Dask cluster of several processes, and an S3 server: the same rows as on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest

from tests.archive.conftest import FIXTURES
from vad_agent.archive import parquet_tables
from vad_agent.archive.engines import dask_engine, local_engine
from vad_agent.archive.file_listing import listing
from vad_agent.errors import OutputError, RecordingError

pytest.importorskip("distributed")
TABLES = ("calls", "steps", "silences")


def by_name(folder, table, prefix=""):
    """The rows, with the file's name in place of its place."""
    found = []
    for row in parquet_tables.rows(folder, table):
        names = {key: os.path.basename(row[key]) for key in ("id", "source") if key in row}
        found.append(row | names)
    return sorted(found, key=lambda row: (row["id"], row.get("number") or 0, row.get("at_s") or 0))


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and three worker processes, which are replaced when they die."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=3, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as made:
        yield made


def test_dask_and_local_give_the_same_rows(cluster, archive, run_audit, tmp_path):
    with dask_engine(cluster.scheduler_address, 0) as engine:
        there = run_audit(engine, archive, out=tmp_path / "dask")
    with local_engine(2) as engine:
        here = run_audit(engine, archive, out=tmp_path / "local")
    for table in TABLES:
        rows = by_name(here, table)
        assert rows
        assert by_name(there, table) == rows


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    cluster, run_audit, tmp_path
):
    from distributed import Client

    folder = tmp_path / "calls"
    folder.mkdir()
    for number in range(60):
        os.link(FIXTURES / "answer_in_farewell.flac", folder / f"{number}.flac")
    killed = []

    def kill(progress):
        if not killed and 0 < progress.files_done < 60:
            with Client(cluster.scheduler_address, set_as_default=False) as client:
                killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    with dask_engine(cluster.scheduler_address, 0) as engine:
        out = run_audit(engine, folder, out=tmp_path / "out", batch_size=4, report=kill)
    assert killed
    sources = [row["source"] for row in parquet_tables.rows(out, "calls")]
    assert (len(sources), len(set(sources))) == (60, 60)
    assert not any(row["error"] for row in parquet_tables.rows(out, "calls"))


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr("vad_agent.archive.engines.CONNECT_S", 0.2)
    with (
        pytest.raises(OutputError, match="no Dask scheduler answers there"),
        dask_engine("tcp://127.0.0.1:1", 0),
    ):
        pass


@pytest.fixture(scope="module")
def bucket(archive):
    """The archive in an S3 server, behind the credentials that such servers are configured by."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        "127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        store = s3fs.S3FileSystem(skip_instance_cache=True)
        store.mkdir("calls")
        store.put(str(archive), "calls/2026-11", recursive=True)
        yield "s3://calls/2026-11"
    server.stop()


def test_a_store_gives_the_same_rows_as_its_files(bucket, archive, run_audit, tmp_path):
    with local_engine(2) as engine:
        there = run_audit(engine, bucket, out=tmp_path / "s3")
        here = run_audit(engine, archive, out=tmp_path / "files")
    for table in TABLES:
        assert by_name(there, table) == by_name(here, table)


def test_one_object_and_a_glob_of_a_store_are_listed_with_their_sizes(bucket, archive):
    sizes = {path.name: path.stat().st_size for path in archive.rglob("*") if path.is_file()}
    found = list(listing([f"{bucket}/*.flac", f"{bucket}/mono/mix.wav"]))
    assert {os.path.basename(name): size for name, size in found} == {
        name: size for name, size in sizes.items() if name.endswith(".flac") or name == "mix.wav"
    }


def test_a_place_of_a_store_without_recordings_is_an_error(bucket):
    with pytest.raises(RecordingError, match="no recording there"):
        list(listing(["s3://calls/2025-01"]))


def test_copies_of_objects_do_not_stay(bucket, run_audit, tmp_path, monkeypatch, here):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_audit(here, f"{bucket}/mono", out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    shutil.rmtree(tmp_path / "out")
