"""The command line: reads arguments, connects the parts, prints. No rule lives here.

Exit status: 0 done; 1 the work failed, as where something cannot be written; 2 wrong arguments, settings or
file; 130 after Ctrl-C. Each thing that is wrong is one line on stderr, never a traceback.
"""

from __future__ import annotations

import _thread
import codecs
import io
import os
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent import __version__, errors
from vad_agent.cli.arguments import Mode, ScriptFile
from vad_agent.cli.callback_requests import asking
from vad_agent.cli.callbacks import callbacks_app
from vad_agent.cli.devices import devices
from vad_agent.cli.listen import listen
from vad_agent.cli.people import people_app
from vad_agent.cli.prompts import prompts_app
from vad_agent.cli.serve import serve
from vad_agent.cli.terminal import (
    check_outputs,
    complain,
    event_record,
    output,
    plain_console,
    progress,
    tell_missing_detector,
    warn,
    watched,
    watched_actions,
)

if TYPE_CHECKING:
    from vad_agent.script.settings import Settings

app = typer.Typer(
    name="vad-agent",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
script_app = typer.Typer(
    name="script",
    help="The script: what is said when, and what follows.\n\n\b\nTo begin your own:\n"
    "  vad-agent script show --toml > own.toml\n"
    "  vad-agent script check own.toml\n"
    "  vad-agent replay call.wav --script own.toml",
    short_help="The script: what is said when, and what follows.",
    no_args_is_help=True,
)
app.add_typer(script_app)
app.add_typer(prompts_app)
app.add_typer(callbacks_app)
app.add_typer(people_app)

# typer brings click, or in later versions a copy of it under a private name: ask it for the class.
ClickException: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

SHORTEST_S, LONGEST_S = 0.1, 3600


class Side(StrEnum):
    """A side of the call."""

    OPERATOR = "operator"
    CLIENT = "client"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vad-agent {__version__}")
        raise typer.Exit


def _threshold(text: str | float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not SHORTEST_S <= value <= LONGEST_S:  # also where it is NaN
        expected = f"expected {SHORTEST_S:g} to {LONGEST_S:g} seconds, such as 2.5"
        raise typer.BadParameter(f"{expected}; got {text!r}")
    return value


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Hears when a call-centre client cannot be heard, and steps through the script.

    \b
    What would it have said in this call, and when?
      vad-agent replay call.wav
    The same as a page for the supervisor:
      vad-agent replay call.wav --report call.html
    How long was the client not heard, and why?
      vad-agent dead-air call.wav

    Exit status: 0 done; 1 the work failed; 2 wrong arguments, settings or file; 130 interrupted.
    """


@app.command(short_help="What would the product have said in a recorded call, and when?")
def replay(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="WAV, FLAC, Ogg or MP3: operator left, client right."),
    ],
    client_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The client's side, where each side has its own file."),
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
            help="Call-control events, a JSON object a line, t in seconds: "
            '{"t": 30.2, "kind": "hangup", "party": "operator"}, or those that listen has recorded.',
        ),
    ] = None,
    script: ScriptFile = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The trace as JSON lines; - writes it, alone, to stdout."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="One page for the supervisor: what was said when."),
    ] = None,
    speech: Annotated[
        bool, typer.Option("--speech/--no-speech", help="Runs of speech in the timeline.")
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
    """Run a recording through the session that a live call uses: what would it have said, and when?

    Without --trace it prints a timeline: ✓ a phrase in its window, ✗ one that was not.

    \b
    A page for the supervisor:
      vad-agent replay call.wav --report call.html
    The operator on the recording says the phrases; the trace on stdout:
      vad-agent replay call.wav --mode cue --events call.events.jsonl --trace -
    Each side has its own file:
      vad-agent replay operator.wav --client-file client.wav
    The client is left:
      vad-agent replay call.wav --client-channel left
    A call that listen --record has kept, as it went:
      vad-agent replay NAME.flac --events NAME.events.jsonl --script NAME.script.toml
    """
    from vad_agent.audio.recording_reader import open_call
    from vad_agent.core.events import Event, Kind
    from vad_agent.core.frames import seconds
    from vad_agent.core.session import CallSession
    from vad_agent.trace.event_files import EventLog, TimedEvent, load_events
    from vad_agent.trace.replay import Replay

    check_outputs([file, client_file, events, script], trace, report)
    settings = _settings(script)
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
            timed = [*timed, TimedEvent(ended, Event(Kind.SOURCE_ENDED, party=side.value))]
        run = Replay(session, settings, timed, plays=not log.live)
        actions = run.run(pairs)
        if outbox is not None:
            actions = asking(actions, outbox, file.stem)
        if builder is not None:
            actions = watched_actions(actions, builder.add)
        try:
            show(actions)
        except (BrokenPipeError, SystemExit):  # the reader has seen enough
            if builder is None:
                raise
            for _ in actions:  # the report is wanted all the same
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


@app.command("dead-air", short_help="Every silence of one side, why, and when it was known.")
def dead_air_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="WAV, FLAC, Ogg or MP3; a mono file is the side of --channel."
        ),
    ],
    channel: Annotated[
        Side, typer.Option(help="Whose silences: operator is the left channel, client the right.")
    ] = Side.CLIENT,
    threshold: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=_threshold, help="Silences that reach it are told."),
    ] = 2.5,
) -> None:
    """Tell every silence of one side, why it is silent, and when a live call would have known.

    The client of a recording with two channels is heard beside the operator, whose voice may leak.

    \b
    One JSON object a line:
      fired_s            when it was known, causally
      silence_started_s  the end of the last word before it
      cause              what the line carries: live, quiet, digital_zero, music, tone
      channel            whose silence it is

    \b
    The client's silences of 2.5 s and more:
      vad-agent dead-air call.wav
    The operator's of 10 s and more:
      vad-agent dead-air call.wav --channel operator --threshold 10
    """
    import json

    from vad_agent.audio.recording_reader import open_call, open_leg
    from vad_agent.core.frames import Channel, frames
    from vad_agent.detection.dead_air import beside, dead_air
    from vad_agent.script.settings import Settings

    side, settings = Channel(channel.value), Settings()
    tell_missing_detector(settings)
    with ExitStack() as stack:
        leg = stack.enter_context(open_leg(file, "left" if side is Channel.OPERATOR else "right"))
        ear = settings.ear(side, leg.sample_rate)
        heard: Iterable[bytes | None] = leg
        if side is Channel.CLIENT and leg.channels > 1:
            call = stack.enter_context(open_call(file))
            heard = beside(settings.ear(Channel.OPERATOR, call.sample_rate), ear, call)
        warn(leg.warnings)
        timing = settings.script.timing
        stream = stack.enter_context(progress(heard, leg.frames_total, file.name, printing=True))
        for silence in dead_air(
            stream,
            ear,
            side,
            frames(threshold),
            defer=timing.defer,
            patience=timing.unknown_sound,
        ):
            print(json.dumps(silence.record()))


app.command(short_help="The audio devices, and how to get the client's side.")(devices)
app.command(short_help="Attach to the headset: hear both sides, say or show the phrases.")(listen)
app.command(short_help="Run the desk of callbacks: ring three times, lose none; with an API.")(
    serve
)


@script_app.command()
def show(
    script: Annotated[
        Path | None, typer.Argument(metavar="SCRIPT.toml", help="Default: the built-in script.")
    ] = None,
    diagram: Annotated[bool, typer.Option("--diagram", help="As a Mermaid state diagram.")] = False,
    toml: Annotated[
        bool, typer.Option("--toml", help="As a TOML file, to begin one's own from.")
    ] = False,
) -> None:
    """Show a script: every step with its window and its phrase, as it will be used.

    \b
    The built-in script:
      vad-agent script show
    Begin your own from it; what you delete from the file stays as built in:
      vad-agent script show --toml > own.toml
    """
    if diagram and toml:
        raise typer.BadParameter("expected one of --diagram and --toml")
    settings = _settings(script)
    if diagram:
        from vad_agent.script.diagram import mermaid

        print(mermaid(settings.script))
    elif toml:
        print(settings.to_toml(), end="")
    else:
        _print_script(settings)


@script_app.command()
def check(
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT.toml", help="Tables and keys that differ are enough.")
    ],
) -> None:
    """Check a script file: everything that is wrong with it, a line each; status 2 if anything is.

    \b
    A script of your own:
      vad-agent script check own.toml
    """
    _settings(script)
    print(f"{script}: right")


def _settings(script: Path | None) -> Settings:
    from vad_agent.script.settings import Settings

    return Settings() if script is None else Settings.load(script)


def _print_script(settings: Settings) -> None:
    from rich.table import Table
    from rich.text import Text

    from vad_agent.core.frames import seconds

    compiled = settings.script
    console = plain_console()
    operator = compiled.operator_name or "operator's name not set"
    head = Text.assemble((compiled.shop, "bold"), f" ({operator}), from {settings.source}")
    console.print(head, soft_wrap=True)
    for scenario in compiled.scenarios.values():
        due = scenario.callback_in_s
        after = "at the agreed time" if due is None else "at once" if due == 0 else f"in {due:g} s"
        title = Text(f"{scenario.reason.value}: {scenario.arms.value}", "bold cyan")
        caption = Text(f"callback {after}: «{scenario.opening}»")
        table = Table(title=title, title_justify="left")
        for name in ("prompt", "window, s", "aim", "phrase"):
            table.add_column(name, overflow="fold")
        for rung in scenario.rungs:
            window = rung.window
            span = f"{seconds(window.lo):g}–{seconds(window.hi):g}"
            if rung.dead_line_window:
                dead = rung.dead_line_window
                span += f" ({seconds(dead.lo):g}–{seconds(dead.hi):g} on a dead line)"
            table.add_row(rung.prompt, span, f"{seconds(window.aim):g}", f"«{rung.text}»")
        console.print(table if scenario.rungs else title)
        console.print(caption, soft_wrap=True)
        console.print()


# -- the process ------------------------------------------------------------------------------------

_PLAIN = {
    "✓": "+",
    "✗": "x",
    "→": ">",
    "☎": "*",
    "■": "#",
    "–": "-",
    "«": '"',
    "»": '"',
    "…": "...",
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for a character that the terminal cannot show."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in wrong), error.end


def _prepare_streams() -> None:
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started us
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        sys.stdout = sys.stdout or nowhere
        sys.stderr = sys.stderr or nowhere
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Ctrl-C. Where soundfile's decoder is just reading through Python, a moment later: an exception
    is lost there, and the recording would be taken for damaged."""
    while frame is not None:
        if frame.f_code.co_name.startswith("vio_"):
            again = threading.Timer(0.001, _thread.interrupt_main)
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of `vad-agent`."""
    _prepare_streams()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in a shell's background
        signal.signal(signal.SIGINT, _interrupt)
    try:
        status = _run()
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        sys.stdout.flush()
    except OSError as error:
        if status == 0 and not isinstance(error, BrokenPipeError):
            complain(f"stdout: cannot be written: {error.strerror}")
            status = 1
        # What could not leave now cannot at the interpreter's end either: no word of it then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run() -> int:
    try:
        status: object = app(prog_name="vad-agent", standalone_mode=False)
        if status == 130:
            complain("interrupted")
        return status if isinstance(status, int) else 0
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        return 130
    except ClickException as error:
        problem: str = error.format_message()  # type: ignore[attr-defined]
        if problem:  # else the help was shown
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "vad-agent"
            text = " ".join(problem.replace("Value error, ", "").split()).rstrip(".")
            complain(f"{text} (see {command} --help)")
        return 2
    except (errors.OutputError, errors.StoreError, errors.RuleError) as error:
        complain(str(error))
        return 1
    except errors.VadAgentError as error:
        for line in str(error).splitlines():
            complain(line)
        return 2
    except OSError as error:
        complain(f"{error.filename or 'stdout'}: {error.strerror}")
        return 1
    except SystemExit:
        return 0  # so rich and typer end on a broken pipe: the reader has seen enough (`| head`)


if __name__ == "__main__":
    main()
