"""Which desk a headset shows itself to: the one it was told of, else that of this machine while it runs."""

from __future__ import annotations

from typing import NamedTuple


class Where(NamedTuple):
    """A desk, and what opens its door."""

    url: str
    token: str
    certificate: str = ""
    """As `vad_agent.server.place.trust` has it."""


def find_desk(url: str | None = None) -> Where | None:
    """The desk at `url`, else of this machine; None: there is none, or no token for it. Takes up to 2 s."""
    from vad_agent.server.place import find_place, read_token

    certificate = ""
    if url is None:
        place = find_place()
        if place is None:
            return None
        url, certificate = place.url, place.certificate
    token = read_token()
    return None if token is None else Where(url, token, certificate)
