"""One file to rows: a recording is replayed in cue mode, a stored trace is read. What a worker does.

    recording, 2 channels ──> session in cue mode ─┐
    recording, 1 channel ───> one endpointer ──────┼─> trace ──> timeline ──> measures, verdicts ──> rows
    NAME.trace.jsonl, or a shift's trace ──────────┘

A file that cannot be read is one row with its error. Nothing here writes anything.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from vad_agent.archive.audit_rules import AuditRules
from vad_agent.archive.file_listing import TRACE, local_copy
from vad_agent.archive.rows import call_row, error_row, silence_rows, step_rows
from vad_agent.common.toml_file import parse
from vad_agent.core.frames import Channel, FramePair, seconds
from vad_agent.errors import RecordingError, VadAgentError
from vad_agent.script.settings import Settings
from vad_agent.trace.call_measures import CallMeasures, measures
from vad_agent.trace.call_verdicts import CallVerdicts, call_verdicts
from vad_agent.trace.event_files import EventLog, load_events
from vad_agent.trace.report.call_timeline import Timeline, TraceRecord, timeline

Row = dict[str, Any]
NO_EVENTS = EventLog()
TRIES = 3
"""Of a file in a store that does not answer."""
MOST_TRACE = 64 << 20
"""Bytes of one trace file."""
AGAIN = 3
"""Sessions for one recording: a call that has ended may go on, but a busy tone ends it again and again."""


@dataclass(frozen=True, slots=True)
class AuditJob:
    """One file, and what is known of it from outside. `began`: aware."""

    source: str
    operator: str | None = None
    number: str | None = None
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """How files are audited; the same for all. `script`: a whole script as TOML."""

    script: str
    rules: AuditRules = field(default_factory=AuditRules)
    operator_channel: str | None = None


@dataclass(frozen=True, slots=True)
class AuditRows:
    """Rows of the three tables."""

    calls: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)
    silences: list[Row] = field(default_factory=list)

    def add(self, other: AuditRows) -> None:
        """Append the rows of another one."""
        self.calls.extend(other.calls)
        self.steps.extend(other.steps)
        self.silences.extend(other.silences)


@dataclass(frozen=True, slots=True)
class TracedCall:
    """The trace of one call. `recorded`: of a recording on which people said the phrases."""

    lines: Sequence[TraceRecord]
    length: float
    channels: int = 2
    recorded: bool = True
    call: str | None = None
    began: datetime | None = None
    warnings: Sequence[str] = ()
    log: EventLog = NO_EVENTS
    """The call control that came beside the recording."""


def audit_batch(jobs: Sequence[AuditJob], plan: AuditPlan) -> AuditRows:
    """The rows of some files, in order."""
    rows = AuditRows()
    for job in jobs:
        rows.add(audit_file(job, plan))
    return rows


def audit_file(job: AuditJob, plan: AuditPlan) -> AuditRows:
    """The rows of one file: a call each, or one with the error."""
    try:
        found = list(traced_calls(job, plan))
    except (VadAgentError, OSError, ValueError) as error:
        return AuditRows(calls=[error_row(job, _told(error, job))])
    rows = AuditRows()
    for call in found:
        rows.add(call_rows(job, call, plan))
    return rows


def _told(error: Exception, job: AuditJob) -> str:
    if isinstance(error, RecordingError):
        return error.problem
    return (str(error) or type(error).__name__).replace(f"{job.source}: ", "").splitlines()[0][:500]


def traced_calls(job: AuditJob, plan: AuditPlan) -> Iterator[TracedCall]:
    """The calls of one file.

    Raises:
        RecordingError: it cannot be read.
        OSError: it cannot be fetched.
    """
    settings = _settings(plan.script)
    if "://" not in job.source:
        yield from _calls_of(Path(job.source), plan, settings)
        return
    with tempfile.TemporaryDirectory(prefix="vad-agent-audit-") as folder:
        for attempt in range(1, TRIES + 1):
            try:
                copy = local_copy(job.source, Path(folder))
                break
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:
                if attempt == TRIES:
                    raise
        yield from _calls_of(copy, plan, settings)


@cache
def _settings(script: str) -> Settings:
    """The script of a plan, once a process."""
    return Settings(**parse(script, "script")) if script else Settings()


def _calls_of(path: Path, plan: AuditPlan, settings: Settings) -> Iterator[TracedCall]:
    if path.suffix == ".jsonl":
        yield from stored_calls(path)
        return
    stem = path.with_suffix("")
    trace, events = (stem.with_name(stem.name + end) for end in (TRACE, ".events.jsonl"))
    log = load_events(events) if events.exists() else EventLog()
    if log.live and trace.exists():  # `listen --record`: what happened is written there
        yield from (replace(call, call=call.call or stem.name) for call in stored_calls(trace))
        return
    yield recorded_call(path, plan, settings, log.in_mode("cue"))


# -- recordings ------------------------------------------------------------------------------------


def recorded_call(
    path: Path, plan: AuditPlan, settings: Settings, log: EventLog = NO_EVENTS
) -> TracedCall:
    """Replay a recording in cue mode; with one channel, only what both sides do together is known."""
    from vad_agent.audio.recording_reader import open_call, open_leg

    with open_leg(path, 0) as leg:
        if leg.channels == 1:
            lines, count = _mono(leg, settings, leg.sample_rate)
            return TracedCall(lines, seconds(count), channels=1, warnings=leg.warnings)
    with open_call(path, operator_channel=plan.operator_channel) as recording:
        found, count = replayed(recording, settings, recording.sample_rate, log)
        return TracedCall(
            found, seconds(count), recording.channels, warnings=recording.warnings, log=log
        )


def replayed(
    pairs: Iterator[FramePair], settings: Settings, rate: int, log: EventLog
) -> tuple[list[TraceRecord], int]:
    """The trace of a whole recording, and its frames: after the call's end, only speech and lines.

    Speech is revised by the levels of the whole recording (`whole_call_speech`).
    """
    from vad_agent.archive.whole_call_speech import CallLevels, revised
    from vad_agent.core.session import CallSession
    from vad_agent.trace.replay import Replay
    from vad_agent.trace.trace_format import record

    levels = CallLevels()
    pairs = levels.of(log.cut(pairs))
    lines: list[TraceRecord] = []
    count = 0
    for number in range(AGAIN):
        session = CallSession(settings, rate, mode="cue")
        told = log.events if number == 0 else ()
        for action in Replay(session, settings, told).run(pairs):
            if (line := record(action)) is None:
                continue
            if number == 0:
                lines.append(line)
            elif line["kind"] in ("speech", "line"):
                lines.append(_later(line, seconds(count)))
        if session.now == 0:
            break
        count += session.now
    count += sum(1 for _ in pairs)
    return revised(lines, levels.levels()), count


def _later(line: Mapping[str, Any], by: float) -> TraceRecord:
    times = ("t", "start_s", "end_s", "since_s")
    return {key: round(value + by, 2) if key in times else value for key, value in line.items()}


def _mono(
    frames: Iterable[bytes | None], settings: Settings, rate: int
) -> tuple[list[TraceRecord], int]:
    """Speech of anybody and states of the line, as if the client's."""
    channel = Channel.CLIENT
    endpointer = settings.endpointer(channel, rate)
    lines: list[TraceRecord] = []
    ended, state, now = 0, None, 0

    def read() -> None:
        nonlocal ended, state
        if endpointer.segments_ended != ended:
            ended = endpointer.segments_ended
            span = {"start_s": seconds(endpointer.start), "end_s": seconds(endpointer.end)}
            lines.append({"t": seconds(now), "kind": "speech", "channel": channel.value} | span)
        if endpointer.line is not state and endpointer.line is not None:
            state = endpointer.line
            since = {"state": state.value, "since_s": seconds(endpointer.since)}
            lines.append({"t": seconds(now), "kind": "line", "channel": channel.value} | since)

    for frame in frames:
        changed = endpointer.feed(frame)
        now += 1
        if changed:
            read()
    while endpointer.finish():
        read()
    return lines, now


