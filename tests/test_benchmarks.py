"""The benchmarks run and their tables are sane. No time is asserted here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import audio, command, frame_cost, measure, scaling, startup


@pytest.fixture(scope="module")
def call() -> audio.RecordedCall:
    return audio.load().first(200)


@pytest.mark.parametrize(("strict", "status"), [(False, 0), (True, 1)])
def test_a_missed_target_is_a_failure_where_that_is_asked_for(strict: bool, status: int) -> None:
    figure = measure.Figure("feed", 4.5, "µs", target="≤ 1×", met=False)
    assert command.status([measure.Table("Cost", [figure])], strict=strict) == status


def test_the_cost_of_a_frame_is_measured(call: audio.RecordedCall) -> None:
    table = frame_cost.measure(call, rounds=1)
    by_name = {figure.what: figure for figure in table.figures}
    assert by_name["CallSession.feed, both channels"].value > 0
    assert by_name["one feed, p50"].value <= by_name["one feed, max"].value


def test_scaling_measures_cost_and_memory(call: audio.RecordedCall) -> None:
    table = scaling.measure(call, counts=(1, 3), frames=20, rounds=1, memory_sessions=3)
    by_name = {figure.what: figure for figure in table.figures}
    assert by_name["1 session: a frame pair"].value > 0
    assert by_name["3 sessions in turn: a frame pair"].ratio is not None
    assert 0 < by_name["memory of a new session, Python's own"].value < 1_000


def test_stretches_are_spread_over_the_call(call: audio.RecordedCall) -> None:
    first, second = scaling.stretches(call, 2, 150)
    assert first == call.pairs[:150]
    assert second == call.pairs[100:] + call.pairs[:50]


def test_order_of_contenders_turns_round() -> None:
    order: list[str] = []

    def contender(name: str) -> measure.Contender:
        return lambda: float(len(order)) if order.append(name) else 2.0  # type: ignore[func-returns-value]

    found = measure.interleaved({"a": contender("a"), "b": contender("b")}, 3)
    assert "".join(order) == "abbaab"
    assert measure.ratio(found["a"], found["b"]) == 1.0


def test_imports_are_listed() -> None:
    found = startup.slowest_imports(3)
    assert len(found) == 3
    assert all(milliseconds >= 0 for _, milliseconds in found)


def test_figures_as_text_json_and_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = measure.Figure("feed", 4.5678, "µs", 0.9, "bare", "≤ 1×", True)
    table = measure.Table("Cost", [figure], ["a call"])
    assert "4.57 µs" in table.text()
    assert "0.90× bare" in table.text()
    written = json.loads(measure.as_json([table], measure.environment()))
    assert written["tables"][0]["figures"][0]["value"] == 4.5678
    readme = tmp_path / "README.md"
    readme.write_text(
        "# B\n<!-- results -->\nold\n<!-- end of results -->\nrest\n", encoding="utf-8"
    )
    monkeypatch.setattr(measure, "README", readme)
    measure.refresh_readme("results", measure.as_markdown([table], {"python": "3"}))
    text = readme.read_text(encoding="utf-8")
    assert "| feed | 4.57 µs | 0.90× bare | ≤ 1× ✓ |" in text
    assert "old" not in text
    assert text.endswith("\nrest\n")


def test_unreadable_recording_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--real", str(tmp_path / "none.flac")]) == 2
    assert "no such file" in capsys.readouterr().err
