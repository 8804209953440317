"""`vad-agent script`: shows and checks a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.arguments import load_settings
from vad_agent.cli.terminal import plain_console

if TYPE_CHECKING:
    from vad_agent.script.settings import Settings

script_app = typer.Typer(
    name="script",
    help="The script: what is said when, and what follows.\n\n\b\nTo start your own:\n"
    "  vad-agent script show --toml > own.toml\n"
    "  vad-agent script check own.toml\n"
    "  vad-agent replay call.wav --script own.toml",
    short_help="The script: what is said when, and what follows.",
    no_args_is_help=True,
)


@script_app.command()
def show(
    script: Annotated[
        Path | None, typer.Argument(metavar="SCRIPT.toml", help="Default: the built-in script.")
    ] = None,
    diagram: Annotated[bool, typer.Option("--diagram", help="As a Mermaid state diagram.")] = False,
    toml: Annotated[
        bool, typer.Option("--toml", help="As a TOML file, as a start for your own.")
    ] = False,
) -> None:
    """Show a script: every step with its window and its phrase.

    \b
    The built-in script:
      vad-agent script show
    Start your own from it; values deleted from the file stay as built in:
      vad-agent script show --toml > own.toml
    """
    if diagram and toml:
        raise typer.BadParameter("expected one of --diagram and --toml")
    settings = load_settings(script)
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
        Path,
        typer.Argument(
            metavar="SCRIPT.toml", help="Only the tables and keys that differ are needed."
        ),
    ],
) -> None:
    """Check a script file: every problem on a line of its own; status 2 if there is any.

    \b
    A script of your own:
      vad-agent script check own.toml
    """
    load_settings(script)
    print(f"{script}: right")


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
        title = Text(f"{scenario.reason.value}: {scenario.trigger.value}", "bold cyan")
        caption = Text(f"callback {after}: «{scenario.opening}»")
        table = Table(title=title, title_justify="left")
        for name in ("prompt", "window, s", "aim", "phrase"):
            table.add_column(name, overflow="fold")
        for step in scenario.steps:
            window = step.window
            span = f"{seconds(window.lo):g}–{seconds(window.hi):g}"
            if step.dead_line_window:
                dead = step.dead_line_window
                span += f" ({seconds(dead.lo):g}–{seconds(dead.hi):g} on a dead line)"
            table.add_row(step.prompt, span, f"{seconds(window.aim):g}", f"«{step.text}»")
        console.print(table if scenario.steps else title)
        console.print(caption, soft_wrap=True)
        console.print()
