"""Mango's signature, in both directions: a form with vpbx_api_key, json, sign = sha256(key + json + salt)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from vad_agent.callbacks.dialers.base import HookRefused


@dataclass(frozen=True, slots=True)
class MangoKeys:
    """The keys of an account."""

    api_key: str = field(repr=False)
    salt: str = field(repr=False)

    def form(self, command: Mapping[str, Any]) -> dict[str, str]:
        """The fields of a signed command."""
        text = json.dumps(command)
        return {"vpbx_api_key": self.api_key, "sign": self._sign(text), "json": text}

    def opened(self, body: bytes) -> dict[str, Any]:
        """What a webhook says.

        Raises:
            HookRefused: not signed with these keys, or not readable.
        """
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            raise HookRefused("mango: expected a form") from None
        key, sign, text = (
            form.get(name, "").encode("utf-8", "replace")
            for name in ("vpbx_api_key", "sign", "json")
        )
        known = hmac.compare_digest(key, self.api_key.encode())
        signed = hmac.compare_digest(sign, self._sign(text.decode()).encode())
        if not (known and signed):
            raise HookRefused("mango: the signature is not this account's", 401)
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise HookRefused("mango: expected an object in json")
        return told

    def _sign(self, text: str) -> str:
        return hashlib.sha256((self.api_key + text + self.salt).encode()).hexdigest()
