"""Input of a call session besides its frames.

Call control (from a PBX, a softphone, the operator's keys) and the player's reports share one form:
`{"kind": "hold", "party": "client", ...}`. An event that changes nothing (a second hold, an unhold
without a hold, anything after the end) is accepted and ignored, because providers send duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from vad_agent.errors import EventError


class EventKind(StrEnum):
    """The kind of event."""

    # call control
    RINGING = "ringing"
    ANSWERED = "answered"
    HOLD = "hold"
    UNHOLD = "unhold"
    HANGUP = "hangup"
    LINE_GONE = "line_gone"
    """The call's line is gone. Nothing says who ended the call, or how."""
    OPERATOR_MUTE = "operator_mute"
    OPERATOR_UNMUTE = "operator_unmute"
    # the operator's keys
    PAUSE = "pause"
    RESUME = "resume"
    CLIENT_NAME = "client_name"
    CLIENT_PHONE = "client_phone"
    CLIENT_CANNOT_HEAR = "client_cannot_hear"
    CALLBACK_AGREED = "callback_agreed"
    GOODBYE = "goodbye"
    GOODBYE_UNDONE = "goodbye_undone"
    # the player
    PROMPT_STARTED = "prompt_started"
    PROMPT_ENDED = "prompt_ended"
    PROMPT_FAILED = "prompt_failed"
    PLAYER_READY = "player_ready"
    # the devices
    DEVICE_LOST = "device_lost"
    DEVICE_BACK = "device_back"
    # the source
    SOURCE_ENDED = "source_ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `None` means "unknown", never "no"."""

    kind: EventKind
    party: str | None = None
    """Who caused it: operator, client, network."""
    cause: str | None = None
    """The provider's own cause text or Q.850 number."""
    name: str | None = None
    phone: str | None = None
    """The client's phone number."""
    at: str | None = None
    """Agreed time of a callback, ISO 8601."""
    topic: str | None = None
    prompt: str | None = None
    """The prompt that the player reports on."""
    text: str | None = None
    """The text that the player says, if it differs from the requested text."""
    latency_s: float | None = None
    """Seconds between the request for a prompt and its first sound."""
    call_id: str | None = None
    question: str | None = None
    """The id of the question about an ended call that this answers; None: it concerns the call that is
    on, or the newest question.
    """
    seq: int | None = None
    ts: str | None = None
    """Wall time of the event, ISO 8601, as the provider wrote it."""

    def to_dict(self) -> dict[str, object]:
        """The fields that are set, in the form that `parse` takes."""
        values = {name: getattr(self, name) for name in _FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def parse(cls, source: Event | Mapping[str, object] | str) -> Event:
        """Build an event from its JSON object, or from the bare name of its kind.

        Unknown keys are ignored, because providers add their own.

        Raises:
            EventError: no kind, an unknown kind, or a field of a wrong type.
        """
        if isinstance(source, Event):
            _check_party(source.kind, source.party)
            _latency(source.latency_s, source.kind)
            return source
        if isinstance(source, str):
            source = {"kind": source}
        if not isinstance(source, Mapping):
            raise EventError(f"event: expected an object with a kind, got {type(source).__name__}")
        try:
            kind = EventKind(source.get("kind"))  # type: ignore[arg-type]
        except ValueError:
            known = ", ".join(kind.value for kind in EventKind)
            raise EventError(
                f"event kind: expected one of {known}; got {source.get('kind')!r}"
            ) from None
        values: dict[str, object] = {}
        for name in _TEXT_FIELDS:
            value = source.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                value = str(value)  # Q.850 causes and timestamps arrive as numbers
            if value is not None and not isinstance(value, str):
                raise EventError(f"event {kind.value}: {name}: expected text, got {value!r}")
            if value is not None and not _is_whole(value):
                raise EventError(
                    f"event {kind.value}: {name}: expected text, got a lone surrogate in it"
                )
            values[name] = value
        seq = source.get("seq")
        if isinstance(seq, str) and seq.isascii() and seq.isdecimal() and len(seq) <= 20:
            seq = int(seq)  # some providers send numbers as strings
        if seq is not None and (isinstance(seq, bool) or not isinstance(seq, int)):
            raise EventError(f"event {kind.value}: seq: expected a whole number, got {seq!r}")
        _check_party(kind, values["party"])
        latency_s = _latency(source.get("latency_s"), kind)
        return cls(kind=kind, seq=seq, latency_s=latency_s, **values)  # type: ignore[arg-type]


def _is_whole(text: str) -> bool:
    """The text can be encoded. JSON can contain a lone surrogate, which cannot be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_party(kind: EventKind, party: object) -> None:
    if kind in _OF_DEVICES and party not in DEVICES:
        expected = ", ".join(DEVICES)
        raise EventError(f"event {kind.value}: party: expected one of {expected}, got {party!r}")


def _latency(value: object, kind: EventKind) -> float | None:
    if value is None and kind is not EventKind.PLAYER_READY:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= LONGEST_LATENCY_S:  # type: ignore[operator]
        expected = f"expected seconds from 0 to {LONGEST_LATENCY_S:g}"
        raise EventError(f"event {kind.value}: latency_s: {expected}, got {value!r}")
    return float(value)  # type: ignore[arg-type]


DEVICES = ("operator", "client", "prompt")
"""Values of `device` in device events."""
LONGEST_LATENCY_S = 1.0
_OF_DEVICES = (EventKind.DEVICE_LOST, EventKind.DEVICE_BACK)
_FIELDS = tuple(field.name for field in fields(Event))
_OTHER_FIELDS = ("kind", "seq", "latency_s")
_TEXT_FIELDS = tuple(name for name in _FIELDS if name not in _OTHER_FIELDS)
