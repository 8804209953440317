"""Decisions on synthetic calls of one part: `python -m training.evaluate CACHE WEIGHTS`.

A silence timer of 2.5 s with the judge as its only ear, asked at the deadline, as in a call:

    client  ▁▁▁▁████▁▁██████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███
    clock                  |<-- 2.5 s -->|fire     missed: none in a silence of 3.5 s or more
                                                   false: in speech, or under 2.2 s after it
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training import augment, data
from training.data import HOP, RATE, Bools, Floats, Pools
from vad_agent.hearing import judge, network

TIMEOUT = 125
EARLY = 110
SILENCE = 175
BEGINNING = 5
PUT_OFF, MOST_PUT_OFF = 5, 20
RETURN = 25
"""After a fire: speech that arms the timer again is looked for so often."""

CONDITIONS = (
    "as is", "-12 dB", "-24 dB", "street 25", "street 20", "street 15", "steady 15", "music 25", "music 20",
    "pink 20", "pink 15", "car 15", "keys 20", "babble 25", "comfort -45", "loss 5 %", "hold music", "tones",
    "sounds 20", "sounds 10",
)  # fmt: skip


@dataclass(slots=True)
class Score:
    """Decisions of one condition."""

    silences: int = 0
    missed: int = 0
    false: int = 0
    late: list[float] = field(default_factory=list)
    """Seconds after the deadline, of right fires."""

    def add(self, other: Score) -> None:
        """Sum."""
        self.silences += other.silences
        self.missed += other.missed
        self.false += other.false
        self.late += other.late


@dataclass(frozen=True, slots=True)
class Call:
    """A clean client channel."""

    speech: Floats
    active: Bools


def make_call(seed: int, pools: Pools, seconds: int = 90) -> Call:
    """Turns of one voice; the speaker of whole sentences, at its own pace and level."""
    random = np.random.default_rng([99, seed])
    voices = [v for v in pools.voices if not v.name.startswith("syllables") and v.clips]
    people = [v for v in voices if not v.name.startswith("espeak")]
    voice = people[seed % len(people)] if seed % 3 else voices[int(random.integers(len(voices)))]
    count = seconds * RATE // HOP
    call = augment.Draft(
        random, pools, count * HOP, np.zeros(count * HOP, np.float32), np.zeros(count, bool),
        np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, bool),
    )  # fmt: skip
    at = int(random.uniform(0, 4) * RATE)
    while at < call.count:
        for _ in range(int(random.integers(1, 4))):
            clip = voice.clips[int(random.integers(len(voice.clips)))]
            if random.random() < 0.3:
                short = [c for c in voice.clips if len(c) < 0.6 * RATE]
                clip = short[int(random.integers(len(short)))] if short else clip
            said = augment.mumbled(random, clip) if random.random() < 0.3 else clip
            augment.place(call, said * augment.db(random.uniform(-4, 3)), at, clip)
            at += len(clip) + int(random.uniform(0.1, 1.2) * RATE)
        at += int(random.choice([random.uniform(0.5, 3), random.uniform(3.6, 9)]) * RATE)
    speech = augment.equalise(random, call.speech, 6.0)
    speech = augment.telephone(random, speech)
    level = np.sqrt((data.frame_rms(speech)[call.active] ** 2).mean())
    return Call(speech / level * augment.db(random.uniform(-30, -18)), call.active)


def disturb(call: Call, condition: str, seed: int, pools: Pools) -> list[bytes]:
    """The call's frames under a condition, through A-law."""
    random = np.random.default_rng([5, seed, CONDITIONS.index(condition)])
    samples, count = call.speech.copy(), len(call.speech)
    level = float(np.sqrt((data.frame_rms(samples)[call.active] ** 2).mean()))
    name, _, number = condition.rpartition(" ")
    samples += random.normal(0, augment.db(-66), count).astype(np.float32)
    if condition.endswith("dB"):
        samples *= augment.db(float(condition.split()[0]))
    elif name in ("street", "steady", "pink", "car"):
        make = {
            "street": augment.street,
            "steady": augment.steady,
            "pink": augment.pink,
            "car": augment.car,
        }[name]
        samples += make(random, count) * level * augment.db(-float(number))
    elif name == "sounds":
        noise = augment.recorded(random, count, pools)
        samples += noise * level * augment.db(-float(number))
    elif name == "music":
        samples += augment.music(random, count, pools) * level * augment.db(-float(number))
    elif name == "babble":
        samples += augment.babble(random, count, pools) * level * augment.db(-float(number))
    elif name == "comfort":
        samples += random.normal(0, augment.db(-45), count).astype(np.float32)
    elif name == "keys":
        for at in random.integers(0, count, int(3 * count / RATE)):
            key = pools.keys[int(random.integers(len(pools.keys)))]
            key = augment.unit(key) * level * augment.db(-float(number) + 6)
            samples[at : at + len(key)] += key[: count - at]
    elif condition in ("hold music", "tones"):
        # In every silence that is long enough, from 0.3 s after its beginning to its end.
        sound = (
            augment.music(random, count, pools) if name == "hold" else augment.tones(random, count)
        )
        loud = level * augment.db(random.choice([0, -10, -20]))
        for first, end in data.runs(~call.active):
            if end - first >= 125:
                cut = slice((first + 15) * HOP, (end - 5) * HOP)
                samples[cut] += sound[cut] * loud
    elif condition == "loss 5 %":
        samples = augment.lose(random, samples, augment.lost_frames(random, count // HOP, 0.05))
    samples = augment.a_law(samples)
    return _frames(samples)


def _frames(samples: Floats) -> list[bytes]:
    frames = np.clip(np.rint(samples * 32_767), -32_768, 32_767).astype("<i2").reshape(-1, HOP)
    return [frame.tobytes() for frame in frames]


def fires(frames: Sequence[bytes], ear: judge.Judge) -> list[int]:
    """Frames (exclusive ends) at which the timer fires."""
    out: list[int] = []
    clock = 0  # end of the last known speech; while disarmed, up to where nobody spoke
    armed, put_off = True, 0
    now = TIMEOUT
    while now <= len(frames):
        verdict = ear.hear(frames[max(now - judge.WINDOW, 0) : now], RATE)
        if verdict.ended_ago is not None and now - verdict.ended_ago > clock:
            clock, armed, put_off = now - verdict.ended_ago, True, 0
        if not armed:
            clock = max(clock, now - RETURN)
            now += RETURN
        elif now < clock + TIMEOUT:
            now = clock + TIMEOUT
        elif verdict.doubtful and put_off < MOST_PUT_OFF:
            put_off += PUT_OFF
            now += PUT_OFF
        else:
            out.append(now)
            clock, armed, put_off = now, False, 0
            now += RETURN
    return out


def score(fired: Sequence[int], active: Bools) -> Score:
    """Compares with the truth."""
    out = Score()
    silences = list(data.runs(~active))
    hits: set[int] = set()
    for at in fired:
        index = min(at, len(active)) - 1
        back = np.flatnonzero(active[: index + 1])
        ago = index - int(back[-1]) if len(back) else index + 1
        if ago >= EARLY:
            run = next((r for r in silences if r[0] <= index < r[1]), None)
            if run is not None:
                hits.add(run[0])
                out.late.append((ago - TIMEOUT) / 50)
            continue
        began = index  # of the word it fired into
        while began and active[began - 1]:
            began -= 1
        before = next((r for r in silences if r[1] == began), None)
        if (
            active[index]
            and index - began < BEGINNING
            and before
            and before[1] - before[0] >= TIMEOUT
        ):
            hits.add(before[0])
            continue
        out.false += 1
    for first, end in silences:
        if end - first >= SILENCE:
            out.silences += 1
            out.missed += first not in hits
    return out


_state: dict[str, object] = {}


def _start(cache: str, weights: str, part: str) -> None:
    pools = data.build(Path(cache))[part]
    with np.load(weights) as arrays:
        net = network.Network({name: arrays[name] for name in arrays.files})
    _state.update(pools=pools, ear=judge.NetworkJudge(net))


def _one(seed: int) -> dict[str, Score]:
    pools, ear = _state["pools"], _state["ear"]
    assert isinstance(pools, Pools)
    assert isinstance(ear, judge.NetworkJudge)
    call = make_call(seed, pools)
    return {
        condition: score(fires(disturb(call, condition, seed, pools), ear), call.active)
        for condition in CONDITIONS
    }


def evaluate(cache: Path, weights: Path, part: str, calls: int) -> dict[str, Score]:
    """Scores of every condition over `calls` calls."""
    totals = {condition: Score() for condition in CONDITIONS}
    with ProcessPoolExecutor(
        2, initializer=_start, initargs=(str(cache), str(weights), part)
    ) as workers:
        for result in workers.map(_one, range(calls)):
            for condition, one in result.items():
                totals[condition].add(one)
    return totals


def sounds(cache: Path, weights: Path, part: str) -> dict[str, tuple[int, int]]:
    """Sounds alone on a line: how many were judged right, of how many."""
    _start(str(cache), str(weights), part)
    pools, ear = _state["pools"], _state["ear"]
    assert isinstance(pools, Pools)
    assert isinstance(ear, judge.NetworkJudge)
    random = np.random.default_rng([17, data.PARTS.index(part)])
    out: dict[str, tuple[int, int]] = {}

    def note(name: str, right: bool) -> None:
        good, count = out.get(name, (0, 0))
        out[name] = good + right, count + 1

    def hear(samples: Floats) -> judge.Verdict:
        samples = samples + random.normal(0, augment.db(-63), len(samples)).astype(np.float32)
        return ear.hear(_frames(augment.a_law(samples)), RATE)

    count = judge.WINDOW * HOP
    for level in (-20, -26, -33, -40, -46):
        for _ in range(200):
            word = augment.short_clip(random, pools)
            word = augment.unit(word[: int(random.choice([0.15, 0.2, 0.3, 0.4]) * RATE)])
            before = random.normal(0, augment.db(-60), int(random.uniform(1, 2) * RATE))
            after = random.normal(0, augment.db(-60), 125 * HOP)
            samples = np.concatenate([before, word * augment.db(level), after]).astype(np.float32)
            samples[len(before) + len(word) :][: len(after)] = after
            for wait in (10, 50, 110):
                ends = len(before) + len(word) + wait * HOP
                verdict = ear.hear(_frames(augment.a_law(samples[: ends // HOP * HOP])), RATE)
                note(f"word {level} dBFS, {wait} frames ago",
                     verdict.ended_ago is not None and abs(verdict.ended_ago - wait) < 20)  # fmt: skip
    for gain in (0, -10, -20):
        for _ in range(100):
            samples = augment.music(random, count, pools) * augment.db(-18 + gain)
            verdict = hear(samples)
            note(f"music {gain} dB: no speech", not verdict.spoken)
            note(f"music {gain} dB: known", verdict.music)
            for seconds in (1, 2, 3, 4):
                new = np.zeros(count, np.float32)
                new[-seconds * RATE :] = samples[: seconds * RATE]
                verdict = hear(new)
                note(f"music {gain} dB for {seconds} s: no speech", not verdict.spoken)
                if seconds > 2:
                    note(f"music {gain} dB for {seconds} s: known", verdict.music)
    for name in ("tones", "melody", "street", "keys", "breath", "knock", "babble"):
        for _ in range(100):
            samples = np.zeros(count, np.float32)
            if name in ("keys", "breath", "knock"):
                for _ in range(int(random.integers(1, 12))):
                    key = pools.keys[int(random.integers(len(pools.keys)))]
                    air, knock = augment.breath(random), augment.knock(random)
                    one = {"keys": key, "breath": air, "knock": knock}[name]
                    at = int(random.integers(0, count - len(one)))
                    samples[at : at + len(one)] += one
                samples *= augment.db(random.uniform(-40, -16))
            elif name == "babble":
                samples = augment.babble(random, count, pools) * augment.db(-35)
            else:
                make = {"tones": augment.tones, "melody": augment.melody, "street": augment.street}[
                    name
                ]
                samples = make(random, count) * augment.db(random.uniform(-45, -12))
            note(f"{name}: no speech", not hear(samples).spoken)
    for _ in range(150):
        voice = augment.pick_voice(random, pools)
        verdict = hear(augment.stream(random, count, voice) * augment.db(random.uniform(-40, -15)))
        note("talk: to the end", verdict.ended_ago is not None and verdict.ended_ago < 50)
        note("talk: no music", not verdict.music)
    for seed in range(40):  # asked at any time: somebody spoke in the last three seconds
        call = make_call(1000 + seed, pools, 40)
        frames = disturb(call, str(random.choice(["as is", "street 15", "babble 25"])), seed, pools)
        for now in range(150, len(frames), 25):
            if call.active[now - 140 : now - 10].mean() > 0.1:
                verdict = ear.hear(frames[max(now - judge.WINDOW, 0) : now], RATE)
                note("call: speech is no music", not verdict.music)
    return out


def main() -> None:
    """Prints one line a condition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--part", default="tune", choices=data.PARTS)
    parser.add_argument("--calls", type=int, default=24)
    options = parser.parse_args()
    totals = evaluate(options.cache, options.weights, options.part, options.calls)
    whole = Score()
    print(f"{'condition':12} silences missed false  late p50  p95")
    for condition, one in totals.items():
        _print(condition, one)
        if condition not in ("babble 25", "hold music", "tones"):
            whole.add(one)
    _print("15 of them", whole)
    for name, (good, count) in sounds(options.cache, options.weights, options.part).items():
        print(f"{name:36} {good:4} of {count}")


def _print(name: str, one: Score) -> None:
    p50, p95 = np.percentile(one.late, [50, 95]) if one.late else (0.0, 0.0)
    print(f"{name:12} {one.silences:8} {one.missed:6} {one.false:5}  {p50:8.2f} {p95:4.2f}")


if __name__ == "__main__":
    main()
