"""`vad-agent listen`: reads its arguments and starts `vad_agent.cli.listen_process`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vad_agent.cli.arguments import Mode, ScriptFile
from vad_agent.cli.terminal import EndedByCtrlC, plain_console

NO_OUTPUT = (
    "no output for phrases, so you say them (cue mode); vad-agent setup makes one (Linux), or name "
    "it: --prompt-device"
)


class Calls(StrEnum):
    """How calls are detected."""

    AUTO = "auto"
    EVENTS = "events"
    MANUAL = "manual"


def _device(help: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="NAME", help=help)
    return option


def listen(
    client_device: Annotated[
        str | None,
        _device(
            "What the headset plays: the client. Default: as saved, else the default output's monitor."
        ),
    ] = None,
    operator_device: Annotated[
        str | None, _device("The microphone. Default: as saved, else the system's.")
    ] = None,
    prompt_device: Annotated[
        str | None, _device("Where phrases are played into the call: a virtual microphone's sink.")
    ] = None,
    monitor_device: Annotated[
        str | None, _device("The operator hears the phrases there, too.")
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="auto: the product speaks; cue: it shows the operator what to say. "
            "Default: auto with an output for phrases, else cue."
        ),
    ] = None,
    calls: Annotated[
        Calls,
        typer.Option(
            help="How calls are detected. auto: by events, and until the first one comes by "
            "the operator's greeting and a dead line; events: by them alone; manual: by keys."
        ),
    ] = Calls.AUTO,
    script: ScriptFile = None,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="SOCKET|-",
            help="Call-control events as JSON lines: a Unix socket to make, a port of 127.0.0.1 (as on "
            "Windows; its token is in a file that is named at the start), or - for stdin.",
        ),
    ] = None,
    on_action: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CMD|URL",
            help="Receives actions as JSON: a command's stdin, or a POST. Repeatable.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The trace. Default: in the user's state folder."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Record each call there; by default no sound is stored."),
    ] = None,
    desk: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="VAD_AGENT_DESK",
            help="The desk for callbacks, with VAD_AGENT_TOKEN. Default: the one on this machine.",
        ),
    ] = None,
    outbox: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Stores callbacks until the desk has them. Default: in the state folder.",
        ),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(metavar="LOGIN", help="The operator of these calls, who makes the callbacks."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Test each sound path, say what to fix, and exit.")
    ] = False,
    panel: Annotated[
        bool,
        typer.Option("--panel", help="Serve the operator's panel for the browser, on 127.0.0.1."),
    ] = False,
    panel_port: Annotated[
        int,
        typer.Option(metavar="PORT", min=0, max=65535, help="The panel's port; 0: any free one."),
    ] = 8601,
    plain: Annotated[
        bool, typer.Option("--plain", help="One line per change instead of the live screen.")
    ] = False,
) -> None:
    """Attach to the operator's headset: monitor both sides, say or show the script's phrases.

    Devices, script and login that are not given are those of vad-agent setup.

    \b
    Once, on Linux: find the headset, make the virtual microphone, write the settings:
      vad-agent setup
    Start working; Й Й or Ctrl-C ends it:
      vad-agent listen
    Does each sound path work?
      vad-agent listen --check
    With other devices (vad-agent devices lists them):
      vad-agent listen --prompt-device virtmic --client-device jabra
    The operator says the phrases:
      vad-agent listen --mode cue
    With a page beside the softphone; open the printed link:
      vad-agent listen --panel
    A softphone's script reports calls, and hangs up on request:
      vad-agent listen --events vad.sock --on-action hangup=hangup.sh
    Callbacks are made by the centre's desk, not by one on this machine (vad-agent serve):
      VAD_AGENT_TOKEN=… vad-agent listen --desk https://desk:8600
    """
    from vad_agent.audio import virtual_microphone
    from vad_agent.headset.options import Options
    from vad_agent.headset.saved_options import SavedOptions, load_options

    given = SavedOptions(
        client_device=client_device,
        operator_device=operator_device,
        prompt_device=prompt_device,
        monitor_device=monitor_device,
        script=None if script is None else str(script),
        operator=operator,
    )
    saved = load_options()
    merged = given.over(saved)
    shown = mode is None and merged.prompt_device is None
    options = Options(
        client=merged.client_device,
        operator=merged.operator_device,
        prompt=merged.prompt_device,
        monitor=merged.monitor_device,
        mode=(mode or (Mode.CUE if shown else Mode.AUTO)).value,
        calls=calls.value,
        script=None if merged.script is None else Path(merged.script),
        events=events,
        on_action=tuple(on_action or ()),
        trace=trace,
        record=record,
        plain=plain,
        outbox=outbox,
        desk=desk,
        operator_login=merged.operator,
        panel=panel,
        panel_port=panel_port,
        saved=frozenset(saved.devices()) - frozenset(given.devices()),
        keep_microphone=mode is not Mode.CUE
        and virtual_microphone.SINK == saved.prompt_device == merged.prompt_device,
    )
    if check:
        from vad_agent.headset.diagnostics import check_all

        good = check_all(options, plain_console(), shown=mode is Mode.CUE)
        raise typer.Exit(0 if good else 1)
    from vad_agent.cli.listen_process import listen as run

    if run(options, plain_console(), NO_OUTPUT if shown else ""):
        raise EndedByCtrlC
