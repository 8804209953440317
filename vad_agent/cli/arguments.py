"""Arguments shared by several commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vad_agent.script.settings import Settings


class Mode(StrEnum):
    """Who speaks the prompts."""

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
    """The settings of the given script; None: the built-in one.

    Raises:
        SettingsError: the script is not valid.
    """
    from vad_agent.script.settings import Settings

    return Settings() if script is None else Settings.load(script)
