"""The judge's network in plain numpy: a small stack of 1-D convolutions over log-mel features.

    features (300, 40) ── conv 5, stride 2 ──> (150, 32) ── conv 5, stride 2 ──> (75, 64)
    ── 5 × [ + relu(conv 3, dilation 1 … 16) ] ──> (75, 64) ── 1 × 1 ──> (75, 4) = (150, 2):
    a logit of speech, a logit of music, each for two frames

A convolution is one matrix product: the shifted views of its padded input lie side by side. No state;
one set of weights serves every call. Trained by `training/train.py`.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vad_agent.errors import WeightsError
from vad_agent.hearing.features import CHANNELS

Floats = NDArray[np.float32]

FILE = "judge.npz"
STRIDE = 2
"""Frames a step of the output stands for."""
HEADS = 2
SPEECH, MUSIC = 0, 1


class Layer(NamedTuple):
    """The shape of one convolution with ReLU; added to its input where the stride is 1."""

    kernel: int
    width: int
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        """Zeros on either side, so that a stride of 1 keeps the length."""
        return (self.kernel - 1) * self.dilation // 2


WIDTH = 64
LAYERS = (
    Layer(5, WIDTH // 2, stride=2),
    Layer(5, WIDTH, stride=2),
    Layer(3, WIDTH, dilation=1),
    Layer(3, WIDTH, dilation=2),
    Layer(3, WIDTH, dilation=4),
    Layer(3, WIDTH, dilation=8),
    Layer(3, WIDTH, dilation=16),
)
GRID = 4
"""Frames a step of the last layer stands for: wide layers are cheap at so few of them."""
PER_STEP = GRID // STRIDE
"""Steps of the output that each of them gives."""


class Network:
    """The weights, ready to use. Immutable: threads and sessions may share it.

    `arrays`: `weights_0` … as (kernel, in, out) and `bias_0` … as (out,), one pair a layer, the head last.

    Raises:
        WeightsError: an array is missing, has another shape or holds no finite numbers.
    """

    __slots__ = ("_biases", "_kernels")

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._kernels: list[Floats] = []
        self._biases: list[Floats] = []
        channels = CHANNELS
        for number, layer in enumerate((*LAYERS, Layer(1, PER_STEP * HEADS))):
            weights = arrays.get(f"weights_{number}")
            bias = arrays.get(f"bias_{number}")
            expected = (layer.kernel, channels, layer.width)
            if weights is None or bias is None:
                raise WeightsError(f"judge's weights: layer {number} is missing")
            if weights.shape != expected or bias.shape != expected[-1:]:
                raise WeightsError(
                    f"judge's weights: layer {number}: expected {expected}, got {weights.shape}, {bias.shape}"
                )
            if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
                raise WeightsError(f"judge's weights: layer {number}: not finite")
            self._kernels.append(weights.reshape(-1, layer.width).astype(np.float32))
            self._biases.append(bias.astype(np.float32))
            channels = layer.width

    def logits(self, features: Floats) -> Floats:
        """What each step of two frames sounds like.

        `features`: float32, (frames, CHANNELS), at least STRIDE frames; an odd last one is not judged.
        Out: float32, (frames // STRIDE, HEADS), above 0 = more likely than not.
        """
        steps = len(features) // STRIDE
        out = features[: steps * STRIDE]
        if lacking := -len(out) % GRID:
            out = np.concatenate([np.zeros((lacking, CHANNELS), np.float32), out])
        for layer, kernel, bias in zip(LAYERS, self._kernels, self._biases, strict=False):
            new = _columns(out, layer) @ kernel
            new += bias
            np.maximum(new, 0, out=new)
            if layer.stride == 1:
                new += out
            out = new
        logits: Floats = out @ self._kernels[-1] + self._biases[-1]
        return logits.reshape(-1, HEADS)[-steps:]


def _columns(signal: Floats, layer: Layer) -> Floats:
    """Each step's receptive field as a row: float32, (steps, kernel * channels)."""
    count, channels = signal.shape
    steps = count // layer.stride
    padded = np.zeros((count + 2 * layer.padding, channels), np.float32)
    padded[layer.padding : layer.padding + count] = signal
    # Overlapping views copied at once: half the time of a copy for each tap.
    size = 4 * channels
    strides = (layer.stride * size, layer.dilation * size, 4)
    views: Floats = np.ndarray((steps, layer.kernel, channels), np.float32, padded, 0, strides)
    return np.ascontiguousarray(views).reshape(steps, layer.kernel * channels)


def read(data: bytes) -> Network:
    """A network from the content of a weights file (npz).

    Raises:
        WeightsError: the content is damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Network({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"judge's weights: {FILE}: damaged: {error}") from error


@cache
def load() -> Network:
    """The shipped network, read once.

    Raises:
        WeightsError: its file is damaged or missing.
    """
    try:
        data = resources.files("vad_agent.hearing").joinpath(FILE).read_bytes()
    except OSError as error:
        raise WeightsError(f"judge's weights: {FILE}: cannot be read: {error}") from error
    return read(data)
