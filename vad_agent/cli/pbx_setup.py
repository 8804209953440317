"""`vad-agent pbx setup asterisk` and `vad-agent pbx check`: what the PBX needs, and whether it works."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from typing import Annotated

import typer

from vad_agent.cli.pbx_options import (
    AMI_SECRET,
    PASSWORD,
    Ami,
    AmiUser,
    AriPasswordFile,
    AriUser,
    parse_address,
    read_password,
    read_secret,
)
from vad_agent.cli.terminal import plain_console

setup_app = typer.Typer(
    name="setup", no_args_is_help=True, help="What the PBX needs: printed, nothing is changed."
)


@setup_app.command()
def asterisk(
    address: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where `vad-agent pbx` listens.")
    ] = "127.0.0.1:9092",
    websocket: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="The tap by chan_websocket: of `vad-agent pbx --websocket`."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=10, metavar="N", help="Of `vad-agent pbx --processes`.")
    ] = 1,
    ari: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An Asterisk that runs: its version is asked."),
    ] = None,
    ari_user: AriUser = "vad-agent",
    ari_password_file: AriPasswordFile = None,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="Of Asterisk, if it cannot be asked: 20.9.")
    ] = "",
) -> None:
    """Print the dialplan, the users of ARI and AMI, a check-list; name the known faults of the version."""
    from vad_agent.telephony import asterisk_setup as text

    password = os.environ.get(PASSWORD) or secrets.token_urlsafe(18)
    secret = os.environ.get(AMI_SECRET) or secrets.token_urlsafe(18)
    if ari is not None:
        from vad_agent.telephony.asterisk_access import AriAccess

        password = read_password(ari_password_file)
        version = asyncio.run(AriAccess(ari, (ari_user, password)).version())
    host, port = parse_address(address)
    sockets = None if websocket is None else parse_address(websocket, "--websocket")
    found = text.parse_version(version) if version else None
    if version and found is None:
        raise typer.BadParameter(f"--version: expected such as 20.9, got {version!r}")
    if ari is not None:  # they are set up: nothing new, and no secret, is shown
        password = secret = "…"
    print(text.dialplan(host, port, processes, websocket=sockets is not None))
    if sockets is not None:
        print(text.websocket_client(*sockets, processes))
    ours = "; the same for us, in the environment"
    print(f"{text.ari_conf(ari_user, password)}{ours}: {PASSWORD}={password}\n")
    print(text.http_conf())
    print(f"{text.manager_conf(ari_user, secret)}{ours}: {AMI_SECRET}={secret}\n")
    lines = text.checklist(found, processes, websocket=sockets is not None)
    for number, line in enumerate(lines, 1):
        print(f"{number}. {line}")
    shown_faults = text.faults(found, websocket=sockets is not None) if found is not None else ()
    for fault in shown_faults:
        print(f"! Asterisk {version}: {fault.what}: {fault.remedy}")


def check(
    ari: Annotated[str | None, typer.Option(metavar="URL", help="Asterisk's HTTP address.")] = None,
    ari_user: AriUser = "vad-agent",
    ari_password_file: AriPasswordFile = None,
    ami: Ami = None,
    ami_user: AmiUser = "vad-agent",
    host: Annotated[
        str, typer.Option(metavar="HOST", help="This machine, as Asterisk reaches it.")
    ] = "127.0.0.1",
    address: Annotated[
        str,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where the taps go: --listen, or --websocket, of `vad-agent pbx`.",
        ),
    ] = "127.0.0.1:9092",
    processes: Annotated[
        int, typer.Option(min=1, max=10, metavar="N", help="Of `vad-agent pbx --processes`.")
    ] = 1,
    phone: Annotated[
        str,
        typer.Option(
            metavar="PJSIP/101",
            help="A telephone at hand: it rings, put the call on hold and take it back.",
        ),
    ] = "",
) -> None:
    """Make a test call through Asterisk and prove each path: one line each, with its remedy.

    Nobody's telephone rings, but that of --phone. Exit status 1: something does not work.
    """
    from vad_agent.errors import extra

    with extra("callbacks", "vad-agent pbx check"):
        from vad_agent.headset.diagnostics import show
        from vad_agent.telephony.asterisk_access import AmiAccess, AriAccess, AsteriskAccess
        from vad_agent.telephony.asterisk_check import AsteriskCheck, run

    if (ari is None) == (ami is None):
        raise typer.BadParameter("expected --ari, or --ami where ARI is off")
    access: AsteriskAccess
    if ari is not None:
        access = AriAccess(ari, (ari_user, read_password(ari_password_file)))
    else:
        assert ami is not None
        access = AmiAccess(
            parse_address(ami, "--ami"), (ami_user, read_secret("--ami", AMI_SECRET))
        )
    logging.getLogger("vad_agent").addHandler(logging.NullHandler())  # the findings say it
    console = plain_console()
    checked = AsteriskCheck(
        access, host=host, phone=phone, tapped=parse_address(address), processes=processes
    )
    if not asyncio.run(run(checked, lambda finding: show(finding, console))):
        raise typer.Exit(1)
