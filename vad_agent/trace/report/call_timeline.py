"""The trace as the report needs it: spans, prompts with their verdicts, the silence clock.

Times are seconds of the call. The clock is recomputed from the detected speech, so that a prompt
whose own figure disagrees with the sound is visible:

    sound    ▁▁▁████▁▁▁▁▁▁▁▁▁▁██▁▁▁▁▁
    clock    ⟋⟋⟋    ⟋⟋⟋⟋⟋⟋⟋⟋⟋⟋  ⟋⟋⟋⟋⟋     a sweep starts from zero where a sound ends
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vad_agent.trace import labels_ru
from vad_agent.trace.window_compliance import Verdict, verdict

TraceRecord = Mapping[str, Any]
"""One object of the trace (see `trace_format.py`), or an event: {"t", "kind": "event", "event", …}."""


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) with its content: a phase, a line's state, or nothing for speech."""

    start: float
    end: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The clock running from `start` to `end`; at `start` it shows start − origin."""

    start: float
    end: float
    origin: float


@dataclass(frozen=True, slots=True)
class TimelineMark:
    """An event at one moment."""

    t: float
    text: str
    strong: bool
    """Done or detected by the product, not reported from outside."""


@dataclass(frozen=True, slots=True)
class PromptSpan:
    """A prompt's line of the trace, numbered as in the table."""

    number: int
    t: float
    id: str
    text: str
    lo: float
    hi: float
    silence: float
    started: float | None
    ended: float | None
    outcome: str
    origin: float
    """The time at which its clock started."""
    of_hold: bool

    @property
    def name(self) -> str:
        """The Russian name."""
        return labels_ru.PROMPTS.get(self.id, self.id)

    @property
    def window(self) -> Span:
        """The span in which its first sample was due."""
        return Span(self.origin + self.lo, self.origin + self.hi)

    @property
    def sound(self) -> Span:
        """The span of its sound; if it made no sound, its window."""
        if self.started is None:
            return self.window
        return Span(self.started, max(self.ended or 0.0, self.started + 0.02))

    @property
    def verdict(self) -> Verdict:
        """In the window, outside of it, or not judged."""
        return verdict(self.outcome, self.started, self.silence, self.lo, self.hi)

    @property
    def why(self) -> str:
        """The verdict as text."""
        if self.outcome == "failed":
            return "не прозвучала"
        if self.outcome == "missed":
            return "пропущена"
        if self.started is None:
            return "не понадобилась"
        if self.silence < self.lo:
            return f"раньше окна на {labels_ru.lasting(round(self.lo - self.silence, 2))}"
        if self.silence > self.hi:
            return f"позже окна на {labels_ru.lasting(round(self.silence - self.hi, 2))}"
        return "в окне"


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole call."""

    duration: float
    speech: Mapping[str, Sequence[Span]]
    lines: Mapping[str, Sequence[Span]]
    """Only states other than a live line."""
    phases: Sequence[Span]
    prompts: Sequence[PromptSpan]
    silences: Sequence[Sweep]
    holds: Sequence[Sweep]
    marks: Sequence[TimelineMark]
    hangup: TraceRecord | None
    callback: TraceRecord | None
    """The callback as it stood at the end."""
    withdrawn: bool
    left_by: TraceRecord | None
    """The last hangup event, if somebody else ended the call."""
    alerts: Sequence[TraceRecord]
    unsure: Sequence[Span] = ()
    """Of a recording: sounds of the client that may yet be speech."""


def timeline(records: Iterable[TraceRecord], heard_s: float = 0.0) -> Timeline:
    """The call described by `records`, at least `heard_s` seconds long."""
    ordered = sorted(records, key=lambda record: float(record["t"]))

    def of(*kinds: str) -> list[TraceRecord]:
        return [record for record in ordered if record["kind"] in kinds]

    times = [float(record["t"]) for record in ordered]
    ends = [r.get("end_s") or r.get("ended_s") or 0.0 for r in of("speech", "prompt")]
    duration = max([heard_s, *times, *ends])
    speech = {
        name: [Span(r["start_s"], r["end_s"]) for r in of("speech") if r["channel"] == name]
        for name in labels_ru.CHANNELS
    }
    lines = {
        name: [
            span
            for span in _until_next(
                [(r["since_s"], r["state"]) for r in of("line") if r["channel"] == name], duration
            )
            if span.name != "live"
        ]
        for name in labels_ru.CHANNELS
    }
    phases = _until_next([(r["t"], r["phase"]) for r in of("phase")], duration)
    ended = next((span.start for span in phases if span.name == "ended"), duration)
    hold_spans = [span for span in phases if span.name == "on_hold"]
    prompts = [_prompt(at, r, hold_spans) for at, r in enumerate(of("prompt"), start=1)]
    events = of("event")
    sounds = [*speech["operator"], *speech["client"], *hold_spans, *_pauses(events, duration)]
    sounds += [Span(p.started, p.ended) for p in prompts if p.started is not None and p.ended]
    callbacks = of("callback", "callback_revised", "callback_withdrawn")
    hangups = [event for event in events if event["event"] == "hangup"]
    return Timeline(
        duration=duration,
        speech=speech,
        lines=lines,
        phases=phases,
        prompts=prompts,
        silences=_sweeps(sounds, ended),
        holds=[_hold(span, prompts) for span in hold_spans],
        marks=_marks(of("event", "hangup", "alert", *{r["kind"] for r in callbacks})),
        hangup=next(iter(of("hangup")), None),
        callback=next((r for r in reversed(callbacks) if "opening" in r), None),
        withdrawn=bool(callbacks) and callbacks[-1]["kind"] == "callback_withdrawn",
        left_by=hangups[-1] if hangups else None,
        alerts=of("alert"),
        unsure=[Span(r["start_s"], r["end_s"]) for r in of("sound")],
    )


def _until_next(starts: Sequence[tuple[float, str]], duration: float) -> list[Span]:
    """Each name from its start until the next one's; a state may be detected after it began."""
    starts = sorted(starts, key=lambda start: start[0])
    ends = [*(start for start, _ in starts[1:]), duration][: len(starts)]
    spans = [Span(start, end, name) for (start, name), end in zip(starts, ends, strict=True)]
    return [span for span in spans if span.end > span.start or span.name == "ended"]


