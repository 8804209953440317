"""What a plain timer makes of a call: speech of both sides by some detector, and the script by the clock.

flags     one truth value a frame and side: webrtcvad mode 3, or earshot with its gates
heard     4 of the last 6 flags
timer     silence since the last flag of either side that was heard; the aims of the script
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import webrtcvad

from benchmarks.accuracy.contenders import relative_gate
from benchmarks.accuracy.labels import FRAME, RATE
from benchmarks.accuracy.signals import FULL_SCALE, frame_power
from benchmarks.calls.ground_truth import Flags
from benchmarks.calls.recipe_sampling import phrase_frames, steps_of
from benchmarks.calls.render import RenderedCall, frames_of
from vad_agent.core.actions import Reason
from vad_agent.core.frames import frames, seconds

EARSHOT_WINDOW = 256  # samples at 16 kHz
THRESHOLD = 0.5
LEAK_DB, LEAK_FRAMES, LEAK_DBFS = 16.0, 11, -45.0
HEARD, OF = 4, 6
SETTLED = frames(0.2)
"""webrtcvad calls the first frames of any call speech."""
NO_MEDIA, DEAD = frames(10), frames(1)
"""Of frames that do not come, and of digital zero."""
Record = dict[str, object]


# -- flags -----------------------------------------------------------------------------------------


def webrtc_flags(call: RenderedCall) -> tuple[Flags, Flags]:
    """Operator's and client's frames that bare webrtcvad in mode 3 calls speech."""

    def flags(side: np.ndarray) -> Flags:
        detector = webrtcvad.Vad(3)
        return np.array([detector.is_speech(frame, RATE) for frame in frames_of(side)], bool)

    return flags(call.operator), flags(call.client)


def earshot_flags(call: RenderedCall) -> tuple[Flags, Flags]:
    """The same of earshot at 0.5, within 20 dB of the speaker's level; no leak on the client's side."""
    operator, client = (
        relative_gate(frames_of(side), earshot(side) >= THRESHOLD)
        for side in (call.operator, call.client)
    )
    return operator, client & ~leak(call.operator, call.client)


def earshot(samples: np.ndarray) -> np.ndarray:
    """By frame of 8 kHz int16 audio: the highest probability of the windows of 16 ms that end in it."""
    from earshot import Detector

    wide = np.empty(2 * len(samples), "<i2")  # linear, and never ahead of what has come
    before = np.concatenate([[0], samples[:-1]]).astype(np.int32)
    wide[::2], wide[1::2] = (before + samples) // 2, samples
    detector = Detector()
    count = len(wide) // EARSHOT_WINDOW
    windows = wide[: count * EARSHOT_WINDOW].reshape(count, EARSHOT_WINDOW)
    said = np.array([detector.predict_i16(window) for window in windows])
    ends = ((np.arange(count) + 1) * EARSHOT_WINDOW - 1) // (2 * FRAME)
    out = np.zeros(len(samples) // FRAME)
    np.maximum.at(out, ends, said)
    return out


def leak(operator: np.ndarray, client: np.ndarray) -> Flags:
    """Frames of the client's side that are 16 dB under the operator's loudest of the last 11."""
    mine, theirs = (
        10 * np.log10(frame_power(side.astype(np.float64)) / FULL_SCALE**2 + 1e-12)
        for side in (operator, client)
    )
    padded = np.concatenate([np.full(LEAK_FRAMES - 1, -120.0), mine])
    loudest = np.lib.stride_tricks.sliding_window_view(padded, LEAK_FRAMES).max(axis=1)
    return np.asarray((loudest > LEAK_DBFS) & (theirs < loudest - LEAK_DB))


# -- the timer -------------------------------------------------------------------------------------


def timer(call: RenderedCall, flags: tuple[Flags, Flags]) -> Iterator[Record]:
    """The script by the clock, over flags of speech: the trace of the call."""
    heard = [np.convolve(side, np.ones(OF))[: len(side)] >= HEARD for side in flags]
    for side in heard:
        side[:SETTLED] = False
    constant = np.ptp(call.client.reshape(-1, FRAME), axis=1) == 0
    events = sorted(call.recipe.events, reverse=True)
    reason: Reason | None = None  # which ladder is climbed
    said, since, playing, ends, lost, dead = 0, 0, False, 0, 0, 0
    goodbye, asked, ladder = False, False, steps_of(Reason.SILENCE_AFTER_GREETING)
    for now in range(call.recipe.frames):
        while events and events[-1][0] <= now:
            told = dict(events.pop()[1])
            match told["kind"]:
                case "hold":
                    reason, said, since, playing = Reason.CLIENT_HOLD, 0, now, False
                case "unhold":
                    reason, said, since, playing = Reason.SILENCE_IN_DIALOGUE, 0, now, False
                case "goodbye":
                    goodbye = True
                case "hangup":
                    if told["party"] != "operator" and not goodbye:
                        yield _callback(now, Reason.DROPPED)
                    return
        lost = lost + 1 if call.lost[now] else 0
        dead = dead + 1 if constant[now] else 0
        if lost >= NO_MEDIA:
            yield _callback(now, Reason.DROPPED)
            return
        if lost >= DEAD:
            since = now + 1
        operator, client = bool(heard[0][now]), bool(heard[1][now])
        if operator and reason is None:
            reason = Reason.SILENCE_AFTER_GREETING
        if client and reason is not Reason.CLIENT_HOLD:
            reason = Reason.SILENCE_IN_DIALOGUE
        if (operator or client) and reason is not Reason.CLIENT_HOLD:
            if playing:
                yield _prompt(ladder[said].prompt, since, now, "interrupted")
            said, since, playing = (0 if client or playing else said), now + 1, False
        if reason is None or goodbye:
            continue
        ladder = steps_of(reason)
        if playing and now >= ends:
            yield _prompt(ladder[said].prompt, since, now, "said")
            said, since, playing = said + 1, now, False
            if said == len(ladder):
                return
        elif not playing and now - since >= ladder[said].window_for(dead >= DEAD).aim:
            if said == len(ladder) - 1 and not asked:
                asked = True
                yield _callback(now, reason)
            since, playing, ends = now, True, now + phrase_frames(ladder[said])


def _callback(now: int, reason: Reason) -> Record:
    return {"t": seconds(now), "kind": "callback", "reason": reason.value}


def _prompt(prompt: str, start: int, end: int, outcome: str) -> Record:
    times = {"started_s": seconds(start), "ended_s": seconds(end)}
    return {"t": seconds(end), "kind": "prompt", "id": prompt, "outcome": outcome} | times


def by_webrtcvad(call: RenderedCall) -> list[Record]:
    """The trace of the timer over webrtcvad mode 3."""
    return list(timer(call, webrtc_flags(call)))


def by_earshot(call: RenderedCall) -> list[Record]:
    """The trace of the timer over earshot."""
    return list(timer(call, earshot_flags(call)))


BASELINES: Mapping[str, Callable[[RenderedCall], list[Record]]] = {
    "webrtcvad 3": by_webrtcvad,
    "earshot 0.5": by_earshot,
}
