"""Dialer for the centre's own program: each request is posted to one URL, signed; outcomes come the
same way.

    POST   {url}         the request ──> 2xx, at best {"reference": "17"}; {"outcome": "busy"}: it has ended
    GET    {url}/{key}   ──> {"state": "ringing"} or {"outcome": "no_answer"}; 404: unknown key
    DELETE {url}/{key}   the attempt is no longer needed
    POST   /api/v1/hooks/webhook  <── {"key": "…", "outcome": "reached"}, or a list of such

Every message is signed, see `message_signing`. The request, with `Idempotency-Key: {key}`:

    {"key": "5f0c.1.1", "number": "+79123456789", "due": "2026-01-01T12:00:00+03:00", "attempt": 1,
     "attempts": 3, "operator": "petrova", "name": "Анна", "opening": "Вы просили перезвонить",
     "topic": "доставка", "reasons": ["client_inaudible"], "session": "77"}

`operator`, `name`, `topic` and `session` may be null. The same key again must get the same answer
and ring nobody: a request without an answer is sent again. Outcomes are those of `model.Outcome`,
with an optional `detail` of a few words. A duplicate outcome counts once.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    HookRefused,
    OutcomeReport,
    OutcomeReporter,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.dialers.http_transport import LIMIT_S, HttpTransport
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import DialError, SettingsError, extra

with extra("callbacks", "a dialer"):
    import httpx

NOT_FOUND = 404
KEY = re.compile(r"[A-Za-z0-9.-]{1,64}")
NUMBER = re.compile(r"\+?\d(?:[\s().-]*\d){4,}")
LONGEST_DETAIL = 200
LONGEST_REFERENCE = 255


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Where requests are sent. The URL may be secret too: in many systems it contains a token.

    Raises:
        SettingsError: the secret is too short.
    """

    url: str = field(repr=False)
    secret: str = field(repr=False)
    """Shared with the other side; at least 16 random characters."""
    limit_s: float = LIMIT_S
    """Seconds per try; there are three tries."""
    pause_s: float = 0.3
    """Seconds before the second try; twice that before the third."""

    def __post_init__(self) -> None:
        if len(self.secret) < message_signing.LEAST_SECRET:
            least = message_signing.LEAST_SECRET
            raise SettingsError("webhook", [f"secret: expected {least} characters at least"])


class WebhookDialer:
    """Requests and outcomes as signed messages. `now`: the clock, s since 1970.

    Raises:
        SettingsError: the URL is not valid, or contains a user.
    """

    name: ClassVar[str] = "webhook"

    def __init__(self, config: WebhookConfig, *, now: Callable[[], float] = time.time) -> None:
        self._secret = config.secret
        self._now = now
        self._centre = HttpTransport(
            self.name, config.url, limit_s=config.limit_s, pause_s=config.pause_s
        )
        self._url = httpx.URL(config.url)

    def dial(self, dial_request: DialRequest) -> Ringing | Ended:
        """Post the request; without an answer it is sent again with the same key.

        Raises:
            DialRefused: no connection, or refused.
            DialUncertain: no answer, or none that can be read.
        """
        body = json.dumps(asdict(dial_request) | {"due": dial_request.due.isoformat()}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": dial_request.key}
        answer = self._send("POST", self._url, body, headers)
        if not answer.content.strip():
            return Ringing()
        said = self._said(answer)
        if said.get("outcome") is not None:
            return self._ended(said)
        reference = said.get("reference")
        if isinstance(reference, int):
            reference = str(reference)
        if not isinstance(reference, str | None) or len(reference or "") > LONGEST_REFERENCE:
            raise DialUncertain("webhook: reference: expected a short text")
        return Ringing(reference or "")

    def status(self, key: str, reference: str) -> Ringing | Ended | Unknown:
        """Query the key. The other side identifies the attempt by the key alone.

        Raises:
            DialUncertain: no answer, or none that can be read.
        """
        try:
            answer = self._send("GET", self._of(key), accept=(NOT_FOUND,))
        except DialRefused as error:
            raise DialUncertain(str(error)) from error
        if answer.status_code == NOT_FOUND:
            return Unknown()
        said = self._said(answer)
        if said.get("outcome") is not None:
            return self._ended(said)
        if said.get("state") != "ringing":
            raise DialUncertain('webhook: state: expected "ringing", or an outcome')
        return Ringing(reference)

    def hang_up(self, key: str, reference: str) -> None:
        """Ask the other side to stop; it may be too late."""
        with contextlib.suppress(DialError):
            self._send("DELETE", self._of(key), accept=(NOT_FOUND,))

    def open(self, report: OutcomeReporter) -> None:
        """Nothing to connect: outcomes come through `receive`."""

    def close(self) -> None:
        """Close the connections."""
        self._centre.close()

    def receive(self, headers: Mapping[str, str], body: bytes) -> Sequence[OutcomeReport]:
        """The outcomes in a request: all of them, or none if one cannot be read.

        Raises:
            HookRefused: 401, not signed correctly; 422, not understood.
        """
        message_signing.check(self._secret, headers, body, self._now())
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise HookRefused("webhook: expected JSON") from None
        return [_told(one) for one in (said if isinstance(said, list) else [said])]

    def _of(self, key: str) -> httpx.URL:
        path, mark, query = self._url.raw_path.partition(b"?")
        path = path.rstrip(b"/") + b"/" + quote(key, safe="").encode()
        return self._url.copy_with(raw_path=path + mark + query)

    def _send(
        self,
        method: str,
        url: httpx.URL,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        return self._centre.send(
            method,
            str(url),  # the whole URL: joined to a base it would end with a slash
            repeatable=True,
            accept=accept,
            content=body,
            headers={**(headers or {}), **message_signing.signed(self._secret, body, self._now())},
        )

    def _said(self, answer: httpx.Response) -> dict[str, Any]:
        said = self._centre.json(answer)
        if not isinstance(said, dict):
            raise DialUncertain("webhook: expected a JSON object")
        return said

    def _ended(self, said: dict[str, Any]) -> Ended:
        outcome = _outcome(said)
        if outcome is None:
            raise DialUncertain("webhook: outcome: expected one of those documented")
        return Ended(outcome, _detail(said))


def _told(said: object) -> OutcomeReport:
    if not isinstance(said, dict):
        raise HookRefused("webhook: expected a JSON object, or a list of such")
    key = said.get("key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise HookRefused("webhook: key: expected the key of an order")
    outcome = _outcome(said)
    if outcome is None:
        raise HookRefused(f"webhook: outcome: expected one of {', '.join(Outcome)}")
    return OutcomeReport(key, outcome, _detail(said))


def _outcome(said: dict[str, Any]) -> Outcome | None:
    given = said.get("outcome")
    return Outcome(given) if isinstance(given, str) and given in set(Outcome) else None


def _detail(said: dict[str, Any]) -> str:
    """A short detail for logs and the panel, without telephone numbers."""
    detail = said.get("detail")
    return NUMBER.sub("…", detail)[:LONGEST_DETAIL] if isinstance(detail, str) else ""
