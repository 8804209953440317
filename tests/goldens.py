"""Goldens: what each fixture's replay prints, beside the fixture; the help of every command and the
API's description, in `tests/interfaces`. No change of the code may change them unnoticed.

python -m tests.goldens            tell which differ, status 1 if any does
python -m tests.goldens --write    write them anew; review the diff before you commit it
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import typer
from typer.testing import CliRunner

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from vad_agent.cli import main as cli
from vad_agent.server.api_app import create_app
from vad_agent.server.app_state import AppState

HERE = Path(__file__).parent


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


def help_texts() -> str:
    """The help of every command, 100 columns wide."""
    width = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}

    def texts(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        shown = CliRunner().invoke(cli.app, [*path, "--help"], env=width)
        assert shown.exit_code == 0, shown.output
        yield "\n".join(line.rstrip() for line in shown.output.splitlines())
        for name, one in sorted(getattr(command, "commands", {}).items()):
            yield from texts(one, (*path, name))

    return "\n".join(texts(typer.main.get_command(cli.app), ())) + "\n"


def api_description() -> str:
    """The OpenAPI description of the desk's API."""
    app = create_app(cast(AppState, None), {"tests": "0123456789abcdef"})
    return json.dumps(app.openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


INTERFACES: dict[Path, Callable[[], str]] = {
    HERE / "interfaces" / "help.txt": help_texts,
    HERE / "interfaces" / "openapi.json": api_description,
}


def expected() -> Iterator[tuple[Path, Callable[[], str]]]:
    """Every file, and what makes its content."""
    for recipe in load_all():
        yield golden(recipe), partial(trace, recipe.name)
    yield from INTERFACES.items()


def main() -> int:
    """Compare, or write."""
    write = "--write" in sys.argv[1:]
    differ = 0
    for path, make in expected():
        now = make()
        if not path.exists() or path.read_text(encoding="utf-8") != now:
            differ += 1
            print(f"{path.name}: {'written' if write else 'differs'}")
            if write:
                path.write_text(now, encoding="utf-8")
    return int(differ > 0 and not write)


if __name__ == "__main__":
    sys.exit(main())
