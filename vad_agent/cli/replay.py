"""`vad-agent replay`: runs a recording through a live call's session: trace, timeline, report,
callbacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.arguments import Mode, ScriptFile, load_settings
from vad_agent.cli.terminal import (
    check_outputs,
    complain,
    event_record,
    output,
    progress,
    tell_missing_detector,
    warn,
    watched,
    watched_actions,
)

if TYPE_CHECKING:
    from vad_agent.core.actions import Action


def replay(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="WAV, FLAC, Ogg or MP3: operator left, client right."),
    ],
    client_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The client's side, if each side has its own file."),
    ] = None,
    operator_channel: Annotated[
        str | None, typer.Option(metavar="left|right|N", help="The operator's channel: left, or 0.")
    ] = None,
    client_channel: Annotated[
        str | None, typer.Option(metavar="left|right|N", help="The client's channel: right, or 1.")
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="auto: the product would speak; cue: the operator on the recording says the phrases. "
            "Default: auto, or as the call was that listen has recorded."
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="EVENTS.jsonl",
            help="Call-control events, one JSON object per line, t in seconds: "
            '{"t": 30.2, "kind": "hangup", "party": "operator"}, or those that listen has recorded.',
        ),
    ] = None,
    script: ScriptFile = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The trace as JSON lines; -: to stdout, without the timeline."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="One page for the supervisor: what was said when."),
    ] = None,
    speech: Annotated[
        bool, typer.Option("--speech/--no-speech", help="Show speech segments in the timeline.")
    ] = True,
    outbox: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Ask a desk for the callbacks, too, as listen does: vad-agent serve --inbox DIR rings. "
            "Default: nobody is rung.",
        ),
    ] = None,
) -> None:
    """Run a recording through the session of a live call: what would it have said, and when?

    Without --trace it prints a timeline: ✓ a phrase in its window, ✗ one that was not.

    \b
    A page for the supervisor:
      vad-agent replay call.wav --report call.html
    The operator on the recording says the phrases; the trace on stdout:
      vad-agent replay call.wav --mode cue --events call.events.jsonl --trace -
    Each side has its own file:
      vad-agent replay operator.wav --client-file client.wav
    The client is on the left channel:
      vad-agent replay call.wav --client-channel left
    Reproduce a call that listen --record has recorded:
      vad-agent replay NAME.flac --events NAME.events.jsonl --script NAME.script.toml
    """
    from vad_agent.audio.recording_reader import open_call
    from vad_agent.core.events import Event, EventKind
    from vad_agent.core.frames import seconds
    from vad_agent.core.session import CallSession
    from vad_agent.trace.event_files import EventLog, TimedEvent, load_events
    from vad_agent.trace.replay import Replay

    check_outputs([file, client_file, events, script], trace, report)
    settings = load_settings(script)
    tell_missing_detector(settings)
    recorded = load_events(events) if events else EventLog()
    log = recorded.in_mode(mode and mode.value)
    as_mode = (mode and mode.value) or log.mode or "auto"
    timed = log.events
    builder = None
    if report is not None:
        from vad_agent.trace.report.builder import ReportBuilder

        builder = ReportBuilder()
    with ExitStack() as stack:
        recording = stack.enter_context(
            open_call(
                file,
                client_path=client_file,
                operator_channel=operator_channel,
                client_channel=client_channel,
            )
        )
        warn(recording.warnings)
        session = CallSession(settings, recording.sample_rate, mode=as_mode)
        show = stack.enter_context(output(trace, speech))
        printing = trace is None or str(trace) == "-"
        pairs: Iterable[tuple[bytes | None, bytes | None]] = stack.enter_context(
            progress(recording, recording.frames_total, file.name, printing=printing)
        )
        pairs = log.cut(pairs)
        if builder is not None:
            pairs = watched(pairs, builder.add_frames)
        if recording.early_end is not None:
            side, ended = recording.early_end
            timed = [*timed, TimedEvent(ended, Event(EventKind.SOURCE_ENDED, party=side.value))]
        run = Replay(session, settings, timed, plays=not log.live)
        actions = run.run(pairs)
        if outbox is not None:
            actions = _asking(actions, outbox, file.stem)
        if builder is not None:
            actions = watched_actions(actions, builder.add)
        try:
            show(actions)
        except (BrokenPipeError, SystemExit):  # the reader has seen enough
            if builder is None:
                raise
            for _ in actions:  # the report is still needed
                pass
        details = {"Запись": recording.describe(), "Режим": as_mode}
    if late := run.unused:
        first = f"{late[0].event.kind.value} at {seconds(late[0].frame):g} s"
        complain(
            f"warning: {events}: {len(late)} of {len(timed)} events come after the call's end at "
            f"{seconds(session.now):g} s and are left out, first {first}: check that they are this "
            "call's"
        )
    if builder is not None and report is not None:
        for one in timed[: len(timed) - len(late)]:
            builder.add(event_record(one))
        details["Скрипт"] = settings.source
        names = [one.event.name for one in timed if one.event.name]
        builder.write(report, title=file.name, details=details, mask_names=names)
        if trace is None or str(trace) != "-":
            print(f"report: {report}")


def _asking(actions: Iterable[Action], folder: Path, call: str) -> Iterator[Action]:
    """Pass the actions on; a callback request is on the disk before its action is passed.

    Raises:
        OutputError: the folder cannot be created, or a message not be written.
    """
    from vad_agent.callbacks.outbox import Outbox
    from vad_agent.core.actions import Phase, PhaseChanged
    from vad_agent.headset.callback_publisher import CallbackPublisher

    outlet = CallbackPublisher(Outbox(folder).post)
    outlet.begin(call, datetime.now())
    for action in actions:
        outlet.take([action])
        if isinstance(action, PhaseChanged) and action.phase is Phase.ENDED:
            outlet.end()
        yield action
    outlet.end()
