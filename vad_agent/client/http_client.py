"""Backend on a desk elsewhere, or a separate process, through its API.

History records the token's name, as the desk configured it, and this process's user: `api:NAME:USER`.
"""

from __future__ import annotations

import contextlib
import ssl
import urllib.parse
from collections.abc import Iterator
from datetime import tzinfo
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vad_agent.callbacks.model import Callback, Outcome
from vad_agent.client.backend import NOT_BY_HTTP, CallbackDetails
from vad_agent.client.discovery import TOKEN_VARIABLE, token_file
from vad_agent.common.identity import login
from vad_agent.common.time_zones import machine_zone
from vad_agent.errors import NumberError, RuleError, SettingsError, StoreError, extra

with extra("callbacks", "a desk by HTTP"):
    import httpx
    from pydantic import TypeAdapter, ValidationError

    from vad_agent.callbacks.attempt_store import Attempt
    from vad_agent.callbacks.call_store import LostCall
    from vad_agent.callbacks.queries import Change, Promise, RequestEntry
    from vad_agent.client.api_models import PERSON

V1 = "/api/v1"
LIMIT_S = 15.0
CONNECT_S = 5.0
MOST_LISTED = 500
PASSES = 5
"""Passes over all callbacks while they change."""
OVERDUE_S = 60.0
MAYBE_DONE = "the request may have been carried out: check before you repeat it"
T = TypeVar("T")


