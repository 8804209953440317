"""The timeline of one audited call, as the report of a single call draws it; needs the extra `report`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from vad_agent.archive.call_audit import (
    AuditJob,
    AuditPlan,
    TracedCall,
    call_rows,
    judged,
    replayed,
    script_of,
    traced_calls,
)
from vad_agent.archive.file_listing import local_copy
from vad_agent.core.frames import FramePair, seconds
from vad_agent.errors import MissingExtra, VadAgentError
from vad_agent.trace.call_verdicts import CallVerdicts
from vad_agent.trace.labels_ru import CHANNELS
from vad_agent.trace.report.call_timeline import Timeline, TraceRecord, timeline
from vad_agent.trace.report.envelope import Envelope
from vad_agent.trace.window_compliance import PhraseCompliance

Envelopes = dict[str, Envelope]


def check() -> None:
    """Raise `MissingExtra` before an audit, not after it."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "report", "--report")


def picture(job: AuditJob, id: str, plan: AuditPlan) -> str | None:
    """The rows of a call as SVG, with its legend. None: its file is gone, or cannot be read any more."""
    from vad_agent.trace.report.drawing import pictures
    from vad_agent.trace.report.legend import legend
    from vad_agent.trace.report.rows import rows

    try:
        traced, envelopes = _heard(job, id, plan)
    except (VadAgentError, OSError, ValueError):
        return None
    call, found = judged(traced, plan)
    if traced.recorded:
        call = timeline([*_without_prompts(traced), *prompts(call, found)], traced.length)
    drawn = rows(call)
    figures = [f"<figure>{one}</figure>" for one in pictures(call, drawn, envelopes)]
    return f"<figure>{legend(call)}</figure>" + "".join(figures)


def _heard(job: AuditJob, id: str, plan: AuditPlan) -> tuple[TracedCall, Envelopes]:
    """The call's trace, and the outline of its sound; of a stored trace or a mono mix there is none."""
    from vad_agent.audio.recording_reader import open_call

    envelopes = {channel: Envelope() for channel in CHANNELS}
    with tempfile.TemporaryDirectory(prefix="vad-agent-audit-") as folder:
        local = local_copy(job.source, Path(folder)) if "://" in job.source else Path(job.source)
        here = AuditJob(str(local), job.operator, job.number, job.began)
        found = {one["id"].replace(str(local), job.source): traced
                 for traced in traced_calls(here, plan)
                 for one in call_rows(here, traced, plan).calls}  # fmt: skip
        traced = found.get(id) or next(iter(found.values()))
        if traced.recorded and traced.channels > 1:
            with open_call(local, operator_channel=plan.operator_channel) as recording:

                def watched() -> Iterator[FramePair]:
                    for operator, client in recording:
                        envelopes["operator"].add(operator)
                        envelopes["client"].add(client)
                        yield operator, client

                settings = script_of(plan)
                lines, count = replayed(watched(), settings, recording.sample_rate, traced.log)
            traced = TracedCall(lines, seconds(count), traced.channels)
    return traced, envelopes


def _without_prompts(traced: TracedCall) -> list[TraceRecord]:
    return [line for line in traced.lines if line["kind"] not in ("prompt", "cue")]


def prompts(call: Timeline, found: CallVerdicts) -> list[TraceRecord]:
    """The audit's phrases as lines of a trace, in place of those of the replay."""
    lines: list[TraceRecord] = []
    for one in found.phrases:
        missing = one.status is PhraseCompliance.MISSING
        silence = one.silence
        if one.status is PhraseCompliance.SAID:  # within the tolerance is within the window
            silence = min(max(silence, one.lo), one.hi)
        spans = [span.end for span in call.speech["operator"] if span.end > one.at]
        ended = min(spans, default=one.at + 1.0)
        lines.append(
            {
                "t": one.at,
                "kind": "prompt",
                "id": one.prompt,
                "text": "",
                "window_s": [one.lo, one.hi],
                "silence_s": silence,
                "started_s": None if missing else one.at,
                "ended_s": None if missing else ended,
                "outcome": "missed" if missing else "said_by_operator",
            }
        )
    return lines
