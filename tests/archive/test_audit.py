"""An audit from files to tables, in this process and in those of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest

from tests.archive.conftest import FIXTURES
from vad_agent.archive import audit_runner, parquet_tables
from vad_agent.archive.audit_rules import AuditRules
from vad_agent.archive.call_audit import AuditJob, AuditPlan, AuditRows, audit_file
from vad_agent.archive.engines import AuditEngine, local_engine
from vad_agent.archive.file_listing import listing
from vad_agent.archive.job_store import JobStore
from vad_agent.errors import RecordingError, SettingsError


def rows(folder: Path, table: str = "calls"):
    return sorted(parquet_tables.rows(folder, table), key=lambda row: json.dumps(row, default=str))


def test_every_file_is_a_row_and_one_that_cannot_be_read_says_why(archive, here, run_audit):
    found = rows(run_audit(here, archive))
    assert Counter(row["kind"] for row in found) == {"recording": 12, "unreadable": 1}
    [broken] = [row for row in found if row["error"]]
    assert broken["error"] == "not an audio file that can be read (WAV, FLAC, Ogg, MP3)"
    assert {row["operator"] for row in found} == {"101", "102", "103", None}


def test_steps_and_silences_belong_to_their_calls(archive, here, run_audit):
    out = run_audit(here, archive)
    calls = {row["id"]: row for row in rows(out)}
    steps, silences = rows(out, "steps"), rows(out, "silences")
    assert {row["id"] for row in [*steps, *silences]} <= set(calls)
    for id, call in calls.items():
        dead = [one for one in silences if one["id"] == id and one["dead_air"]]
        assert len(dead) == (call["dead_air"] or 0)
    assert all(row["length_s"] == pytest.approx(row["end_s"] - row["at_s"]) for row in silences)


def test_a_mono_mix_accuses_nobody(archive, here, run_audit):
    [mix] = rows(run_audit(here, archive / "mono"))
    assert (mix["channels"], mix["scenario"], mix["told"]) == (1, "unknown", False)
    unknown = ("owed", "phrases_wrong", "no_greeting", "spoke_over", "operator_share", "overtalk")
    assert {mix[name] for name in unknown} == {None}
    assert mix["silence_share"] > 0


def test_an_audit_that_is_done_does_nothing_twice(archive, here, run_audit, monkeypatch):
    out = run_audit(here, archive)
    before = rows(out)
    monkeypatch.setattr(audit_runner, "audit_batch", None)  # whoever calls it fails
    assert rows(run_audit(here, archive, out=out)) == before


def test_files_that_came_later_are_added(archive, here, run_audit, tmp_path):
    folder = tmp_path / "growing"
    shutil.copytree(archive, folder)
    out = run_audit(here, folder)
    shutil.copy(FIXTURES / "answer_in_not_heard.flac", folder / "later.flac")
    assert len(rows(run_audit(here, folder, out=out))) == 14


def test_rows_that_were_written_before_a_kill_are_not_made_again(archive, here, run_audit):
    out = run_audit(here, archive)
    store = JobStore(out)
    store._db.execute("UPDATE batches SET done = 0 WHERE id > 1")
    store.close()
    parquet_tables.part(out, "calls", 2).unlink()
    made: list[int] = []

    def counted(jobs, plan):
        made.append(len(jobs))
        return real(jobs, plan)

    real, audit_runner.audit_batch = audit_runner.audit_batch, counted
    try:
        assert len(rows(run_audit(here, archive, out=out))) == 13
    finally:
        audit_runner.audit_batch = real
    assert made == [3]  # the one whose rows were not on the disk


def test_a_folder_of_another_plan_is_refused(archive, tmp_path):
    store = JobStore(tmp_path)
    store.keep_plan(repr(AuditPlan("")))
    with pytest.raises(SettingsError, match="another folder"):
        store.keep_plan(repr(AuditPlan("", operator_channel="right")))
    store.close()


def die_at(jobs, plan):
    """A worker that dies at one file, as a decoder's crash would make it."""
    if any("broken" in job.source for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    from vad_agent.archive.call_audit import audit_batch

    return audit_batch(jobs, plan)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_file_that_kills_its_worker_is_a_row_and_takes_no_other_call_with_it(
    archive, run_audit, monkeypatch
):
    monkeypatch.setattr(audit_runner, "audit_batch", die_at)
    with local_engine(2) as engine:
        found = rows(run_audit(engine, archive))
    assert len(found) == 13
    assert [row["error"] for row in found if row["error"]] == [audit_runner.DIED]


def test_a_defect_of_ours_at_one_file_is_its_row(archive, here, run_audit, monkeypatch):
    def fail(jobs, plan):
        raise TypeError("ours")

    monkeypatch.setattr(audit_runner, "audit_batch", fail)
    monkeypatch.setattr(audit_runner, "processes", lambda count: Inline())
    found = rows(run_audit(here, archive / "mono"))
    assert [row["error"] for row in found] == ["the audit failed: TypeError: ours"]


class Inline:
    """A pool that runs in this process."""

    def submit(self, work, *arguments):
        future: Future[AuditRows] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_):
        pass


