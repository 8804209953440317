"""`vad-agent callbacks`: list, show and promise; `vad_agent.server.backend_factory` finds the callbacks."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from vad_agent.cli import callback_changes as changes
from vad_agent.cli import callback_export as keeping
from vad_agent.cli.callback_arguments import (
    Config,
    DeskUrl,
    IdArgument,
    Numbers,
    found_one,
    look_of,
    one_format,
    reached,
)
from vad_agent.cli.terminal import complain

callbacks_app = typer.Typer(
    name="callbacks",
    help="Callbacks: who is called when, with which outcome, and whether any is missing.\n\n"
    "They are read from the desk at --desk, else from the one on this machine, else from the "
    "database itself.\n\n\b\n"
    "Who will be called?\n"
    "  vad-agent callbacks list\n"
    "You call by hand, and have called:\n"
    "  vad-agent callbacks accept k3v9q0m2x7ha\n"
    "  vad-agent callbacks done k3v9q0m2x7ha reached\n"
    "Is every request accounted for?\n"
    "  vad-agent callbacks promise",
    short_help="The callbacks: list, show, done, cancel, retry, export.",
    no_args_is_help=True,
)


class WhichOption(StrEnum):
    """A filter: all callbacks, open or ended ones, or those of one state."""

    OPEN = "open"
    ENDED = "ended"
    ALL = "all"
    WAITING = "waiting"
    OFFERED = "offered"
    RINGING = "ringing"
    NEEDS_NUMBER = "needs_number"
    NEEDS_TIME = "needs_time"
    NEEDS_PERSON = "needs_person"
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    CLIENT_CALLED = "client_called"
    CANCELLED = "cancelled"


AsJson = Annotated[
    bool, typer.Option("--json", help="As JSON: a list with one object per callback.")
]
AsCsv = Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")]


@callbacks_app.command("list", short_help="List callbacks, open ones first.")
def list_(
    state: Annotated[
        WhichOption,
        typer.Option(
            metavar="open|ended|all|STATE",
            help="STATE: waiting, offered, ringing, needs_number, needs_time, needs_person, reached, "
            "not_reached, client_called, cancelled.",
        ),
    ] = WhichOption.OPEN,
    phone: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="This client's number, in any notation.")
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(
            metavar="LOGIN", help="This operator's, anybody's, and those offered to them now."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number.")] = 100,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    numbers: Numbers = False,
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """List callbacks: the next due first, ended ones last, the newest first.

    ! marks an overdue one: its time has passed, and nobody is rung.

    \b
    Who will be called?
      vad-agent callbacks list
    What is the state of this client's callbacks?
      vad-agent callbacks list --state all --phone "8 912 345-67-89"
    Ids of those that need a number:
      vad-agent callbacks list --state needs_number --json | jq -r '.[].id'
    """
    from vad_agent.cli import callback_records as records
    from vad_agent.cli.callback_tables import print_list

    one_format(as_json, as_csv)
    which = None if state is WhichOption.ALL else state.value
    with reached(desk, config) as callbacks:
        found = callbacks.page(which, phone=phone, operator=operator, limit=limit + 1)
        look, zone = look_of(callbacks, numbers), callbacks.zone
    more = len(found) > limit
    found = found[:limit]
    if as_json or as_csv:
        mask = records.Mask.NOTHING if numbers else records.Mask.NUMBERS
        told = (records.record(callback, mask) for callback in found)
        with records.stdout() as out:
            if as_json:
                records.write_json_list(out, told)
            else:
                records.write_csv(out, told, zone)
    else:
        print_list(found, look)
    if more:
        complain(f"only the first {limit} are shown: --limit N shows more")


@callbacks_app.command(short_help="One callback with its history.")
def show(
    id: IdArgument,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    numbers: Numbers = False,
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Show a callback: what to say, its attempts, and who changed what, when and why.

    \b
    What has become of it?
      vad-agent callbacks show k3v9q0m2x7ha
    """
    with reached(desk, config) as callbacks:
        story = callbacks.get(found_one(callbacks, id).id)
        look = look_of(callbacks, numbers)
    if not as_json:
        look.show(story)
        return
    import json

    from vad_agent.cli import callback_records as records
    from vad_agent.client.api_models import StoryOut

    told = StoryOut.model_validate(story, from_attributes=True).model_dump(mode="json")
    mask = records.Mask.NOTHING if numbers else records.Mask.NUMBERS
    told["callback"] = records.record(story.callback, mask)
    with records.stdout() as out:
        out.write(json.dumps(told, ensure_ascii=False) + "\n")


@callbacks_app.command(short_help="Is every request accounted for? Status 1 if not.")
def promise(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Check that every accepted request is accounted for; status 1 if one is missing.

    A callback that the trace of a stored call asks for, and that nobody has requested a minute after
    the call's end, is lost, and missing too: the call is named, and make makes its callback.

    \b
    Is anything missing?
      vad-agent callbacks promise
    """
    from datetime import UTC, datetime

    from vad_agent.cli.callback_tables import print_lost, print_promise

    with reached(desk, config) as callbacks:
        told = callbacks.promise()
        lost = callbacks.lost_calls() if told.lost else []
        now = datetime.now(callbacks.zone if lost else UTC)
    if as_json:
        from vad_agent.client.api_models import PromiseOut

        print(PromiseOut.model_validate(told).model_dump_json())
    else:
        print_promise(told)
        print_lost(lost, now)
    if told.unaccounted:
        complain(f"{told.unaccounted} requests are not accounted for: keep the database as it is")
    if told.lost:
        complain(f"{told.lost} callbacks were never requested: vad-agent callbacks make CALL")
    if told.missing:
        raise typer.Exit(1)


for command, about in (
    (changes.accept, "You call by hand what is offered."),
    (changes.done, "Report an attempt's outcome, also of one made by hand."),
    (changes.cancel, "Cancel one."),
    (changes.retry, "Start all attempts anew, now; also of one that has ended."),
    (changes.number, "Set the number of one."),
    (changes.time, "Set another agreed time."),
    (changes.operator, "Hand one over to another operator."),
    (changes.called, "The client has called."),
    (changes.make, "Make the callback that a call's trace asks for."),
    (keeping.export, "Every callback, for a spreadsheet or a program."),
    (keeping.erase, "Erase names and numbers of those that ended long ago."),
    (keeping.key, "A new key to encrypt names and numbers with."),
):
    callbacks_app.command(short_help=about)(command)
