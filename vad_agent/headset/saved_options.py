"""The operator's settings for `listen`, written by `setup`: `headset.toml` in the user's folder.

    client_device = "alsa_output.usb-GN_Netcom_Jabra_EVOLVE_20.analog-stereo"
    operator_device = "alsa_input.usb-GN_Netcom_Jabra_EVOLVE_20.mono-fallback"
    prompt_device = "virtmic"
    monitor_device = "alsa_output.usb-GN_Netcom_Jabra_EVOLVE_20.analog-stereo"

Each key is an argument of `listen`, which overrides it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from vad_agent.common import toml_file
from vad_agent.common.private_files import replace_text, why
from vad_agent.errors import OutputError, SettingsError

HEAD = """\
# What vad-agent listen does without arguments; an argument overrides its line.
# Written by vad-agent setup, removed by vad-agent setup --undo.
"""


@dataclass(frozen=True, slots=True)
class SavedOptions:
    """Arguments of `listen`; None: not set."""

    client_device: str | None = None
    operator_device: str | None = None
    prompt_device: str | None = None
    monitor_device: str | None = None
    script: str | None = None
    operator: str | None = None
    """The operator's login."""
    default_source: str | None = None
    """Of the sound server before `setup`, for `setup --undo`; no argument of `listen`."""

    def save(self) -> Path:
        """Write the file. Raises OutputError."""
        path = options_path()
        replace_text(path, HEAD + toml_file.write(asdict(self)))
        return path

    def devices(self) -> Iterator[str]:
        """The roles whose device is set."""
        for role in ("client", "operator", "prompt", "monitor"):
            if getattr(self, f"{role}_device") is not None:
                yield role

    def over(self, other: SavedOptions) -> SavedOptions:
        """These options, and those of `other` that are not set here."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(other, **given)


def options_path() -> Path:
    """The file, whether or not it is there."""
    import platformdirs

    return Path(platformdirs.user_config_dir("vad-agent", appauthor=False)) / "headset.toml"


def load_options() -> SavedOptions:
    """The saved options; none is set if there is no file.

    Raises:
        SettingsError: the file is not valid.
    """
    path = options_path()
    if not path.exists():
        return SavedOptions()
    table = toml_file.read(path)
    known = [one.name for one in fields(SavedOptions)]
    problems = []
    for key, value in table.items():
        if key not in known:
            problems.append(f"{key}: unknown key, expected one of {', '.join(known)}")
        elif not isinstance(value, str) or not value.strip():
            problems.append(f"{key}: expected text, got {value!r}")
    if problems:
        remedy = "mend the line, or write the file anew: vad-agent setup"
        raise SettingsError(str(path), [f"{problem}: {remedy}" for problem in problems])
    return SavedOptions(**table)


def forget_options() -> Path | None:
    """Remove the file. Return it; None: it was not there. Raises OutputError."""
    path = options_path()
    try:
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {why(error)}") from error
    return path
