"""Output of the commands: the trace, the readable timeline, progress, one-line errors."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

import typer

from vad_agent import errors

if TYPE_CHECKING:
    from rich.console import Console

    from vad_agent.core.actions import Action
    from vad_agent.core.events import Event
    from vad_agent.script.settings import Settings
    from vad_agent.trace.event_files import TimedEvent

T = TypeVar("T")
FIGURES = ("count", "seconds")
"""Columns of a table that are aligned to the right."""
STYLES = {"!": "bold red", "✗": "red", "?": "yellow", "☎": "bold cyan", "✓": "green"}
"""The sign that a cell begins with → its style."""
WIDE = 60
"""Columns of a terminal from which ids are not wrapped."""
LONG_RECORDING_FRAMES = 5 * 60 * 50
PROGRESS_EVERY = 5_000  # frames


class EndedByCtrlC(Exception):
    """The command has ended in order after Ctrl-C: status 130, and nothing more to say."""


def check_outputs(inputs: Sequence[Path | None], trace: Path | None, report: Path | None) -> None:
    """Check before any work: an output must not overwrite an input or another output."""
    used = [(path, "is read by this command") for path in inputs if path is not None]
    if trace is not None and str(trace) == "-":
        trace = None
    for what, path in (("trace", trace), ("report", report)):
        if path is None:
            continue
        for other, use in used:
            if _same_file(path, other):
                raise typer.BadParameter(
                    f"{path}: it {use}: name another file", param_hint=f"--{what}"
                )
        used.append((path, f"is the {what}"))
        problem = None
        if os.path.isdir(path):
            problem = "it is a folder: name a file in it"
        elif not os.path.isdir(path.parent):
            problem = f"there is no folder {path.parent}: create it first"
        elif what == "report" and os.path.exists(path) and not os.path.isfile(path):
            problem = "it is a device or a pipe: name a file"  # it would be replaced by a file
        if problem:
            raise errors.OutputError(f"{path}: cannot write the {what}: {problem}")


def _same_file(one: Path, other: Path) -> bool:
    if os.path.exists(one) and os.path.exists(other):
        return os.path.isfile(one) and os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


@contextmanager
def output(trace: Path | None, speech: bool) -> Iterator[Callable[[Iterable[Action]], None]]:
    """Where the actions go: the trace file, stdout, or the readable timeline.

    Each line is flushed when written, so that an interrupted replay leaves whole lines.
    """
    from vad_agent.trace.trace_format import Trace

    if trace is None:
        yield lambda actions: _print_timeline(actions, speech)
        return
    if str(trace) == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):  # JSON is UTF-8 on every machine
            sys.stdout.reconfigure(encoding="utf-8", newline="\n", line_buffering=True)
        yield Trace(sys.stdout, "stdout").write
        return
    try:
        out = trace.open("w", encoding="utf-8", newline="\n", buffering=1)
    except OSError as error:
        _cannot_write(trace, error)
    try:
        yield Trace(out, str(trace)).write
    finally:
        try:
            out.close()
        except OSError as error:
            _cannot_write(trace, error)


def _cannot_write(trace: Path, error: OSError) -> NoReturn:
    raise errors.OutputError(f"{trace}: cannot write the trace: {error.strerror}") from error


def _print_timeline(actions: Iterable[Action], speech: bool) -> None:
    from vad_agent.trace.text_timeline import line

    console = plain_console()
    for action in actions:
        if (text := line(action, speech=speech)) is not None:
            console.print(text, soft_wrap=True)


def plain_console() -> Console:
    """A console that prints texts unchanged: the brackets of a script are not markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def print_table(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal; otherwise one line per row, for grep and cut."""
    if not console.is_terminal:
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in head:
        justify: Literal["left", "right"] = "right" if name in FIGURES else "left"
        whole = name == "id" and console.width >= WIDE
        table.add_column(name, overflow="fold", justify=justify, no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell[:2].strip(), "")) for cell in row))
    console.print(table)


@contextmanager
def progress(
    frames: Iterable[T], total: int | None, name: str, *, printing: bool
) -> Iterator[Iterable[T]]:
    """Show progress on stderr, if that is a terminal and the recording is long.

    `printing`: lines go to stdout; on the same terminal they show the progress themselves.
    """
    short = total is not None and total < LONG_RECORDING_FRAMES
    if short or not sys.stderr.isatty() or (printing and sys.stdout.isatty()):
        yield frames
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, markup=False, emoji=False)
    # rich would also redirect stdout's lines to stderr.
    with Progress(console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(name, total=total)

        def counted() -> Iterator[T]:
            for count, frame in enumerate(frames, 1):
                yield frame
                if count % PROGRESS_EVERY == 0:
                    bar.update(task, completed=count)

        yield counted()


def watched(
    pairs: Iterable[tuple[bytes | None, bytes | None]],
    watch: Callable[[bytes | None, bytes | None], None],
) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield the pairs, passing each to `watch`."""
    for operator, client in pairs:
        watch(operator, client)
        yield operator, client


def watched_actions(
    actions: Iterable[Action], add: Callable[[dict[str, object]], None]
) -> Iterator[Action]:
    """Yield the actions, passing the trace line of each to `add`."""
    from vad_agent.trace.trace_format import record

    for action in actions:
        if (line := record(action)) is not None:
            add(line)
        yield action


def event_record(timed: TimedEvent) -> dict[str, object]:
    """An input event as a line for the report; without names and numbers."""
    from vad_agent.core.frames import seconds

    event: Event = timed.event
    record: dict[str, object] = {
        "t": seconds(timed.frame),
        "kind": "event",
        "event": event.kind.value,
    }
    return record | ({"party": event.party} if event.party else {})


def warn(warnings: Iterable[str]) -> None:
    """Print lines on stderr; the work continues."""
    for warning in warnings:
        complain(f"warning: {warning}")


def complain(message: str) -> None:
    """Print one line on stderr."""
    print(f"vad-agent: {message}", file=sys.stderr)


def tell_missing_detector(settings: Settings) -> None:
    """Warn if calls will run without the configured detector."""
    if (name := settings.detector_missing) is not None:
        complain(f"{name} is not installed here: the network alone hears (pip install {name})")
