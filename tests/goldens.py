"""Golden traces: what each fixture's replay prints, beside the fixture.

python -m tests.goldens            tell which differ, status 1 if any does
python -m tests.goldens --write    write them anew; review the diff before you commit it
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from vad_agent.cli import main as cli


def golden(recipe: Recipe) -> Path:
    """Where the golden trace of a fixture lies."""
    return FOLDER / f"{recipe.name}.trace.jsonl"


@cache
def trace(recipe_name: str) -> str:
    """The trace that `vad-agent replay` writes of a fixture now."""
    recipe = next(recipe for recipe in load_all() if recipe.name == recipe_name)
    recording = next(iter(recipe.recordings))
    before = Path.cwd()
    os.chdir(FOLDER)  # its options name files beside it
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "trace.jsonl"
            arguments = ["replay", recording.name, *recipe.replay, "--trace", str(out)]
            cli.app(arguments, standalone_mode=False)
            return out.read_text(encoding="utf-8")
    finally:
        os.chdir(before)


def lines(recipe: Recipe) -> list[dict[str, object]]:
    """The trace's objects."""
    return [json.loads(line) for line in trace(recipe.name).splitlines()]


def main() -> int:
    """Compare, or write."""
    write = "--write" in sys.argv[1:]
    differ = 0
    for recipe in load_all():
        path, now = golden(recipe), trace(recipe.name)
        if not path.exists() or path.read_text(encoding="utf-8") != now:
            differ += 1
            print(f"{path.name}: {'written' if write else 'differs'}")
            if write:
                path.write_text(now, encoding="utf-8")
    return int(differ > 0 and not write)


if __name__ == "__main__":
    sys.exit(main())
