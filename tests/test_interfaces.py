"""What scripts and people rely on is as it was: the help of every command, the API's description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.goldens import INTERFACES, help_texts
from vad_agent.cli import main as cli


@pytest.mark.parametrize("file", INTERFACES, ids=lambda file: file.name)
def test_an_interface_is_the_stored_one(file: Path) -> None:
    """After a wanted change: `make goldens`, then read the diff."""
    assert INTERFACES[file]().splitlines() == file.read_text(encoding="utf-8").splitlines()


def test_brackets_in_a_help_are_shown_and_not_taken_for_markup() -> None:
    """A table's head in an example, as in `[asterisk]`, is what the reader copies."""
    shown = help_texts()
    texts = [one.help or "" for one in commands(typer.main.get_command(cli.app))]
    heads = {head for text in texts for head in re.findall(r"^ +\\?(\[\w+\])$", text, re.MULTILINE)}
    assert "[asterisk]" in heads
    assert [head for head in sorted(heads) if head not in shown] == []
    assert "\\[" not in shown


def commands(command: Any) -> Iterator[Any]:
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from commands(one)
