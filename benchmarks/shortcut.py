"""What asking the detector only about loud frames changes: nothing that the product decides.

    asked when loud     ▁▁▁▁aAAAAAAa▁▁▁▁▁▁    the ear as it is
    asked always        aaaaaAAAAAAaaaaaaa    `skip_quiet=False`: its answers to quiet frames are dropped

The detector adapts to what it hears, so runs of speech may end some frames apart. Phases, prompts, whether
each kept its window, cues, callbacks, alerts and hang-ups must be the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vad_agent.hearing.ear import HANGOVER, LevelledEar

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from benchmarks.measure import Figure, Table, percentile
from vad_agent.core import actions as act
from vad_agent.core.call import CallSession
from vad_agent.core.ear import Ear
from vad_agent.core.frames import Channel, seconds
from vad_agent.recorded_events import load_events
from vad_agent.replay import Replay
from vad_agent.settings import Settings
from vad_agent.sources.recording import open_call

Decision = tuple[object, ...]


class Lean(Settings):
    """Settings whose ears ask about what is above their gate; a judge would hide a difference."""

    def ear(self, channel: Channel, sample_rate: int) -> Ear:
        return LevelledEar(sample_rate)


class AskedAlways(Settings):
    """Settings whose ears ask about every frame."""

    def ear(self, channel: Channel, sample_rate: int) -> Ear:
        return LevelledEar(sample_rate, skip_quiet=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A recording and how it is to be replayed."""

    name: str
    path: Path
    client_path: Path | None = None
    swapped: bool = False
    mode: str = "auto"
    events: Path | None = None
    script: Path | None = None

    def replay(self, kind: type[Settings]) -> list[act.Action]:
        """Every action of the call."""
        settings = kind() if self.script is None else kind.load(self.script)
        events = load_events(self.events).events if self.events else ()
        sides = {"operator_channel": "right", "client_channel": "left"} if self.swapped else {}
        with open_call(self.path, client_path=self.client_path, **sides) as recording:
            session = CallSession(settings, recording.sample_rate, mode=self.mode)
            return list(Replay(session, settings, events).run(recording))


def fixture(recipe: Recipe) -> Case:
    """A fixture as its recipe wants it replayed."""
    by_side = {sides[0]: path for path, sides in recipe.recordings.items()}
    path = by_side["operator"] if recipe.two_mono else next(iter(recipe.recordings))
    return Case(
        recipe.name,
        path,
        client_path=by_side["client"] if recipe.two_mono else None,
        swapped=not recipe.two_mono and recipe.left == "client",
        mode=recipe.mode,
        events=recipe.events_path if recipe.events else None,
        script=FOLDER / recipe.script if recipe.script else None,
    )


def cases(real: Path | None = None) -> list[Case]:
    """Every fixture, and the real call in mode cue: its operator speaks."""
    found = [fixture(recipe) for recipe in load_all()]
    return found + ([Case(real.stem, real, mode="cue")] if real else [])


@dataclass(frozen=True, slots=True)
class Differences:
    """Between two replays of one recording."""

    name: str
    decisions: tuple[str, ...]
    """A line for each decision that is not the same, with a sign which side has it."""
    silences: tuple[int, ...]
    """Frames by which the silence before a prompt differs, one for each prompt."""
    ends: tuple[int, ...]
    """Frames by which the end of a run of speech differs, one for each run that both have."""
    unmatched: int
    """Ends that only one of the two has: mostly the first of two runs that the other joins."""
    runs: int
    """Ends of either side, each pair counted once."""


def differences(case: Case) -> Differences:
    """Replay the case both ways and compare.

    Raises:
        RecordingError, SettingsError: a file of the case cannot be used.
    """
    return compare(case.name, case.replay(Lean), case.replay(AskedAlways))


