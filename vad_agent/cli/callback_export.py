"""`vad-agent callbacks export`, erase and key: export, retention and encryption of callbacks."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

import typer

from vad_agent.cli.callback_arguments import Config, DeskUrl, checked_date, one_format, reached
from vad_agent.cli.terminal import complain
from vad_agent.common.private_files import open_private, why
from vad_agent.errors import OutputError

MOST_DAYS = 36_500
SEPARATORS = (",", ";", "|", "\t")


def _since(text: str | None) -> str | None:
    return None if text is None else checked_date(text)


def export(
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV: the default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, one object per line.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="ISO", callback=_since, help="Those created then or later: 2027-03-01."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: stdout.")] = None,
    separator: Annotated[
        str, typer.Option(metavar="SIGN", help="Separator of CSV's cells; Russian Excel needs ;")
    ] = ",",
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Show names, numbers and phrases unmasked.")
    ] = False,
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Write every callback, the oldest first: names, numbers and phrases are masked.

    CSV has the centre's times, and the zone in its last column; a cell that looks like a formula
    begins with an apostrophe.

    \b
    For Russian Excel:
      vad-agent callbacks export --separator ";" --output callbacks.csv
    This month's, for a program:
      vad-agent callbacks export --json --since 2027-03-01
    """
    from vad_agent.cli import callback_records as records

    one_format(as_json, as_csv)
    if separator not in SEPARATORS:
        expected = "expected one of , ; | and a tab"
        raise typer.BadParameter(f"{expected}; got {separator!r}", param_hint="--separator")
    if output is not None:
        records.check_file(output)
    begin = None if since is None else datetime.fromisoformat(since).astimezone(UTC)
    mask = records.Mask.NOTHING if numbers else records.Mask.PERSONAL

    def write(out: TextIO) -> int:
        told = (
            records.record(callback, mask)
            for callback in callbacks.all()
            if begin is None or callback.created >= begin
        )
        if as_json:
            return records.write_json_lines(out, told)
        return records.write_csv(out, told, callbacks.zone, separator)

    with reached(desk, config) as callbacks:
        if output is None:
            with records.stdout() as out:
                write(out)
            return
        count = records.write_file(output, write)
    print(f"{output}: {count} callbacks")


def erase(
    older_than: Annotated[
        int,
        typer.Option(metavar="DAYS", min=0, max=MOST_DAYS, help="Ended at least so many days ago."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Erase names, numbers, topics and phrases of callbacks that ended long ago, for ever.

    The callbacks, their attempts and their history stay, so that the totals add up.

    It accesses the database itself: with SQLite no desk may run meanwhile.

    \b
    Each night, by cron:
      vad-agent callbacks erase --older-than 90 --yes
    """
    with reached(desk, config, store_itself=True) as callbacks:
        question = f"Erase what is personal in callbacks that ended {older_than} days ago and more?"
        if not yes and not _asked(question):
            complain("nothing was erased")
            raise typer.Exit(1)
        print(f"erased: {callbacks.erase(older_than)}")


def _asked(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline() if sys.stdin else ""
    if not answer:
        print(file=sys.stderr)
        raise typer.BadParameter("nobody answers: expected y or n, or --yes", param_hint="--yes")
    return answer.strip().lower() in ("y", "yes")


def key(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A new file, private to you. Default: stdout."),
    ] = None,
) -> None:
    """Make a new key; with it names and numbers are encrypted in the database.

    Without the key they cannot be read: keep a copy apart from the database.

    \b
    The file that encryption_key_file in desk.toml names:
      vad-agent callbacks key callbacks.key
    """
    from vad_agent.callbacks.field_encryption import new_key

    if file is None:
        print(new_key())
        complain(
            "put it into VAD_AGENT_ENCRYPTION_KEY, or let `vad-agent callbacks key FILE` write the file "
            "that encryption_key_file in desk.toml names"
        )
        return
    try:
        with open_private(file, "xb") as out:
            out.write(f"{new_key()}\n".encode())
    except FileExistsError:
        raise OutputError(f"{file}: it exists: a key that is in use must not be replaced") from None
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {why(error)}") from error
    print(f"{file}: a new key; keep a copy of it apart from the database")
