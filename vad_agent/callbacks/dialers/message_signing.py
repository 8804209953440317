"""Authenticates sender and time of a message: HMAC-SHA256 over its time and its bytes, in both
directions.

    X-Vad-Agent-Timestamp: 1767225600                     s since 1970, of the sender's clock
    X-Vad-Agent-Signature: v1=9f86d081884c…               hex HMAC-SHA256(secret, timestamp "." body)

A message is valid for 5 minutes around its time, so that a copy is worthless afterwards. Both
clocks must be correct. Only time and body are signed: https alone protects method and path.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from vad_agent.callbacks.dialers.base import HookRefused

TIMESTAMP = "X-Vad-Agent-Timestamp"
SIGNATURE = "X-Vad-Agent-Signature"
SCHEME = "v1"
WINDOW_S = 300.0
LONGEST_TIME = 12
"""Digits of a timestamp. A longer one is not a time and is slow to parse."""
LEAST_SECRET = 16
"""Characters of a secret. A shorter one can be guessed from one signed message."""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The expected value of `X-Vad-Agent-Signature`.

    >>> signature("0123456789abcdef", "1767225600", b"{}")
    'v1=99902517b3069f78750aa0520b0493482454c2d30a579c7acc839f3363ca1b88'
    """
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"{SCHEME}={signed.hexdigest()}"


def signed(secret: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a message that is sent at `now` (s since 1970)."""
    timestamp = str(int(now))
    return {TIMESTAMP: timestamp, SIGNATURE: signature(secret, timestamp, body)}


def check(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Check that the message was signed with the secret within the last minutes; header names in
    lower case.

    Raises:
        HookRefused: the check failed, status 401.
    """
    timestamp = headers.get(TIMESTAMP.lower(), "")
    given = headers.get(SIGNATURE.lower(), "")
    if not given or not (timestamp.isascii() and timestamp.isdigit()):
        raise HookRefused(f"expected {TIMESTAMP} in whole seconds and {SIGNATURE}", 401)
    if len(timestamp) > LONGEST_TIME or abs(now - int(timestamp)) > WINDOW_S:
        raise HookRefused(f"{TIMESTAMP}: not within {WINDOW_S:g} s of the clock here", 401)
    expected = signature(secret, timestamp, body)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise HookRefused(f"{SIGNATURE}: wrong secret, or the message was changed", 401)
