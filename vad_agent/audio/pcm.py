"""PCM helpers. `audioop` needs 0.2 µs where a numpy call on 160 samples needs 1 to 4."""

from __future__ import annotations

import math
import warnings

with warnings.catch_warnings():
    # Deprecated in 3.11 and 3.12; from 3.13 on the package audioop-lts provides it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

rms = audioop.rms
"""`rms(frame, 2)`: root mean square of int16 samples, an integer."""

gain = audioop.mul
"""`gain(frame, 2, factor)`: the frame with each int16 sample multiplied, saturating."""

peak = audioop.max
"""`peak(samples, 2)`: the largest absolute value."""

mean = audioop.avg
"""`mean(frame, 2)`: mean of int16 samples, an integer: the DC offset of the line."""

add = audioop.add
"""`add(one, two, 2)`: the sum of int16 samples, saturating."""

fit_factor = audioop.findfactor
"""`fit_factor(one, other)`: the factor by which `other` best approximates `one`; int16 samples."""

crossings = audioop.cross
"""`crossings(frame, 2)`: number of sign changes."""

resample = audioop.ratecv
"""`resample(samples, 2, 1, from_hz, to_hz, state)`: linear; returns the samples and the next state."""

to_stereo = audioop.tostereo
"""`to_stereo(samples, 2, 1, 1)`: both channels equal."""

to_mono = audioop.tomono
"""`to_mono(samples, 2, 0.5, 0.5)`: the mean of both channels."""

from_ulaw, from_alaw = audioop.ulaw2lin, audioop.alaw2lin
"""`from_ulaw(payload, 2)`: G.711, one byte a sample, to int16."""

to_ulaw, to_alaw = audioop.lin2ulaw, audioop.lin2alaw
"""`to_ulaw(samples, 2)`: int16 to G.711."""

swap_bytes = audioop.byteswap
"""`swap_bytes(samples, 2)`: big-endian to little-endian, and back."""

FULL_SCALE = 32_768


def split_stereo(samples: bytes) -> tuple[bytes, bytes]:
    """The left and the right channel of interleaved int16 samples."""
    return audioop.tomono(samples, 2, 1.0, 0.0), audioop.tomono(samples, 2, 0.0, 1.0)


def from_dbfs(dbfs: float) -> float:
    """RMS of int16 samples for a level in dBFS."""
    return FULL_SCALE * math.pow(10.0, dbfs / 20)


def to_dbfs(level: float) -> float:
    """Level in dBFS for an RMS of int16 samples; digital zero is -inf."""
    return 20 * math.log10(level / FULL_SCALE) if level > 0 else -math.inf
