"""Joins owed callbacks with the desk's store: kept, late, or missing.

owed call ──id, else number and time──> callback ──first attempt──> kept
                                            │                       late, by so many seconds
                                            └── none ─────────────> missing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from vad_agent.callbacks.model import Callback, State
from vad_agent.callbacks.phone_numbers import normalised
from vad_agent.callbacks.store import id_of_call
from vad_agent.client.backend import Backend, CallbackDetails
from vad_agent.errors import NumberError

BEFORE, AFTER = timedelta(minutes=1), timedelta(hours=4)
"""A callback belongs to a call of its number if it was requested from `BEFORE` it to `AFTER` its end."""
MOST = 50
"""Callbacks of one number that are looked at."""
COLUMNS = ("id", "call", "number", "began", "seconds", "owed", "owed_at_s", "owed_due_in_s")


def joined(
    calls: Iterable[Mapping[str, Any]], desk: Backend, now: datetime
) -> Iterator[dict[str, Any]]:
    """A row for each call of the table that owes a callback.

    Raises:
        StoreError: the callbacks cannot be accessed.
    """
    for call in calls:
        if call["owed"]:
            found = _callback_of(call, desk)
            yield {"id": call["id"]} | _row(call, found, desk.overdue_s, now)


def _callback_of(call: Mapping[str, Any], desk: Backend) -> CallbackDetails | None:
    if call["call"] and (found := desk.find(id_of_call(call["call"]))) is not None:
        return desk.get(found.id)
    if call["number"] is None or call["began"] is None:
        return None
    try:
        phone = normalised(call["number"])
    except NumberError:
        return None
    begin = call["began"] - BEFORE
    end = call["began"] + timedelta(seconds=call["seconds"] or 0.0) + AFTER
    for one in sorted(desk.page(None, phone=phone, operator=None, limit=MOST), key=_created):
        details = desk.get(one.id)
        taken = [request.taken for request in details.requests] or [one.created]
        if any(begin <= moment <= end for moment in taken):
            return details
    return None


def _created(callback: Callback) -> datetime:
    return callback.created


def _row(
    call: Mapping[str, Any], found: CallbackDetails | None, overdue_s: float, now: datetime
) -> dict[str, Any]:
    promised = None
    if call["began"] is not None and call["owed_due_in_s"] is not None:
        seconds = call["owed_at_s"] + call["owed_due_in_s"]
        promised = call["began"] + timedelta(seconds=seconds)
    row: dict[str, Any] = {"promised": promised, "status": "missing"}
    if found is None:
        known = call["call"] or (call["number"] and call["began"])
        return row if known else row | {"status": "unknown"}
    callback = found.callback
    attempted = min((one.intent for one in found.attempts), default=None)
    due = max([one for one in (promised, _agreed(callback)) if one is not None], default=None)
    row |= {"callback": callback.id, "state": callback.state.value, "attempted": attempted}
    if attempted is None and callback.state is State.CLIENT_CALLED:
        return row | {"status": "kept"}
    if attempted is None and callback.state is State.CANCELLED:
        return row | {"status": "cancelled"}
    if due is None:
        return row | {"status": "kept" if attempted else "open"}
    late = ((attempted or now) - due).total_seconds()
    if late > overdue_s:
        return row | {"status": "late", "late_s": round(late, 1)}
    return row | {"status": "kept" if attempted else "open"}


def _agreed(callback: Callback) -> datetime | None:
    return callback.due if callback.fixed else None
