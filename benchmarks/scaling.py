"""Cost of a call among others: 1, 10, 100, 1,000 sessions fed in turn by one process.

    alone     session 1: frames 0…n    session 2: frames 0…n    session 3: …       one at a time
    together  frame 0: sessions 1 2 3 …    frame 1: sessions 1 2 3 …               the same work

The cost is flat if the same sessions, each with its own part of the call, cost the same both ways.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.audio import RecordedCall, load
from benchmarks.measure import Figure, Table, interleaved, ratio, timed
from vad_agent.core.session import CallSession
from vad_agent.script.settings import Settings

COUNTS = (1, 10, 100, 1_000)
STRETCH = 500  # frames of each session
PLACES = 50
MEMORY_SESSIONS = 200
MEMORY_MAX_KB = 20.0
FLAT_MAX = 1.25  # many sessions do not fit into the caches

Pairs = Sequence[tuple[bytes, bytes]]
Feed = Callable[[bytes, bytes], object]


def stretches(call: RecordedCall, count: int, frames: int) -> list[Pairs]:
    """A part of the call for each of `count` sessions, from up to PLACES places spread evenly over it.

    Not more places: a live frame has just arrived and is in the cache, a thousand places of a
    recording are not.
    """
    pairs = call.pairs
    places = min(count, PLACES)
    starts = [len(pairs) * (one % places) // places for one in range(count)]
    return [list(islice(cycle(pairs), start, start + frames)) for start in starts]


def _session(settings: Settings, rate: int) -> Feed:
    return CallSession(settings, rate, mode="cue").feed


def _in_turn(feeds: Sequence[tuple[Feed, Pairs]], frames: int) -> None:
    for at in range(frames):
        for feed, pairs in feeds:
            operator, client = pairs[at]
            feed(operator, client)


def alone(pieces: Sequence[Pairs], rate: int) -> float:
    """Seconds of one session after the other."""
    seconds = 0.0
    for pairs in pieces:
        feeds = [(_session(Settings(), rate), pairs)]
        seconds += timed(partial(_in_turn, feeds, len(pairs)))
    return seconds


def together(pieces: Sequence[Pairs], rate: int) -> float:
    """Seconds of all sessions together, fed in turn."""
    feeds = [(_session(Settings(), rate), pairs) for pairs in pieces]
    return timed(lambda: _in_turn(feeds, len(pieces[0])))


# -- memory ----------------------------------------------------------------------------------------


def traced_kb(call: RecordedCall, sessions: int, frames: int) -> float:
    """Python's own memory of one session after `frames` frames, kB."""
    settings = Settings()
    _feed_fresh(
        [_session(settings, call.rate)], call, frames
    )  # shared data does not belong to a session
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        feeds = [_session(settings, call.rate) for _ in range(sessions)]
        _feed_fresh(feeds, call, frames)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / sessions / 1e3
    finally:
        tracemalloc.stop()


def rss_kb(call: RecordedCall, sessions: int, frames: int) -> float | None:
    """Growth of the process for one session, including the detectors' C memory, kB; None: not
    available.

    Runs in a process of its own: this one's free lists would hide it.
    """
    if _resident() is None:
        return None
    arguments = json.dumps([sessions, frames])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", arguments],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    return float(done.stdout)


def _grow(sessions: int, frames: int) -> float:
    call, settings = load(), Settings()
    kept = [_session(settings, call.rate) for _ in range(5)]
    _feed_fresh(kept, call, frames)
    gc.collect()
    before = _resident() or 0
    kept += (_session(settings, call.rate) for _ in range(sessions))
    _feed_fresh(kept[5:], call, frames)
    gc.collect()
    return ((_resident() or 0) - before) / sessions / 1e3


def _feed_fresh(feeds: Sequence[Feed], call: RecordedCall, frames: int) -> None:
    """Feed newly allocated frames, as from a network: no two sessions share one."""
    for operator, client in islice(cycle(call.pairs), frames):
        for feed in feeds:
            feed(bytes(bytearray(operator)), bytes(bytearray(client)))


def _resident() -> int | None:
    """Resident memory of this process in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


# -- table
# --------------------------------------------------------------------------------------------


def measure(
    call: RecordedCall,
    *,
    counts: Sequence[int] = COUNTS,
    frames: int = STRETCH,
    rounds: int = 3,
    memory_sessions: int = MEMORY_SESSIONS,
) -> Table:
    """Cost per frame pair for each of `counts`, and memory per session."""
    figures = []
    for count in counts:
        pieces = stretches(call, count, frames)
        repeat = max(1, 10 // count)  # a single session is too short to be timed
        took = interleaved(
            {
                "alone": lambda: sum(alone(pieces, call.rate) for _ in range(repeat)),  # noqa: B023
                "together": lambda: sum(together(pieces, call.rate) for _ in range(repeat)),  # noqa: B023
            },
            rounds,
        )
        cost = median(took["together"]) / (count * frames * repeat)
        flat = ratio(took["together"], took["alone"])
        name = f"{count:,} sessions in turn" if count > 1 else "1 session"
        target, met = (f"≤ {FLAT_MAX:g}×", flat <= FLAT_MAX) if count > 1 else ("", None)
        than = "one at a time"
        figures.append(Figure(f"{name}: a frame pair", cost * 1e6, "µs", flat, than, target, met))
    figures.append(Figure("calls that fill one core", 0.02 / cost, ""))
    target = f"≤ {MEMORY_MAX_KB:g} kB"
    fresh, used = (traced_kb(call, memory_sessions, fed) for fed in (0, frames))
    figures.append(Figure("memory of a new session, Python's own", fresh, "kB"))
    figures.append(
        Figure(
            f"the same after {frames / 50:.0f} s of the call",
            used,
            "kB",
            target=target,
            met=used <= MEMORY_MAX_KB,
        )
    )
    if (grown := rss_kb(call, memory_sessions, frames)) is not None:
        name = "what the process grows by for it (RSS)"
        figures.append(Figure(name, grown, "kB", target=target, met=grown <= MEMORY_MAX_KB))
    notes = [f"{frames} frames a session, spread over {call.describe()}"]
    notes.append(f"memory of {memory_sessions} sessions, divided by as many")
    return Table("Many calls in one process", figures, notes)


if __name__ == "__main__":
    print(_grow(*json.loads(sys.argv[1])))
