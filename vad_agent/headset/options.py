"""What `vad-agent listen` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments, as they were given."""

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
    """Where letters to the desk are left; None: in the user's state folder."""
    desk: str | None = None
    """URL of a desk elsewhere, to which they are taken."""
    operator_login: str | None = None
    panel: bool = False
    """The operator's panel is shown, as a page on loopback."""
    panel_port: int = 8601
    """0: any that is free."""