def start(archive: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vad_agent.cli.main", "audit", str(archive), "--out", str(out)]
    return subprocess.Popen([*command, *more], stderr=subprocess.DEVNULL)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_audit_goes_on_and_loses_and_doubles_nothing(tmp_path):
    folder, out = tmp_path / "calls", tmp_path / "out"
    folder.mkdir()
    for number in range(150):
        os.link(FIXTURES / "answer_in_farewell.flac", folder / f"{number}.flac")
    process = start(folder, out, "--workers", "2")
    until = time.monotonic() + 60
    while not list(out.glob("parts/calls-*")) and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    parts = {path: path.stat().st_mtime_ns for path in out.glob("parts/calls-*")}
    assert 0 < len(parts) < 3
    assert start(folder, out, "--workers", "2").wait() == 0
    sources = [row["source"] for row in rows(out)]
    assert (len(sources), len(set(sources))) == (150, 150)
    assert {path: path.stat().st_mtime_ns for path in parts} == parts


def test_another_process_that_looks_at_the_state_takes_nothing_from_it(tmp_path):
    """SQLite's locks are the process's: a second store of the folder must not drop the first one's."""
    look = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT done FROM batches'))"

    def seen(store):
        command = [sys.executable, "-c", look, str(store.path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    store = JobStore(tmp_path)
    store.add([("a.wav", 1)], None)
    batch = store.next_batch(1, partial=True)
    JobStore(tmp_path).close()
    assert seen(store) == "(0,)"
    store.done(batch.id)
    assert seen(store) == "(1,)"
    store.close()


def test_the_workers_of_a_killed_audit_end():
    """Their pool's pipes stay open in them: they would wait for work for ever."""
    program = (
        "import os, time; from vad_agent.archive.engines import processes; pool = processes(1); "
        "print(pool.submit(os.getpid).result(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as audit:
        worker = psutil.Process(int(audit.stdout.readline()))
        audit.kill()
    worker.wait(20)


def test_each_wrong_phrase_is_early_late_or_missing(archive, here, run_audit):
    calls = list(parquet_tables.rows(run_audit(here, archive), "calls"))
    told = [one for one in calls if one["told"]]
    assert any(one["phrases_wrong"] for one in told)
    for one in told:
        kinds = [one[f"phrases_{kind}"] for kind in ("early", "late", "missing")]
        assert sum(kinds) == one["phrases_wrong"]
        assert one["dead_air_line_s"] + one["dead_air_operator_s"] <= one["dead_air_s"] + 0.01


def test_a_part_of_an_older_version_lacks_a_column(archive, here, run_audit):
    """An audit that was begun before an update goes on after it."""
    out = run_audit(here, archive)
    part = parquet_tables.part(out, "calls", 1)
    old = pyarrow.parquet.read_table(part).drop_columns(["phrases_early"])
    pyarrow.parquet.write_table(old, part)
    parquet_tables.merge(out, [1])
    rows = list(parquet_tables.rows(out, "calls"))
    assert len(rows) == len(old)
    assert all(row["phrases_early"] is None for row in rows)


def test_a_shifts_trace_is_a_row_a_call(tmp_path):
    trace = (FIXTURES / "answer_in_farewell.trace.jsonl").read_text("utf-8")
    head = '{"t": 0.0, "kind": "call", "id": "%s", "began": "2026-11-30T10:00:00+03:00", "mode": "auto"}\n'
    shift = tmp_path / "listen.trace.jsonl"
    shift.write_text(head % "a" + trace + head % "b" + trace + '{"t": 3', "utf-8")
    found = audit_file(AuditJob(str(shift)), AuditPlan(""))
    assert [call["call"] for call in found.calls] == ["a", "b"]
    assert {call["kind"] for call in found.calls} == {"trace"}
    assert {step["by"] for step in found.steps} == {"product"}


def test_lists_and_globs_and_folders_name_files(archive, tmp_path):
    paths = tmp_path / "list.txt"
    paths.write_text(f"{archive}/*.flac\n\n{archive}/mono\n", "utf-8")
    assert len(list(listing([f"@{paths}"]))) == 10
    assert len(list(listing([str(archive)]))) == 13


@pytest.mark.parametrize("path", ["nothing.wav", "nothing/*.wav", "@nothing", "abc://x/y"])
def test_a_path_that_names_nothing_is_an_error(path):
    with pytest.raises(RecordingError):
        list(listing([path]))


def test_a_csv_tells_what_the_names_do_not(archive, tmp_path):
    table, out = tmp_path / "calls.csv", tmp_path / "out"
    table.write_text("file;operator;time\nmix.wav;anna;2026-11-30T10:15:00+03:00\n", "utf-8-sig")
    sheet = tmp_path / "sheet.csv"
    more = ("--calls", str(table), "--workers", "1", "--csv", str(sheet), "--encoding", "cp1251")
    assert start(archive / "mono", out, *more).wait() == 0
    [row] = rows(out)
    assert (row["operator"], row["began"].isoformat()) == ("anna", "2026-11-30T07:15:00+00:00")
    text = sheet.read_bytes().decode("cp1251")
    assert text.startswith("Запись;Начало;Оператор")
    assert "не определить" in text


def test_rules_are_the_vendors_and_ones_own(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text('vendor = "nice"\n[verdicts]\ntolerance_s = 0\n[flags]\nhold_s = 60\n')
    rules = AuditRules.load(path)
    assert (rules.measures.dead_air_s, rules.verdicts.tolerance_s, rules.flags.hold_s) == (3, 0, 60)


def test_wrong_rules_are_told_all_at_once(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        'vendor = "me"\nmore = 1\n[flags]\nsilent_share = 7\nnew = 1\n[measures]\nsilence_s = "x"\n'
    )
    with pytest.raises(SettingsError) as caught:
        AuditRules.load(path)
    assert len(caught.value.problems) == 5


def test_the_remaining_time_is_that_of_the_bytes_that_are_left(archive, tmp_path):
    now = iter(range(0, 1000, 10))
    out = tmp_path / "out"
    out.mkdir()
    told = []

    run = audit_runner.AuditRun(
        out,
        AuditPlan(""),
        AuditEngine(Inline(), 1),
        batch_size=1,
        report=told.append,
        clock=lambda: next(now),
    )  # type: ignore[arg-type]
    files = [(f"/no/{number}.wav", 100) for number in range(10)]
    run.run(files, None)
    last = [one for one in told if one.remaining_s is not None]
    assert last[-1].remaining_s == 0
    assert all(one.remaining_s == (10 - one.files_done) * 10 for one in last)
