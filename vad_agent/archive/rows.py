"""Rows of the three tables: calls, steps, silences. Plain values; None is unknown, never "no".

Columns may be added, never renamed. Seconds end in `_s`, seconds of the recording in `_at_s`, shares
(0 to 1) in `_share`, confidences (0 to 1) in `_confidence`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vad_agent.trace.call_measures import CallMeasures, SilentPart
from vad_agent.trace.call_verdicts import SURE, CallFinding, CallVerdicts, FindingKind
from vad_agent.trace.window_compliance import PhraseCompliance

if TYPE_CHECKING:
    from vad_agent.archive.audit_rules import AuditRules
    from vad_agent.archive.call_audit import AuditJob, TracedCall

LINE_FAULTS = ("digital_zero", "no_media", "tone", "muted")
"""Causes of a silence that are the line's, or a device's; a quiet line may be a quiet room."""
BAD = (PhraseCompliance.EARLY, PhraseCompliance.LATE, PhraseCompliance.MISSING)

CALL_COLUMNS = {
    "id": "text", "source": "text", "call": "text", "operator": "text", "number": "text",
    "began": "time", "kind": "text", "channels": "count", "seconds": "number", "error": "text",
    "warnings": "text", "scenario": "text", "told": "flag", "owed": "flag", "owed_reason": "text",
    "owed_at_s": "number", "owed_due_in_s": "number", "owed_confidence": "number",
    "phrases_right": "count", "phrases_wrong": "count", "phrases_doubtful": "count",
    "phrases_early": "count", "phrases_late": "count", "phrases_missing": "count",
    "no_greeting": "flag", "no_greeting_at_s": "number", "no_greeting_confidence": "number",
    "dropped": "flag", "dropped_at_s": "number", "dropped_confidence": "number",
    "spoke_over": "count", "spoke_over_at_s": "number", "spoke_over_longest_s": "number",
    "spoke_over_confidence": "number", "answered_at_s": "number",
    "dead_air": "count", "dead_air_at_s": "number", "dead_air_longest_s": "number", "dead_air_s": "number",
    "dead_air_share": "number", "dead_air_cause": "text", "dead_air_waits_for": "text",
    "dead_air_line_s": "number", "dead_air_operator_s": "number",
    "silence_share": "number", "silent_call": "flag", "hold_s": "number", "hold_violation": "flag",
    "music_s": "number", "overtalk": "count", "overtalk_operator_s": "number",
    "overtalk_client_s": "number", "overtalk_longest_s": "number", "overtalk_share": "number",
    "overtalk_flagged": "flag", "operator_share": "number", "client_share": "number",
    "monologue_longest_s": "number", "greeting_latency_s": "number", "response_latency_s": "number",
}  # fmt: skip
STEP_COLUMNS = {
    "id": "text", "number": "count", "scenario": "text", "prompt": "text", "status": "text", "by": "text",
    "at_s": "number", "silence_s": "number", "lo_s": "number", "hi_s": "number", "off_s": "number",
    "confidence": "number",
}  # fmt: skip
SILENCE_COLUMNS = {
    "id": "text", "at_s": "number", "end_s": "number", "length_s": "number", "cause": "text",
    "waits_for": "text", "held": "flag", "dead_air": "flag",
}  # fmt: skip
CALLBACK_COLUMNS = {
    "id": "text", "status": "text", "callback": "text", "state": "text", "promised": "time",
    "attempted": "time", "late_s": "number",
}  # fmt: skip


def printable(source: str) -> str:
    """A file's name that may be no UTF-8, as text."""
    return source.encode(errors="replace").decode()


def error_row(job: AuditJob, problem: str) -> dict[str, Any]:
    """The row of a file that cannot be read."""
    empty = dict.fromkeys(CALL_COLUMNS)
    return empty | {
        "id": printable(job.source),
        "source": printable(job.source),
        "operator": job.operator,
        "number": job.number,
        "began": job.began,
        "kind": "unreadable",
        "error": problem,
    }


def call_row(
    job: AuditJob,
    traced: TracedCall,
    measured: CallMeasures,
    found: CallVerdicts,
    rules: AuditRules,
) -> dict[str, Any]:
    """The row of a call."""
    source = printable(job.source)
    row = dict.fromkeys(CALL_COLUMNS) | {
        "id": f"{source}#{traced.call}" if traced.call else source,
        "source": source,
        "call": traced.call,
        "operator": job.operator,
        "number": job.number,
        "began": traced.began or job.began,
        "kind": "recording" if traced.recorded else "trace",
        "channels": traced.channels,
        "seconds": measured.duration_s,
        "warnings": "; ".join(traced.warnings) or None,
        "scenario": str(found.scenario),
        "told": found.told,
        "silence_share": measured.silence_share,
        "silent_call": measured.silence_share > rules.flags.silent_share,
        "answered_at_s": measured.answered_s,
        "hold_s": measured.hold_s,
        "hold_violation": measured.hold_s > rules.flags.hold_s,
        "music_s": measured.music_s,
        "operator_share": measured.operator_share,
        "client_share": measured.client_share,
        "monologue_longest_s": measured.longest_monologue_s,
        "greeting_latency_s": measured.greeting_latency_s,
        "response_latency_s": measured.response_latency_s,
    }
    return row | _verdicts(found) | _dead_air(measured) | _overtalk(measured, rules)


