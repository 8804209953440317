"""The audio server of the live tests: one for most of them, a fresh one for those that break it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.headset.audio_server import PROGRAMS, AudioServer, missing


def require(programs: Sequence[str]) -> None:
    """Skip the test if a program is not installed; under CI on Linux that is a failure."""
    absent = missing(programs)
    if not absent:
        return
    reason = f"not installed: {', '.join(absent)}; `make test` installs Debian's packages"
    if os.environ.get("CI") and sys.platform == "linux":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def audio_server() -> Iterator[AudioServer]:
    """The server for tests that leave it as it was."""
    require(PROGRAMS)
    with AudioServer() as server:
        yield server


@pytest.fixture
def fresh_audio_server() -> Iterator[AudioServer]:
    """A server that a test may kill, restart, unplug."""
    require(PROGRAMS)
    with AudioServer() as server:
        yield server
