"""What one frame costs: `CallSession.feed` for both channels against two bare webrtcvad calls.

bare    Vad(3).is_speech(operator)   Vad(3).is_speech(client)     every frame of the call
cheap   CallSession.feed(operator, client), judge = "none"        the same frames
feed    the same with the judge, as installed
"""

from __future__ import annotations

import gc
from statistics import median
from time import perf_counter_ns

import _webrtcvad
import webrtcvad
from vad_agent.hearing.ear import LevelledEar
from vad_agent.hearing.webrtc import webrtc

from benchmarks.audio import Call
from benchmarks.measure import Figure, Table, interleaved, percentile, ratio, timed
from vad_agent.core.call import CallSession
from vad_agent.core.ear import Ear
from vad_agent.core.frames import Channel, samples_per_frame
from vad_agent.settings import Settings

CHEAP_MAX, JUDGED_MAX = 1.0, 2.0
CHEAP_P999_MAX_MS, JUDGED_P999_MAX_MS = 0.25, 1.0
CHEAP, JUDGED = "none", "network"
WITHOUT_JUDGE = Settings(hearing={"judge": CHEAP})
BARE = "two bare calls"


def bare_calls(call: Call) -> float:
    """Seconds of two detectors over the call, each its channel."""
    operator, client = webrtcvad.Vad(3).is_speech, webrtcvad.Vad(3).is_speech
    pairs, rate = call.pairs, call.rate

    def work() -> None:
        for left, right in pairs:
            operator(left, rate)
            client(right, rate)

    return timed(work)


def bare_c_calls(call: Call) -> float:
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


def feed_calls(call: Call, judge: str) -> float:
    """Seconds of a session over the call."""
    feed = CallSession(Settings(hearing={"judge": judge}), call.rate, mode="cue").feed
    pairs = call.pairs

    def work() -> None:
        for left, right in pairs:
            feed(left, right)

    return timed(work)


def each_feed_ms(call: Call, judge: str) -> list[float]:
    """Milliseconds of every single feed, the timer's own 0.05 µs included."""
    feed = CallSession(Settings(hearing={"judge": judge}), call.rate, mode="cue").feed
    took, clock = [], perf_counter_ns
    for left, right in call.pairs:
        start = clock()
        feed(left, right)
        took.append(clock() - start)
    return [ns / 1e6 for ns in took]


def asked_share(call: Call) -> float:
    """Share of frames, 0…1, of which the ears ask the detector."""
    asked = 0

    class Counting:
        script = Settings().script

        def ear(self, channel: Channel, sample_rate: int) -> Ear:
            detector = webrtc(sample_rate)

            def counted(frame: bytes, samples: int) -> bool:
                nonlocal asked
                asked += 1
                return detector(frame, samples)

            return LevelledEar(sample_rate, detector=counted)

    session = CallSession(Counting(), call.rate, mode="cue")
    for left, right in call.pairs:
        session.feed(left, right)
    return asked / (2 * len(call.client))


def measure(call: Call, *, rounds: int = 9) -> Table:
    """Compare and collect."""
    seconds = interleaved(
        {
            BARE: lambda: bare_calls(call),
            "C": lambda: bare_c_calls(call),
            CHEAP: lambda: feed_calls(call, CHEAP),
            JUDGED: lambda: feed_calls(call, JUDGED),
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
        per_frame(CHEAP, "CallSession.feed, both channels, without the judge", CHEAP_MAX),
        per_frame(JUDGED, "CallSession.feed, both channels, with the judge", JUDGED_MAX),
        Figure("frames that the detector is asked about", asked_share(call) * 100, "%"),
    ]
    for judge, title, limit in (
        (CHEAP, "without the judge", CHEAP_P999_MAX_MS),
        (JUDGED, "with the judge", JUDGED_P999_MAX_MS),
    ):
        singles: list[list[float]] = []
        for _ in range(max(rounds // 2, 1)):
            gc.collect()
            singles.append(each_feed_ms(call, judge))
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
            value = median(percentile(run, share) for run in singles)
            limited = name == "p99.9"
            target = f"≤ {limit:g} ms" if limited else ""
            met = value <= limit if limited else None
            figures.append(
                Figure(f"one feed, {title}, {name}", value, "ms", target=target, met=met)
            )
    return Table("Cost of a frame pair (20 ms of both channels)", figures, [call.describe()])
