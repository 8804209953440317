"""`vad-agent pbx`: reads its arguments and starts `vad_agent.telephony.pbx_process`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vad_agent.cli.terminal import EndedByCtrlC, plain_console

PASSWORD = "VAD_AGENT_ASTERISK_PASSWORD"


def pbx(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address for Asterisk's AudioSocket.")
    ] = "127.0.0.1:9092",
    ari: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Asterisk's HTTP address, such as http://127.0.0.1:8088: who answers, hold, hang-up. "
            "Without it calls are recognized by ear.",
        ),
    ] = None,
    ari_user: Annotated[str, typer.Option(metavar="NAME", help="The user of ari.conf.")] = "",
    ari_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"Its password; or the environment: {PASSWORD}."),
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
    log_json: Annotated[
        bool, typer.Option("--log-json", help="The log as JSON, one object per line.")
    ] = False,
) -> None:
    """Attach to the calls of a PBX: hear both sides, speak into the call, hang up (Asterisk).

    \b
    On the machine of Asterisk, beside the desk (vad-agent serve):
      VAD_AGENT_ASTERISK_PASSWORD=… vad-agent pbx --ari http://127.0.0.1:8088 --ari-user desk
    Its dialplan, before Dial or Queue, on the client's channel:
      same => n,Set(__VAD=${UUID()})
      same => n,Originate(Local/spy${UNIQUEID}@vad/n,app,AudioSocket,"${VAD},127.0.0.1:9092",,,a)
    and the context of the tap, which is gone with the call:
      \\[vad]
      exten => _spy.,1,Answer()
       same => n,ChanSpy(${EXTEN:3},uqDEw)
       same => n,Hangup()

    Ctrl-C ends when no call is on; a second one at once.
    """
    from vad_agent.cli.terminal import tell_missing_detector
    from vad_agent.errors import extra

    with extra("callbacks", "vad-agent pbx"):
        from vad_agent.server.logging_setup import log_to_stderr
        from vad_agent.telephony.pbx_process import PbxOptions, PbxProcess

    host, port = _address(listen)
    if mode not in ("auto", "cue"):
        raise typer.BadParameter(f"--mode: expected auto or cue, got {mode!r}")
    options = PbxOptions(
        host=host,
        port=port,
        mode=mode,
        script=script,
        outbox=outbox,
        desk=desk,
        trace=trace,
        most_calls=most_calls,
        ari=ari,
        ari_user=ari_user,
        ari_password="" if ari is None else _password(ari_password_file),
        logins=dict(map(_login, operator or ())),
    )
    log_to_stderr(as_json=log_json)
    console = plain_console()
    process = PbxProcess(options, lambda text: console.print(text, soft_wrap=True))
    tell_missing_detector(process.settings)
    if process.run():
        raise EndedByCtrlC


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise typer.BadParameter(f"--listen: expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


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
