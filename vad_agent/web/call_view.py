"""A call that is over, to be looked at: in words, and as a picture drawn from the trace without the sound.

    lines of the trace ─> timeline ─┬─> prompts, moments        in words, always
                                    └─> rows ─> an SVG each     where matplotlib is installed

A trace comes from a headset and may be long, or none: what is shown of it has an end, and a picture that
cannot be drawn is left out.
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
from vad_agent.trace import labels_ru
from vad_agent.trace.report.call_timeline import PromptSpan, Timeline, timeline
from vad_agent.trace.report.drawing import RowDrawing
from vad_agent.trace.report.envelope import Envelope
from vad_agent.trace.report.legend import legend
from vad_agent.trace.report.rows import Rows, rows

with extra("callbacks", "the panel"):
    from starlette.concurrency import run_in_threadpool

MOST_PROMPTS = 200
MOST_MOMENTS = 300
MOST_DRAWN = 5_000
"""Marks and prompts of a picture: more than that is no call."""
KEPT = 64
"""Pictures that are kept, 5 to 60 kB each."""
LEGEND = -1
"""Instead of a row's number."""
STYLE = (
    '<style>text{font-family:system-ui,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif!important;'
    "paint-order:stroke;stroke:rgb(255 255 255/.85);stroke-width:3px}"
    'text[style*="fill: #ffffff"]{stroke:none}</style>'
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. `t`: seconds of the call."""

    t: float
    text: str


class Course:
    """What a trace tells. Raises as it is made where the lines are none: whatever their reader raises."""

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.call: Timeline = timeline(lines)
        self.prompts: Sequence[PromptSpan] = self.call.prompts[:MOST_PROMPTS]
        self.more_prompts = len(self.call.prompts) - len(self.prompts)

    @cached_property
    def moments(self) -> list[Moment]:
        """All but the speech, in order."""
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
    def drawn(self) -> Rows | None:
        """The rows of its picture; None: it is not to be drawn."""
        much = len(self.call.marks) + len(self.call.prompts)
        if much > MOST_DRAWN or find_spec("matplotlib") is None:
            return None
        return rows(self.call)

    @property
    def left_out(self) -> int:
        """Rows that are not drawn."""
        return 0 if self.drawn is None else self.drawn.total - len(self.drawn.shown)

    def svg(self, row: int) -> str | None:
        """A row of the picture, or its `LEGEND`; None: there is none."""
        if self.drawn is None or not LEGEND <= row < len(self.drawn.shown):
            return None
        if row == LEGEND:
            return _styled(legend(self.call))
        drawing = RowDrawing(self.call, self.drawn.shown[row], f"row {row}")
        return _styled(drawing.svg({channel: Envelope() for channel in labels_ru.CHANNELS}))


def _of(told: Mapping[str, str], name: str) -> str:
    return told.get(name, name)


def _styled(svg: str) -> str:
    """A file of its own: there no style sheet of a page holds."""
    end = svg.index(">") + 1
    return svg[:end] + STYLE + svg[end:]


def course(lines: Sequence[Mapping[str, Any]] | None) -> Course | None:
    """What the lines tell; None where they are none, as only prompts were looked at when they came."""
    if lines is None:
        return None
    try:
        found = Course(lines)
        found.moments, found.drawn  # noqa: B018 - what cannot be read shows here
    except Exception:  # whatever a line holds, the call's page is there
        return None
    return found


class Pictures:
    """Drawn one at a time, and kept for a while, for one event loop."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, int], str | None] = OrderedDict()
        self._course: tuple[str, Course | None] | None = None
        self._drawing = asyncio.Lock()

    async def svg(self, call: str, row: int, lines: Any) -> str | None:
        """A row of the call's picture; `lines()`: its trace, asked where it is not known; may take a while.

        Raises:
            StoreError: as `lines` does.
        """
        async with self._drawing:
            key = call, row
            if key not in self._kept:
                self._kept[key] = await run_in_threadpool(self._draw, call, row, lines)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
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
