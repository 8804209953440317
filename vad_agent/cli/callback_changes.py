"""`vad-agent callbacks accept`, done, cancel, retry, number, time and called: changes by people."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

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
      vad-agent callbacks accept k3v
    """
    from vad_agent.common.identity import login

    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.accept(before.id, operator.strip() or login()))


def done(
    id: IdArgument,
    outcome: Annotated[Said, typer.Argument(metavar="OUTCOME", help="See above.")],
    why: Why = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Report an attempt's outcome: of the one under way, or of one that you made by hand.

    \b
      reached               a person spoke
      no_answer, busy       called again, until the attempts are used up
      machine               an answering machine: as no_answer
      failed                nothing rang: no attempt is used up
      operator_unavailable  no operator was available: no attempt is used up

    \b
    You have talked to the client:
      vad-agent callbacks done k3v reached
    The client did not answer a call from your own telephone:
      vad-agent callbacks done k3v no_answer --why "my mobile"
    """
    from vad_agent.callbacks.model import Outcome

    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        after = callbacks.done(before.id, Outcome(outcome.value), why)
        if after == before:
            print(f"{after.id}: unchanged, {_unchanged(outcome)}: {after.state}")
            return
        tell(callbacks, before, after)


def _unchanged(outcome: Said) -> str:
    if outcome in (Said.FAILED, Said.OPERATOR_UNAVAILABLE):
        return "nothing rang"
    return "the agreed time is still to come"


def cancel(
    id: IdArgument,
    why: Why = "",
    desk: DeskUrl = None,
    config: Config = None,
) -> None:
    """Cancel a callback: nobody calls any more.

    \b
    The client has written that the question is settled:
      vad-agent callbacks cancel k3v --why "settled by mail"
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
      vad-agent callbacks retry k3v --why "the trunk was down"
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
      vad-agent callbacks number k3v "8 912 345-67-89"
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
      vad-agent callbacks time k3v 2027-03-01T15:30
    """
    with reached(desk, config) as callbacks:
        before = found_one(callbacks, id)
        tell(callbacks, before, callbacks.set_time(before.id, at))


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
