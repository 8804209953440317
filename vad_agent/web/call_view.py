"""View of a finished call: as text, and as a picture drawn from the trace without the sound.

    lines of the trace ─> timeline ─┬─> prompts, moments        as text, always
                                    └─> rows ─> an SVG each     if matplotlib is installed

A trace comes from a headset and may be long or invalid: the view limits its size, and a picture
that cannot be drawn is left out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from vad_agent.errors import extra
from vad_agent.script.settings import Settings
from vad_agent.trace import labels_ru
from vad_agent.trace.call_measures import MeasureThresholds, measures
from vad_agent.trace.call_verdicts import SURE, VerdictRules, call_verdicts
from vad_agent.trace.report.call_timeline import PromptSpan, Timeline, timeline
from vad_agent.trace.report.drawing import RowDrawing
from vad_agent.trace.report.envelope import Envelope
from vad_agent.trace.report.legend import legend
from vad_agent.trace.report.rows import Rows, rows
from vad_agent.trace.window_compliance import Verdict

with extra("callbacks", "the panel"):
    from starlette.concurrency import run_in_threadpool

MOST_PROMPTS = 200
MOST_FAULTS = 50
SCRIPT = Settings().script
"""Names the scenarios of phrases; their windows are in the trace."""
MOST_DRAWN = 5_000
"""Limit on marks and prompts in a picture; a real call has fewer."""
KEPT = 64
"""Number of cached pictures, 5 to 60 kB each."""
LEGEND = -1
"""Used instead of a row's number."""
STYLE = (
    '<style>text{font-family:system-ui,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif!important;'
    "paint-order:stroke;stroke:rgb(255 255 255/.85);stroke-width:3px}"
    'text[style*="fill: #ffffff"]{stroke:none}</style>'
)


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of the call. `t`: seconds of the call."""

    t: float
    text: str


class Course:
    """The content of a trace. The constructor raises whatever the trace reader raises for invalid lines."""

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.call: Timeline = timeline(lines)
        self.prompts: Sequence[PromptSpan] = self.call.prompts[:MOST_PROMPTS]
        self.more_prompts = len(self.call.prompts) - len(self.prompts)

    @cached_property
    def moments(self) -> list[Moment]:
        """All events except speech, in order."""
        call = self.call
        found = [
            Moment(span.start, f"этап: {_of(labels_ru.PHASES, span.name)}") for span in call.phases
        ]
        for channel, spans in call.lines.items():
            name = labels_ru.CHANNELS[channel].lower()
            found += [
                Moment(one.start, f"{name}: {_of(labels_ru.LINES, one.name)}") for one in spans
            ]
        found += [
            Moment(one.t if one.started is None else one.started, f"{one.name}: {one.why}")
            for one in call.prompts
        ]
        found += [Moment(mark.t, mark.text) for mark in call.marks]
        return sorted(found, key=lambda one: one.t)

    @cached_property
    def faults(self) -> list[Moment]:
        """What was wrong besides the phrases, in order: `trace.call_verdicts`, as an archive is audited."""
        call = self.call
        measured = measures(call, MeasureThresholds())
        found = call_verdicts(call, measured, SCRIPT, VerdictRules(), recorded=False)
        faults = [
            Moment(one.at, labels_ru.FINDINGS[one.kind])
            for one in found.findings
            if one.confidence >= SURE
        ]
        faults += [
            Moment(
                one.start,
                f"пауза {labels_ru.lasting(round(one.length, 1))}: {labels_ru.WAITED_FOR[one.waits_for]}, "
                f"{labels_ru.LINES.get(one.cause, 'живая линия')}",
            )
            for one in measured.silences
            if one.dead_air
        ]
        faults += [
            Moment(one.t if one.started is None else one.started, f"{one.name}: {one.why}")
            for one in call.prompts
            if one.verdict is Verdict.BAD
        ]
        return sorted(faults, key=lambda one: one.t)[:MOST_FAULTS]

    @cached_property
    def drawn(self) -> Rows | None:
        """The rows of the picture. None: it must not be drawn."""
        much = len(self.call.marks) + len(self.call.prompts)
        if much > MOST_DRAWN or find_spec("matplotlib") is None:
            return None
        return rows(self.call)

    @property
    def left_out(self) -> int:
        """Number of rows that are not drawn."""
        return 0 if self.drawn is None else self.drawn.total - len(self.drawn.shown)

    def svg(self, row: int) -> str | None:
        """A row of the picture, or its `LEGEND`. None: there is none."""
        if self.drawn is None or not LEGEND <= row < len(self.drawn.shown):
            return None
        if row == LEGEND:
            return _styled(legend(self.call))
        drawing = RowDrawing(self.call, self.drawn.shown[row], f"row {row}")
        return _styled(drawing.svg({channel: Envelope() for channel in labels_ru.CHANNELS}))


def _of(told: Mapping[str, str], name: str) -> str:
    return told.get(name, name)


def _styled(svg: str) -> str:
    """Embed the style: a page's style sheet does not apply to a file of its own."""
    end = svg.index(">") + 1
    return svg[:end] + STYLE + svg[end:]


def course(lines: Sequence[Mapping[str, Any]] | None) -> Course | None:
    """The content of the lines. None: they are invalid; only prompts were checked when they arrived."""
    if lines is None:
        return None
    try:
        found = Course(lines)
        found.moments, found.faults, found.drawn  # noqa: B018 - what cannot be read shows here
    except Exception:  # invalid lines must not break the call's page
        return None
    return found


class Pictures:
    """Draws one picture at a time and caches it, for one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], str | None] = OrderedDict()
        self._course: tuple[str, Course | None] | None = None
        self._drawing = asyncio.Lock()

    async def svg(self, call: str, row: int, lines: Any) -> str | None:
        """A row of the call's picture. `lines()` returns the call's trace and is called if it is
        not cached; may take a while.

        Raises:
            StoreError: as `lines` does.
        """
        async with self._drawing:
            key = call, row
            if key not in self._kept:
                self._kept[key] = await run_in_threadpool(self._draw, call, row, lines)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]

    def _draw(self, call: str, row: int, lines: Any) -> str | None:
        if self._course is None or self._course[0] != call:
            self._course = call, course(lines())
        found = self._course[1]
        try:
            return None if found is None else found.svg(row)
        except Exception:  # as above
            return None
