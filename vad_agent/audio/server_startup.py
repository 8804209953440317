"""Makes the virtual microphone permanent: the sound server loads it at each start.

    PulseAudio    ~/.config/pulse/default.pa                                   a marked block
    PipeWire      ~/.config/pipewire/pipewire-pulse.conf.d/vad-agent.conf      a file of its own

A user's default.pa replaces the system's. If the user has none, the block includes the system's file.
PipeWire does not read default.pa.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vad_agent.audio.virtual_microphone import SOURCE, Part, parts
from vad_agent.common.private_files import replace_text, why
from vad_agent.errors import OutputError

BEGIN = "### vad-agent: begin"
END = "### vad-agent: end"
SYSTEM = Path("/etc/pulse/default.pa")
_BLOCK = re.compile(rf"^{BEGIN}$.*?^{END}$\n?", re.MULTILINE | re.DOTALL)


def config_home() -> Path:
    """The folder of the user's configuration, as the sound servers find it."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(given) if given else Path.home() / ".config"


def pulse_file() -> Path:
    """What PulseAudio runs at its start."""
    return config_home() / "pulse" / "default.pa"


def pipewire_file() -> Path:
    """What PipeWire's pulse server reads at its start."""
    return config_home() / "pipewire" / "pipewire-pulse.conf.d" / "vad-agent.conf"


def write(microphone: str, *, pipewire: bool) -> Path:
    """Let the server make the virtual microphone at each start. Return the changed file.

    Raises:
        OutputError: it cannot be read or written.
    """
    made = parts(microphone)
    if pipewire:
        replace_text(pipewire_file(), _pipewire(made))
        return pipewire_file()
    path = pulse_file()
    rest = _BLOCK.sub("", _read(path))
    if rest and not rest.endswith("\n"):
        rest += "\n"
    replace_text(path, rest + _pulse(made, include=not rest.strip()))
    return path


def _pulse(made: Sequence[Part], *, include: bool) -> str:
    lines = [BEGIN, "# Written by vad-agent setup --permanent, removed by vad-agent setup --undo."]
    if include:
        lines += [".fail", f".include {SYSTEM}"]
    lines.append(".nofail")  # the headset may be unplugged: the server starts all the same
    lines += [f"load-module {part.module} {part.arguments}" for part in made]
    lines += [f"set-default-source {SOURCE}", END]
    return "\n".join(lines) + "\n"


def _pipewire(made: Sequence[Part]) -> str:
    commands = "\n".join(
        f'    {{ cmd = "load-module" args = "{_quoted(f"{part.module} {part.arguments}")}" '
        "flags = [ nofail ] }"
        for part in made
    )
    return (
        "# Written by vad-agent setup --permanent, removed by vad-agent setup --undo.\n"
        f"pulse.cmd = [\n{commands}\n]\n"
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def written() -> bool:
    """The virtual microphone is permanent. Raises OutputError."""
    return pipewire_file().exists() or BEGIN in _read(pulse_file())


def remove() -> list[Path]:
    """Take it out of both servers' files. Return the files that were changed.

    Raises:
        OutputError: a file cannot be read or written.
    """
    changed = []
    text = _read(pulse_file())
    rest = _BLOCK.sub("", text)
    if rest != text:
        changed.append(pulse_file())
        if rest.strip():
            replace_text(pulse_file(), rest)
        else:
            _unlink(pulse_file())
    if pipewire_file().exists():
        changed.append(pipewire_file())
        _unlink(pipewire_file())
    return changed


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {why(error)}") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {why(error)}") from error
