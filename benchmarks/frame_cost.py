"""The cost of one frame: `CallSession.feed` for both channels against two bare webrtcvad calls.

bare    Vad(3).is_speech(operator)   Vad(3).is_speech(client)     every frame of the call
plain   CallSession.feed(operator, client), detector = "webrtcvad"    the same frames
feed    the same with the default detector: earshot and the network
"""

from __future__ import annotations

import gc
from statistics import median
from time import perf_counter_ns

import _webrtcvad
import webrtcvad

from benchmarks.audio import RecordedCall
from benchmarks.measure import Figure, Table, interleaved, percentile, ratio, timed
from vad_agent.core.frames import samples_per_frame
from vad_agent.core.session import CallSession
from vad_agent.script.settings import Settings

FEED_MAX, P999_MAX_MS = 2.0, 1.0
PLAIN, FEED = "webrtcvad", "earshot"
PLAIN_SETTINGS = Settings(hearing={"detector": PLAIN})
BARE = "two bare calls"


def bare_calls(call: RecordedCall) -> float:
    """Seconds of two detectors over the call, one per channel."""
    operator, client = webrtcvad.Vad(3).is_speech, webrtcvad.Vad(3).is_speech
    pairs, rate = call.pairs, call.rate

    def work() -> None:
        for left, right in pairs:
            operator(left, rate)
            client(right, rate)

    return timed(work)


def bare_c_calls(call: RecordedCall) -> float:
    """The same without the package's Python wrapper."""
    states = []
    for _ in range(2):
        states.append(_webrtcvad.create())
        _webrtcvad.init(states[-1])
        _webrtcvad.set_mode(states[-1], 3)
    operator, client = states
    pairs, rate, samples = call.pairs, call.rate, samples_per_frame(call.rate)
    process = _webrtcvad.process

    def work() -> None:
        for left, right in pairs:
            process(operator, rate, left, samples)
            process(client, rate, right, samples)

    return timed(work)


def feed_calls(call: RecordedCall, detector: str) -> float:
    """Seconds of a session over the call."""
    feed = CallSession(Settings(hearing={"detector": detector}), call.rate, mode="cue").feed
    pairs = call.pairs

    def work() -> None:
        for left, right in pairs:
            feed(left, right)

    return timed(work)


def each_feed_ms(call: RecordedCall, detector: str) -> list[float]:
    """Milliseconds of every single feed, including the timer's own 0.05 µs."""
    feed = CallSession(Settings(hearing={"detector": detector}), call.rate, mode="cue").feed
    took, clock = [], perf_counter_ns
    for left, right in call.pairs:
        start = clock()
        feed(left, right)
        took.append(clock() - start)
    return [ns / 1e6 for ns in took]


def measure(call: RecordedCall, *, rounds: int = 9) -> Table:
    """Compare the three and collect the figures."""
    seconds = interleaved(
        {
            BARE: lambda: bare_calls(call),
            "C": lambda: bare_c_calls(call),
            PLAIN: lambda: feed_calls(call, PLAIN),
            FEED: lambda: feed_calls(call, FEED),
        },
        rounds,
    )

    def per_frame(name: str, what: str, limit: float | None = None) -> Figure:
        value = median(seconds[name]) / len(call.client) * 1e6
        if name == BARE:
            return Figure(what, value, "µs")
        against = ratio(seconds[name], seconds[BARE])
        if limit is None:
            return Figure(what, value, "µs", against, BARE)
        return Figure(what, value, "µs", against, BARE, f"≤ {limit:g}×", against <= limit)

    figures = [
        per_frame(BARE, BARE),
        per_frame("C", "the same without webrtcvad's Python wrapper"),
        per_frame(PLAIN, "CallSession.feed, both channels, webrtcvad alone"),
        per_frame(FEED, "CallSession.feed, both channels", FEED_MAX),
    ]
    for detector, title in ((PLAIN, "one feed, webrtcvad alone"), (FEED, "one feed")):
        singles: list[list[float]] = []
        for _ in range(max(rounds // 2, 1)):
            gc.collect()
            singles.append(each_feed_ms(call, detector))
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
            value = median(percentile(run, share) for run in singles)
            limited = name == "p99.9"
            target = f"≤ {P999_MAX_MS:g} ms" if limited else ""
            met = value <= P999_MAX_MS if limited else None
            figures.append(Figure(f"{title}, {name}", value, "ms", target=target, met=met))
    return Table("Cost of a frame pair (20 ms of both channels)", figures, [call.describe()])
