"""The promise of a farewell: killed right after its first sample, the callback is there and is rung."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import Listening, kind
from tests.headset.source_recording import SourceRecording, until
from tests.headset.test_faults import begin
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.policy_from_script import policy_of
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.script.settings import Settings

LOUD = 500
"""A sample of a phrase, far above the quiet line."""


@pytest.fixture
def server(audio_server: AudioServer) -> Iterator[AudioServer]:
    audio_server.keep_awake("client", "virtmic", "mic")
    return audio_server


def test_killed_at_the_farewells_first_sample_the_callback_survives(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path) as listening:
        heard = server.record("virtmic.monitor")
        begin(server, listening)
        listening.send(kind="answered", phone="8 912 345-67-89", call_id="pbx-17")
        listening.wait(kind("callback"), 45)
        before = heard.seconds
        until(lambda: _loud_since(heard, before), 10, "the farewell's first sample")
        listening.process.kill()
        listening.process.wait(10)
        heard.stop()
        assert not [line for line in listening.prompts() if line["id"] == "farewell_after_greeting"]

    store = Store(str(tmp_path / "callbacks.sqlite"), policy_of(Settings()))
    desk = CallbackService(store, Clock())
    assert OutboxConsumer(tmp_path / "outbox", desk).read_all() == 1
    (callback,) = CallbackQueries(store).page()
    store.close()
    assert (callback.phone, callback.state, callback.session) == (
        "+79123456789",
        "waiting",
        "pbx-17",
    )
    assert callback.reasons == ("silence_after_greeting",)
    assert callback.opening.startswith("Здравствуйте, Интернет-магазин Haieronline")


def _loud_since(recording: SourceRecording, seconds: float) -> bool:
    samples = recording.samples()[int(seconds * recording.rate) :]
    return len(samples) > 0 and int(np.abs(samples.astype(np.int32)).max()) > LOUD
