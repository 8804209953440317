"""What happened in one call: its scenario, its phrases, its callback, the operator's faults. Pure.

    trace of a live call      its own lines: the product measured the clock, and says who spoke
    trace of a recording      cue mode: the people on it said the phrases; each stretch without the client is
                              aligned with the ladder (`phrase_alignment`)
    one channel for both      who speaks is unknown: so is every verdict that needs it

`confidence` (0 to 1) is the share of such verdicts that we expect to be right; below `SURE` a verdict is
a hint, and no person is to be blamed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from vad_agent.core.actions import Reason
from vad_agent.core.frames import seconds
from vad_agent.core.script import Script, Step
from vad_agent.trace.call_measures import CallMeasures, Pieces, pieces
from vad_agent.trace.phrase_alignment import AlignedStep, Bounds, OperatorUtterance, align
from vad_agent.trace.report.call_timeline import Span, Timeline
from vad_agent.trace.window_compliance import PhraseCompliance, phrase_status

SURE = 0.6
HIGH, LIKELY, DOUBTFUL = 0.97, 0.8, 0.5
NORMAL = "normal"
"""The scenario of a call in which the script had nothing to say."""
CUT_OFF_S = 0.3
"""A recording that ends this soon after the client's voice began to stop was cut off."""
EDGE_S = 0.15
"""A verdict this near to the edge of a window could be the other one."""
SHORT_S = 0.4
"""A shorter utterance may be no phrase."""
UNSURE_S = 0.5
"""The client may have spoken in a silence with so much sound that was not detected as speech."""
BACK_S = 2.0
"""A client who is heard for so long after the farewell has come back."""
_BLIND = ("both_sides_alike", "client_never_heard", "operator_never_heard")


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """The definitions of the verdicts. Seconds."""

    tolerance_s: float = 0.3
    """A person who begins so far outside of a window is within it; of a live call it is 0."""
    greeting_s: float = 5.0
    """The operator has not greeted if nothing was heard of them for so long after the answer."""
    spoke_over_s: float = 1.0
    """The operator spoke over the client if both spoke for so long and the operator began second."""


class FindingKind(StrEnum):
    """What else can be wrong in a call."""

    NO_GREETING = "no_greeting"
    SPOKE_OVER = "spoke_over"
    DROPPED = "dropped"
    """The call ended, and nobody said goodbye."""


@dataclass(frozen=True, slots=True)
class CallFinding:
    """One finding, its second in the recording, and how long it lasted."""

    kind: FindingKind
    at: float
    length: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PhraseVerdict:
    """The verdict on one phrase. Seconds of the recording; `at`: its first sound, or where it lacked."""

    scenario: str
    prompt: str
    status: PhraseCompliance
    by: str
    """operator, product; "" if nobody said it."""
    at: float
    silence: float
    lo: float
    hi: float
    off: float
    """Seconds outside of the window; negative: too early."""
    confidence: float


@dataclass(frozen=True, slots=True)
class OwedCallback:
    """The callback that stood at the call's end."""

    reason: str
    at: float
    due_in_s: float | None
    confidence: float


@dataclass(frozen=True, slots=True)
class CallVerdicts:
    """The verdicts on one call. `told`: False if the recording does not tell who speaks."""

    scenario: str
    phrases: Sequence[PhraseVerdict]
    owed: OwedCallback | None
    findings: Sequence[CallFinding]
    told: bool


def call_verdicts(
    call: Timeline,
    measured: CallMeasures,
    script: Script,
    rules: VerdictRules,
    *,
    recorded: bool,
    mono: bool = False,
) -> CallVerdicts:
    """The verdicts on a call.

    `call`: of all its trace. `recorded`: people said the phrases on a recording that was replayed in cue
    mode; False: the trace is a live call's own. `mono`: one channel carries both sides.
    """
    if mono:
        return CallVerdicts(PhraseCompliance.UNKNOWN, (), None, _drops(call, ()), told=False)
    told = not any(alert["id"] in _BLIND for alert in call.alerts)
    if recorded:
        holds = {step.prompt for step in script.scenarios[Reason.CLIENT_HOLD].steps}
        phrases = [one for one in _live(call, script, rules.tolerance_s) if one.prompt in holds]
        phrases = sorted([*phrases, *_recorded(call, measured, script, rules)], key=_second)
    else:
        phrases = list(_live(call, script, 0.0))
    owed = _owed(call, told=told, recorded=recorded)
    findings = _findings(call, measured, rules, phrases, recorded=recorded) if told else []
    if not told:
        phrases = [replace(one, status=PhraseCompliance.UNKNOWN, confidence=0.0) for one in phrases]
    rows = [phrase.scenario for phrase in phrases]
    scenario = owed.reason if owed is not None else next(reversed(rows), NORMAL)
    return CallVerdicts(scenario, phrases, owed, findings, told)


