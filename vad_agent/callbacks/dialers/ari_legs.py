"""The two legs of a call as requests to Asterisk's REST interface. Errors: see `http_transport.py`."""

from __future__ import annotations

import contextlib
from typing import Any

from vad_agent.callbacks.dialers.base import DialUncertain
from vad_agent.callbacks.dialers.http_transport import HttpTransport
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError

OPERATOR, CLIENT = "op", "cl"
BUSY = 17
NEVER_RANG = frozenset({1, 2, 3, 5, 6, 27, 28, 29, 34, 38, 41, 42, 44, 47})
NEVER_RANG |= frozenset(range(50, 100))
"""Q.850 causes where the network did not reach the client's telephone: no such number, no route, no
circuit, congestion, not allowed, not possible.
"""
NO_CHANNEL = 500
TAKEN = 409
GONE = 404


def leg_of(key: str, leg: str) -> str:
    """The channel's id. Asterisk refuses a second channel with the same id."""
    return f"{key}-{leg}"


def no_answer_of(cause: object, *, rang: bool) -> tuple[Outcome, str]:
    """The outcome of a client's leg that ended unanswered. `cause`: Q.850, in any type."""
    known = cause if isinstance(cause, int) else 0
    if known == BUSY:
        return Outcome.BUSY, ""
    if known in NEVER_RANG and not rang:
        return Outcome.FAILED, f"it did not ring (cause {known})"
    return Outcome.NO_ANSWER, f"cause {known}" if known else ""


class Legs:
    """Requests for the legs of calls, by their key. All raise DialRefused or DialUncertain."""

    def __init__(
        self, url: str, auth: tuple[str, str], app: str, *, limit_s: float, pause_s: float
    ) -> None:
        self.url = f"{url.rstrip('/')}/ari"
        self._app = app
        self._centre = HttpTransport(
            "asterisk", self.url, auth=auth, limit_s=limit_s, pause_s=pause_s
        )

    def ring(self, key: str, leg: str, endpoint: str, ring_s: int, caller_id: str) -> bool:
        """Create the leg, or find that it exists. False: Asterisk could not create it, nothing rings."""
        told: dict[str, Any] = {  # in the body, because URLs appear in logs
            "endpoint": endpoint,
            "app": self._app,
            "appArgs": key,
            "channelId": leg_of(key, leg),
            "timeout": ring_s,
        }
        if caller_id:
            told["callerId"] = caller_id
        answer = self._centre.send(
            "POST", "/channels", repeatable=False, accept=(TAKEN, NO_CHANNEL), json=told
        )
        return answer.status_code != NO_CHANNEL

    def state(self, key: str, leg: str) -> str | None:
        """Down, Ring, Ringing, Up and others. None: there is no such leg."""
        path = f"/channels/{leg_of(key, leg)}"
        answer = self._centre.send("GET", path, repeatable=True, accept=(GONE,))
        if answer.status_code == GONE:
            return None
        return self._text(answer, "state")

    def is_machine(self, key: str) -> bool:
        """The result of AMD() on the client's leg. False also if it cannot be queried."""
        path = f"/channels/{leg_of(key, CLIENT)}/variable"
        try:
            answer = self._centre.send(
                "GET",
                path,
                repeatable=False,
                accept=(GONE, TAKEN),
                params={"variable": "AMDSTATUS"},
            )
            return answer.is_success and self._text(answer, "value") == "MACHINE"
        except DialError:
            return False

    def examine(self, key: str, context: str) -> None:
        """Send the client's leg to this context of the dialplan, which returns it to the application."""
        self._centre.send(
            "POST",
            f"/channels/{leg_of(key, CLIENT)}/continue",
            repeatable=False,
            json={"context": context, "extension": key, "priority": 1},
        )

    def join(self, key: str) -> None:
        """Bridge the two legs."""
        self._centre.send("POST", f"/bridges/{key}", repeatable=True, json={"type": "mixing"})
        # A list: of a body Asterisk takes a text with a comma for one channel's id.
        both = [leg_of(key, OPERATOR), leg_of(key, CLIENT)]
        self._centre.send(
            "POST", f"/bridges/{key}/addChannel", repeatable=True, json={"channel": both}
        )

    def hang_up(self, key: str) -> None:
        """Hang up both legs, the client's first."""
        for leg in (CLIENT, OPERATOR):
            path = f"/channels/{leg_of(key, leg)}"
            self._centre.send("DELETE", path, repeatable=True, accept=(GONE,))

    def part(self, key: str) -> None:
        """Destroy the bridge."""
        self._centre.send("DELETE", f"/bridges/{key}", repeatable=True, accept=(GONE,))

    def subscribe(self, key: str) -> None:
        """Subscribe to the legs' events again; legs that are gone are not an error."""
        for leg in (OPERATOR, CLIENT):
            self._centre.send(
                "POST",
                f"/applications/{self._app}/subscription",
                repeatable=True,
                accept=(400, GONE, 422),
                params={"eventSource": f"channel:{leg_of(key, leg)}"},
            )

    def mark(self, key: str, stage: str) -> None:
        """Store in Asterisk the stage that the call is about to enter."""
        params = {"variable": _variable(key), "value": stage}
        self._centre.send("POST", "/asterisk/variable", repeatable=True, params=params)

    def marked(self, key: str) -> str:
        """The stored stage. "": nothing was ever requested."""
        params = {"variable": _variable(key)}
        answer = self._centre.send("GET", "/asterisk/variable", repeatable=True, params=params)
        return self._text(answer, "value")

    def forget(self, key: str) -> None:
        """Delete the stored stage. A remaining one does no harm."""
        with contextlib.suppress(DialError):
            self._centre.send(
                "POST", "/asterisk/variable", repeatable=False, params={"variable": _variable(key)}
            )

    def close(self) -> None:
        """Close the connections."""
        self._centre.close()

    def _text(self, answer: Any, name: str) -> str:
        told = self._centre.json(answer)
        value = told.get(name) if isinstance(told, dict) else None
        if not isinstance(value, str):  # never read as "nothing": the client would be dialled again
            raise DialUncertain(f"asterisk: expected {name} in its answer")
        return value


def _variable(key: str) -> str:
    """The name of the key's variable. Unique, because no key contains an underscore."""
    return "VADAGENT_" + key.replace(".", "_d").replace("-", "_h")
