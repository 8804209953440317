"""What the tests with a real Asterisk need; without it only they are skipped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from socket import SOCK_STREAM

import pytest

from tests.headset.audio_server import PROGRAMS, AudioServer
from tests.headset.conftest import require
from tests.headset.softphone import PROGRAM, free_port
from tests.telephony import asterisk as module
from tests.telephony.asterisk import Asterisk


def _require_asterisk() -> None:
    if reason := module.missing():
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def asterisk() -> Iterator[Asterisk]:
    """One without telephones."""
    _require_asterisk()
    with Asterisk({}, free_port(SOCK_STREAM)) as running:
        yield running


@pytest.fixture(scope="session")
def centre_server() -> Iterator[AudioServer]:
    """The audio server of the telephones, where there is an Asterisk too."""
    require([*PROGRAMS, PROGRAM])
    _require_asterisk()
    with AudioServer() as server:
        yield server
