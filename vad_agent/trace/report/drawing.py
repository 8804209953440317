"""The picture of a call, one sheet per row.

    phases     приветствие │ диалог
    marks           ┊ ответ
    Оператор   ▁▁▂▅▇▅▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁      the outline of the sound on shaded speech segments
    Клиент     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁      why it is quiet: hatched
    Фразы                   ▐1▌ ✓ name
    Тишина        ⟋⟋⟋⟋|⟋⟋⟋⟋|                  the clock; bands are windows, a dot the first sample

Colour is never the only sign: what is wrong is hatched with a ✗, what is right plain with a ✓.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vad_agent.trace import labels_ru
from vad_agent.trace.report.call_timeline import PromptSpan, Span, Sweep, Timeline, TimelineMark
from vad_agent.trace.report.canvas import (
    BAND_FILLS,
    HATCH,
    INK,
    LINE_HATCHES,
    PHASE_FILLS,
    RULE,
    SOFT,
    SOUND_COLOURS,
    VERDICT_COLOURS,
    VERDICT_SIGNS,
    WIDTH,
    Canvas,
    width_of,
)
from vad_agent.trace.report.envelope import Envelope
from vad_agent.trace.report.rows import Rows
from vad_agent.trace.window_compliance import Verdict

LEFT, RIGHT = 84, 40
PLOT = WIDTH - LEFT - RIGHT
PHASES, LEVEL, SOUND, GAP, CLOCK, AXIS = 18, 16, 46, 6, 88, 22
MAX_LEVELS = 4
COLUMNS = 700
"""Columns of a row's sound: a finer resolution is not visible, and makes the page heavy."""

Stretch = TypeVar("Stretch", Span, Sweep)


