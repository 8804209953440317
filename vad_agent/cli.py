"""The command line: reads arguments, connects the parts, prints. No rule lives here.

Exit status: 0 done; 1 the work failed; 2 wrong arguments, settings or file, with one line on stderr for
each thing that is wrong, never a traceback; 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, TypeVar

import typer

from vad_agent import errors

if TYPE_CHECKING:
    from vad_agent.core.actions import Action
    from vad_agent.core.events import Event
    from vad_agent.replay import TimedEvent
    from vad_agent.settings import Settings

app = typer.Typer(
    name="vad-agent",
    help="Hears when a call-centre client cannot be heard, and steps through the script.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
script_app = typer.Typer(
    name="script",
    help="The script: what is said when, and what follows.",
    no_args_is_help=True,
)
app.add_typer(script_app)

T = TypeVar("T")
# typer brings click, or in later versions a copy of it under a private name: ask it for the class.
ClickException: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

LONG_RECORDING_FRAMES = 5 * 60 * 50
PROGRESS_EVERY = 5_000  # frames


class Mode(StrEnum):
    """Who speaks the phrases."""

    AUTO = "auto"
    CUE = "cue"


class Side(StrEnum):
    """A side of the call."""

    OPERATOR = "operator"
    CLIENT = "client"


ScriptFile = Annotated[
    Path | None,
    typer.Option("--script", metavar="SCRIPT.toml", help="A script other than the built-in one."),
]


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="WAV, FLAC, Ogg or MP3: operator left, client right."),
    ],
    client_file: Annotated[
        Path | None,
        typer.Option(help="The client's side, where each side has its own file."),
    ] = None,
    operator_channel: Annotated[
        str | None, typer.Option(metavar="left|right|N", help="The operator's channel in FILE.")
    ] = None,
    client_channel: Annotated[
        str | None, typer.Option(metavar="left|right|N", help="The client's channel.")
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(
            help="auto: the product would speak; cue: the operator on the recording says the phrases."
        ),
    ] = Mode.AUTO,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="EVENTS.jsonl", help="Call-control events, one JSON object a line, at t."
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
) -> None:
    """Run a recording through the session that a live call uses: what would it have said, and when?

    Without --trace it prints a readable timeline. Examples:

      vad-agent replay call.wav --report call.html

      vad-agent replay call.wav --mode cue --events call.events.jsonl --trace -

      vad-agent replay operator.wav --client-file client.wav
    """
    from vad_agent.core.call import CallSession
    from vad_agent.replay import Replay, load_events
    from vad_agent.sources.recording import open_call

    settings = _settings(script)
    timed = load_events(events) if events else []
    builder = None
    if report is not None:
        from vad_agent.archive.report import ReportBuilder

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
        for warning in recording.warnings:
            _complain(warning)
        show = stack.enter_context(_output(trace, speech))
        pairs: Iterable[tuple[bytes | None, bytes | None]] = stack.enter_context(
            _progress(recording, recording.frames_total, file.name)
        )
        if builder is not None:
            pairs = _watched(pairs, builder.add_frames)
        session = CallSession(settings, recording.sample_rate, mode=mode.value)
        actions = Replay(session, settings, timed).run(pairs)
        if builder is not None:
            actions = _watched_actions(actions, builder.add)
        show(actions)
        details = {"Запись": recording.describe(), "Режим": mode.value}
    if builder is not None and report is not None:
        for one in timed:
            builder.add(_event_record(one))
        details["Скрипт"] = settings.source
        names = [one.event.name for one in timed if one.event.name]
        builder.write(report, title=file.name, details=details, mask_names=names)
        if trace is None or str(trace) != "-":
            print(f"report: {report}")


@app.command("dead-air")
def dead_air_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording; a mono file is one side.")
    ],
    channel: Annotated[Side, typer.Option(help="Whose silences.")] = Side.CLIENT,
    threshold: Annotated[
        float, typer.Option(metavar="SECONDS", help="Silences that reach it are told.")
    ] = 2.5,
) -> None:
    """Tell every silence of one side, why it is silent, and when a live call would have known.

    One JSON object a line: fired_s, silence_started_s, cause, channel. Stereo: operator left, client
    right. Example:

      vad-agent dead-air call.wav --channel client --threshold 2.5
    """
    import json

    from vad_agent.core.frames import Channel, frames
    from vad_agent.dead_air import dead_air
    from vad_agent.settings import Settings
    from vad_agent.sources.recording import open_leg

    if not 0.1 <= threshold <= 3600:
        raise typer.BadParameter(f"--threshold: expected 0.1 to 3600 seconds, got {threshold}")
    side = Channel(channel.value)
    with open_leg(file, "left" if side is Channel.OPERATOR else "right") as leg:
        for warning in leg.warnings:
            _complain(warning)
        ear = Settings().ear(side, leg.sample_rate)
        with _progress(leg, leg.frames_total, file.name) as stream:
            for silence in dead_air(stream, ear, side, frames(threshold)):
                print(json.dumps(silence.record()))


@script_app.command()
def show(
    script: Annotated[
        Path | None, typer.Argument(metavar="[SCRIPT.toml]", help="Default: the built-in script.")
    ] = None,
    diagram: Annotated[bool, typer.Option("--diagram", help="As a Mermaid state diagram.")] = False,
    toml: Annotated[
        bool, typer.Option("--toml", help="As a TOML file, to begin one's own from.")
    ] = False,
) -> None:
    """Show a script: every step with its window and its phrase, as it will be used."""
    settings = _settings(script)
    if diagram:
        from vad_agent.diagram import mermaid

        print(mermaid(settings.script))
    elif toml:
        print(settings.to_toml(), end="")
    else:
        _print_script(settings)


@script_app.command()
def check(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT.toml")],
) -> None:
    """Check a script file: everything that is wrong with it, a line each; status 2 if anything is."""
    _settings(script)
    print(f"{script}: right")


def _settings(script: Path | None) -> Settings:
    from vad_agent.settings import Settings

    return Settings() if script is None else Settings.load(script)


def _print_script(settings: Settings) -> None:
    from rich.console import Console
    from rich.table import Table

    from vad_agent.core.frames import seconds

    compiled = settings.script
    console = Console(soft_wrap=False)
    operator = compiled.operator_name or "operator's name not set"
    console.print(f"[bold]{compiled.shop}[/] ({operator}), from {settings.source}")
    for scenario in compiled.scenarios.values():
        due = scenario.callback_in_s
        after = "at the agreed time" if due is None else "at once" if due == 0 else f"in {due:g} s"
        table = Table(
            title=f"{scenario.reason.value}: {scenario.arms.value}",
            title_justify="left",
            title_style="bold cyan",
            caption=f"callback {after}: «{scenario.opening}»",
            caption_justify="left",
        )
        for name in ("prompt", "window, s", "aim", "phrase"):
            table.add_column(name, overflow="fold")
        for rung in scenario.rungs:
            window = rung.window
            span = f"{seconds(window.lo):g}–{seconds(window.hi):g}"
            if rung.dead_line_window:
                dead = rung.dead_line_window
                span += f" ({seconds(dead.lo):g}–{seconds(dead.hi):g} on a dead line)"
            table.add_row(rung.prompt, span, f"{seconds(window.aim):g}", f"«{rung.text}»")
        console.print(table if scenario.rungs else f"[bold cyan]{table.title}[/]\n{table.caption}")
        console.print()


# -- output -----------------------------------------------------------------------------------------


@contextmanager
def _output(trace: Path | None, speech: bool) -> Iterator[Callable[[Iterable[Action]], None]]:
    """Where the actions go: the trace file, stdout, or the readable timeline."""
    from vad_agent.trace import Trace

    if trace is None:
        yield lambda actions: _print_timeline(actions, speech)
        return
    if str(trace) == "-":
        writer = Trace(sys.stdout, "stdout")
        yield lambda actions: writer.write(actions)
        return
    try:
        out: TextIO = trace.open("w", encoding="utf-8")
    except OSError as error:
        raise errors.OutputError(f"{trace}: cannot write the trace: {error.strerror}") from error
    with out:
        writer = Trace(out, str(trace))
        yield lambda actions: writer.write(actions)


def _print_timeline(actions: Iterable[Action], speech: bool) -> None:
    from rich.console import Console

    from vad_agent.timeline import line

    console = Console(highlight=False)
    for action in actions:
        if (text := line(action, speech=speech)) is not None:
            console.print(text, soft_wrap=True)


@contextmanager
def _progress(frames: Iterable[T], total: int | None, name: str) -> Iterator[Iterable[T]]:
    """Shows how far it is, on stderr, if that is a terminal and the recording long."""
    if not sys.stderr.isatty() or (total is not None and total < LONG_RECORDING_FRAMES):
        yield frames
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)

        def counted() -> Iterator[T]:
            for count, frame in enumerate(frames, 1):
                yield frame
                if count % PROGRESS_EVERY == 0:
                    bar.update(task, completed=count)

        yield counted()


def _watched(
    pairs: Iterable[tuple[bytes | None, bytes | None]],
    watch: Callable[[bytes | None, bytes | None], None],
) -> Iterator[tuple[bytes | None, bytes | None]]:
    for operator, client in pairs:
        watch(operator, client)
        yield operator, client


def _watched_actions(
    actions: Iterable[Action], add: Callable[[dict[str, object]], None]
) -> Iterator[Action]:
    from vad_agent.trace import record

    for action in actions:
        if (line := record(action)) is not None:
            add(line)
        yield action


def _event_record(timed: TimedEvent) -> dict[str, object]:
    from vad_agent.core.frames import seconds

    event: Event = timed.event
    record: dict[str, object] = {
        "t": seconds(timed.frame),
        "kind": "event",
        "event": event.kind.value,
    }
    return record | ({"party": event.party} if event.party else {})


def _complain(message: str) -> None:
    print(f"vad-agent: {message}", file=sys.stderr)


def main() -> None:
    """Entry point of `vad-agent`."""
    status: object = 0
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except typer.Exit as exit_:
        status = exit_.exit_code
    except ClickException as error:
        problem: str = error.format_message()  # type: ignore[attr-defined]
        _complain(problem.replace("\n", " ") + " (see --help)")
        status = 2
    except errors.OutputError as error:
        _complain(str(error))
        status = 1
    except errors.VadAgentError as error:
        for problem in str(error).splitlines():
            _complain(problem)
        status = 2
    except BrokenPipeError:
        # The reader has seen enough (`| head`); keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
