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

AN_ID = "k3v9q0m2x7ha"
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
    from vad_agent.callbacks.next_attempt_time import wall_time

    try:
        return _in_years(text, wall_time(text).year)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; got {text!r}") from None


def checked_date(text: str) -> str:
    """Check a date, with or without a time."""
    try:
        return _in_years(text, datetime.fromisoformat(text).year)
    except ValueError:
        expected = "expected an ISO 8601 date or time, such as 2027-03-01"
        raise typer.BadParameter(f"{expected}; got {text!r}") from None


def _in_years(text: str, year: int) -> str:
    from vad_agent.server.request_models import YEARS

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
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Its whole id, 12 letters and digits.")
]
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
        callbacks.zone,
        numbers=numbers,
        attempts=callbacks.attempts,
        overdue_s=callbacks.overdue_s,
    )


def found_one(callbacks: Backend, given: str) -> Callback:
    """The callback with this id.

    Raises:
        BadParameter: it is not a whole id, or there is no such callback.
    """
    from vad_agent.cli.callback_tables import text
    from vad_agent.client.backend import ID_LENGTH

    id, shown = given.strip().lower(), text(given)[:40]
    if len(id) != ID_LENGTH or not (id.isascii() and id.isalnum()):
        problem = (
            f"expected a whole id, {ID_LENGTH} letters and digits such as {AN_ID}; got {shown!r}"
        )
        raise typer.BadParameter(problem, param_hint="ID")
    found = callbacks.find(id)
    if found is None:
        problem = f"there is no callback {shown!r}: vad-agent callbacks list --state all"
        raise typer.BadParameter(problem, param_hint="ID")
    return found


def tell(callbacks: Backend, before: Callback, after: Callback) -> None:
    """Print the callback's new state."""
    if after.id != before.id:
        print(f"{before.id}: the same client as {after.id}, they are one now")
    print(look_of(callbacks, False).sentence(after))
    if after.state.value == "waiting" and not callbacks.rings:
        complain("no desk runs here: it is rung once one does: vad-agent serve")
