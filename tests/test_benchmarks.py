"""The benchmarks run and their tables are sane. No time is asserted here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import audio, measure, scaling, shortcut, startup
from vad_agent.core import actions as act
from vad_agent.core.frames import Channel


@pytest.fixture(scope="module")
def call() -> audio.Call:
    return audio.load().first(200)


def case(name: str) -> shortcut.Case:
    return next(case for case in shortcut.cases() if case.name == name)


@pytest.mark.parametrize("name", ["greeting_silence", "swapped_channels", "client_leg_ends"])
def test_shortcut_changes_no_decision(name: str) -> None:
    found = shortcut.differences(case(name))
    assert found.decisions == ()
    assert found.runs >= 2
    assert max(map(abs, found.ends), default=0) <= 15


def test_shortcut_knows_every_fixture() -> None:
    names = [case.name for case in shortcut.cases()]
    assert len(names) == len(set(names)) >= 20


def test_shortcut_tells_a_decision_that_differs() -> None:
    said = act.PromptDone(150, "not_heard", "", 100, 150, 125, 125, 150, act.Outcome.SAID)
    late = act.PromptDone(180, "not_heard", "", 100, 150, 155, 155, 180, act.Outcome.SAID)
    found = shortcut.compare("call", [said], [late])
    assert found.decisions == (
        "- ('prompt', 'not_heard', 'said', 'kept')",
        "+ ('prompt', 'not_heard', 'said', 'missed')",
    )
    assert found.silences == (-30,)
    table = shortcut.table([found])
    assert command.status([table], strict=False) == 1
    assert "✗" in table.text()


def test_shortcut_matches_runs_by_their_ends() -> None:
    joined = [act.Speech(60, Channel.CLIENT, 10, 50)]
    split = [act.Speech(40, Channel.CLIENT, 10, 25), act.Speech(60, Channel.CLIENT, 44, 51)]
    found = shortcut.compare("call", joined, split)
    assert (found.ends, found.unmatched, found.runs, found.decisions) == ((-1,), 1, 2, ())


def test_scaling_measures_cost_and_memory(call: audio.Call) -> None:
    table = scaling.measure(call, counts=(1, 3), frames=20, rounds=1, memory_sessions=3)
    by_name = {figure.what: figure for figure in table.figures}
    assert by_name["1 session: a frame pair"].value > 0
    assert by_name["3 sessions in turn: a frame pair"].ratio is not None
    assert 0 < by_name["memory of a new session, Python's own"].value < 1_000


def test_stretches_are_spread_over_the_call(call: audio.Call) -> None:
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
    assert command.main(["--real", str(tmp_path / "none.flac")]) == 2
    assert "no such file" in capsys.readouterr().err