def _second(phrase: PhraseVerdict) -> float:
    return phrase.at


# -- phrases ---------------------------------------------------------------------------------------


def _live(call: Timeline, script: Script, tolerance: float) -> Iterator[PhraseVerdict]:
    """As the trace's own lines say."""
    for prompt in call.prompts:
        found = phrase_status(
            prompt.outcome, prompt.started, prompt.silence, prompt.lo, prompt.hi, tolerance
        )
        if found is None:
            continue
        status, off = found
        by = "" if prompt.started is None else "product"
        if prompt.outcome == "said_by_operator":
            by = "operator"
        yield PhraseVerdict(
            scenario=_row_of(prompt.id, call, script),
            prompt=prompt.id,
            status=status,
            by=by,
            at=prompt.t if prompt.started is None else prompt.started,
            silence=prompt.silence,
            lo=prompt.lo,
            hi=prompt.hi,
            off=off,
            confidence=HIGH if by == "product" or tolerance == 0 else LIKELY,
        )


def _recorded(
    call: Timeline, measured: CallMeasures, script: Script, rules: VerdictRules
) -> Iterator[PhraseVerdict]:
    """As the operator on the recording said them, stretch by stretch."""
    utterances = pieces(call.speech["operator"], seconds(script.timing.utterance_gap))
    for start, until, reason in _stretches(call, measured):
        said, base = _said_in(utterances, start, until, reason)
        if base is None:
            continue
        steps = script.scenarios[reason].steps
        ladder = [_bounds(call, step, base, until) for step in steps]
        after_client = reason is Reason.SILENCE_IN_DIALOGUE and base == start
        ended = not any(span.start >= until for span in call.speech["client"])
        for one in align(
            said,
            ladder,
            base=base,
            until=until,
            tolerance=rules.tolerance_s,
            ended=ended,
            replies=after_client,
        ):
            verdict = _aligned(one, steps[one.number], reason, rules)
            if after_client and one.base == start:  # they may have been looking for an answer
                verdict = _doubted(verdict)
            if _sounded(call, one.base, verdict.at) >= UNSURE_S:
                verdict = _doubted(verdict)
            yield verdict


def _doubted(verdict: PhraseVerdict) -> PhraseVerdict:
    return replace(verdict, confidence=min(verdict.confidence, DOUBTFUL))


def _sounded(call: Timeline, start: float, end: float) -> float:
    """Seconds of sounds that may have been the client."""
    return sum(max(min(one.end, end) - max(one.start, start), 0.0) for one in call.unsure)


def _stretches(call: Timeline, measured: CallMeasures) -> Iterator[tuple[float, float, Reason]]:
    """The stretches in which the client is not heard, and the row that is in force."""
    client = pieces(call.speech["client"])
    holds = pieces(Span(hold.origin, hold.end) for hold in call.holds)
    end = call.duration
    if call.hangup is not None and call.hangup["reason"] == Reason.DROPPED:
        end = min([call.hangup["t"], *_tones(call, call.hangup["t"])])
    elif call.hangup is not None and call.hangup["reason"] == Reason.CLIENT_HOLD:
        end = call.hangup["t"]
    cuts = sorted([*client, *holds])
    at, reason = measured.answered_s, Reason.SILENCE_AFTER_GREETING
    for first, last in [*cuts, (end, end)]:
        if min(first, end) > at:
            yield at, min(first, end), reason
        if last > at:
            at, reason = last, Reason.SILENCE_IN_DIALOGUE


def _tones(call: Timeline, at: float) -> list[float]:
    """Where the state of the client's line that ended the call began."""
    gone = ("tone", "no_media")
    return [
        s.start for s in call.lines["client"] if s.name in gone and s.start <= at <= s.end + 0.02
    ]


def _said_in(
    utterances: Pieces, start: float, until: float, reason: Reason
) -> tuple[list[OperatorUtterance], float | None]:
    """The operator's utterances of a stretch that may be phrases, and where its first silence began.

    None: the operator has not spoken since the answer, so no row is in force.
    """
    base = max([start, *(end for first, end in utterances if first < start < end)])
    found = [(first, end) for first, end in utterances if start <= first < until]
    if reason is Reason.SILENCE_AFTER_GREETING:
        if not found:
            return [], None
        base = found.pop(0)[1]
    said, at = [], base
    for first, end in found:
        said.append(OperatorUtterance(first, end, round(first - at, 2)))
        at = end
    return said, base


def _bounds(call: Timeline, step: Step, base: float, until: float) -> list[Bounds]:
    """The windows by which a step may be judged: behind a noise gate either may be the right one."""
    usual = seconds(step.window.lo), seconds(step.window.hi)
    dead = step.dead_line_window
    zero = any(
        span.name == "digital_zero" and span.start < until and span.end > base
        for span in call.lines["client"]
    )
    if dead is None or not zero:
        return [usual]
    short = seconds(dead.lo), seconds(dead.hi)
    spans = [span for span in call.lines["client"] if span.name == "digital_zero"]
    if any(span.end < base for span in spans):  # a noise gate: its pauses look the same
        return [usual, short]
    return [short] if any(s.start < base + short[0] and s.end > base for s in spans) else [usual]


