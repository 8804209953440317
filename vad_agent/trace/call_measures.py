"""What vendors of call quality measure, computed from one call's trace. Pure; times in seconds.

    operator  ███▁▁▁▁▁▁▁▁▁▁▁▁████▁▁▁▁▁▁▁▁▁▁▁▁
    client    ▁▁▁▁██▁▁▁▁▁▁▁▁▁▁▁▁██████▁▁▁▁▁▁▁
                    |silence|  |over|          a silence has a cause, and somebody who is waited for

Hold is kept apart: a silence within a hold is no dead air. The thresholds are vendors' own
(`VENDORS`); what they do not define is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vad_agent.trace.report.call_timeline import Span, Timeline

Pieces = list[tuple[float, float]]
"""Spans [start, end) in order, apart from each other."""

VENDORS: Mapping[str, float] = {"observe": 10.0, "genesys": 15.0, "nice": 3.0, "contact_lens": 3.0,
                                "cisco": 6.0}  # fmt: skip
"""Seconds of silence from which each vendor speaks of dead air."""


@dataclass(frozen=True, slots=True)
class MeasureThresholds:
    """The definitions of the measures."""

    dead_air_s: float = VENDORS["observe"]
    """A silence of both sides, outside of a hold, this long is dead air."""
    silence_s: float = 2.0
    """The shortest silence that is listed."""
    overtalk_s: float = 0.5
    """A shorter overlap is assent ("да", "угу"), not overtalk."""
    response_s: float = 10.0
    """A longer pause before the operator's answer is a silence, not a response."""
    monologue_gap_s: float = 2.0
    """A shorter pause does not end a monologue."""


@dataclass(frozen=True, slots=True)
class SilentPart:
    """A silence of both sides. `cause`: what the client's line carries, a state of the trace's `line`."""

    start: float
    end: float
    cause: str
    waits_for: str
    """Who did not speak last: operator, client; "" if nobody had spoken, or it is unknown."""
    held: bool
    dead_air: bool

    @property
    def length(self) -> float:
        """Seconds."""
        return round(self.end - self.start, 2)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Both sides speak. `by`: who began while the other one spoke."""

    start: float
    end: float
    by: str

    @property
    def length(self) -> float:
        """Seconds."""
        return round(self.end - self.start, 2)


@dataclass(frozen=True, slots=True)
class CallMeasures:
    """The measures of a call. None: the recording does not tell. Shares are of `duration_s`, 0 to 1."""

    duration_s: float
    answered_s: float
    """Where the call begins: ringback ends, or the event says so."""
    silences: Sequence[SilentPart]
    overlaps: Sequence[Overlap] | None
    operator_share: float | None
    client_share: float | None
    silence_share: float
    """Of silence of both sides outside of holds, of any length."""
    hold_s: float
    music_s: float
    greeting_latency_s: float | None
    response_latency_s: float | None
    """Median pause between the client's words and the operator's answer."""
    longest_monologue_s: float | None
    """Of the operator."""


def measures(call: Timeline, limits: MeasureThresholds, *, mono: bool = False) -> CallMeasures:
    """The measures of a call. `mono`: its one channel carries both sides, so who speaks is unknown."""
    operator, client = (pieces(call.speech[side]) for side in ("operator", "client"))
    end = call.duration
    talk = pieces([*call.speech["operator"], *call.speech["client"]])
    holds = pieces(Span(hold.origin, hold.end) for hold in call.holds)
    start = _answered(call, talk)
    silent = _between(talk, start, end)
    unheld = sum(b - a for a, b in without(silent, holds))
    over = None if mono else overlaps(operator, client, limits.overtalk_s)
    music = pieces(span for side in call.lines.values() for span in side if span.name == "music")
    first = operator[0][0] if operator else None
    waits = [b - a for a, b in _answers(operator, client) if b - a <= limits.response_s]
    runs = pieces(call.speech["operator"], limits.monologue_gap_s)
    alone = [b - a for a, b in runs if not any(a < y and x < b for x, y in client)]
    length = max(end - start, 0.02)

    def share(spans: Pieces) -> float:
        return round(sum(b - a for a, b in spans) / length, 4)

    return CallMeasures(
        duration_s=round(end, 2),
        answered_s=round(start, 2),
        silences=[_silence(call, part, holds, limits, mono=mono)
                  for part in _cut(silent, holds) if part[1] - part[0] >= limits.silence_s],
        overlaps=over,
        operator_share=None if mono else share(operator),
        client_share=None if mono else share(client),
        silence_share=round(unheld / length, 4),
        hold_s=round(sum(b - a for a, b in holds), 2),
        music_s=round(sum(b - a for a, b in music), 2),
        greeting_latency_s=None if mono or first is None else round(max(0.0, first - start), 2),
        response_latency_s=None if mono else _median(waits),
        longest_monologue_s=None if mono else round(max(alone, default=0.0), 2),
    )  # fmt: skip


def pieces(spans: Iterable[Span], gap: float = 0.0) -> Pieces:
    """The union of the spans; those at most `gap` seconds apart are one."""
    merged: Pieces = []
    for span in sorted(spans, key=lambda span: span.start):
        if merged and span.start - merged[-1][1] <= gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], span.end)
        elif span.end > span.start:
            merged.append((span.start, span.end))
    return merged


def without(spans: Pieces, cut: Pieces) -> Pieces:
    """The parts of `spans` outside of `cut`."""
    return [part for part in _cut(spans, cut) if not _inside(part, cut)]


def overlaps(operator: Pieces, client: Pieces, shortest: float) -> list[Overlap]:
    """Where both speak for `shortest` seconds or more, in order."""
    found = []
    for a, b in operator:
        for x, y in client:
            if x >= b:
                break
            if min(b, y) - max(a, x) >= shortest:
                by = "operator" if a > x else "client"
                found.append(Overlap(round(max(a, x), 2), round(min(b, y), 2), by))
    return found


def state_at(call: Timeline, side: str, start: float, end: float) -> str:
    """The state that this side's line has for most of [start, end); "live" if no other."""
    shares = {"live": 0.0}
    for span in call.lines[side]:
        common = min(span.end, end) - max(span.start, start)
        if common > 0:
            shares[span.name] = shares.get(span.name, 0.0) + common
    shares["live"] = (end - start) - sum(shares.values())
    return max(shares, key=lambda name: shares[name])


