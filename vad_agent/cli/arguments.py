"""Arguments that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vad_agent.script.settings import Settings


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


def load_settings(script: Path | None) -> Settings:
    """Those of the script that was named; None: the built-in one.

    Raises:
        SettingsError: what is wrong with it.
    """
    from vad_agent.script.settings import Settings

    return Settings() if script is None else Settings.load(script)