def compare(name: str, ours: Sequence[act.Action], always: Sequence[act.Action]) -> Differences:
    """What differs in two lists of actions."""
    here, there = list(_decisions(ours)), list(_decisions(always))
    lines: list[str] = []
    if here != there:
        lines += (f"- {decision}" for decision in here if decision not in there)
        lines += (f"+ {decision}" for decision in there if decision not in here)
        lines = lines or ["the order of the decisions"]
    prompts = [[a for a in side if isinstance(a, act.PromptDone)] for side in (ours, always)]
    pairs = list(_matched(_speech(ours), _speech(always)))
    count = len(_speech(ours)) + len(_speech(always))
    return Differences(
        name,
        tuple(lines),
        tuple(a.silence - b.silence for a, b in zip(*prompts, strict=False)),
        tuple(a.end - b.end for a, b in pairs),
        count - 2 * len(pairs),
        count - len(pairs),
    )


def _decisions(actions: Sequence[act.Action]) -> Iterator[Decision]:
    for action in actions:
        match action:
            case act.PhaseChanged(phase=phase):
                yield "phase", phase.value
            case act.PromptDone():
                kept = action.lo <= action.silence <= action.hi
                yield "prompt", action.prompt, action.outcome.value, "kept" if kept else "missed"
            case act.Cue(prompt=prompt):
                yield "cue", prompt
            case act.Callback():  # and its revision
                yield type(action).__name__, action.reason.value, action.due_in_s, action.opening
            case act.CallbackWithdrawn(reason=reason):
                yield "callback withdrawn", reason.value
            case act.Hangup(reason=reason):
                yield "hangup", reason.value
            case act.Alert(id=name):
                yield "alert", name


def _speech(actions: Sequence[act.Action]) -> list[act.Speech]:
    return [action for action in actions if isinstance(action, act.Speech)]


def _matched(
    ours: Sequence[act.Speech], always: Sequence[act.Speech]
) -> Iterator[tuple[act.Speech, act.Speech]]:
    """Runs of the same channel whose ends are nearest, each once, a hangover apart at most.

    By their ends, since the silence clock starts there: where one side joins two runs over a short
    pause, the second end is the same and the first is the other's alone.
    """
    free = list(always)
    for run in ours:
        near = [
            other
            for other in free
            if other.channel is run.channel and abs(other.end - run.end) <= HANGOVER
        ]
        if near:
            other = min(near, key=lambda other: abs(other.end - run.end))
            free.remove(other)
            yield run, other


def table(found: Sequence[Differences]) -> Table:
    """Sums over all recordings; a recording of its own only where a decision differs."""
    ends = [abs(frames) for one in found for frames in one.ends]
    silences = [abs(frames) for one in found for frames in one.silences]
    wrong = [one for one in found if one.decisions]
    figures = [
        Figure("recordings replayed both ways", len(found), ""),
        Figure("with another decision", len(wrong), "", target="0", met=not wrong),
        Figure("prompts compared", len(silences), ""),
        Figure("silence before a prompt, difference, max", seconds(max(silences, default=0)), "s"),
        Figure("ends of runs of speech compared", sum(one.runs for one in found), ""),
        Figure(
            "that only one of the two has (a pause within speech)",
            sum(one.unmatched for one in found),
            "",
        ),
    ]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
        value = seconds(int(percentile(ends, share))) if ends else 0.0
        figures.append(Figure(f"end of a run, difference, {name}", value, "s"))
    notes = [f"{one.name}: {line}" for one in wrong for line in one.decisions]
    return Table("What the quiet-frame shortcut changes", figures, notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; 1 if a decision differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcut", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--real", type=Path, metavar="CALL", help="a recording of a real call")
    found = [differences(case) for case in cases(parser.parse_args(arguments).real)]
    for one in found:
        most = max((abs(frames) for frames in one.ends), default=0)
        verdict = "; ".join(one.decisions) or "the same decisions"
        print(f"{one.name:40} {one.runs:3} runs, {one.unmatched} unmatched, "
              f"ends to {seconds(most):.2f} s: {verdict}")  # fmt: skip
    print(table(found).text())
    return 1 if any(one.decisions for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