def _answered(call: Timeline, talk: Pieces) -> float:
    answers = [mark.t for mark in call.marks if mark.text.startswith("ответ")]
    if answers:
        return answers[-1]
    first = talk[0][0] if talk else call.duration
    ringing = [s.end for side in call.lines.values() for s in side if s.name == "tone"
               and s.start <= 5.0 and s.end <= first + 0.5]  # fmt: skip
    return min(max(ringing, default=0.0), first)


def _between(talk: Pieces, start: float, end: float) -> Pieces:
    gaps, at = [], start
    for a, b in talk:
        if a > at:
            gaps.append((at, min(a, end)))
        at = max(at, b)
    return [*gaps, (at, end)] if end > at else gaps


def _cut(spans: Pieces, at: Pieces) -> Pieces:
    """The spans, cut at each edge of `at`."""
    edges = sorted({edge for span in at for edge in span})
    parts = []
    for a, b in spans:
        inner = [edge for edge in edges if a < edge < b]
        parts += list(zip([a, *inner], [*inner, b], strict=True))
    return parts


def _inside(part: tuple[float, float], spans: Pieces) -> bool:
    middle = (part[0] + part[1]) / 2
    return any(a <= middle < b for a, b in spans)


def _silence(
    call: Timeline,
    part: tuple[float, float],
    holds: Pieces,
    limits: MeasureThresholds,
    *,
    mono: bool,
) -> SilentPart:
    start, end = part
    held = _inside(part, holds)
    muted = state_at(call, "operator", start, end) == "muted"
    cause = "muted" if muted else state_at(call, "client", start, end)
    return SilentPart(
        start=round(start, 2),
        end=round(end, 2),
        cause=cause,
        waits_for="" if mono else _waited_for(call, start),
        held=held,
        dead_air=not held and end - start >= limits.dead_air_s,
    )


def _waited_for(call: Timeline, at: float) -> str:
    ends = {
        side: max((span.end for span in spans if span.start < at), default=0.0)
        for side, spans in call.speech.items()
    }
    if not any(ends.values()):
        return ""
    return "client" if ends["operator"] >= ends["client"] else "operator"


def _answers(operator: Pieces, client: Pieces) -> Pieces:
    """From the client's last word to the operator's first, where the operator is the next to speak."""
    turns = sorted(
        [(a, b, "operator") for a, b in operator] + [(a, b, "client") for a, b in client]
    )
    return [
        (one[1], other[0])
        for one, other in pairwise(turns)
        if one[2] == "client" and other[2] == "operator" and other[0] >= one[1]
    ]


def _median(values: Sequence[float]) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    low, high = ordered[(len(ordered) - 1) // 2], ordered[middle]
    return round((low + high) / 2, 2)
