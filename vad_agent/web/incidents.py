"""Incidents for the supervisor: every current problem, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from vad_agent.callbacks.alerts import DeskAlert, Kind
from vad_agent.callbacks.call_store import LostCall
from vad_agent.callbacks.model import UNCONFIRMED, Callback
from vad_agent.web.supervisor_labels import ALARMS, OVERDUE, UNKNOWN_END

OF_CALLBACKS = frozenset(
    {
        Kind.OVERDUE,
        Kind.NEEDS_NUMBER,
        Kind.NEEDS_TIME,
        Kind.NEEDS_PERSON,
        Kind.UNREPORTED,
    }
)
"""Alerts about a callback."""
SILENT = frozenset({Kind.NEEDS_NUMBER, Kind.NEEDS_TIME})
"""Not critical before the due time: the list of callbacks shows them."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One problem. `key`: constant while it lasts; `since`: None if unknown."""

    key: str
    text: str
    since: datetime | None
    callback: Callback | None = None
    about: str = ""
    """A callback's id, if it is not in `callback`."""
    detail: str = ""
    call: LostCall | None = None
    """The call whose callback was never requested."""


def find_incidents(
    overdue: Sequence[Callback],
    missing: int,
    alarms: Iterable[DeskAlert],
    not_ready: Iterable[str],
    lost: Sequence[LostCall] = (),
) -> list[Incident]:
    """Missing requests first, then those that were never made, then callbacks, the longest overdue
    first, then the rest.
    """
    found = []
    if missing:
        text = f"Просьбы о перезвоне не сходятся: потеряно {missing}"
        found.append(Incident("promise", text, None))
    for call in lost:
        key = f"{Kind.LOST.value} {call.call}"
        found.append(Incident(key, ALARMS[Kind.LOST], call.ended, call=call))
    for one in overdue:
        since = one.due or one.created
        text = OVERDUE[one.state]
        if UNCONFIRMED in one.reasons:
            text = f"{text}. {UNKNOWN_END}"
        found.append(Incident(f"callback {one.id}", text, since, one))
    told = {one.id for one in overdue}
    for alarm in alarms:
        if alarm.kind in OF_CALLBACKS and (alarm.about in told or alarm.kind in SILENT):
            continue
        if (alarm.kind is Kind.PROMISE and missing) or alarm.kind is Kind.LOST:
            continue
        about = alarm.about if alarm.kind in OF_CALLBACKS else ""
        detail = alarm.detail if about else " ".join(filter(None, (alarm.about, alarm.detail)))
        key = f"{alarm.kind.value} {alarm.about}"
        found.append(Incident(key, ALARMS[alarm.kind], alarm.since, None, about, detail))
    if failing := sorted(not_ready):
        found.append(
            Incident("not ready", "Сервер не справляется", None, detail=", ".join(failing))
        )
    return found
