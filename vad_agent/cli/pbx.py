"""`vad-agent pbx …`: reads the arguments of the process, of its set-up and of its check."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from vad_agent.cli.terminal import EndedByCtrlC, plain_console

PASSWORD = "VAD_AGENT_ASTERISK_PASSWORD"
AMI_SECRET = "VAD_AGENT_AMI_SECRET"
EVENTS_SECRET = "VAD_AGENT_EVENTS_SECRET"
MANGO_KEY, MANGO_SALT = "VAD_AGENT_MANGO_KEY", "VAD_AGENT_MANGO_SALT"
MEDIA_TOKEN = "VAD_AGENT_MEDIA_TOKEN"

pbx_app = typer.Typer(
    name="pbx",
    invoke_without_command=True,
    help="Attach to the calls of a PBX (Asterisk): many calls, one process.",
)
setup_app = typer.Typer(
    name="setup", no_args_is_help=True, help="What the PBX needs: printed, nothing is changed."
)
pbx_app.add_typer(setup_app)

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


@pbx_app.callback()
def pbx(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address for Asterisk's AudioSocket.")
    ] = "127.0.0.1:9092",
    websocket: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Also take media over WebSocket: chan_websocket, Twilio and its family, Voximplant, "
            f"FreeSWITCH. A token for the end of the address, from the environment: {MEDIA_TOKEN}.",
        ),
    ] = None,
    ari: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Asterisk's HTTP address, such as http://127.0.0.1:8088: who answers, hold, hang-up. "
            "Without it calls are recognized by ear.",
        ),
    ] = None,
    ari_user: AriUser = "",
    ari_password_file: AriPasswordFile = None,
    ami: Ami = None,
    ami_user: AmiUser = "vad-agent",
    events: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Take call events that another PBX posts: signed JSON at /events "
            f"(secret: {EVENTS_SECRET}), Mango's webhooks at /mango ({MANGO_KEY}, {MANGO_SALT}).",
        ),
    ] = None,
    events_url: Annotated[
        str | None,
        typer.Option(
            "--events-url",
            metavar="URL",
            help="Where that PBX takes signed commands: hang_up, tap.",
        ),
    ] = None,
    media_address: Annotated[
        str | None,
        typer.Option(
            "--media-address",
            metavar="HOST:PORT",
            help="Where Asterisk reaches --listen, if it is not that address.",
        ),
    ] = None,
    metrics: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65_535, help="Show metrics at http://127.0.0.1:PORT/metrics."
        ),
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHONE=LOGIN",
            help="Whose telephone it is: 101=anna. A telephone that is not named is the login.",
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="auto|cue", help="auto: speak; cue: the operator speaks.")
    ] = "auto",
    script: Annotated[
        Path | None, typer.Option(metavar="SCRIPT.toml", help="Default: the built-in script.")
    ] = None,
    desk: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The desk of callbacks and pages. Default: that of this machine."
        ),
    ] = None,
    outbox: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where callbacks wait for the desk.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write every call's trace there, as JSON lines."),
    ] = None,
    most_calls: Annotated[
        int, typer.Option("--calls", min=1, max=10_000, help="A call too many is refused.")
    ] = 200,
    siprec: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Also be a recording server (SIPREC, RFC 7866) for session border controllers. Needs "
            "--mode cue: nothing can be spoken into a recorded call.",
        ),
    ] = None,
    rtp_ports: Annotated[
        str | None,
        typer.Option(
            "--rtp-ports",
            metavar="FIRST-LAST",
            help="UDP ports of its audio. Default: 20000-29999.",
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=10,
            metavar="N",
            help="Processes, each with --calls calls, at --listen's port and those after it.",
        ),
    ] = 1,
    process: Annotated[int | None, typer.Option(hidden=True, min=0, max=9)] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="The log as JSON, one object per line.")
    ] = False,
) -> None:
    """Attach to the calls of a PBX: hear both sides, speak into the call, hang up (Asterisk).

    \b
    What Asterisk needs, on paper:
      vad-agent pbx setup asterisk
    Does it work? A test call through Asterisk:
      vad-agent pbx check --ari http://127.0.0.1:8088 --ari-user vad-agent
    On the machine of Asterisk, beside the desk (vad-agent serve):
      vad-agent pbx --ari http://127.0.0.1:8088 --ari-user vad-agent

    Ctrl-C ends when no call is on; a second one at once.
    """
    if context.invoked_subcommand is not None:
        return
    from vad_agent.cli.terminal import tell_missing_detector
    from vad_agent.errors import extra

    with extra("callbacks", "vad-agent pbx"):
        from vad_agent.callbacks.dialers.mango_signing import MangoKeys
        from vad_agent.server.logging_setup import log_to_stderr
        from vad_agent.telephony.control_group import ControlOptions
        from vad_agent.telephony.pbx_process import PbxOptions, PbxProcess
        from vad_agent.telephony.process_pool import (
            INTERRUPTED,
            ProcessPool,
            Share,
            command_line,
        )

    host, port = _address(listen)
    recording = None if siprec is None else _address(siprec, "--siprec")
    if recording is not None and mode != "cue":
        raise typer.BadParameter(
            "--siprec: nothing can be spoken into a recorded call: add --mode cue"
        )
    sockets = None if websocket is None else _address(websocket, "--websocket")
    media = (host, port) if media_address is None else _address(media_address, "--media-address")
    if mode not in ("auto", "cue"):
        raise typer.BadParameter(f"--mode: expected auto or cue, got {mode!r}")
    mango = None
    if events is not None and os.environ.get(MANGO_KEY):
        mango = MangoKeys(os.environ[MANGO_KEY], _secret("--events", MANGO_SALT))
    events_secret = os.environ.get(EVENTS_SECRET, "")
    if events is not None and mango is None:
        events_secret = _secret("--events", EVENTS_SECRET)
    control = ControlOptions(
        ari=ari,
        ari_user=ari_user,
        ari_password="" if ari is None else _password(ari_password_file),
        ami=None if ami is None else _address(ami, "--ami"),
        ami_user=ami_user,
        ami_secret="" if ami is None else _secret("--ami", AMI_SECRET),
        events=None if events is None else _address(events, "--events"),
        events_secret=events_secret,
        events_url=events_url,
        mango=mango,
    )
    console = plain_console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    if processes > 1 and process is None:
        if port == 0:
            raise typer.BadParameter("--listen: several processes need a port that is known")
        log_to_stderr(as_json=log_json)
        arguments = sys.argv[1:]
        pool = ProcessPool(lambda index: command_line(arguments, index), processes, say)
        status = pool.run()
        if status == INTERRUPTED:
            raise EndedByCtrlC
        raise typer.Exit(status)
    share = Share(process or 0, processes)
    if trace is not None and processes > 1:
        trace = trace.with_stem(f"{trace.stem}-{share.index}")
    options = PbxOptions(
        host=host,
        port=port + share.index,
        share=share,
        mode=mode,
        script=script,
        outbox=outbox,
        desk=desk,
        trace=trace,
        most_calls=most_calls,
        websocket=None if sockets is None else (sockets[0], sockets[1] + share.index),
        websocket_token=os.environ.get(MEDIA_TOKEN, "").strip(),
        media=(media[0], media[1] + share.index),
        metrics_port=None if metrics is None else metrics + share.index,
        control=control,
        logins=dict(map(_login, operator or ())),
        siprec=None if recording is None else (recording[0], recording[1] + share.index),
        rtp_ports=None if rtp_ports is None else _ports(rtp_ports),
    )
    log_to_stderr(as_json=log_json)
    server = PbxProcess(options, say)
    tell_missing_detector(server.settings)
    if server.run():
        raise EndedByCtrlC


def _address(text: str, option: str = "--listen") -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise typer.BadParameter(f"{option}: expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def _secret(option: str, variable: str) -> str:
    if not (found := os.environ.get(variable, "")):
        raise typer.BadParameter(f"{option}: no secret: set {variable} in the environment")
    return found


def _ports(text: str) -> range:
    first, _, last = text.partition("-")
    numbers = first.isdecimal() and last.isdecimal() and len(first) <= 5 and len(last) <= 5
    if not numbers or not 1024 <= int(first) < int(last) <= 65_535:
        raise typer.BadParameter(f"--rtp-ports: expected FIRST-LAST from 1024 on, got {text!r}")
    return range(int(first), int(last) + 1)


def _login(text: str) -> tuple[str, str]:
    phone, _, login = text.partition("=")
    if not phone.strip() or not login.strip():
        raise typer.BadParameter(f"--operator: expected PHONE=LOGIN, got {text!r}")
    return phone.strip(), login.strip()


def _password(file: Path | None) -> str:
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

    password = secrets.token_urlsafe(18)
    if ari is not None:
        from vad_agent.telephony.asterisk_access import AriAccess

        password = _password(ari_password_file)
        version = asyncio.run(AriAccess(ari, (ari_user, password)).version())
    host, port = _address(address)
    sockets = None if websocket is None else _address(websocket, "--websocket")
    found = text.parse_version(version) if version else None
    if version and found is None:
        raise typer.BadParameter(f"--version: expected such as 20.9, got {version!r}")
    shown = password if ari is None else "…"
    print(text.dialplan(host, port, processes, websocket=sockets is not None))
    if sockets is not None:
        print(text.websocket_client(*sockets, processes))
    print(text.ari_user(ari_user, shown))
    print(text.ami_user(ari_user, shown))
    print(f"; the same password for us: {PASSWORD}={shown} (AMI: {AMI_SECRET}={shown})\n")
    for number, line in enumerate(text.checklist(found, websocket=sockets is not None), 1):
        print(f"{number}. {line}")
    shown_faults = text.faults(found, websocket=sockets is not None) if found is not None else ()
    for fault in shown_faults:
        print(f"! Asterisk {version}: {fault.what}: {fault.remedy}")


@pbx_app.command()
def check(
    ari: Annotated[str | None, typer.Option(metavar="URL", help="Asterisk's HTTP address.")] = None,
    ari_user: AriUser = "vad-agent",
    ari_password_file: AriPasswordFile = None,
    ami: Ami = None,
    ami_user: AmiUser = "vad-agent",
    host: Annotated[
        str, typer.Option(metavar="HOST", help="This machine, as Asterisk reaches it.")
    ] = "127.0.0.1",
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
        access = AriAccess(ari, (ari_user, _password(ari_password_file)))
    else:
        assert ami is not None
        access = AmiAccess(_address(ami, "--ami"), (ami_user, _secret("--ami", AMI_SECRET)))
    logging.getLogger("vad_agent").addHandler(logging.NullHandler())  # the findings say it
    console = plain_console()
    checked = AsteriskCheck(access, host=host, phone=phone)
    if not asyncio.run(run(checked, lambda finding: show(finding, console))):
        raise typer.Exit(1)