def _verdicts(found: CallVerdicts) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for kind in (FindingKind.NO_GREETING, FindingKind.DROPPED):
        one = next((one for one in found.findings if one.kind is kind), None)
        name = kind.value
        row[name] = one is not None if found.told or one is not None else None
        if one is not None:
            row |= {f"{name}_at_s": one.at, f"{name}_confidence": one.confidence}
    if not found.told:
        return row
    wrong = [one for one in found.phrases if one.status in BAD]
    sure = [one.status for one in wrong if one.confidence >= SURE]
    over = [one for one in found.findings if one.kind is FindingKind.SPOKE_OVER]
    row |= {
        "owed": found.owed is not None,
        "phrases_right": sum(one.status is PhraseCompliance.SAID for one in found.phrases),
        "phrases_wrong": len(sure),
        "phrases_doubtful": len(wrong) - len(sure),
        **{f"phrases_{status.value}": sure.count(status) for status in BAD},
        "spoke_over": len(over),
    }
    if found.owed is not None:
        row |= {
            "owed_reason": found.owed.reason,
            "owed_at_s": found.owed.at,
            "owed_due_in_s": found.owed.due_in_s,
            "owed_confidence": found.owed.confidence,
        }
    if over:
        longest: CallFinding = max(over, key=lambda one: one.length)
        row |= {
            "spoke_over_at_s": longest.at,
            "spoke_over_longest_s": longest.length,
            "spoke_over_confidence": longest.confidence,
        }
    return row


def _dead_air(measured: CallMeasures) -> dict[str, Any]:
    dead = [one for one in measured.silences if one.dead_air]
    total = sum(one.length for one in dead)
    row: dict[str, Any] = {
        "dead_air": len(dead),
        "dead_air_s": round(total, 2),
        "dead_air_share": round(total / max(measured.duration_s, 0.02), 4),
        "dead_air_line_s": _length(one for one in dead if one.cause in LINE_FAULTS),
        "dead_air_operator_s": _length(
            one for one in dead if one.cause not in LINE_FAULTS and one.waits_for == "operator"
        ),
    }
    if dead:
        longest = max(dead, key=lambda one: one.length)
        row |= {
            "dead_air_at_s": longest.start,
            "dead_air_longest_s": longest.length,
            "dead_air_cause": longest.cause,
            "dead_air_waits_for": longest.waits_for or None,
        }
    return row


def _length(silences: Iterable[SilentPart]) -> float:
    return round(sum(one.length for one in silences), 2)


def _overtalk(measured: CallMeasures, rules: AuditRules) -> dict[str, Any]:
    over = measured.overlaps
    if over is None:
        return {}
    by = {
        side: round(sum(one.length for one in over if one.by == side), 2)
        for side in ("operator", "client")
    }
    share = round(sum(by.values()) / max(measured.duration_s, 0.02), 4)
    return {
        "overtalk": len(over),
        "overtalk_operator_s": by["operator"],
        "overtalk_client_s": by["client"],
        "overtalk_longest_s": max((one.length for one in over), default=0.0),
        "overtalk_share": share,
        "overtalk_flagged": share > rules.flags.overtalk_share,
    }


def step_rows(id: str, found: CallVerdicts) -> list[dict[str, Any]]:
    """The rows of a call's phrases, in order."""
    return [
        {
            "id": id,
            "number": number,
            "scenario": one.scenario,
            "prompt": one.prompt,
            "status": one.status.value,
            "by": one.by,
            "at_s": one.at,
            "silence_s": one.silence,
            "lo_s": one.lo,
            "hi_s": one.hi,
            "off_s": one.off,
            "confidence": one.confidence,
        }
        for number, one in enumerate(found.phrases, start=1)
    ]


def silence_rows(id: str, measured: CallMeasures) -> list[dict[str, Any]]:
    """The rows of a call's silences, in order."""
    return [
        {
            "id": id,
            "at_s": one.start,
            "end_s": one.end,
            "length_s": one.length,
            "cause": one.cause,
            "waits_for": one.waits_for,
            "held": one.held,
            "dead_air": one.dead_air,
        }
        for one in measured.silences
    ]
