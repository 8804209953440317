"""A small causal network in numpy: for each frame, logits of speech of this side and of hold music.

    features (n, 33) ── 1 × 1, ReLU ──> (n, 40) ── 6 × [ + relu(conv 3, dilation 1 … 32) ] ── 1 × 1 ──> (n, 2)

Each convolution looks back only (2.5 s in all) and keeps its inputs, so each frame is computed once,
and the block size does not change the result. Trained by `training/train.py`.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vad_agent.errors import WeightsError

Float32Array = NDArray[np.float32]

FILE = "neural_network.npz"
WIDTH = 40
DILATIONS = (1, 2, 4, 8, 16, 32)
KERNEL = 3
HEADS = 2
SPEECH, MUSIC = 0, 1


class Network:
    """The weights. Immutable: threads and sessions may share it.

    `arrays`: `weights_0` … as (kernel, in, out) and `bias_0` … as (out,), the head last.

    Raises:
        WeightsError: an array is missing, has another shape or holds no finite numbers.
    """

    __slots__ = ("biases", "columns", "weights")

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        first = arrays.get("weights_0")
        if first is None or first.ndim != 3:
            raise WeightsError("network's weights: layer 0 is missing")
        self.columns = first.shape[1]
        shapes = [(1, self.columns, WIDTH), *[(KERNEL, WIDTH, WIDTH)] * len(DILATIONS)]
        self.weights: list[Float32Array] = []
        self.biases: list[Float32Array] = []
        for number, shape in enumerate([*shapes, (1, WIDTH, HEADS)]):
            weights, bias = arrays.get(f"weights_{number}"), arrays.get(f"bias_{number}")
            if weights is None or bias is None:
                raise WeightsError(f"network's weights: layer {number} is missing")
            if weights.shape != shape or bias.shape != shape[-1:]:
                raise WeightsError(
                    f"network's weights: layer {number}: expected {shape}, "
                    f"got {weights.shape}, {bias.shape}"
                )
            if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
                raise WeightsError(f"network's weights: layer {number}: not finite")
            flat = weights.astype(np.float32).reshape(-1, shape[-1])
            self.weights.append(flat)
            self.biases.append(bias.astype(np.float32))


class NetworkStream:
    """The network's state for one channel."""

    __slots__ = ("_network", "_seen")

    def __init__(self, network: Network) -> None:
        self._network = network
        self._seen = [
            np.zeros(((KERNEL - 1) * dilation, WIDTH), np.float32) for dilation in DILATIONS
        ]

    def logits(self, features: Float32Array) -> Float32Array:
        """Evaluate the next frames. `features`: float32, (frames, columns). Out: float32, (frames, HEADS)."""
        weights, biases = self._network.weights, self._network.biases
        count = len(features)
        out: Float32Array = features @ weights[0]
        out += biases[0]
        np.maximum(out, 0, out=out)
        for number, dilation in enumerate(DILATIONS):
            seen = np.concatenate([self._seen[number], out])
            self._seen[number] = seen[count:].copy()
            # The KERNEL input frames of each frame side by side: one product instead of three.
            step = seen.strides[0]
            shape, strides = (count, KERNEL, WIDTH), (step, dilation * step, 4)
            taps: Float32Array = np.ndarray(shape, np.float32, seen, 0, strides)
            new: Float32Array = taps.reshape(count, -1) @ weights[number + 1]
            new += biases[number + 1]
            np.maximum(new, 0, out=new)
            new += out
            out = new
        logits: Float32Array = out @ weights[-1]
        logits += biases[-1]
        return logits


def read(data: bytes) -> Network:
    """A network from the content of a weights file (npz).

    Raises:
        WeightsError: the content is damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Network({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"network's weights: {FILE}: damaged: {error}") from error


@cache
def load() -> Network:
    """The shipped network, read once.

    Raises:
        WeightsError: its file is damaged or missing.
    """
    try:
        data = resources.files("vad_agent.detection").joinpath(FILE).read_bytes()
    except OSError as error:
        raise WeightsError(f"network's weights: {FILE}: cannot be read: {error}") from error
    return read(data)
