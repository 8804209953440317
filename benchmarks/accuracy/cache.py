"""A cache of the results of third-party detectors, keyed by the audio: their results never change.

.benchmarks/accuracy/NAME-HASH.npy       half floats; delete the folder to ask anew
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent.parent.parent / ".benchmarks" / "accuracy"


def kept(
    name: str, audio: bytes, ask: Callable[[], NDArray[np.float32]], folder: Path | None = None
) -> NDArray[np.float32]:
    """The result of `ask` for the audio, from the cache if present; rounded to half floats."""
    path = (folder or FOLDER) / f"{name}-{hashlib.sha256(audio).hexdigest()[:24]}.npy"
    try:
        return np.asarray(np.load(path), "f4")
    except (OSError, ValueError, EOFError):
        said = ask().astype("f2")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be writing the same.
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    with scratch.open("wb") as file:
        np.save(file, said)
    scratch.replace(path)
    return np.asarray(said, "f4")