def _prompt(count: int, record: TraceRecord, holds: Sequence[Span]) -> PromptSpan:
    started = record["started_s"]
    lo, hi = record["window_s"]
    at = record["t"] if started is None else started
    return PromptSpan(
        number=count,
        t=record["t"],
        id=record["id"],
        text=record["text"],
        lo=lo,
        hi=hi,
        silence=record["silence_s"],
        started=started,
        ended=record["ended_s"],
        outcome=record["outcome"],
        origin=round(at - record["silence_s"], 2),
        of_hold=any(span.start <= at <= span.end for span in holds),
    )


def _pauses(events: Iterable[TraceRecord], duration: float) -> list[Span]:
    """Spans in which the operator paused the script and the clock is stopped."""
    spans, since = [], None
    for event in events:
        if event["event"] == "pause" and since is None:
            since = event["t"]
        elif event["event"] == "resume" and since is not None:
            spans.append(Span(since, event["t"]))
            since = None
    return spans if since is None else [*spans, Span(since, duration)]


def _sweeps(sounds: Iterable[Span], until: float) -> list[Sweep]:
    """The gaps between sounds."""
    sweeps, at = [], 0.0
    for sound in sorted(sounds, key=lambda sound: sound.start):
        if sound.start >= until:
            break
        if sound.start > at:
            sweeps.append(Sweep(at, sound.start, at))
        at = max(at, sound.end)
    return [*sweeps, Sweep(at, until, at)] if at < until else sweeps


def _hold(span: Span, prompts: Iterable[PromptSpan]) -> Sweep:
    """A hold detected by its music began before the detection: its prompt gives the start."""
    origins = [p.origin for p in prompts if p.of_hold and span.start <= p.t <= span.end + 0.02]
    return Sweep(span.start, span.end, min([span.start, *origins]))


def _marks(records: Iterable[TraceRecord]) -> list[TimelineMark]:
    marks = []
    for record in records:
        t, kind = record["t"], record["kind"]
        match kind:
            case "event":
                name = labels_ru.EVENTS.get(record["event"])
                if name is None:
                    continue
                party = labels_ru.PARTIES.get(record.get("party") or "")
                marks.append(TimelineMark(t, f"{name} ({party})" if party else name, False))
            case "hangup":
                marks.append(TimelineMark(t, "завершение", True))
            case "callback":
                when = labels_ru.due(record["due_in_s"], record.get("at"))
                marks.append(TimelineMark(t, f"перезвон {when}", True))
            case "callback_revised":
                marks.append(TimelineMark(t, "перезвон изменён", True))
            case "callback_withdrawn":
                marks.append(TimelineMark(t, "перезвон отменён", True))
            case _:
                marks.append(
                    TimelineMark(t, f"⚠ {labels_ru.ALERTS.get(record['id'], record['id'])}", True)
                )
    return marks
