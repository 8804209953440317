"""G.711 by table: A-law and µ-law, both ways, without any package.

int16 ──encode()──> one byte a sample ──decode()──> int16      decode∘encode is idempotent
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["alaw", "ulaw"]
Samples = NDArray[np.int16]
Codes = NDArray[np.uint8]


def _segment(magnitude: NDArray[np.int64], first_end: int) -> NDArray[np.int64]:
    """Index of the first of eight doubling ranges whose end is not below the magnitude."""
    ends = (np.int64(first_end + 1) << np.arange(8)) - 1
    return np.searchsorted(ends, magnitude).astype(np.int64)


def _alaw_codes(pcm: NDArray[np.int64]) -> Codes:
    value = pcm >> 3  # 13 bits
    negative = value < 0
    magnitude = np.where(negative, -value - 1, value)
    segment = _segment(magnitude, 0x1F)
    mantissa = (magnitude >> np.maximum(segment, 1)) & 0x0F
    code = (segment << 4) | mantissa
    return (code ^ np.where(negative, 0x55, 0xD5)).astype(np.uint8)


def _alaw_values() -> Samples:
    code = np.arange(256) ^ 0x55
    segment = (code & 0x70) >> 4
    step = (code & 0x0F) << 4
    value = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.int16)


def _ulaw_codes(pcm: NDArray[np.int64]) -> Codes:
    value = pcm >> 2  # 14 bits
    negative = value < 0
    magnitude = np.minimum(np.where(negative, -value, value) + 33, 0x1FFF)
    segment = _segment(magnitude, 0x3F)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    codes: Codes = (code ^ np.where(negative, 0x7F, 0xFF)).astype(np.uint8)
    return codes


def _ulaw_values() -> Samples:
    code = np.arange(256) ^ 0xFF
    value = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -value, value).astype(np.int16)


_ALL = np.arange(-32768, 32768, dtype=np.int64)
_ENCODE: Final[dict[Law, Codes]] = {"alaw": _alaw_codes(_ALL), "ulaw": _ulaw_codes(_ALL)}
_DECODE: Final[dict[Law, Samples]] = {"alaw": _alaw_values(), "ulaw": _ulaw_values()}


def encode(samples: Samples, law: Law) -> Codes:
    """Samples (int16) as one byte each."""
    return _ENCODE[law][samples.astype(np.int64) + 32768]


def decode(codes: Codes, law: Law) -> Samples:
    """Bytes as int16 samples."""
    return _DECODE[law][codes]


def round_trip(samples: Samples, law: Law) -> Samples:
    """What is left of the samples after a companded line."""
    return decode(encode(samples, law), law)
