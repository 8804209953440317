"""What a live call cannot wait for: detected speech, revised by the levels of the whole recording.

    operator   level      ▁▁▂▅▇▇▅▃▁▁▂▅▃▁▁▁
               detected   ▁▁▁▁███▁▁▁▁▁▁▁▁▁
               revised    ▁▁▁█████▁▁███▁▁▁    what stands out of the channel, at or beside what was detected
    client     detected   ██▁▁▁▁█▁▁▁▁████▁    a short or far weaker sound alone is the room's
               revised    ██▁▁▁▁▁▁▁▁▁████▁

The operator's channel is that of one headset, and a silence of the script begins at the last sound: as in
Rabiner and Sambur's endpoints, energy moves the edges of what the detector is sure of. The client's channel
carries a room and a line as well; there, edges are left to the detector.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from vad_agent.core.actions import LineState
from vad_agent.core.frames import Channel, FramePair, frames, seconds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vad_agent.trace.report.call_timeline import TraceRecord

    Levels = npt.NDArray[np.float32]
    """dBFS by frame."""

Run = tuple[int, int]
"""Frames [first, last)."""
UNDER_DB = 30.0
"""The operator's sound is speech down to so far under the loud frames of their speech, …"""
OVER_DB = 6.0
"""… but so far over the floor of the channel at least."""
CONTRAST_DB = 10.0
"""A floor that is nearer to the speech tells no edges."""
DIP = frames(0.06)
"""A shorter dip is within a word."""
BESIDE = frames(0.5)
SHORTEST = frames(0.1)
"""A shorter sound beside an utterance is a click."""
APART = frames(1.0)
"""Spans of the client that are nearer to each other are one utterance."""
FAR_DB = 18.0
"""An utterance so far under the client's loud ones is a sound of the room."""
NEAR_DB = 12.0
"""A sound nearer to them that is not known as speech may yet be the client."""
SILENT_DBFS = -120.0
_BLOCK = 500


class CallLevels:
    """Levels of both channels, in passing: 8 bytes for a pair of frames are kept."""

    def __init__(self) -> None:
        self._done: dict[Channel, list[Levels]] = {channel: [] for channel in Channel}
        self._pairs: list[FramePair] = []

    def of(self, pairs: Iterable[FramePair]) -> Iterator[FramePair]:
        """The same pairs."""
        for pair in pairs:
            self._pairs.append(pair)
            if len(self._pairs) == _BLOCK:
                self._count()
            yield pair

    def levels(self) -> Mapping[Channel, Levels]:
        """So far."""
        import numpy as np

        self._count()
        empty = np.zeros(0, np.float32)
        return {channel: np.concatenate([empty, *self._done[channel]]) for channel in Channel}

    def _count(self) -> None:
        for channel, side in zip((Channel.OPERATOR, Channel.CLIENT), (0, 1), strict=True):
            self._done[channel].append(_levels([pair[side] for pair in self._pairs]))
        self._pairs.clear()


def _levels(channel: Sequence[bytes | None]) -> Levels:
    import numpy as np

    size = max((len(frame) for frame in channel if frame), default=0)
    if not size:
        return np.full(len(channel), SILENT_DBFS, np.float32)
    whole = b"".join([(frame or b"").ljust(size, b"\0") for frame in channel])
    samples = np.frombuffer(whole, "<i2").reshape(len(channel), -1).astype(np.float32)
    power = np.einsum("ij,ij->i", samples, samples) / (samples.shape[1] * 32_768.0**2)
    return np.asarray(10 * np.log10(power + 10 ** (SILENT_DBFS / 10)), np.float32)


def revised(lines: Sequence[TraceRecord], levels: Mapping[Channel, Levels]) -> list[TraceRecord]:
    """The trace with the revised speech of both sides, and the client's sounds that may yet be speech."""
    out = [line for line in lines if line["kind"] != "speech"]
    spans = {
        channel: [
            (frames(line["start_s"]), frames(line["end_s"]))
            for line in lines
            if line["kind"] == "speech" and line["channel"] == channel.value
        ]
        for channel in Channel
    }
    voices = _without_music(lines, levels[Channel.CLIENT])
    client = client_speech(spans[Channel.CLIENT], voices)
    operator = operator_speech(spans[Channel.OPERATOR], levels[Channel.OPERATOR])
    unsure = unsure_sounds(spans[Channel.CLIENT], voices)
    out += [_line("speech", Channel.OPERATOR, run) for run in operator]
    out += [_line("speech", Channel.CLIENT, run) for run in client]
    out += [_line("sound", Channel.CLIENT, run) for run in unsure]
    return sorted(out, key=lambda line: float(line["t"]))


