"""Options and addresses that the commands of `vad-agent pbx` share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

PASSWORD = "VAD_AGENT_ASTERISK_PASSWORD"
AMI_SECRET = "VAD_AGENT_AMI_SECRET"

AriUser = Annotated[str, typer.Option("--ari-user", metavar="NAME", help="The user of ari.conf.")]
AriPasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--ari-password-file",
        metavar="FILE",
        help=f"Its password; or the environment: {PASSWORD}.",
    ),
]

Ami = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help=f"Asterisk's Manager Interface, where ARI is off: 127.0.0.1:5038. Secret: {AMI_SECRET}.",
    ),
]
AmiUser = Annotated[
    str,
    typer.Option(
        "--ami-user",
        metavar="NAME",
        envvar="VAD_AGENT_AMI_USER",
        show_envvar=False,
        help="The user of manager.conf.",
    ),
]


def parse_address(text: str, option: str = "--listen") -> tuple[str, int]:
    """HOST:PORT. Raises typer.BadParameter."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise typer.BadParameter(f"{option}: expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def read_secret(option: str, variable: str) -> str:
    """A secret of the environment. Raises typer.BadParameter: there is none."""
    if not (found := os.environ.get(variable, "")):
        raise typer.BadParameter(f"{option}: no secret: set {variable} in the environment")
    return found


def read_password(file: Path | None) -> str:
    """The password of ARI, of a file or the environment. Raises typer.BadParameter: there is none."""
    if file is None:
        found = os.environ.get(PASSWORD, "")
    else:
        try:
            found = file.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a text"
            raise typer.BadParameter(f"--ari-password-file: {file}: {why}") from None
    if not found:
        raise typer.BadParameter(f"--ari: no password: name --ari-password-file, or set {PASSWORD}")
    return found