class HttpBackend:
    """A desk at `url`, open until `close`. `trust`: the trusted certificates.

    Raises:
        SettingsError: the URL is not valid, or there is no token.
    """

    rings = True
    attempts: int | None = None
    overdue_s = OVERDUE_S

    def __init__(self, url: str, token: str | None, trust: ssl.SSLContext) -> None:
        self._url = checked_url(url)
        if token is None:
            raise SettingsError(self._url, [f"no token: {_how()}"])
        if not token.isascii() or not token.isprintable():
            raise SettingsError(self._url, [f"the token: expected letters and digits: {_how()}"])
        self._client = httpx.Client(
            base_url=self._url,
            headers={
                "Authorization": f"Bearer {token}",
                PERSON: urllib.parse.quote(login(), safe=""),
            },
            timeout=httpx.Timeout(LIMIT_S, connect=CONNECT_S),
            trust_env=False,
            verify=trust,
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @cached_property
    def zone(self) -> tzinfo:
        """As `Backend.zone`; this machine's if the desk's has no name, or the desk is of an older version."""
        name = self._get("/health").get("zone")
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
            if isinstance(name, str) and name:
                return ZoneInfo(name)
        return machine_zone()

    # -- queries
    # --------------------------------------------------------------------------------------

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        """As `Backend.page`."""
        found: dict[str, Callback] = {}
        for callback in self._pages(limit, state=which, phone=phone, operator=operator):
            found.setdefault(callback.id, callback)
            if len(found) == limit:
                break
        return list(found.values())

    def _pages(self, limit: int, **query: str | None) -> Iterator[Callback]:
        after: str | None = None
        wanted = {name: value for name, value in query.items() if value is not None}
        while True:
            asked: dict[str, Any] = wanted | {"limit": min(limit, MOST_LISTED)}
            body = self._get("/callbacks", asked | ({"after": after} if after else {}))
            yield from self._read(list[Callback], body.get("callbacks"))
            after = body.get("next")
            if after is None:
                return

    def find(self, id: str) -> Callback | None:
        """As `Backend.find`."""
        if not id.isascii() or not id.isalnum():
            return None
        answer = self._send("GET", f"/callbacks/{id}")
        if answer.status_code in (404, 422) and _error(answer):  # no such callback, or invalid id
            return None
        return self._read(Callback, self._body(answer).get("callback"))

    def get(self, id: str) -> CallbackDetails:
        """As `Backend.get`."""
        body = self._get(f"/callbacks/{id}")
        attempts = [{"callback": id, **one} for one in body.get("attempts", ())]
        return CallbackDetails(
            callback=self._read(Callback, body.get("callback")),
            attempts=self._read(tuple[Attempt, ...], attempts),
            history=self._read(tuple[Change, ...], body.get("history")),
            calls=self._read(tuple[str, ...], body.get("calls")),
            requests=self._read(tuple[RequestEntry, ...], body.get("requests", ())),
        )

    def promise(self) -> Promise:
        """As `Backend.promise`."""
        return self._read(Promise, self._get("/promise"))

    def lost_calls(self) -> list[LostCall]:
        """As `Backend.lost_calls`."""
        return self._read(list[LostCall], self._get("/calls/lost").get("calls"))

    def all(self) -> Iterator[Callback]:
        """As `Backend.all`.

        A callback that changes during the reading may move to another page: then all are read
        again.
        """
        found: dict[str, Callback] = {}
        for _ in range(PASSES):
            total = sum(self._read(dict[str, int], self._get("/numbers").get("by_state")).values())
            for which in ("open", "ended"):
                for callback in self._pages(MOST_LISTED, state=which):
                    found[callback.id] = callback
            if len(found) >= total:
                return iter(sorted(found.values(), key=lambda one: (one.created, one.id)))
        raise StoreError(f"{self._url}: the callbacks change while they are read: try again")

    # -- changes
    # --------------------------------------------------------------------------------------

    def make(self, call: str) -> Callback:
        """As `Backend.make`."""
        body = self._body(self._send("POST", "/calls/callback", body={"call": call}))
        return self._read(Callback, body.get("callback"))

    def accept(self, id: str, operator: str) -> Callback:
        """As `Backend.accept`."""
        return self._change(id, "accept", operator=operator)

    def done(
        self,
        id: str,
        outcome: Outcome,
        why: str,
        *,
        key: str | None = None,
        settles: bool = False,
    ) -> Callback:
        """As `Backend.done`."""
        named: dict[str, Any] = {} if key is None else {"key": key}
        settled = {"settles": True} if settles else {}
        return self._change(id, "outcome", outcome=outcome.value, why=why, **named, **settled)

    def cancel(self, id: str, why: str) -> Callback:
        """As `Backend.cancel`."""
        return self._change(id, "cancel", why=why)

    def retry(self, id: str, why: str) -> Callback:
        """As `Backend.retry`."""
        return self._change(id, "retry", why=why)

    def set_number(self, id: str, phone: str) -> Callback:
        """As `Backend.set_number`."""
        return self._change(id, "number", phone=phone)

    def set_time(self, id: str, at: str) -> Callback:
        """As `Backend.set_time`."""
        return self._change(id, "time", at=at)

    def set_operator(self, id: str, operator: str | None, why: str) -> Callback:
        """As `Backend.set_operator`."""
        return self._change(id, "operator", operator=operator, why=why)

    def _change(self, id: str, what: str, **body: Any) -> Callback:
        answer = self._send("POST", f"/callbacks/{id}/{what}", body=body)
        return self._read(Callback, self._body(answer))

    def client_called(self, phone: str, operator: str | None = None) -> Callback | None:
        """As `Backend.client_called`."""
        asked = {"phone": phone} | ({"operator": operator} if operator else {})
        body = self._body(self._send("POST", "/client-called", body=asked))
        callback = body.get("callback")
        return None if callback is None else self._read(Callback, callback)

    def erase(self, days: float) -> int:
        """Not allowed through the API."""
        raise RuleError(f"{self._url}: {NOT_BY_HTTP}")

    # -- requests
    # -------------------------------------------------------------------------------------

    def _get(self, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._body(self._send("GET", path, query=query))

    def _send(
        self, method: str, path: str, *, query: Any = None, body: Any = None
    ) -> httpx.Response:
        try:
            return self._client.request(method, V1 + path, params=query, json=body)
        except httpx.ConnectError as error:
            why = _cause(error)
            raise StoreError(f"{self._url}: no desk answers: {why}: does it run there?") from error
        except httpx.HTTPError as error:
            known = "" if method == "GET" else f": {MAYBE_DONE}"
            why = _cause(error)
            raise StoreError(f"{self._url}: the desk did not answer: {why}{known}") from error

    def _body(self, answer: httpx.Response) -> dict[str, Any]:
        """The body of a successful answer.

        Raises:
            SettingsError: the token is not accepted.
            RuleError, NumberError, StoreError: as the desk reports.
        """
        if answer.is_success:
            with contextlib.suppress(ValueError):
                if isinstance(body := answer.json(), dict):
                    return body
            raise StoreError(f"{self._url}: expected a desk there, but another program answers")
        error = _error(answer)
        text = error.get("text", "")
        if answer.status_code == 401:
            raise SettingsError(self._url, [f"the token is not accepted: {_how()}"])
        if answer.status_code == 403 and error:
            raise SettingsError(self._url, [text])
        if error.get("code") == "wrong_number":
            raise NumberError(text)
        if error and answer.status_code in (404, 409, 422):
            raise RuleError(text)
        if error:
            raise StoreError(f"{self._url}: {text}")
        status = answer.status_code
        raise StoreError(f"{self._url}: expected a desk there, got HTTP {status}: check the URL")

    def _read(self, kind: type[T], value: Any) -> T:
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise StoreError(
                f"{self._url}: {where}: the desk's answer cannot be read: is it of another version?"
            ) from None


def checked_url(url: str) -> str:
    """The URL of a desk, without anything after its path.

    Raises:
        SettingsError: it is not valid.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    plain = url.isascii() and url.isprintable() and " " not in url
    if not good or not plain or "@" in url or parts.query or parts.fragment:
        shown = "" if "@" in url else f", got {url!r}"
        raise SettingsError("--desk", [f"expected a URL such as http://desk:8600{shown}"])
    return url.rstrip("/").removesuffix(V1)


def _how() -> str:
    return f"set {TOKEN_VARIABLE} to one of the desk's, or put it into {token_file()}"


def _error(answer: httpx.Response) -> dict[str, str]:
    """The error that a desk reports; {} if the answer is not from a desk."""
    try:
        error = answer.json()["error"]
        return {"code": str(error["code"]), "text": " ".join(str(error["text"]).split())}
    except (ValueError, LookupError, TypeError):
        return {}


def _cause(error: Exception) -> str:
    """The system's text of the cause, without numbers and brackets."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    return str(error) or type(error).__name__