class RowDrawing:
    """One part of the call."""

    def __init__(self, call: Timeline, row: Span, name: str) -> None:
        self.call, self.row, self.name = call, row, name
        self.end = min(row.end, max(call.duration, row.start + 0.02))
        self.scale = PLOT / (row.end - row.start)
        self.prompts = [p for p in call.prompts if self._shown((p.window, p.sound))]
        self.barred = [p for p in self.prompts if self._shown((p.sound,))]
        self.marks = merged((m for m in call.marks if self._has(m.t)), self._x)
        self.mark_labels = stacked(((x, x, width_of(text, 10)) for x, text, _ in self.marks), 3)
        self.bar_labels = stacked(
            ((*self._edges(p.sound), width_of(_bar_text(p))) for p in self.barred), MAX_LEVELS
        )
        self.marks_top = PHASES + 2
        self.sound_top = self.marks_top + LEVEL * levels(self.mark_labels) + 4
        self.bars_top = self.sound_top + 2 * (SOUND + GAP)
        self.clock_top = self.bars_top + (LEVEL + 4) * levels(self.bar_labels) + GAP
        self.bottom = self.clock_top + CLOCK

    def svg(self, envelopes: Mapping[str, Envelope]) -> str:
        """The whole sheet."""
        self.sheet = Canvas(self.bottom + AXIS, self.name)
        self._phases()
        for at, (channel, envelope) in enumerate(envelopes.items()):
            self._lane(channel, envelope, self.sound_top + at * (SOUND + GAP))
        self._clock()
        self._bars()
        self._mark_lines()
        self._axis()
        return self.sheet.svg(self._description())

    def _x(self, t: float) -> float:
        return LEFT + (min(max(t, self.row.start), self.end) - self.row.start) * self.scale

    def _has(self, t: float) -> bool:
        """The call's end belongs to its last row."""
        return self.row.start <= t < self.end or t == self.end == self.call.duration

    def _shown(self, spans: Iterable[Stretch]) -> list[Stretch]:
        return [span for span in spans if span.start < self.end and span.end > self.row.start]

    # -- lanes, from the top -----------------------------------------------------------------------

    def _phases(self) -> None:
        for span in self._shown(self.call.phases):
            x0, x1 = self._x(span.start), self._x(span.end)
            fill = PHASE_FILLS.get(span.name, "#ffffff")
            self.sheet.boxes([(x0, 0, x1, self.bottom)], facecolor=fill)
            self.sheet.boxes([(x0, 0, x1, PHASES - 2)], facecolor=RULE)
            self.sheet.line([x0, x0], [0, self.bottom], edgecolor="#9aa6b2", linewidth=0.8)
            name = labels_ru.PHASES.get(span.name, span.name)
            if x1 - x0 > width_of(name, 10) + 8:
                self.sheet.text(x0 + 5, PHASES / 2 - 1, name, size=10)
        self.sheet.text(LEFT - 8, PHASES / 2 - 1, "Этап", size=10, ha="right", color=SOFT)

    def _lane(self, channel: str, envelope: Envelope, top: float) -> None:
        dark, light = SOUND_COLOURS[channel]
        middle, bottom = top + SOUND / 2, top + SOUND
        for span in self._shown(self.call.lines[channel]):
            x0, x1 = self._x(span.start), self._x(span.end)
            hatch = LINE_HATCHES.get(span.name, "-")
            self.sheet.boxes([(x0, top, x1, bottom)], hatch=hatch, **HATCH)
        runs = self._shown(self.call.speech[channel])
        self.sheet.boxes(
            ((self._x(run.start), top, self._x(run.end), bottom) for run in runs),
            facecolor=light, edgecolor=dark, linewidth=0.5,
        )  # fmt: skip
        times, lows, highs = envelope.columns(self.row.start, self.end, COLUMNS)
        unit = SOUND / 2 / envelope.reach()
        self.sheet.outline(
            [self._x(t) for t in times],
            [max(top, middle - high * unit - 0.3) for high in highs],
            [min(bottom, middle - low * unit + 0.3) for low in lows],
            facecolor=dark,
        )
        for span in self._shown(self.call.lines[channel]):
            x0, x1 = self._x(span.start), self._x(span.end)
            name = labels_ru.LINES.get(span.name, span.name)
            width = width_of(name, 10) + 8
            if x1 - x0 > width + 6:
                self.sheet.boxes(
                    [(x0 + 4, bottom - 17, x0 + 4 + width, bottom - 3)], facecolor="#ffffff"
                )
                self.sheet.text(x0 + 8, bottom - 10, name, size=10)
        self.sheet.text(LEFT - 8, middle, labels_ru.CHANNELS[channel], ha="right")
        self._base(bottom)

    def _bars(self) -> None:
        if not self.barred:
            return
        middle = self.bars_top + (LEVEL + 4) / 2
        self.sheet.text(LEFT - 8, middle, "Фразы", ha="right")
        for prompt, label in zip(self.barred, self.bar_labels, strict=True):
            top = self.bars_top + (LEVEL + 4) * (label.level if label else 0)
            x0, x1 = self._edges(prompt.sound)
            colour = VERDICT_COLOURS[prompt.verdict]
            good = prompt.verdict is Verdict.OK
            silent = prompt.started is None
            self.sheet.boxes(
                [(x0, top, x1, top + LEVEL)], edgecolor=colour, linewidth=1.2,
                facecolor=colour if good else "#ffffff", hatch=None if good or silent else "////",
                linestyle=":" if silent else "-",
            )  # fmt: skip
            if not good and x1 - x0 > 24:  # a plain background for the number
                middle = (x0 + x1) / 2
                self.sheet.boxes([(middle - 8, top + 1, middle + 8, top + 15)], facecolor="#ffffff")
            self.sheet.text(
                (x0 + x1) / 2, top + LEVEL / 2, str(prompt.number), size=10, ha="center",
                weight="bold", color="#ffffff" if good else colour,
            )  # fmt: skip
            if label:
                said, y = _bar_text(prompt), top + LEVEL / 2
                self.sheet.text(label.x, y, said, ha=label.align, color=colour)

    def _clock(self) -> None:
        tops = self._clock_tops()
        bottom = self.bottom
        for prompt in self.prompts:
            x0, x1 = self._edges(prompt.window)
            if x1 > x0:
                colour, good = VERDICT_COLOURS[prompt.verdict], prompt.verdict is Verdict.OK
                self.sheet.boxes(
                    [(x0, self.clock_top, x1, bottom)], facecolor=BAND_FILLS[prompt.verdict],
                    edgecolor=colour, linewidth=0.9, linestyle="-" if good else "--",
                    hatch=None if good else "////",
                )  # fmt: skip
        holds = self._shown(self.call.holds)
        if self._shown(self.call.silences) or not holds:
            self._scale(tops[0], LEFT, "right", "Тишина, с")
        if holds:
            self._scale(tops[1], LEFT + PLOT, "left", "Удержание, с")
        self._sweep(self.call.silences, tops[0], INK, "#dfe5ea")
        self._sweep(self.call.holds, tops[1], "#6a3d9a", "none")
        for prompt in self.prompts:
            if prompt.started is None or not self._has(prompt.started):
                continue
            x = self._x(prompt.started)
            y = self._height(prompt.silence, tops[prompt.of_hold])
            colour = VERDICT_COLOURS[prompt.verdict]
            known = self.call.holds if prompt.of_hold else self.call.silences
            if not any(abs(sweep.origin - prompt.origin) < 0.05 for sweep in known):
                self.sheet.line(
                    [self._x(prompt.origin), x], [bottom, y],
                    edgecolor=colour, linewidth=1, linestyle=":",
                )  # fmt: skip
            self.sheet.dot(x, y, 4, facecolor=colour, edgecolor="#ffffff", linewidth=1)
            sign = f"{VERDICT_SIGNS[prompt.verdict]} {labels_ru.number(prompt.silence)}"
            above = max(y - 11, self.clock_top + 7)
            room = x + 8 + width_of(sign) < WIDTH
            x += 6 if room else -6
            self.sheet.text(
                x, above, sign, color=colour, weight="bold", ha="left" if room else "right"
            )
        self._base(bottom)

    def _sweep(self, sweeps: Sequence[Sweep], top: float, colour: str, fill: str) -> None:
        xs: list[float] = []
        ys: list[float] = []
        for sweep in sweeps:
            start, end = max(sweep.start, self.row.start), min(sweep.end, self.end)
            if start < end:
                # After this moment the clock is off the scale.
                full = min(max(sweep.origin + top, start), end)
                corners = [start, full, end]
                xs += [self._x(start), *map(self._x, corners), self._x(end)]
                heights = [self._height(t - sweep.origin, top) for t in corners]
                ys += [self.bottom, *heights, self.bottom]
                if full < end and full > self.row.start and end - full > 1.5:
                    text = labels_ru.lasting(round(end - sweep.origin, 1))
                    y = self._height(top, top) - 8
                    self.sheet.text(self._x(end) - 4, y, f"… {text}", size=10, ha="right")
        if fill != "none":
            self.sheet.outline(xs, ys, [self.bottom] * len(xs), facecolor=fill, alpha=0.7)
        self.sheet.line(xs, ys, edgecolor=colour, linewidth=1.1)

    def _height(self, seconds: float, top: float) -> float:
        return self.bottom - min(seconds / top, 1) * (CLOCK - 14)

    def _clock_tops(self) -> tuple[float, float]:
        """The range of the clock's lane, in seconds: of silence, of hold."""

        def longest(sweeps: Iterable[Sweep]) -> float:
            reached = (min(s.end, self.end) - s.origin for s in self._shown(sweeps))
            return max(reached, default=0.0)

        windows = (
            [p.hi for p in self.prompts if p.of_hold is of_hold] for of_hold in (False, True)
        )
        silent, held = (max(found, default=0.0) for found in windows)
        figures = [p.silence for p in self.prompts if p.started is not None and not p.of_hold]
        silence = max(4.0, silent + 1, *figures, min(longest(self.call.silences), 10))
        return silence, max(10.0, held + 1, longest(self.call.holds))

    def _scale(self, top: float, x: float, align: str, title: str) -> None:
        step = next((step for step in (1, 2, 5, 10, 20, 30, 60, 300) if top / step <= 5), 3_600)
        away = -6 if align == "right" else 6
        for tick in range(0, int(top) + 1, step):
            y = self._height(tick, top)
            if align == "right":
                self.sheet.line([LEFT, self._x(self.end)], [y, y], edgecolor=RULE, linewidth=0.6)
            self.sheet.text(x + away, y, str(tick), size=9, ha=align, color=SOFT)
        middle = self.clock_top + CLOCK / 2
        edge = 26 if align == "right" else WIDTH - 8
        rotation = 90 if align == "right" else 270
        self.sheet.text(
            edge, middle, title, size=10, ha="center", rotation=rotation, rotation_mode="anchor"
        )

    # -- over all lanes ----------------------------------------------------------------------------

    def _mark_lines(self) -> None:
        for (x, text, strong), label in zip(self.marks, self.mark_labels, strict=True):
            y = self.marks_top + LEVEL * ((label.level if label else 0) + 0.5)
            self.sheet.line(
                [x, x], [y - 6, self.bottom], edgecolor=INK if strong else SOFT,
                linewidth=1.4 if strong else 0.9, linestyle="-" if strong else "--",
            )  # fmt: skip
            if label:
                weight = "bold" if strong else "normal"
                self.sheet.text(label.x, y, text, size=10, ha=label.align, weight=weight)

    def _axis(self) -> None:
        length = self.row.end - self.row.start
        step = next(
            step for step in (1, 2, 5, 10, 15, 30, 60) if step * self.scale >= 48 or step == 60
        )
        for count in range(int(length / step) + 1):
            t = self.row.start + count * step
            x = LEFT + count * step * self.scale
            if t <= self.end:
                self.sheet.line(
                    [x, x], [self.bottom, self.bottom + 4], edgecolor=SOFT, linewidth=0.8
                )
                self.sheet.text(
                    x, self.bottom + 13, labels_ru.clock(t), size=10, ha="center", color=SOFT
                )

    def _base(self, y: float) -> None:
        self.sheet.line([LEFT, self._x(self.end)], [y, y], edgecolor="#9aa6b2", linewidth=0.8)

    def _edges(self, span: Span) -> tuple[float, float]:
        return self._x(span.start), self._x(span.end)

    def _description(self) -> str:
        parts = [f"{p.number}. {p.name}: {p.why}" for p in self.prompts]
        parts += [text for _, text, _ in self.marks]
        stretch = f"{labels_ru.clock(self.row.start)}–{labels_ru.clock(self.end)}"
        return f"Звонок, {stretch}. {'; '.join(parts)}".strip()


