"""Features do not depend on the block size; the weights fit them, and damaged weights are refused."""

from __future__ import annotations

import io
from importlib import resources
from typing import Any

import numpy as np
import pytest

from tests.detection.endpointer_tape import draw
from vad_agent.audio.pcm import rms
from vad_agent.detection import endpointer, neural_network
from vad_agent.detection.decimator import Decimator
from vad_agent.detection.feature_extractor import COLUMNS
from vad_agent.detection.spectral_features import GROUP
from vad_agent.detection.third_party_detectors import earshot
from vad_agent.errors import WeightsError

CALL = ".*40 S*70 .*30 0*20 m*60 S*40 ,*20 t*40 .*80"


def heard(block: int) -> np.ndarray:
    """Logits of the call, asked for in blocks."""
    one, stream = (
        endpointer.feature_extractor(earshot()),
        neural_network.NetworkStream(neural_network.load()),
    )
    logits = []
    for at, frame in enumerate(draw(CALL), 1):
        assert frame is not None
        one.feed(frame, rms(frame, 2), None)
        if at % block == 0:
            logits.append(stream.logits(one.take(block)))
    return np.concatenate(logits)


@pytest.mark.parametrize("block", [10, 25, 50, 100])
def test_the_size_of_the_blocks_changes_nothing(block: int):
    assert np.allclose(heard(GROUP)[:400], heard(block)[:400], atol=1e-3)


def test_a_gain_changes_next_to_nothing():
    columns = []
    for gain in (1, 4):
        one = endpointer.feature_extractor(None)
        frames = [
            (np.frombuffer(frame or b"", "<i2") * gain // 4).astype("<i2").tobytes()
            for frame in draw(".*50 S*100")
        ]
        for frame in frames:
            one.feed(frame, rms(frame, 2), None)
        columns.append(one.take(150))
    assert np.median(np.abs(columns[0] - columns[1])) < 0.1


def test_the_shipped_network_fits_its_input():
    assert neural_network.load().columns == COLUMNS


@pytest.mark.parametrize("fault", ["lacks", "shape", "nan"])
def test_damaged_weights_are_refused(fault: str):
    content = resources.files("vad_agent.detection").joinpath(neural_network.FILE).read_bytes()
    with np.load(io.BytesIO(content)) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    neural_network.Network(arrays)
    if fault == "lacks":
        del arrays["bias_3"]
    elif fault == "shape":
        arrays["weights_2"] = arrays["weights_2"][:, 1:]
    else:
        arrays["weights_7"][0, 0, 0] = np.nan
    with pytest.raises(WeightsError, match="network's weights: layer"):
        neural_network.Network(arrays)


def test_a_file_that_is_no_archive_is_refused():
    with pytest.raises(WeightsError, match="damaged"):
        neural_network.read(b"PK\x03\x04")


@pytest.mark.parametrize("rate", [16_000, 32_000, 48_000])
def test_a_tone_in_the_band_stays_and_one_above_it_goes(rate: int):
    def level(hertz: float) -> float:
        decimator = Decimator(rate)
        wave = 8_000 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
        audio, size = wave.astype("<i2").tobytes(), rate // 50 * 2
        frames = [decimator.decimate(audio[at : at + size]) for at in range(0, len(audio), size)]
        assert {len(frame) for frame in frames} == {320}
        return rms(b"".join(frames[5:]), 2) / (8_000 / np.sqrt(2))

    assert level(1_000) == pytest.approx(1, abs=0.02)
    assert level(5_000) < 0.02
