"""The product makes of 200 whole calls no less than what is recorded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.calls import voices
from benchmarks.calls.evaluation import Defect, Fault
from benchmarks.calls.run import PRODUCT, Job, Result
from tests.calls import record
from tests.calls.record import Record


def test_the_product_is_no_worse_than_recorded(
    record_property: Callable[[str, object], None],
) -> None:
    try:
        voices.load("tuning")
    except voices.VoicesError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    worse, better = record.compare(record.load(), record.measured())
    if better:
        record_property("tighten", f"make calls-record: {'; '.join(better)}")
    assert worse == []


@pytest.fixture
def known() -> Record:
    calls = [
        Result("tuning-00000", "", "", {PRODUCT: ()}),
        Result("tuning-00001", "", "", {PRODUCT: (Fault(Defect.MISSING, ""),)}),
        Result("tuning-00002", "", "", {PRODUCT: (Fault(Defect.OVER, ""), Fault(Defect.OVER, ""))}),
    ]  # fmt: skip
    return record.of(calls)


def test_a_record_counts_calls_and_names_what_is_missing(known: Record) -> None:
    assert (known.calls, known.right) == (3, 1)
    assert known.exact[Defect.MISSING] == {"tuning-00001"}
    assert known.counted[Defect.OVER] == 1


def test_a_record_is_read_as_it_was_written(known: Record, tmp_path: object) -> None:
    file = tmp_path / "record.toml"  # type: ignore[operator]
    file.write_text(known.to_toml(), encoding="utf-8")
    assert record.load(file) == known
    assert record.compare(known, record.load(file)) == ([], [])


def test_another_missing_callback_is_worse_even_where_one_was_found(known: Record) -> None:
    now = replace(known, exact=known.exact | {Defect.MISSING: frozenset({"tuning-00002"})})
    worse, better = record.compare(known, now)
    assert worse == ["missing: tuning-00002"]
    assert better == ["no longer missing: tuning-00001"]


def test_more_wrong_calls_are_worse_and_fewer_are_better(known: Record) -> None:
    more = replace(known, right=0, counted=known.counted | {Defect.OVER: 2})
    assert record.compare(known, more) == (
        ["wrong: 3 calls, recorded: 2", "over: 2 calls, recorded: 1"],
        [],
    )
    worse, better = record.compare(more, known)
    assert worse == []
    assert better == ["wrong: 2 calls, recorded: 3", "over: 1 calls, recorded: 2"]


def test_no_callback_of_the_record_is_missing_or_asked_for_twice() -> None:
    """By the script a missing one is a critical error: this is never recorded as what is expected."""
    assert set(record.load().exact.values()) == {frozenset()}


def test_the_record_is_of_the_first_two_hundred() -> None:
    assert record.load().calls == record.CALLS == 200
    assert Job("tuning", record.CALLS - 1).name == "tuning-00199"