def _bar_text(prompt: PromptSpan) -> str:
    why = "" if prompt.verdict is Verdict.OK else f": {prompt.why}"
    return f"{VERDICT_SIGNS[prompt.verdict]} {prompt.name}{why}"


def pictures(call: Timeline, drawn: Rows, envelopes: Mapping[str, Envelope]) -> list[str]:
    """One SVG per row."""
    return [RowDrawing(call, row, f"row {at}").svg(envelopes) for at, row in enumerate(drawn.shown)]


@dataclass(frozen=True, slots=True)
class Label:
    """A text with its place in a lane of levels."""

    level: int
    x: float
    align: str


def stacked(wanted: Iterable[tuple[float, float, float]], most: int) -> list[Label | None]:
    """Place labels next to their objects so that none covers another.

    Each of `wanted` is the object's left and right edge and the label's width (px), in order. A
    label that does not fit to the right of its object goes to the left; None: there was no space.
    """
    ends = [0.0] * most
    placed: list[Label | None] = []
    for x0, x1, width in wanted:
        right = x1 + 4 + width <= WIDTH
        start, end = (x0, x1 + 4 + width) if right else (x0 - 4 - width, x1)
        level = next((level for level in range(most) if ends[level] <= start), None)
        if level is None:
            placed.append(None)
            continue
        ends[level] = end + 10
        placed.append(Label(level, x1 + 4 if right else x0 - 4, "left" if right else "right"))
    return placed


def levels(labels: Iterable[Label | None]) -> int:
    """Number of levels that a lane needs; the object of a label without space is on the first level."""
    return max((label.level + 1 if label else 1 for label in labels), default=0)


def merged(
    marks: Iterable[TimelineMark], x: Callable[[float], float]
) -> list[tuple[float, str, bool]]:
    """Place, text and strength of each line; marks at one moment (within 4 px) share one."""
    groups: list[tuple[float, list[TimelineMark]]] = []
    for mark in marks:
        at = x(mark.t)
        if groups and at - groups[-1][0] < 4:
            groups[-1][1].append(mark)
        else:
            groups.append((at, [mark]))
    return [
        (at, " · ".join(dict.fromkeys(mark.text for mark in group)), any(m.strong for m in group))
        for at, group in groups
    ]