def _aligned(one: AlignedStep, step: Step, reason: Reason, rules: VerdictRules) -> PhraseVerdict:
    lo, hi = one.window
    if one.said is None:
        at, silence, confidence = one.base + hi, hi, LIKELY
    else:
        at, silence = one.said.start, one.said.gap
        edges = (lo - rules.tolerance_s, hi + rules.tolerance_s)
        near = min(abs(silence - edge) for edge in edges) < EDGE_S
        confidence = LIKELY if near or one.off else HIGH
        if (near and one.off) or one.said.end - one.said.start < SHORT_S:
            confidence = DOUBTFUL
    if one.off < 0 and reason is Reason.SILENCE_IN_DIALOGUE:  # or a pause in what they said
        confidence = DOUBTFUL
    return PhraseVerdict(
        scenario=reason.value,
        prompt=step.prompt,
        status=one.status,
        by="" if one.said is None else "operator",
        at=round(at, 2),
        silence=round(silence, 2),
        lo=lo,
        hi=hi,
        off=one.off,
        confidence=round(confidence * one.probability, 2),
    )


def _row_of(prompt: str, call: Timeline, script: Script) -> str:
    """The scenario whose ladder has the prompt; of two, the one for which the callback is asked."""
    rows = [
        reason.value
        for reason, row in script.scenarios.items()
        if any(step.prompt == prompt for step in row.steps)
    ]
    asked = call.callback["reason"] if call.callback is not None else None
    return asked if asked in rows else next(iter(rows), "")


# -- the callback and the rest ---------------------------------------------------------------------


def _owed(call: Timeline, *, told: bool, recorded: bool) -> OwedCallback | None:
    asked = call.callback
    if asked is None or call.withdrawn:
        return None
    confidence = HIGH if told and asked["reason"] != Reason.UNCONFIRMED else DOUBTFUL
    if recorded:
        after = {side: _talk_after(call, side, asked["t"]) for side in call.speech}
        if after["client"] >= BACK_S:  # nothing on a recording says that the call then ended well
            if call.hangup is None and after["operator"] >= BACK_S / 2:
                return None
            confidence = DOUBTFUL
    return OwedCallback(asked["reason"], asked["t"], asked["due_in_s"], confidence)


def _talk_after(call: Timeline, side: str, at: float) -> float:
    return sum(span.end - span.start for span in call.speech[side] if span.start > at)


def _findings(
    call: Timeline,
    measured: CallMeasures,
    rules: VerdictRules,
    phrases: Sequence[PhraseVerdict],
    *,
    recorded: bool,
) -> list[CallFinding]:
    found = []
    latency, length = measured.greeting_latency_s, call.duration - measured.answered_s
    if length > rules.greeting_s and (latency is None or latency > rules.greeting_s):
        waited = length if latency is None else latency
        at = round(measured.answered_s + rules.greeting_s, 2)
        confidence = LIKELY if latency is None else HIGH
        found.append(CallFinding(FindingKind.NO_GREETING, at, round(waited, 2), confidence))
    for over in measured.overlaps or ():
        if over.by == "operator" and over.length >= rules.spoke_over_s:
            confidence = HIGH if over.length >= 2 * rules.spoke_over_s else LIKELY
            found.append(CallFinding(FindingKind.SPOKE_OVER, over.start, over.length, confidence))
    found += _drops(call, phrases if recorded else ())
    return sorted(found, key=lambda one: one.at)


def _drops(call: Timeline, phrases: Sequence[PhraseVerdict]) -> list[CallFinding]:
    """Ends without a goodbye: the line says so, the client was cut off, or the ladder was left."""
    asked = call.callback
    if call.hangup is not None and call.hangup["reason"] == Reason.DROPPED:
        return [_drop(call.hangup["t"], HIGH)]
    if asked is not None and asked["reason"] in (Reason.DROPPED, Reason.UNCONFIRMED):
        return [_drop(asked["t"], LIKELY if asked["reason"] == Reason.DROPPED else DOUBTFUL)]
    last = max((span.end for span in call.speech["client"]), default=None)
    if last is not None and call.duration - last <= CUT_OFF_S:
        return [_drop(last, SURE)]
    if phrases and asked is not None and call.hangup is None:
        left = phrases[-1]
        if (
            left.status is not PhraseCompliance.MISSING
            and _talk_after(call, "client", left.at) == 0
        ):
            return [_drop(call.duration, SURE)]
    return []


def _drop(at: float, confidence: float) -> CallFinding:
    return CallFinding(FindingKind.DROPPED, round(at, 2), 0.0, confidence)
