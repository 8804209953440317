"""Common parts of the callback commands: arguments, lookup by id, the message after a change."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.terminal import complain

if TYPE_CHECKING:
    from vad_agent.callbacks.model import Callback
    from vad_agent.cli.callback_tables import Look
    from vad_agent.client.backend import Backend

LEAST_ID = 3
MOST_NAMED = 5
LONGEST_WHY = 500


def checked_why(text: str) -> str:
    """Check a reason for history against the API's rules."""
    from vad_agent.cli.callback_tables import NO_TEXT

    if len(text) > LONGEST_WHY:
        raise typer.BadParameter(f"expected {LONGEST_WHY} letters at most")
    if NO_TEXT.search(text):
        raise typer.BadParameter("expected one line of text")
    return text


def checked_time(text: str) -> str:
    """Check a time against the API's rules."""
    from vad_agent.server.request_models import YEARS

    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        expected = "expected an ISO 8601 time, such as 2027-03-01T15:30"
        raise typer.BadParameter(f"{expected}; got {text!r}") from None
    if year not in YEARS:
        raise typer.BadParameter(f"expected a year from {YEARS[0]} to {YEARS[-1]}, got {year}")
    return text


DeskUrl = Annotated[
    str | None,
    typer.Option(
        "--desk",
        metavar="URL",
        envvar="VAD_AGENT_DESK",
        help="A desk elsewhere; its token is in VAD_AGENT_TOKEN.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="DESK.toml",
        help="If no desk runs: the settings with the database. Default: the user's own.",
    ),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="At least its first 3 letters.")]
Why = Annotated[
    str,
    typer.Option(
        "--why",
        metavar="TEXT",
        callback=checked_why,
        help="Reason for history; no names, no numbers.",
    ),
]
Numbers = Annotated[bool, typer.Option("--numbers", help="Show telephone numbers unmasked.")]


def one_format(as_json: bool, as_csv: bool) -> None:
    """Check that only one format was requested."""
    if as_json and as_csv:
        raise typer.BadParameter("expected one of --json and --csv")


def reached(
    desk: str | None, config: Path | None, *, store_itself: bool = False
) -> AbstractContextManager[Backend]:
    """Open the callbacks; see `vad_agent.server.backend_factory.open_backend`."""
    from vad_agent.server.backend_factory import open_backend

    return open_backend(desk, config, complain, store_itself=store_itself)


def look_of(callbacks: Backend, numbers: bool) -> Look:
    """How callbacks are written now."""
    from vad_agent.cli.callback_tables import Look

    return Look(
        datetime.now(UTC),
        numbers=numbers,
        attempts=callbacks.attempts,
        overdue_s=callbacks.overdue_s,
    )


def found_one(callbacks: Backend, given: str) -> Callback:
    """The callback with this id, or with an id that begins so.

    Raises:
        BadParameter: none matches, or several do.
    """
    from vad_agent.cli.callback_tables import text

    beginning, shown = given.strip().lower(), text(given)[:40]
    if len(beginning) < LEAST_ID:
        problem = f"expected {LEAST_ID} letters at least, got {shown!r}"
        raise typer.BadParameter(problem, param_hint="ID")
    found = callbacks.beginning(beginning)
    if not found:
        problem = f"there is no callback {shown!r}: vad-agent callbacks list --state all"
        raise typer.BadParameter(problem, param_hint="ID")
    if len(found) > 1:
        named = ", ".join(f"{one.id} ({one.state})" for one in found[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        problem = f"{shown!r} is the beginning of several: {named}{more}"
        raise typer.BadParameter(problem, param_hint="ID")
    return found[0]


def tell(callbacks: Backend, before: Callback, after: Callback) -> None:
    """Print the callback's new state."""
    if after.id != before.id:
        print(f"{before.id}: the same client as {after.id}, they are one now")
    print(look_of(callbacks, False).sentence(after))
    if after.state.value == "waiting" and not callbacks.rings:
        complain("no desk runs here: it is rung once one does: vad-agent serve")
