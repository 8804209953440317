"""A sound server of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from tests.headset.audio_server import AudioServer

T = TypeVar("T")


def on_a_server(run: Callable[[AudioServer], T]) -> T:
    """Run on a new server, which is also this process's server meanwhile."""
    before = dict(os.environ)
    with AudioServer() as server:
        os.environ.clear()
        os.environ.update(server.env)
        try:
            return run(server)
        finally:
            os.environ.clear()
            os.environ.update(before)
