"""Dialer for Mango Office: a command by HTTP, the result by webhooks. The operator's leg rings first.

    POST {url}/vpbx/commands/callback        {command_id, from: {extension}, to_number}
    POST {url}/vpbx/commands/callback_group  {command_id, from, to}: anybody of a group
        <── {"result": 1000}: accepted; 5xxx: perhaps; any other: refused
    <── /result/callback  {command_id, result}        refused after all
    <── /events/call      {command_id, entry_id, call_id, seq, call_state, from, to, …}, for each leg
    <── /events/summary   {entry_id, entry_result, talk_time, end_time, disconnect_reason}, the last one

Both directions use forms: vpbx_api_key, json, sign = sha256(key + json + salt). Mango appends those
paths to the configured address; here the fields of a body identify its kind. Events arrive more
than once and in any order. Only the summary ends an attempt, and it waits, by `seq`, for the events
that it needs. The summary has no command id; an event with the same `entry_id` has it. `talk_time`
is the time at which the talk began, not its length.

    reached                entry_result 1, the client's leg was connected, talked for `talk_s`
    busy, no_answer        the client's leg existed: by the reason; or the talk was shorter
    failed                 reasons of numbers, directions, money and Mango's own errors: nothing rang
    operator_unavailable   no operator's leg was connected, so the client's was not begun

The formats are those of Mango's description of its API 1.9 and its published codes. Assumed: the
client's leg is the one with the operator's extension in `from` (the description also puts there the
leg it was taken from); `seq` counts the events of a leg from 1. Mango does not report machines: a
talk of `talk_s` with a machine counts as a talk with a person. Mango does not deduplicate commands
by id and cannot be queried for one. What was not seen here since the start stays uncertain, until
the desk's time limit makes it lost.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    OutcomeReport,
    OutcomeReporter,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.dialers.http_transport import LIMIT_S, HttpTransport
from vad_agent.callbacks.dialers.mango_calls import (
    DONE,
    NOBODY,
    MangoLeg,
    Seen,
    decide,
    number_of,
    of_client,
)
from vad_agent.callbacks.dialers.mango_signing import MangoKeys
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError

T = TypeVar("T")
LOG = logging.getLogger(__name__)
EXTENSION = re.compile(r"[0-9]{1,10}", re.ASCII)
NUMBER = re.compile(r"\+[0-9]{3,15}", re.ASCII)
KEY = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
MOST_KEPT = 2000


@dataclass(frozen=True, slots=True)
class MangoConfig:
    """The account, and who rings."""

    api_key: str = field(repr=False)
    salt: str = field(repr=False)
    url: str = "https://app.mango-office.ru"
    any_operator: str = ""
    """Extension of a group. "": a request without an operator cannot be dialled."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """Operators' extensions by login. An operator who is not listed has their login as extension."""
    line_number: str = ""
    """The number that the client sees. "": the account's own."""
    talk_s: int = 10
    """Seconds. A talk of at least this length counts as a talk with a person."""


