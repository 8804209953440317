"""The panel's address as browsers see it, which decides the valid Host and Origin headers.

    listen   127.0.0.1:8601                                    http://127.0.0.1:8601, http://localhost:8601
    serve    127.0.0.1:8600 <── proxy with TLS ── browsers     the same, and also https://desk.example.ru

A proxy must pass the browser's Host header on. Nothing here handles HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from vad_agent.errors import SettingsError

USUAL = {"http": 80, "https": 443}
ANY = ("", "0.0.0.0", "::")


class Origins:
    """The address of a panel. `https`: it serves TLS itself; `also`: further origins, as browsers
    send them.

    Raises:
        SettingsError: `also` contains an invalid origin.
    """

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", https: bool = False, also: Sequence[str] = ()
    ) -> None:
        scheme = "https" if https else "http"
        names = [host]
        if host in ANY:  # other names of this machine are unknown here and must be configured
            names = ["127.0.0.1", "localhost"]
        elif host.startswith("127.") or host in ("::1", "localhost"):
            names = list(dict.fromkeys((host, "localhost")))
        own = [_origin(scheme, name, port) for name in names]
        more = _checked(also)
        self.https = https
        self.origins = frozenset([*own, *more])
        self.hosts = frozenset(name for origin in self.origins for name in _hosts(origin))
        """Allowed Host headers.

        Any other name may be a foreign name pointed at this address (DNS rebinding).
        """
        self.url = [*more, *own][0]
        """The address that people open."""
        prefix = "__Host-" if all(origin.startswith("https:") for origin in self.origins) else ""
        self.cookie = f"{prefix}vad_agent_panel_{port}"
        """The cookie's name.

        Cookies are separated by host, not by port, and two panels must not end each other's
        sessions.
        """

    def is_secure(self, scheme: str, host: str, origin: str | None) -> bool:
        """The browser uses TLS, even if a proxy terminates it: a cookie may be Secure.

        `scheme`: of the request as received here; `host`, `origin`: its headers.
        """
        if self.https or scheme == "https":
            return True
        if origin in self.origins:
            return origin.startswith("https:")
        named = {one for one in self.origins if host in _hosts(one)}
        return bool(named) and all(one.startswith("https:") for one in named)


def _origin(scheme: str, name: str, port: int) -> str:
    name = f"[{name}]" if ":" in name else name
    return f"{scheme}://{name}" if port == USUAL[scheme] else f"{scheme}://{name}:{port}"


def _hosts(origin: str) -> tuple[str, ...]:
    """The host as browsers send it, and as proxies do, which may add the default port."""
    scheme, _, name = origin.partition("://")
    told = urlsplit(origin)
    return (name,) if told.port else (name, f"{name}:{USUAL[scheme]}")


def _checked(also: Sequence[str]) -> list[str]:
    told, problems = [], []
    for one in also:
        try:
            parts = urlsplit(one.strip())
            port = parts.port
            name = (parts.hostname or "").encode("idna").decode()
        except ValueError:  # also an invalid label
            problems.append(_expected(one))
            continue
        if not name or parts.scheme not in USUAL or _more_than_origin(parts):
            problems.append(_expected(one))
            continue
        told.append(_origin(parts.scheme, name, port or USUAL[parts.scheme]))
    if problems:
        raise SettingsError("[panel]", problems)
    return told


def _more_than_origin(parts: SplitResult) -> bool:
    return bool(parts.path.strip("/") or parts.query or parts.fragment or parts.username)


def _expected(one: str) -> str:
    return f"origins: expected one as https://desk.example.ru, got {one!r}"
