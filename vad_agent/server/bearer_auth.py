"""Authenticates each program by a bearer token. Its name is recorded in history as `api:NAME`, with the
person for whom it acts, if it says so (`X-Person`), as `api:NAME:PERSON`.

Every path that is not listed as open needs a token, even one that does not exist; without a token
no body is read. Dialers' hooks are open here: their routes check the signature.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from typing import Annotated
from urllib.parse import unquote

from vad_agent.client.api_models import PERSON
from vad_agent.errors import SettingsError, extra
from vad_agent.web.error_responses import failed

with extra("callbacks", "the API"):
    from fastapi import Depends, Request, Security
    from fastapi.security import HTTPBearer
    from starlette.types import ASGIApp, Receive, Scope, Send

WHO = "vad_agent.who"
LEAST_TOKEN = 16
LONGEST_PERSON = 100
NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
NONE = 'Bearer realm="vad-agent"'
WRONG = f'{NONE}, error="invalid_token"'
POLICY_VIOLATION = 1008


class Tokens:
    """The accepted tokens, by name.

    Raises:
        SettingsError: no token, a short one, one that no header can contain, or one with two names.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        problems = [] if tokens else ["expected one token at least: nobody could ask"]
        for name, token in tokens.items():
            if not NAME.fullmatch(name):
                problems.append(f"{name[:40]!r}: expected a name of letters, digits, '.', '_', '-'")
            if len(token) < LEAST_TOKEN or not TOKEN.fullmatch(token):
                problems.append(
                    f"{name[:40]}: expected {LEAST_TOKEN} characters at least: "
                    "letters, digits and -._~+/ with = at the end"
                )
        if len(set(tokens.values())) < len(tokens):
            problems.append("expected another token for each name")
        if problems:
            raise SettingsError("tokens", problems)
        self._tokens = {name: token.encode() for name, token in tokens.items()}

    def who(self, header: bytes) -> str | None:
        """The name of the token in an `Authorization` header. None: an unknown token."""
        scheme, _, given = header.strip().partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        found = None
        for name, token in self._tokens.items():  # compare with all, in constant time
            if hmac.compare_digest(given.strip(), token):
                found = name
        return found


class BearerAuthMiddleware:
    """Requires a token. `open_paths`, and all paths below `open_below`, need none."""

    def __init__(
        self, app: ASGIApp, tokens: Tokens, open_paths: Collection[str], open_below: str
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._open_paths = frozenset(open_paths)
        self._open_below = open_below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        who = self._tokens.who(headers[0]) if len(headers) == 1 else None
        if who is not None:
            scope[WHO] = f"api:{who}"
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            text = "expected Authorization: Bearer TOKEN"
            challenge = {"WWW-Authenticate": WRONG if headers else NONE}
            await failed(401, text, headers=challenge)(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_below)


async def _authenticate(request: Request) -> str:
    who = str(request.scope[WHO])
    told = unquote(request.headers.get(PERSON, "")).encode(errors="replace").decode()
    person = "".join(sign for sign in told if sign.isprintable()).strip()[:LONGEST_PERSON]
    return f"{who}:{person}" if person else who


Who = Annotated[str, Depends(_authenticate)]
"""In a route: the name of the caller."""
BEARER = Security(HTTPBearer(auto_error=False, description="A token of this desk."))
"""Only for OpenAPI; `BearerAuthMiddleware` checks the token."""
