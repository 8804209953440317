"""Draws the endpointer's decisions on a recording:

    python -m benchmarks.endpointer_picture CALL.flac OUT.png

The picture of `docs/hearing.md` is `audio_fixtures/noisy_line.flac` from second 4 to 24.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import soundfile  # type: ignore[import-untyped]

from benchmarks.calls.render import frames_of
from vad_agent.audio.pcm import from_dbfs
from vad_agent.core.frames import FRAMES_PER_SECOND
from vad_agent.detection import endpointer, neural_network, speech_decision
from vad_agent.detection.endpointer import Endpointer
from vad_agent.detection.feature_extractor import CROSSTALK
from vad_agent.detection.neural_network import MUSIC, SPEECH, Float32Array, NetworkStream
from vad_agent.detection.spectral_features import RATE
from vad_agent.detection.third_party_detectors import earshot

matplotlib.use("Agg")
from matplotlib import pyplot as plt


class _Tap(NetworkStream):
    """Stores the network's output."""

    __slots__ = ("said",)

    def __init__(self) -> None:
        super().__init__(neural_network.load())
        self.said: list[Float32Array] = []

    def logits(self, features: Float32Array) -> Float32Array:
        out = super().logits(features)
        self.said.append(out)
        return out


def draw(recording: Path, out: Path, first_s: float, last_s: float | None) -> None:
    """Draw level, detector, network and decision of the client's channel, one above the other."""
    samples, rate = soundfile.read(recording, dtype="int16", always_2d=True)
    if rate != RATE or samples.shape[1] != 2:
        raise SystemExit(f"endpointer_picture: {recording}: expected two channels at {RATE} Hz")
    operator = Endpointer(RATE, detector=earshot(), network=neural_network.load())
    client = Endpointer(RATE, detector=earshot(), network=neural_network.load())
    client.expect_crosstalk_of(operator)
    tap = client._stream = _Tap()
    rows = []
    runs: list[tuple[int, int]] = []
    for mine, theirs in zip(frames_of(samples[:, 0]), frames_of(samples[:, 1]), strict=True):
        operator.feed(mine)
        before = client.segments_ended
        client.feed(theirs)
        if client.segments_ended > before:
            runs.append((client.start, client.end))
        one = client._features
        gate = max(one.own_level * endpointer.NEAR, operator._features.peak * CROSSTALK)
        rows.append((one.smoothed, gate, one.probability))
    client.finish()
    levels = np.array(rows)
    logits = np.concatenate(tap.said)
    decibels = 20 * np.log10(np.maximum(levels[:, :2], 1) / from_dbfs(0))
    seconds = np.arange(len(levels)) / FRAMES_PER_SECOND

    figure, axes = plt.subplots(4, 1, figsize=(9, 6.4), sharex=True, constrained_layout=True)
    when = np.arange(len(samples)) / RATE
    axes[0].plot(when, samples[:, 1] / 32_768, lw=0.4, color="#4477aa")
    axes[0].set_ylabel("client")
    axes[1].plot(seconds, decibels[:, 0], lw=1, color="#4477aa", label="level, smoothed")
    axes[1].plot(seconds, decibels[:, 1], lw=1, color="#cc6677", label="gate: own level, crosstalk")
    axes[1].set_ylabel("dBFS")
    axes[1].legend(loc="upper right", fontsize=7)
    axes[2].plot(seconds, levels[:, 2], lw=1, color="#228833", label="earshot (0: not asked)")
    axes[2].axhline(speech_decision.THRESHOLD, lw=0.6, color="#888888")
    axes[2].set_ylabel("probability")
    axes[2].legend(loc="upper right", fontsize=7)
    axes[3].plot(
        seconds[: len(logits)], logits[:, SPEECH], lw=1, color="#aa3377", label="network: speech"
    )
    axes[3].plot(
        seconds[: len(logits)], logits[:, MUSIC], lw=1, color="#ccbb44", label="network: music"
    )
    axes[3].axhline(0, lw=0.6, color="#888888")
    axes[3].set_ylabel("logit")
    axes[3].legend(loc="upper right", fontsize=7)
    axes[3].set_xlabel("seconds")
    for axis in axes:
        for start, end in runs:
            axis.axvspan(
                start / FRAMES_PER_SECOND,
                end / FRAMES_PER_SECOND,
                color="#228833",
                alpha=0.12,
                lw=0,
            )
    axes[0].set_xlim(first_s, last_s or len(levels) / FRAMES_PER_SECOND)
    figure.savefig(out, dpi=110)


def main() -> None:
    """Parse arguments and write the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.endpointer_picture", description=__doc__
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="first_s", type=float, default=0.0, metavar="S")
    parser.add_argument("--to", dest="last_s", type=float, metavar="S")
    options = parser.parse_args()
    draw(options.recording, options.out, options.first_s, options.last_s)


if __name__ == "__main__":
    main()
