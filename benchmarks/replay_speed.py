"""Speed of a replay on one core, including decoding, and the share of each part.

file ──decode──> pairs of frames ──endpointers──> ──session and replay──> actions
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.audio import RecordedCall, long_recordings
from benchmarks.frame_cost import BARE, PLAIN_SETTINGS, bare_calls
from benchmarks.measure import Contender, Figure, Table, interleaved, ratio, timed
from vad_agent.audio.recording_reader import open_call
from vad_agent.core.frames import FRAMES_PER_SECOND, Channel
from vad_agent.core.session import CallSession
from vad_agent.script.settings import Settings
from vad_agent.trace.replay import Replay

TIMES_REAL_MIN = 4_000


@contextmanager
def one_core() -> Iterator[str]:
    """Keep this process on one core, if the system supports it; yields a note about it."""
    if not hasattr(os, "sched_setaffinity"):
        yield "one process; this system does not pin it to a core"
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield "pinned to one core"
    finally:
        os.sched_setaffinity(0, allowed)


def replay_file(path: Path, frames: int, settings: Settings) -> float:
    """Seconds from opening the file to the call's end."""

    def work() -> None:
        with open_call(path) as recording:
            session = CallSession(settings, recording.sample_rate, mode="cue")
            deque(Replay(session, settings).run(recording), maxlen=0)
        if session.now != frames:
            raise AssertionError(f"{path}: replayed {session.now} of {frames} frames")

    return timed(work)


def decode_file(path: Path) -> float:
    """Seconds of decoding alone."""

    def work() -> None:
        with open_call(path) as recording:
            deque(recording, maxlen=0)

    return timed(work)


def hear_call(call: RecordedCall, settings: Settings) -> float:
    """Seconds of both endpointers alone, over frames in memory."""
    operator = settings.endpointer(Channel.OPERATOR, call.rate).feed
    client = settings.endpointer(Channel.CLIENT, call.rate).feed
    pairs = call.pairs

    def work() -> None:
        for left, right in pairs:
            operator(left)
            client(right)

    return timed(work)


def replay_call(call: RecordedCall, settings: Settings) -> float:
    """Seconds of replaying frames in memory."""
    replay = Replay(CallSession(settings, call.rate, mode="cue"), settings)
    pairs = call.pairs
    return timed(lambda: deque(replay.run(pairs), maxlen=0))


def measure(call: RecordedCall, *, length_s: float = 3600, rounds: int = 5) -> Table:
    """Both formats, the parts, and the speed of two bare detectors without decoding."""
    frames = round(length_s * FRAMES_PER_SECOND)
    memory_s = len(call.client) / FRAMES_PER_SECOND
    with one_core() as where, long_recordings(call, length_s) as paths:
        by_kind: dict[str, Contender] = {}
        for kind, path in paths.items():
            by_kind[f"replay {kind}"] = partial(replay_file, path, frames, Settings())
            by_kind[f"replay {kind} with webrtcvad"] = partial(
                replay_file, path, frames, PLAIN_SETTINGS
            )
            by_kind[f"decode {kind}"] = partial(decode_file, path)
        files = interleaved(by_kind, rounds)
        parts = interleaved(
            {
                BARE: lambda: bare_calls(call),
                "endpointers": lambda: hear_call(call, Settings()),
                "replay": lambda: replay_call(call, Settings()),
            },
            rounds,
        )
    per_pair = {name: median(took) / frames * 1e6 for name, took in files.items()}
    per_pair |= {name: median(took) / len(call.client) * 1e6 for name, took in parts.items()}
    figures = [Figure(f"{BARE} on frames in memory", memory_s / median(parts[BARE]), "× real time")]
    for kind in paths:
        speed = length_s / median(files[f"replay {kind}"])
        figures.append(
            Figure(
                f"{kind}, 16 bit, {call.rate} Hz",
                speed,
                "× real time",
                speed * median(parts[BARE]) / memory_s,
                "of bare calls' speed",
                f"≥ {TIMES_REAL_MIN:,}×",
                speed >= TIMES_REAL_MIN,
            )
        )
    for kind in paths:
        name = f"replay {kind} with webrtcvad"
        speed = length_s / median(files[name])
        than = f"of replay {kind}"
        figures.append(
            Figure(f"{kind}, webrtcvad alone", speed, "× real time",
                   1 / ratio(files[name], files[f"replay {kind}"]), than)
        )  # fmt: skip
    figures.append(Figure(f"a frame pair: {BARE}", per_pair[BARE], "µs"))
    for kind in paths:
        name = f"decode {kind}"
        share = ratio(files[name], files[f"replay {kind}"])
        figures.append(
            Figure(f"a frame pair: {name}", per_pair[name], "µs", share, f"of replay {kind}")
        )
    whole = f"replay {next(iter(paths))}"
    rest = per_pair["replay"] - per_pair["endpointers"]
    for name, value in (
        ("both endpointers", per_pair["endpointers"]),
        ("session and replay loop", rest),
    ):
        figures.append(
            Figure(f"a frame pair: {name}", value, "µs", value / per_pair[whole], f"of {whole}")
        )
    notes = [
        f"{length_s:.0f} s of {call.describe()}, repeated, mode cue",
        where,
    ]
    return Table("Replay of a recording, decoding included", figures, notes)
