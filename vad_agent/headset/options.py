"""The options of `vad-agent listen`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments, as given."""

    client: str | None = None
    operator: str | None = None
    prompt: str | None = None
    monitor: str | None = None
    mode: str = "auto"
    calls: str = "auto"
    script: Path | None = None
    events: str | None = None
    """A socket's path, a port on Windows, - for stdin."""
    on_action: tuple[str, ...] = ()
    trace: Path | None = None
    record: Path | None = None
    plain: bool = False
    outbox: Path | None = None
    """Folder of messages to the desk; None: in the user's state folder."""
    desk: str | None = None
    """URL of a desk elsewhere, to which they are delivered."""
    operator_login: str | None = None
    no_voice: str = ""
    """Why the mode is cue although an output for prompts was set up."""
    panel: bool = False
    """Serve the operator's panel as a page on loopback."""
    panel_port: int = 8601
    """0: any free port."""
    saved: frozenset[str] = frozenset()
    """Roles whose device is that of the saved options."""
    keep_microphone: bool = False
    """The virtual microphone is ours: made again whenever it is missing."""
