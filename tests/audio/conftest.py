"""The audio server of the live tests, for the sources that stand on one."""

from __future__ import annotations

from tests.headset.conftest import audio_server, fresh_audio_server

__all__ = ["audio_server", "fresh_audio_server"]
