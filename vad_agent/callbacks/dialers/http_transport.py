"""HTTP requests to the centre: time limits, retries, and what a failure means for the call.

no connection, refused, 4xx, 3xx              nothing was accepted: DialRefused
no answer, cut, 5xx, 303, not readable        it may have been accepted: DialUncertain
the same, and no connection when retried      the first may have been accepted: DialUncertain

Errors and logs contain no body, header or URL.
"""

from __future__ import annotations

import functools
import logging
import ssl
import time
from collections.abc import Mapping
from typing import Any

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from vad_agent.callbacks.dialers.base import DialRefused, DialUncertain
from vad_agent.errors import SettingsError, extra

with extra("callbacks", "a dialer"):
    import httpx

logging.getLogger("httpx").setLevel(logging.WARNING)
"""At INFO httpx logs every URL, and in some centres the URL contains the token or the client's number."""

LIMIT_S = 10.0
TRIES = 3
MOST_BYTES = 1 << 20
"""Upper limit on an answer's size; no centre sends more."""
IDLE_S = 1.0
"""Seconds that an idle connection is kept.

Many servers close theirs after 5 s. A request that meets the closing is lost, and nobody can tell
whether it was accepted.
"""
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
SEE_OTHER = 303
"""The one redirect that confirms the request was carried out."""
SLOW_DOWN = 429
KEPT = ("content-type", "location", "retry-after")
"""Headers of an answer that are passed on. The others describe its encoding, which is already undone."""


class _NotNow(DialRefused):
    """Nothing was accepted; a retry may succeed."""


class HttpTransport:
    """One server of the centre. `name`: for errors, never a secret. `base`: its URL.

    `repeatable` requests are retried whenever that may help; others only if certainly nothing was
    accepted. `limit_s`: seconds per try.

    Raises:
        SettingsError: the URL is not valid, or contains a user.
    """

    def __init__(
        self,
        name: str,
        base: str,
        *,
        auth: httpx.Auth | tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float = LIMIT_S,
        pause_s: float = 0.3,
    ) -> None:
        self.name = name
        self._client = httpx.Client(
            base_url=_checked(name, base),
            auth=auth,
            headers=dict(headers or {}),
            verify=_tls(),
            timeout=httpx.Timeout(limit_s, connect=min(limit_s, 5.0)),
            limits=httpx.Limits(max_connections=100, keepalive_expiry=IDLE_S),
            trust_env=False,  # the machine's proxy is not for the centre's own servers
            follow_redirects=False,
        )
        self._limit_s = limit_s
        self._pause_s = pause_s

    def send(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        accept: tuple[int, ...] = (),
        **request: Any,
    ) -> httpx.Response:
        """Send a request. Return the answer: 2xx, or a status in `accept`.

        `path`: relative, or a whole URL; `request`: arguments of `httpx.Client.request`.

        Raises:
            DialRefused: nothing was accepted.
            DialUncertain: it may have been accepted.
        """
        doubtful = False

        def again(error: BaseException) -> bool:
            nonlocal doubtful
            if isinstance(error, DialUncertain):
                doubtful = True
                return repeatable
            return isinstance(error, _NotNow)

        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(self._pause_s, max=3.0) + wait_random(0, self._pause_s),
            retry=retry_if_exception(again),
            reraise=True,
        )
        try:
            answer: httpx.Response = tries(self._once, method, path, accept, request)
        except DialRefused as error:
            if doubtful:
                raise DialUncertain(f"{error}, after a try that may have been taken") from error
            raise
        return answer

    def _once(
        self, method: str, path: str, accept: tuple[int, ...], request: dict[str, Any]
    ) -> httpx.Response:
        if self._client.is_closed:
            raise DialRefused(f"{self.name}: closed")
        try:
            answer = self._answer(method, path, request)
        except NEVER_SENT as error:
            raise _NotNow(f"{self.name}: no connection ({type(error).__name__})") from error
        except httpx.LocalProtocolError:
            # from None: its text repeats the header that cannot be sent
            raise DialRefused(f"{self.name}: the request cannot be sent as it is") from None
        except httpx.HTTPError as error:
            raise DialUncertain(f"{self.name}: no answer ({type(error).__name__})") from error
        status = answer.status_code
        if answer.is_success or status in accept:
            return answer
        if status >= 500 or status == SEE_OTHER:
            raise DialUncertain(f"{self.name}: HTTP {status}")
        raise (_NotNow if status == SLOW_DOWN else DialRefused)(f"{self.name}: HTTP {status}")

    def _answer(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        """The whole answer. The limit applies once more to its body as a whole, not to each chunk."""
        body = bytearray()
        with self._client.stream(method, path, **request) as answer:
            until = time.monotonic() + self._limit_s
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise httpx.ReadError("too long an answer", request=answer.request)
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("too slow an answer", request=answer.request)
        kept = {name: answer.headers[name] for name in KEPT if name in answer.headers}
        return httpx.Response(
            answer.status_code, headers=kept, content=bytes(body), request=answer.request
        )

    def json(self, answer: httpx.Response) -> Any:
        """The answer's body.

        Raises:
            DialUncertain: the body is not JSON.
        """
        try:
            return answer.json()
        except (ValueError, RecursionError):
            # from None: the error contains the body
            raise DialUncertain(f"{self.name}: expected JSON, got something else") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@functools.cache
def _tls() -> ssl.SSLContext:
    """The machine's certificates, read once. A centre's own authority is there, not in a package's list."""
    return ssl.create_default_context()


def _checked(name: str, base: str) -> httpx.URL:
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        raise SettingsError(name, ["url: expected a URL"]) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError(name, ["url: expected http:// or https:// and a host"])
    if url.userinfo:
        raise SettingsError(name, ["url: a user in it would be shown: give it as a setting"])
    return url