# -- stored traces ---------------------------------------------------------------------------------


def stored_calls(path: Path) -> Iterator[TracedCall]:
    """The calls of a live trace: one call's own, or a shift's, each after its `call` line.

    Raises:
        RecordingError: it is no trace, or too large.
    """
    if os.path.getsize(path) > MOST_TRACE:
        raise RecordingError(str(path), f"a trace of more than {MOST_TRACE >> 20} MB: split it")
    head: Mapping[str, Any] | None = None
    lines: list[TraceRecord] = []
    found = False
    for line in _objects(path):
        if line["kind"] == "call":
            if lines:
                yield _stored(head, lines)
            head, lines = line, []
        else:
            found = True
            lines.append(line)
    if not found:
        raise RecordingError(str(path), "no line of a trace in it: expected what --trace writes")
    if lines:
        yield _stored(head, lines)


def _objects(path: Path) -> Iterator[TraceRecord]:
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:  # the last line of a program that was killed
                continue
            if isinstance(line, dict) and isinstance(line.get("t"), int | float) and "kind" in line:
                yield line


def _stored(head: Mapping[str, Any] | None, lines: list[TraceRecord]) -> TracedCall:
    length = max(float(line["t"]) for line in lines)
    call, began = None, None
    if head is not None:
        call = str(head.get("id") or "") or None
        try:
            began = datetime.fromisoformat(str(head.get("began"))).astimezone(UTC)
        except ValueError:
            began = None
    return TracedCall(lines, length, recorded=False, call=call, began=began)


# -- rows ------------------------------------------------------------------------------------------


def script_of(plan: AuditPlan) -> Settings:
    """The script of the plan."""
    return _settings(plan.script)


def judged(traced: TracedCall, plan: AuditPlan) -> tuple[Timeline, CallVerdicts]:
    """The timeline of a call, and its verdicts."""
    call, _, found = _judged(traced, plan)
    return call, found


def _judged(traced: TracedCall, plan: AuditPlan) -> tuple[Timeline, CallMeasures, CallVerdicts]:
    mono = traced.channels == 1
    call = timeline(traced.lines, traced.length)
    measured = measures(call, plan.rules.measures, mono=mono)
    script, rules = script_of(plan).script, plan.rules.verdicts
    found = call_verdicts(call, measured, script, rules, recorded=traced.recorded, mono=mono)
    return call, measured, found


def call_rows(job: AuditJob, traced: TracedCall, plan: AuditPlan) -> AuditRows:
    """The rows of one call of the file."""
    _, measured, found = _judged(traced, plan)
    row = call_row(job, traced, measured, found, plan.rules)
    return AuditRows([row], step_rows(row["id"], found), silence_rows(row["id"], measured))
