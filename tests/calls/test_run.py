"""A run of calls: what a crash does, what the tables say, what the command writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import soundfile

from benchmarks.calls import __main__ as command
from benchmarks.calls import run as running
from benchmarks.calls import tables
from benchmarks.calls.evaluation import Defect, Fault
from benchmarks.calls.run import PRODUCT, Job, Result
from tests.calls.library import small

BAD = 3


def result(job: Job, *faults: Fault) -> Result:
    return Result(job.name, "talks to the end", "none", {PRODUCT: faults})


def dies_at_the_third(job: Job) -> Result:
    if job.number == BAD:
        os._exit(1)
    return result(job)


def test_a_worker_that_dies_is_one_failed_call() -> None:
    jobs = [Job("tuning", number, (PRODUCT,)) for number in range(24)]
    results = {one.name: one for one in running.run(jobs, 2, dies_at_the_third)}
    assert set(results) == {job.name for job in jobs}
    wrong = [name for name, one in results.items() if not one.right(PRODUCT)]
    assert wrong == ["tuning-00003"]
    assert results["tuning-00003"].faults[PRODUCT][0].defect is Defect.CRASH


def test_a_call_that_cannot_be_made_is_one_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "library", lambda *_: 1 / 0)
    one = running.run_one(Job("tuning", 0))
    assert {fault.defect for found in one.faults.values() for fault in found} == {Defect.CRASH}
    assert "ZeroDivisionError" in one.faults[PRODUCT][0].text


def test_a_decider_that_fails_is_wrong_and_the_others_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "library", lambda *_: small())
    monkeypatch.setitem(running.DECIDERS, PRODUCT, lambda _: 1 / 0)
    one = running.run_one(Job("tuning", 2, (PRODUCT, "webrtcvad 3")))
    assert [fault.defect for fault in one.faults[PRODUCT]] == [Defect.CRASH]
    assert Defect.CRASH not in {fault.defect for fault in one.faults["webrtcvad 3"]}


def test_everyone_decides_on_a_whole_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "library", lambda *_: small())
    one = running.run_one(Job("tuning", 2))
    assert list(one.faults) == [PRODUCT, "webrtcvad 3", "earshot 0.5"]
    assert json.loads(one.recipe)["name"] == "tuning-00002"


def test_the_table_counts_calls_not_faults() -> None:
    twice = [Fault(Defect.OVER, "a"), Fault(Defect.OVER, "b"), Fault(Defect.WINDOW, "c")]
    results = [result(Job("tuning", 0), *twice), result(Job("tuning", 1))]
    (row,) = tables.totals(results, "title").rows
    by_column = dict(zip(tables.totals(results, "title").header, row, strict=True))
    assert by_column["calls"] == "2"
    assert by_column["right"] == "50.0 %"
    assert (by_column["over"], by_column["window"], by_column["missing"]) == ("1", "1", "0")
    (line,) = tables.wrong(results, PRODUCT)
    assert line.startswith("tuning-00000  talks to the end, none: over: a; over: b; window: c")


def test_one_call_is_written_out_to_be_heard_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "library", lambda *_: small())
    monkeypatch.setattr(command, "OUT", tmp_path / "calls")
    assert command.main(["--part", "tuning", "--only", "tuning-00002"]) == 0
    told = capsys.readouterr().out
    files = {path.name.partition(".")[2]: path for path in (tmp_path / "calls").iterdir()}
    assert set(files) == {"wav", "events.jsonl", "trace.jsonl", "truth.json", "html"}
    assert all(str(path) in told for path in files.values())
    info = soundfile.info(files["wav"])
    truth = json.loads(files["truth.json"].read_text(encoding="utf-8"))
    assert (info.channels, info.samplerate) == (2, 8000)
    assert info.frames == truth["recipe"]["frames"] * 160
    assert truth["callback"] is None
    assert '"kind": "speech"' in files["trace.jsonl"].read_text(encoding="utf-8")
    assert "<html" in files["html"].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["tuning", "other-00001", "tuning-x", "test-given-00001"])
def test_a_call_that_is_none_is_refused_in_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--only", name]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert name in told
