"""`vad-agent pbx`: reads the arguments of the process; its set-up and check are in `pbx_setup`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vad_agent.cli.pbx_options import (
    AMI_SECRET,
    Ami,
    AmiUser,
    AriPasswordFile,
    AriUser,
    parse_address,
    read_password,
    read_secret,
)
from vad_agent.cli.pbx_setup import check, setup_app
from vad_agent.cli.terminal import EndedByCtrlC, plain_console

EVENTS_SECRET = "VAD_AGENT_EVENTS_SECRET"
MANGO_KEY, MANGO_SALT = "VAD_AGENT_MANGO_KEY", "VAD_AGENT_MANGO_SALT"
MEDIA_TOKEN = "VAD_AGENT_MEDIA_TOKEN"

pbx_app = typer.Typer(
    name="pbx",
    invoke_without_command=True,
    help="Attach to the calls of a PBX (Asterisk): many calls, one process.",
)
pbx_app.add_typer(setup_app)
pbx_app.command()(check)


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
    most_load: Annotated[
        float,
        typer.Option(
            "--load",
            metavar="SHARE",
            min=0.1,
            max=10.0,
            help="Of a processor: with more than that a new call is refused, so that none is late. "
            "10: never.",
        ),
    ] = 0.75,
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
        from vad_agent.telephony.combined_call_control import ControlOptions
        from vad_agent.telephony.pbx_process import PbxOptions, PbxProcess
        from vad_agent.telephony.process_pool import (
            INTERRUPTED,
            ProcessPool,
            Share,
            command_line,
        )

    host, port = parse_address(listen)
    recording = None if siprec is None else parse_address(siprec, "--siprec")
    if recording is not None and mode != "cue":
        raise typer.BadParameter(
            "--siprec: nothing can be spoken into a recorded call: add --mode cue"
        )
    sockets = None if websocket is None else parse_address(websocket, "--websocket")
    media = (
        (host, port) if media_address is None else parse_address(media_address, "--media-address")
    )
    if mode not in ("auto", "cue"):
        raise typer.BadParameter(f"--mode: expected auto or cue, got {mode!r}")
    mango = None
    if events is not None and os.environ.get(MANGO_KEY):
        mango = MangoKeys(os.environ[MANGO_KEY], read_secret("--events", MANGO_SALT))
    events_secret = os.environ.get(EVENTS_SECRET, "")
    if events is not None and mango is None:
        events_secret = read_secret("--events", EVENTS_SECRET)
    control = ControlOptions(
        ari=ari,
        ari_user=ari_user,
        ari_password="" if ari is None else read_password(ari_password_file),
        ami=None if ami is None else parse_address(ami, "--ami"),
        ami_user=ami_user,
        ami_secret="" if ami is None else read_secret("--ami", AMI_SECRET),
        events=None if events is None else parse_address(events, "--events"),
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
        most_load=most_load,
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
