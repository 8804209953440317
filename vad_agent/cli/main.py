"""The process `vad-agent`: its commands, its streams, its exit status.

Exit status: 0 success; 1 the work failed, for example a file cannot be written; 2 invalid
arguments, settings or file; 130 after Ctrl-C. Each problem is one line on stderr, never a
traceback.
"""

from __future__ import annotations

import _thread
import codecs
import io
import os
import signal
import sys
import threading
from types import FrameType
from typing import Annotated

import typer

from vad_agent import __version__, errors
from vad_agent.cli.audit import audit
from vad_agent.cli.callbacks import callbacks_app
from vad_agent.cli.dead_air import dead_air
from vad_agent.cli.devices import devices
from vad_agent.cli.listen import listen
from vad_agent.cli.pbx import pbx_app
from vad_agent.cli.people import people_app
from vad_agent.cli.prompts import prompts_app
from vad_agent.cli.replay import replay
from vad_agent.cli.script import script_app
from vad_agent.cli.serve import serve
from vad_agent.cli.setup import setup
from vad_agent.cli.terminal import EndedByCtrlC, complain

app = typer.Typer(
    name="vad-agent",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(script_app)
app.add_typer(prompts_app)
app.add_typer(callbacks_app)
app.add_typer(pbx_app)
app.add_typer(people_app)

# typer uses click, or in later versions a private copy of it: take the class from there.
ClickException: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vad-agent {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Detects client silence in call-centre calls, and steps through the script.

    \b
    On the operator's headset (Linux):
      vad-agent setup
      vad-agent listen
    What would it have said in this call, and when?
      vad-agent replay call.wav
    The same as a page for the supervisor:
      vad-agent replay call.wav --report call.html
    How long was the client not heard, and why?
      vad-agent dead-air call.wav
    What happened in last month's calls?
      vad-agent audit recordings/ --report report/

    Exit status: 0 done; 1 the work failed; 2 wrong arguments, settings or file; 130 interrupted.
    """


app.command(short_help="What would the product have said in a recorded call, and when?")(replay)
app.command(
    "dead-air", short_help="Every silence of one side, its cause, and when it was detected."
)(dead_air)
app.command(short_help="What happened in many recorded calls: tables, and a page.")(audit)
app.command(short_help="The audio devices, and how to capture the client's side.")(devices)
app.command(short_help="Set the headset up: virtual microphone, phrases, settings (Linux).")(setup)
app.command(short_help="Attach to the headset: monitor both sides, say or show the phrases.")(
    listen
)
app.command(short_help="Run the desk of callbacks: three attempts, none lost; with an API.")(serve)


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
    """The replacement for a character that the terminal cannot show."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in wrong), error.end


def _prepare_streams() -> None:
    if sys.stdout is None or sys.stderr is None:  # closed by the parent process
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        sys.stdout = sys.stdout or nowhere
        sys.stderr = sys.stderr or nowhere
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Handle Ctrl-C.

    While soundfile's decoder is reading through Python, the exception is raised a moment later:
    there it would be lost, and the recording would look damaged.
    """
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
    if before is signal.default_int_handler:  # otherwise it is ignored, as in a shell's background
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
        # What could not be written now cannot be written at the interpreter's exit either: discard
        # it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run() -> int:
    try:
        status: object = app(prog_name="vad-agent", standalone_mode=False)
        if status == 130:
            complain("interrupted")
        return status if isinstance(status, int) else 0
    except EndedByCtrlC:
        return 130
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        return 130
    except ClickException as error:
        problem: str = error.format_message()  # type: ignore[attr-defined]
        if problem:  # otherwise the help was shown
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
        return 0  # as rich and typer exit on a broken pipe: the reader has seen enough (`| head`)


if __name__ == "__main__":
    main()
