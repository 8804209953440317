"""The headset's stream of our phrase stands still for a moment: the phrase comes back later.

It must be known as our own there, too: else it is taken for the client, and interrupts itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import Listening, inside, kind, settle
from tests.headset.source_recording import until
from tests.headset.test_faults import finish, say
from tests.headset.test_suspended import PLAYBACK, child
from vad_agent.audio.pcm import from_dbfs

STILL_S = (0.11, 0.07, 0.09, 0.06, 0.1, 0.08)
"""More than the device has in its buffer: underruns of some 15 to 65 ms."""
NOISE_DB = -46.0
"""A line that is not quiet: a moved phrase does not stand alone on it."""


@pytest.fixture
def server(fresh_audio_server: AudioServer) -> AudioServer:
    fresh_audio_server.keep_awake("client", "virtmic", "mic")
    return fresh_audio_server


def test_a_phrase_that_underruns_move_is_said_to_its_end(
    server: AudioServer, tmp_path: Path
) -> None:
    with Listening(server, tmp_path, "--monitor-device=client") as listening:
        heard = server.record("client.monitor")
        noise = np.random.default_rng(3).normal(0, from_dbfs(NOISE_DB), 60 * 8_000)
        server.play_samples(noise.astype(np.int16), 8_000, "client")
        listening.send(kind="answered")
        say(server)
        for prompt in ("greeting_again", "not_heard"):
            until(lambda: abs(heard.samples()[-2400:]).max() > 2_000, 15, "the phrase")
            player = child(listening, PLAYBACK, "monitor")
            for still_s in STILL_S:
                if listening.find(kind("prompt", id=prompt)):
                    break
                player.suspend()
                settle(still_s)
                player.resume()
                settle(0.25)
            line = listening.wait(kind("prompt", id=prompt), 15)
            assert line["outcome"] == "said"
            assert inside(line)
        finish(listening)