class MangoDialer:
    """Dials through Mango's API; receives outcomes as `Hooked`."""

    name: ClassVar[str] = "mango"

    def __init__(
        self, config: MangoConfig, *, limit_s: float = LIMIT_S, pause_s: float = 0.3
    ) -> None:
        self._config = config
        self._account = MangoKeys(config.api_key, config.salt)
        self._centre = HttpTransport("mango", config.url, limit_s=limit_s, pause_s=pause_s)
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._keys: OrderedDict[str, str] = OrderedDict()  # by entry_id
        self._early: OrderedDict[str, dict[str, Any]] = OrderedDict()  # summaries before events

    def open(self, report: OutcomeReporter) -> None:
        """Nothing to connect: outcomes come through `receive`."""

    def close(self) -> None:
        """Close the connections."""
        self._centre.close()

    def dial(self, dial_request: DialRequest) -> Ringing | Ended:
        """Send the command for the call.

        Raises:
            DialRefused: Mango refuses, nothing rings.
            DialUncertain: the operator, and after them the client, may be rung.
        """
        if not NUMBER.fullmatch(dial_request.number):
            raise DialRefused("mango: expected a number in E.164")
        path, command = self._command(dial_request)
        if not path:
            return Ended(Outcome.OPERATOR_UNAVAILABLE, "no extension of his is known, and no group")
        with self._lock:
            known = self._seen.get(dial_request.key)
            if known is None:
                _keep(self._seen, dial_request.key, Seen())
        if known is not None:
            return self._known(known)  # a second command would ring them twice
        try:
            result = self._send(path, command)
        except DialRefused:
            self._drop(dial_request.key)
            raise
        if result == DONE:
            with self._lock:
                self._seen.setdefault(dial_request.key, Seen()).taken = True
            return self._known(self._seen.get(dial_request.key))
        if result >= 5000:
            raise DialUncertain(f"mango: result {result}")
        self._drop(dial_request.key)
        if result in NOBODY:
            return Ended(Outcome.OPERATOR_UNAVAILABLE, f"result {result}")
        raise DialRefused(f"mango: result {result}")

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """What was seen of the key since the start.

        Raises:
            DialUncertain: nothing was seen, and Mango itself cannot be queried.
        """
        with self._lock:
            seen = self._seen.get(key)
        return self._known(seen)

    def hang_up(self, key: str, reference: str) -> None:
        """Hang up the ringing legs if the client is not connected yet."""
        with self._lock:
            seen = self._seen.get(key, Seen())
            if any(leg.client and leg.connected for leg in seen.legs.values()):
                return
            legs = [id for id, leg in seen.legs.items() if not leg.gone]
        for id in legs:
            try:
                command = {"command_id": f"{key}-stop", "call_id": id}
                self._send("/vpbx/commands/call/hangup", command)
            except DialError:
                LOG.warning("a call that is no longer needed could not be stopped")

    def receive(self, headers: Mapping[str, str], body: bytes) -> Sequence[OutcomeReport]:
        """The outcome that a webhook decides, if any. A duplicate gives the same outcome again.

        Raises:
            HookRefused: not signed with this account's keys, or not readable.
        """
        told = self._account.opened(body)
        with self._lock:
            if "call_state" in told:
                key = self._heard(told)
            elif "entry_result" in told:
                key = self._summed_up(told)
            elif "result" in told:
                return self._refused(told)
            else:
                return ()  # recordings, DTMF and others
            seen = self._seen.get(key or "")
            if key is None or seen is None:
                return ()
            before = seen.ended
            seen.ended = seen.ended or decide(seen, self._config.talk_s)
            if seen.ended is None or (before is not None and "entry_result" not in told):
                return ()
            return (OutcomeReport(key, seen.ended.outcome, seen.ended.detail),)

    # -- commands ----------------------------------------------------------------------------------

    def _command(self, dial_request: DialRequest) -> tuple[str, dict[str, Any]]:
        digits = dial_request.number.lstrip("+")
        line = {"line_number": self._config.line_number} if self._config.line_number else {}
        if dial_request.operator is not None:
            extension = self._config.extensions.get(dial_request.operator, dial_request.operator)
            if not EXTENSION.fullmatch(extension):
                return "", {}
            who = {"from": {"extension": extension}, "to_number": digits}
            return "/vpbx/commands/callback", {"command_id": dial_request.key, **who, **line}
        if not self._config.any_operator:
            return "", {}
        group = {"from": self._config.any_operator, "to": digits}
        return "/vpbx/commands/callback_group", {"command_id": dial_request.key, **group, **line}

    def _send(self, path: str, command: dict[str, Any]) -> int:
        form = self._account.form(command)
        answer = self._centre.json(self._centre.send("POST", path, repeatable=False, data=form))
        result = number_of(answer.get("result")) if isinstance(answer, dict) else None
        if result is None:
            raise DialUncertain("mango: expected a result in its answer")
        return result

    def _drop(self, key: str) -> None:
        with self._lock:
            self._seen.pop(key, None)

    def _known(self, seen: Seen | None) -> Ringing | Ended:
        if seen is not None and seen.ended is not None:
            return seen.ended
        if seen is not None and (seen.taken or seen.legs):
            return Ringing()
        raise DialUncertain("mango: no event of it has come yet")

    # -- webhooks ----------------------------------------------------------------------------------

    def _heard(self, told: dict[str, Any]) -> str | None:
        """Process a leg's event. Return its key, if it belongs to a command."""
        key, entry, id = (told.get(name) for name in ("command_id", "entry_id", "call_id"))
        seq = number_of(told.get("seq"))
        if not isinstance(key, str) or not KEY.fullmatch(key) or seq is None:
            return None
        if not isinstance(entry, str) or not isinstance(id, str):
            return None
        if key not in self._seen:
            _keep(self._seen, key, Seen())
        seen = self._seen[key]
        leg = seen.legs.setdefault(id, MangoLeg())
        leg.seqs.add(seq)
        leg.client |= of_client(told)
        leg.connected |= told["call_state"] in ("Connected", "OnHold")
        leg.gone |= told["call_state"] == "Disconnected"
        _keep(self._keys, entry, key)
        if (early := self._early.pop(entry, None)) is not None:
            seen.summary = early
        return key

    def _summed_up(self, told: dict[str, Any]) -> str | None:
        entry = told.get("entry_id")
        if not isinstance(entry, str):
            return None
        key = self._keys.get(entry)
        if key is None or key not in self._seen:
            _keep(self._early, entry, told)
            return None
        self._seen[key].summary = told
        return key

    def _refused(self, told: dict[str, Any]) -> Sequence[OutcomeReport]:
        key, result = told.get("command_id"), number_of(told.get("result"))
        seen = self._seen.get(key) if isinstance(key, str) else None
        if not isinstance(key, str) or seen is None or result in (None, DONE) or seen.legs:
            return ()
        outcome = Outcome.OPERATOR_UNAVAILABLE if result in NOBODY else Outcome.FAILED
        seen.ended = seen.ended or Ended(outcome, f"result {result}")
        return (OutcomeReport(key, seen.ended.outcome, seen.ended.detail),)


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)
