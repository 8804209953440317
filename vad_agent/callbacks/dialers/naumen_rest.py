"""Client of Naumen's REST v2 for one project.

    POST     /project/{project}/interaction/{session}      adjourn a call: 201; 405 in other projects
    POST     /projects/{project}/cases                     a case; one of the same id is not created again
    GET PUT  /projects/{project}/cases/{id}/state
    POST     /projects/{project}/phonenumbers-batch/list   the cases of a number

Assumed, because the guide does not say: a state is `"name"` or `{"state": "name"}`, and is sent as
the latter; the list takes `{"phoneNumbers": [{"number": …}]}` and answers `[{"caseId": …, "state":
…}]`; E.164 is accepted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from vad_agent.callbacks.dialers.base import DialRefused, DialRequest, DialUncertain
from vad_agent.callbacks.dialers.http_transport import SLOW_DOWN, HttpTransport
from vad_agent.callbacks.dialers.naumen_config import NaumenConfig
from vad_agent.errors import extra

with extra("callbacks", "a dialer"):
    import httpx

NOT_FOUND = 404
REFUSED = tuple(status for status in range(400, 500) if status != SLOW_DOWN)
PERHAPS_THERE = (400, 409, 422)
"""Statuses that may mean that the case exists already."""
LONGEST_COMMENT = 2000


class Untold(DialUncertain):
    """The server answered, but does not give the state of this attempt."""


class Project:
    """Calls and cases of one project. `now`: the clock, s since 1970.

    Raises:
        SettingsError: the URL is not valid, or contains a user.
    """

    def __init__(self, config: NaumenConfig, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._now = now
        headers = {} if config.run_as is None else {"X-NCC-RUN-AS-USER": config.run_as}
        if config.api_key is not None:
            headers |= {"Username": config.user, "X-API-Key": config.api_key}
        self._centre = HttpTransport(
            "naumen",
            f"{config.url.rstrip('/')}/api/v2",
            auth=None if config.password is None else (config.user, config.password),
            headers=headers,
            limit_s=config.limit_s,
            pause_s=config.pause_s,
        )
        project = quote(config.project, safe="")
        self._one = f"/project/{project}"
        self._all = f"/projects/{project}"

    def adjourn(self, dial_request: DialRequest, session: str) -> bool:
        """Adjourn the call. False: this call cannot be adjourned. Not repeatable.

        Raises:
            DialRefused: nothing was accepted.
            DialUncertain: it may have been accepted.
        """
        action = {
            "adjournDate": self._when(dial_request),
            "agentComment": _comment(dial_request),
            "agentLogin": dial_request.operator,
            "phone": dial_request.number,
            "timezone": self._config.timezone,
        }
        answer = self._centre.send(
            "POST",
            f"{self._one}/interaction/{quote(session, safe='')}",
            repeatable=False,
            accept=REFUSED,
            json={"adjournAction": _known(action)},
        )
        return answer.is_success

    def create(self, dial_request: DialRequest) -> bool:
        """Create a case with the key as its id. False: not accepted, perhaps because it exists.

        Raises:
            DialRefused: nothing was accepted.
            DialUncertain: it may have been accepted.
        """
        zone = self._config.timezone
        case = {
            "id": dial_request.key,
            "title": self._config.title,
            "operator": dial_request.operator,
            "state": self._config.adjourned_state,
            "phoneNumbers": [{"number": dial_request.number, "timezone": zone}],
            "priority": self._config.priority,
            "comment": _comment(dial_request),
            "timeZone": zone,
            "scheduledTime": self._when(dial_request),
        }
        path = f"{self._all}/cases"
        answer = self._centre.send(
            "POST", path, repeatable=True, accept=PERHAPS_THERE, json=_known(case)
        )
        return answer.is_success

    def put(self, key: str, state: str) -> None:
        """Put the case into a state.

        Raises:
            DialRefused: the change is not accepted.
            DialUncertain: it may have been accepted.
        """
        self._centre.send("PUT", self._state_of(key), repeatable=True, json={"state": state})

    def state(self, key: str, *, repeatable: bool = True) -> str | None:
        """The case's state. None: there is no such case.

        Raises:
            DialUncertain: the state cannot be determined.
        """
        answer = self._asked("GET", self._state_of(key), repeatable, accept=(NOT_FOUND,))
        if answer.status_code == NOT_FOUND:
            return None
        return _state_in(self._centre.json(answer))

    def states(self, number: str, *, repeatable: bool = True) -> dict[str, str]:
        """State of each case of a number, by Naumen's case id.

        Raises:
            DialUncertain: the states cannot be determined.
        """
        asked = {"phoneNumbers": [{"number": number}]}
        path = f"{self._all}/phonenumbers-batch/list"
        cases = self._centre.json(self._asked("POST", path, repeatable, json=asked))
        if not isinstance(cases, list) or not all(
            isinstance(case, dict) and case.get("caseId") for case in cases
        ):
            raise Untold("naumen: expected a list of cases with their ids")
        return {str(case["caseId"]): _state_in(case) for case in cases}

    def close(self) -> None:
        """Close the connections."""
        self._centre.close()

    def _state_of(self, key: str) -> str:
        return f"{self._all}/cases/{quote(key, safe='')}/state"

    def _asked(self, method: str, path: str, repeatable: bool, **request: Any) -> httpx.Response:
        try:
            return self._centre.send(method, path, repeatable=repeatable, **request)
        except DialRefused as error:  # a refused query says nothing about the case
            raise DialUncertain(str(error)) from error

    def _when(self, dial_request: DialRequest) -> str:
        """RFC 3339, not in the past: Naumen may refuse a time that is over."""
        now = datetime.fromtimestamp(self._now(), dial_request.due.tzinfo)
        return max(dial_request.due, now).isoformat(timespec="seconds")


def _state_in(said: object) -> str:
    state = said.get("state") if isinstance(said, dict) else said
    if not isinstance(state, str) or not state:
        raise Untold("naumen: expected a case's state")
    return state


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _comment(dial_request: DialRequest) -> str:
    """What the operator reads before the talk."""
    return "\n".join(filter(None, (dial_request.opening, dial_request.topic)))[:LONGEST_COMMENT]
