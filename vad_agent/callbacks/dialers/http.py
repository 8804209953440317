"""HTTP to the centre: time limits, tries, and what a failure means for the client's telephone.

no connection, refused, 4xx          nothing was taken: DialRefused
no answer, cut, 5xx, not readable    it may have been taken: DialUncertain
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from vad_agent.callbacks.dialers.port import DialRefused, DialUncertain
from vad_agent.errors import extra

with extra("callbacks", "a dialer"):
    import httpx

LIMIT_S = 10.0
TRIES = 3
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
SLOW_DOWN = 429


class Centre:
    """One server of the centre's. `name`: for errors, never a secret; `base`: its URL.

    `repeatable` requests are tried again wherever that may help; others only where certainly nothing
    was taken.
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
            base_url=base,
            auth=auth,
            headers=dict(headers or {}),
            timeout=httpx.Timeout(limit_s, connect=min(limit_s, 5.0)),
            trust_env=False,  # no proxy of the machine's: the centre's own
            follow_redirects=False,
        )
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
        """The answer: 2xx, or a status in `accept`. `request`: as `httpx.Client.request` has it.

        Raises:
            DialRefused: nothing was taken.
            DialUncertain: it may have been taken.
        """

        def again(error: BaseException) -> bool:
            if isinstance(error, DialRefused):
                return error.__cause__ is not None or _slow_down(error)
            return repeatable and isinstance(error, DialUncertain)

        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(initial=self._pause_s, max=3.0, jitter=self._pause_s),
            retry=retry_if_exception(again),
            reraise=True,
        )
        answer: httpx.Response = tries(self._once, method, path, accept, request)
        return answer

    def _once(
        self, method: str, path: str, accept: tuple[int, ...], request: dict[str, Any]
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **request)
        except NEVER_SENT as error:
            raise DialRefused(f"{self.name}: no connection ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise DialUncertain(f"{self.name}: no answer ({type(error).__name__})") from error
        if answer.is_success or answer.status_code in accept:
            return answer
        if answer.status_code >= 500:
            raise DialUncertain(f"{self.name}: HTTP {answer.status_code}")
        raise DialRefused(f"{self.name}: HTTP {answer.status_code}")

    def json(self, answer: httpx.Response) -> Any:
        """The answer's body.

        Raises:
            DialUncertain: it is no JSON.
        """
        try:
            return answer.json()
        except ValueError as error:
            raise DialUncertain(f"{self.name}: expected JSON, got something else") from error

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()


def _slow_down(error: DialRefused) -> bool:
    return str(error).endswith(f"HTTP {SLOW_DOWN}")