def _without_music(lines: Sequence[TraceRecord], levels: Levels) -> Levels:
    """The client's levels; music on hold is no sound of theirs."""
    changes = sorted(
        (line["since_s"], line["state"])
        for line in lines
        if line["kind"] == "line" and line["channel"] == Channel.CLIENT.value
    )
    out = levels.copy()
    for (since, state), (until, _) in pairwise([*changes, (seconds(len(levels)), "")]):
        if state == LineState.MUSIC.value:
            out[frames(since) : frames(until)] = SILENT_DBFS
    return out


def _line(kind: str, channel: Channel, run: Run) -> TraceRecord:
    start, end = seconds(run[0]), seconds(run[1])
    return {"t": end, "kind": kind, "channel": channel.value, "start_s": start, "end_s": end}


def operator_speech(spans: Sequence[Run], levels: Levels) -> list[Run]:
    """The operator's utterances with the edges that the levels give. Frames, in order."""
    import numpy as np

    spans = _within(spans, levels)
    if not spans:
        return []
    speech = np.concatenate([levels[first:last] for first, last in spans])
    loud, floor = float(np.percentile(speech, 90)), float(np.percentile(levels, 10))
    threshold = max(loud - UNDER_DB, floor + OVER_DB)
    if threshold > loud - CONTRAST_DB:
        return _united(spans)
    sounds = _united(_runs(levels > threshold), DIP)
    ends = [last for _, last in sounds]
    found: list[Run] = []
    for first, last in spans:
        near = []
        for sound in sounds[bisect_left(ends, first - BESIDE) :]:
            apart = max(sound[0] - last, first - sound[1])
            if apart > BESIDE:
                break
            if apart <= 0 or sound[1] - sound[0] >= SHORTEST:
                near.append(sound)
        found += near or [(first, last)]
    return _united(found)


def client_speech(spans: Sequence[Run], levels: Levels) -> list[Run]:
    """The client's spans without the sounds of the room. Frames, in order."""
    groups, loudness, loud = _utterances(spans, levels)
    return [
        span
        for group, level in zip(groups, loudness, strict=True)
        if level >= loud - FAR_DB
        for span in group
    ]


def unsure_sounds(spans: Sequence[Run], levels: Levels) -> list[Run]:
    """Sounds nearly as loud as the client's speech that were not detected as it. Frames, in order."""
    _, _, loud = _utterances(spans, levels)
    sound = levels > loud - NEAR_DB
    for first, last in spans:
        sound[max(first - SHORTEST, 0) : last + SHORTEST] = False
    return [run for run in _united(_runs(sound), DIP) if run[1] - run[0] >= SHORTEST]


def _utterances(spans: Sequence[Run], levels: Levels) -> tuple[list[list[Run]], list[float], float]:
    """The client's utterances, the level of each, and that of the loud ones; dBFS, +inf: there is none."""
    import numpy as np

    groups: list[list[Run]] = []
    for span in _within(spans, levels):
        if levels[span[0] : span[1]].max() <= SILENT_DBFS:  # all of it is music on hold
            continue
        if groups and span[0] - groups[-1][-1][1] <= APART:
            groups[-1].append(span)
        else:
            groups.append([span])
    loudness = [
        max(float(np.percentile(levels[first:last], 90)) for first, last in group)
        for group in groups
    ]
    loud = float(np.percentile(loudness, 75, method="higher")) if loudness else float("inf")
    return groups, loudness, loud


def _within(spans: Sequence[Run], levels: Levels) -> list[Run]:
    count = len(levels)
    return sorted((first, min(last, count)) for first, last in spans if first < min(last, count))


def _runs(flags: npt.NDArray[np.bool_]) -> list[Run]:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _united(runs: Sequence[Run], gap: int = 0) -> list[Run]:
    """The union of runs; those at most `gap` frames apart are one."""
    out: list[Run] = []
    for first, last in sorted(runs):
        if out and first - out[-1][1] <= gap:
            out[-1] = out[-1][0], max(out[-1][1], last)
        else:
            out.append((first, last))
    return out
