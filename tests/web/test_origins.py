"""Where a panel is: which hosts and origins are its own, what its cookie is called, when that is Secure."""

from __future__ import annotations

import pytest

from vad_agent.errors import SettingsError
from vad_agent.web.origins import Origins

DESK = "https://desk.example.ru"


def test_on_loopback_it_has_two_names() -> None:
    one = Origins(8601)
    assert one.url == "http://127.0.0.1:8601"
    assert one.hosts == {"127.0.0.1:8601", "localhost:8601"}
    assert one.origins == {"http://127.0.0.1:8601", "http://localhost:8601"}
    assert one.cookie == "vad_agent_panel_8601"
    assert not one.is_secure("http", "127.0.0.1:8601", one.url)


@pytest.mark.parametrize(
    ("host", "port", "https", "url", "hosts"),
    [
        ("127.0.0.2", 8600, False, "http://127.0.0.2:8600", {"127.0.0.2:8600", "localhost:8600"}),
        ("localhost", 8600, False, "http://localhost:8600", {"localhost:8600"}),
        ("::1", 8600, False, "http://[::1]:8600", {"[::1]:8600", "localhost:8600"}),
        ("10.0.0.5", 80, False, "http://10.0.0.5", {"10.0.0.5", "10.0.0.5:80"}),
        ("desk.lan", 443, True, "https://desk.lan", {"desk.lan", "desk.lan:443"}),
        ("0.0.0.0", 8600, False, "http://127.0.0.1:8600", {"127.0.0.1:8600", "localhost:8600"}),
    ],
)
def test_elsewhere_it_has_the_name_it_is_told(
    host: str, port: int, https: bool, url: str, hosts: set[str]
) -> None:
    one = Origins(port, host=host, https=https)
    assert (one.url, one.hosts) == (url, hosts)


def test_behind_a_proxy_it_has_that_ones_name_too() -> None:
    one = Origins(8600, also=(f"{DESK}/", "http://desk.lan:8080"))
    assert one.url == DESK
    assert {DESK, "http://desk.lan:8080", "http://127.0.0.1:8600"} <= one.origins
    assert {"desk.example.ru", "desk.example.ru:443", "desk.lan:8080"} <= one.hosts
    assert "desk.lan" not in one.hosts


def test_names_are_as_browsers_write_them() -> None:
    one = Origins(8600, also=("https://Пульт.example.РФ:443",))
    assert one.url == "https://xn--k1ahkc0c.example.xn--p1ai"


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "secure"),
    [
        ("http", "127.0.0.1:8600", "http://127.0.0.1:8600", False),
        ("http", "127.0.0.1:8600", "null", False),
        ("http", "127.0.0.1:8600", DESK, True),  # the proxy has put its own Host
        ("http", "desk.example.ru", "null", True),
        ("http", "desk.example.ru:443", None, True),
        ("https", "127.0.0.1:8600", None, True),  # X-Forwarded-Proto
        ("http", "evil.example", "https://evil.example", False),
    ],
)
def test_a_cookie_is_secure_where_the_browser_has_tls(
    scheme: str, host: str, origin: str | None, secure: bool
) -> None:
    assert Origins(8600, also=(DESK,)).is_secure(scheme, host, origin) is secure


def test_with_tls_alone_the_cookie_is_this_hosts() -> None:
    own = Origins(8600, host="desk.lan", https=True, also=(DESK,))
    assert own.cookie == "__Host-vad_agent_panel_8600"
    assert own.is_secure("http", "desk.lan:8600", None)
    assert Origins(8600, also=(DESK,)).cookie == "vad_agent_panel_8600"


@pytest.mark.parametrize(
    "wrong",
    [
        "", "desk.example.ru", "ftp://desk", "https://", "https://desk:port", "https://desk/panel",
        "https://me@desk", "https://desk?x=1", f"https://{'я' * 80}",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_told(wrong: str) -> None:
    with pytest.raises(SettingsError) as told:
        Origins(8600, also=(DESK, wrong))
    assert told.value.problems == (
        f"origins: expected one as https://desk.example.ru, got {wrong!r}",
    )
