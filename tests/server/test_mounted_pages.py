"""The API and the pages on one port: who gets which request."""

from __future__ import annotations

import asyncio

import pytest

from vad_agent.server.mounted_pages import PathDispatcher


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/api/v1/callbacks", "api"),
        ("/api/nothing", "api"),
        ("/health", "api"),
        ("/ready", "api"),
        ("/metrics", "api"),
        ("/", "pages"),
        ("/api", "pages"),
        ("/healthy", "pages"),
        ("/health/", "pages"),
        ("/supervisor/api/v1", "pages"),
        ("/static/../api/v1/callbacks", "pages"),
        ("//api/v1/callbacks", "pages"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_path_decides(kind: str, path: str, who: str) -> None:
    got: list[str] = []

    def app(name: str):
        async def take(scope, receive, send):
            assert scope["path"] == path
            got.append(name)

        return take

    beside = PathDispatcher(app("api"), app("pages"))

    async def nothing(*_):
        raise AssertionError("the two apps speak for themselves")

    asyncio.run(beside({"type": kind, "path": path}, nothing, nothing))
    assert got == [who]
