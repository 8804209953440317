"""`vad-agent callbacks accept`, done, cancel, retry, number, time, operator, called, make: changes."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.callback_arguments import (
    Config,
    DeskUrl,
    IdArgument,
    Why,
    checked_time,
    found_one,
    reached,
    tell,
)

if TYPE_CHECKING:
    from vad_agent.callbacks.model import Callback


class Said(StrEnum):
    """Outcomes that a person may report."""

    REACHED = "reached"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"
    FAILED = "failed"
    OPERATOR_UNAVAILABLE = "operator_unavailable"


def accept(
    id: IdArgument,
    operator: Annotated[
        str, typer.Option(metavar="LOGIN", help="Who calls. Default: your user name.")
    ] = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """You call the client of an offered callback by hand; the first who says so has it.

    A callback that is only offered is overdue a minute after its time.

    \b
    You are about to call:
      vad-agent callbacks accept k3v9q0m2x7ha
    """
    from vad_agent.common.identity import login

    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.accept(before.id, operator.strip() or login()))


def done(
    id: IdArgument,
    outcome: Annotated[Said, typer.Argument(metavar="OUTCOME", help="See above.")],
    by_hand: Annotated[
        bool,
        typer.Option("--by-hand", help="No attempt is under way: you have called by yourself."),
    ] = False,
    settles: Annotated[
        bool,
        typer.Option("--settles", help="With reached: nothing else promised to them is needed."),
    ] = False,
    why: Why = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Report an attempt's outcome: of the one under way, or, with --by-hand, of a call of your own.

    A second report within 2 s is the same one; reached corrects no_answer, busy and machine.

    \b
      reached               a person spoke
      no_answer, busy       called again, until the attempts are used up
      machine               an answering machine: as no_answer
      failed                nothing rang: no attempt is used up
      operator_unavailable  no operator was available: no attempt is used up

    \b
    You have talked to the client:
      vad-agent callbacks done k3v9q0m2x7ha reached
    The client did not answer a call from your own telephone:
      vad-agent callbacks done k3v9q0m2x7ha no_answer --by-hand --why "my mobile"
    The client was dropped, and needs no call at the agreed time any more:
      vad-agent callbacks done k3v9q0m2x7ha reached --settles
    """
    from vad_agent.callbacks.model import Outcome

    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        if settles and outcome is not Said.REACHED:
            raise typer.BadParameter("expected the outcome reached", param_hint="--settles")
        key = before.key if by_hand else None
        after = callbacks.done(before.id, Outcome(outcome.value), why, key=key, settles=settles)
        if after == before:
            print(f"{after.id}: unchanged, {_unchanged(outcome, before)}: {after.state}")
            return
        tell(callbacks, before, after)


def _unchanged(outcome: Said, callback: Callback) -> str:
    if outcome in (Said.FAILED, Said.OPERATOR_UNAVAILABLE):
        return "nothing rang"
    if callback.fixed and callback.due is not None and datetime.now(UTC) < callback.due:
        return "the agreed time is still to come"
    return "it was reported already"


def cancel(
    id: IdArgument,
    why: Why = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Cancel a callback: nobody calls any more.

    \b
    The client has written that the question is settled:
      vad-agent callbacks cancel k3v9q0m2x7ha --why "settled by mail"
    """
    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.cancel(before.id, why))


def retry(
    id: IdArgument,
    why: Why = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Start all attempts anew, now; also of a callback that has ended or needs a person.

    \b
    The dialer works again:
      vad-agent callbacks retry k3v9q0m2x7ha --why "the trunk was down"
    """
    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.retry(before.id, why))


def number(
    id: IdArgument,
    phone: Annotated[str, typer.Argument(metavar="PHONE", help="In any notation.")],
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Set a callback's number, for example in state needs_number; merges with the client's open callback.

    \b
    Found in the order:
      vad-agent callbacks number k3v9q0m2x7ha "8 912 345-67-89"
    """
    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.set_number(before.id, phone))


def time(
    id: IdArgument,
    at: Annotated[
        str,
        typer.Argument(
            metavar="ISO", callback=checked_time, help="Without a zone: in the centre's."
        ),
    ],
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Set the time agreed with the client.

    \b
    In the centre's zone:
      vad-agent callbacks time k3v9q0m2x7ha 2027-03-01T15:30
    """
    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.set_time(before.id, at))


def operator(
    id: IdArgument,
    login: Annotated[
        str, typer.Argument(metavar="LOGIN", help="Who calls. Without it: anybody.")
    ] = "",
    why: Why = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Hand a callback over to another operator; not while it is ringing.

    \b
    Anna has gone home:
      vad-agent callbacks operator k3v9q0m2x7ha boris
    """
    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.set_operator(before.id, login.strip() or None, why))


def called(
    phone: Annotated[str, typer.Argument(metavar="PHONE", help="In any notation.")],
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Close the callback of a client who has called.

    \b
    The client is on the line:
      vad-agent callbacks called "8 912 345-67-89"
    """
    with reached(desk, config) as callbacks:
        closed = callbacks.client_called(phone)
    print(
        "no callback is open for this number" if closed is None else f"{closed.id}: {closed.state}"
    )


def make(
    call: Annotated[
        str, typer.Argument(metavar="CALL", help="The call's id, as promise names it.")
    ],
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Make the callback that the stored trace of a call asks for, if nobody has requested it.

    The callback is the one that the call's own request would have made: if that comes later, it is
    not a second one.

    \b
    promise has named a lost call:
      vad-agent callbacks make pc-7-4711-0a1b2c3d
    """
    with reached(desk, config) as callbacks:
        made = callbacks.make(call)
        tell(callbacks, made, made)
