"""Arguments that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Mode(StrEnum):
    """Who speaks the phrases."""

    AUTO = "auto"
    CUE = "cue"


ScriptFile = Annotated[
    Path | None,
    typer.Option(
        "--script",
        metavar="SCRIPT.toml",
        help="A script other than the built-in one: see vad-agent script.",
    ),
]
