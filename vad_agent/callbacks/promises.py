"""Whether a request is answered by an open callback of the same number, or is a promise of its own. Pure.

    another person   another name: no word list of the two contains the other
    another extension
    another time     an agreed time ahead; what is to be called now is no agreed time

What is not known is no difference. A dropped call thus rings at once, and does not use up the time
that was agreed with the same client.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from vad_agent.callbacks.model import UNDER_WAY, Callback, Policy, Request
from vad_agent.callbacks.next_attempt_time import first_due

_WORD = re.compile(r"\w+")


def answering(
    candidates: Iterable[Callback], request: Request, now: datetime, policy: Policy
) -> Callback | None:
    """The open callback of the request's number that answers it; None: the request is a promise of its
    own. Of several, one whose extension and name are the same, else the first.

    Raises:
        RuleError: the agreed time is not valid.
    """
    alike = [
        one
        for one in candidates
        if same_client(one, request) and same_time(one, request, now, policy)
    ]
    return max(alike, key=lambda one: _closeness(one, request), default=None)


def same_client(one: Callback, other: Callback | Request) -> bool:
    """The same person at the same extension, as far as is known. Their numbers are the same."""
    words, others = _words(one.name), _words(other.name)
    person = not words or not others or words <= others or others <= words
    extensions = {one.extension, other.extension} - {None}
    return person and len(extensions) < 2


def same_time(callback: Callback, request: Request, now: datetime, policy: Policy) -> bool:
    """Both are to be called now, or at the same agreed time; raises as `answering`."""
    due, _ = first_due(request, policy)
    ahead, agreed = is_ahead(callback, now), is_request_ahead(request, now, policy)
    if ahead and agreed:
        return callback.due is None or due is None or callback.due == due
    return ahead == agreed


def is_ahead(callback: Callback, now: datetime) -> bool:
    """The callback waits for an agreed time that has not come, or is not known."""
    if callback.state in UNDER_WAY:
        return False
    return callback.due is None or (callback.fixed and callback.due > now)


def is_request_ahead(request: Request, now: datetime, policy: Policy) -> bool:
    """The request is for an agreed time that has not come, or is not known; raises as `answering`."""
    due, fixed = first_due(request, policy)
    return due is None or (fixed and due > now)


def _closeness(callback: Callback, request: Request) -> tuple[bool, bool]:
    return (
        callback.extension == request.extension,
        _words(callback.name) == _words(request.name),
    )


def _words(name: str | None) -> frozenset[str]:
    text = unicodedata.normalize("NFC", name or "").casefold().replace("ё", "е")
    return frozenset(_WORD.findall(text))
