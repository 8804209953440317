"""Authenticates each program by a bearer token, and checks that its scope permits the request. Its
owner is recorded in history: `api:NAME`, with the person for whom it acts, if it says so (`X-Person`),
`api:NAME:PERSON`; or `headset:LOGIN`.

Every path that is not listed as open needs a token, even one that does not exist; without a token,
or with one of another scope, no body is read. Dialers' hooks are open here: their routes check the
signature. Routes check whose callback or call it is (`ownership.py`).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated
from urllib.parse import unquote

from vad_agent.client.api_models import PERSON
from vad_agent.errors import SettingsError, extra
from vad_agent.web.authentication.access_tokens import (
    CREDENTIAL,
    NAME,
    AccessTokens,
    Credential,
    Scope,
)
from vad_agent.web.authentication.refusals import Attempted, Refusals
from vad_agent.web.error_responses import failed

with extra("callbacks", "the API"):
    from fastapi import Depends, Request, Security
    from fastapi.security import HTTPBearer
    from starlette.concurrency import run_in_threadpool
    from starlette.types import ASGIApp, Receive, Send
    from starlette.types import Scope as AsgiScope

LEAST_TOKEN = 16
LONGEST_PERSON = 100
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
NONE = 'Bearer realm="vad-agent"'
WRONG = f'{NONE}, error="invalid_token"'
SCOPE = f'{NONE}, error="insufficient_scope"'
POLICY_VIOLATION = 1008
V1 = "/api/v1"
_HEADSETS = re.compile(
    rf"GET {V1}/callbacks(/[^/]+)?|POST {V1}/callbacks(/[^/]+/(accept|outcome|cancel|number))?"
    rf"|POST {V1}/(client-called|calls|calls/ended|calls/withdrawn)|websocket {V1}/headsets"
)
PERMITTED = {
    Scope.HEADSET: _HEADSETS,
    Scope.PBX: _HEADSETS,
    Scope.CRM: re.compile(
        rf"[A-Z]+ {V1}/(callbacks(/.*)?|client-called|calls/(lost|callback)|promise|numbers|alarms"
        rf"|openapi\.json)"
        rf"|GET ({V1})?/metrics"
    ),
    Scope.METRICS: re.compile(rf"GET ({V1})?/metrics"),
}
"""Scope → "METHOD PATH" of all that it permits; `OWN` permits everything."""


class Tokens:
    """The accepted tokens: `own`, by name, permit everything; `crm`, by name, callbacks; `stored`:
    those of the store.

    Raises:
        SettingsError: no token, a short one, one that no header can contain, or one with two names.
    """

    def __init__(
        self,
        own: Mapping[str, str],
        crm: Mapping[str, str] | None = None,
        stored: AccessTokens | None = None,
    ) -> None:
        given = [(Scope.OWN, name, token) for name, token in own.items()]
        given += [(Scope.CRM, name, token) for name, token in (crm or {}).items()]
        problems = [] if given else ["expected one token at least: nobody could ask"]
        for _, name, token in given:
            if not NAME.fullmatch(name):
                problems.append(f"{name[:40]!r}: expected a name of letters, digits, '.', '_', '-'")
            if len(token) < LEAST_TOKEN or not TOKEN.fullmatch(token):
                problems.append(
                    f"{name[:40]}: expected {LEAST_TOKEN} characters at least: "
                    "letters, digits and -._~+/ with = at the end"
                )
        if len({token for _, _, token in given}) < len(given):
            problems.append("expected another token for each name")
        if problems:
            raise SettingsError("tokens", problems)
        self._given = [(Credential(scope, name), token.encode()) for scope, name, token in given]
        self._stored = stored

    async def credential(self, token: bytes) -> Credential | None:
        """The owner of a token. None: it is unknown."""
        found = self._find(token)
        if found is None and self._stored is not None:
            await run_in_threadpool(self._stored.look_again)
            found = self._find(token)
        return found

    def _find(self, token: bytes) -> Credential | None:
        found = None
        for credential, known in self._given:  # compare with all, in constant time
            if hmac.compare_digest(token, known):
                found = credential
        if found is None and self._stored is not None:
            found = self._stored.find(token.decode("ascii", "replace"))
        return found


class BearerAuthMiddleware:
    """Requires a token. `open_paths`, and all paths below `open_below`, need none.

    `refusals`: counts wrong tokens, and slows them.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        open_paths: Collection[str],
        open_below: str,
        refusals: Refusals | None = None,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._open_paths = frozenset(open_paths)
        self._open_below = open_below
        self._refusals = refusals or Refusals()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        token = _bearer(headers[0]) if len(headers) == 1 else None
        credential = None if token is None else await self._tokens.credential(token)
        if credential is not None and _permits(credential, scope):
            scope[CREDENTIAL] = credential
            await self._app(scope, receive, send)
            return
        status, text, challenge = 401, "expected Authorization: Bearer TOKEN", NONE
        if credential is not None:
            status, challenge = 403, SCOPE
            text = f"a token of {credential.scope.value} does not permit this: see docs/centre.md"
        elif headers:
            challenge = WRONG
            shown = "" if token is None else token.decode("ascii", "replace")
            await self._refusals.refuse(Attempted.TOKEN, _address(scope), shown)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            headers_out = {"WWW-Authenticate": challenge}
            await failed(status, text, headers=headers_out)(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_below)


def _bearer(header: bytes) -> bytes | None:
    scheme, _, given = header.strip().partition(b" ")
    return given.strip() if scheme.lower() == b"bearer" else None


def _permits(credential: Credential, scope: AsgiScope) -> bool:
    permitted = PERMITTED.get(credential.scope)
    what = f"{scope.get('method', 'websocket')} {scope['path']}"
    return permitted is None or permitted.fullmatch(what) is not None


def _address(scope: AsgiScope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


async def _authenticate(request: Request) -> Credential:
    credential: Credential = request.scope[CREDENTIAL]
    told = unquote(request.headers.get(PERSON, "")).encode(errors="replace").decode()
    person = "".join(sign for sign in told if sign.isprintable()).strip()[:LONGEST_PERSON]
    return replace(credential, person=person)


Caller = Annotated[Credential, Depends(_authenticate)]
"""In a route: the owner of the token, with the person for whom it acts."""


async def _who(caller: Caller) -> str:
    return caller.who


Who = Annotated[str, Depends(_who)]
"""In a route: the caller, for history."""
BEARER = Security(HTTPBearer(auto_error=False, description="A token of this desk."))
"""Only for OpenAPI; `BearerAuthMiddleware` checks the token."""
