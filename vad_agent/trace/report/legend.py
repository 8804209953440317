"""The legend of the picture: only the signs that the call has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vad_agent.trace import labels_ru
from vad_agent.trace.report.call_timeline import Timeline
from vad_agent.trace.report.canvas import (
    BAND_FILLS,
    HATCH,
    INK,
    LINE_HATCHES,
    SOFT,
    SOUND_COLOURS,
    VERDICT_COLOURS,
    WIDTH,
    Box,
    Canvas,
    width_of,
)
from vad_agent.trace.window_compliance import Verdict

Swatch = Callable[[Canvas, Box], None]
LINE, WIDE, TALL = 26, 34, 15


def legend(call: Timeline) -> str:
    """One SVG with as many lines as needed."""
    placed: list[tuple[float, float, Swatch, str]] = []
    x, y = 0.0, 4.0
    for swatch, text in _signs(call):
        width = WIDE + 8 + width_of(text) + 18
        if x + width > WIDTH and x > 0:
            x, y = 0.0, y + LINE
        placed.append((x, y, swatch, text))
        x += width
    sheet = Canvas(y + LINE, "legend")
    for x, y, swatch, text in placed:
        swatch(sheet, (x + 1, y, x + WIDE, y + TALL))
        sheet.text(x + WIDE + 8, y + TALL / 2, text)
    return sheet.svg("Условные обозначения: " + "; ".join(text for *_, text in placed))


def _signs(call: Timeline) -> Iterator[tuple[Swatch, str]]:
    for channel, name in labels_ru.CHANNELS.items():
        yield _speech(*SOUND_COLOURS[channel]), f"речь: {name.lower()}"
    states = {span.name for spans in call.lines.values() for span in spans}
    for state in sorted(states):
        yield _hatched(LINE_HATCHES.get(state, "-")), labels_ru.LINES.get(state, state)
    yield _sawtooth, "сколько длится тишина"
    if call.holds:
        yield _hold, "сколько длится удержание"
    verdicts = {prompt.verdict for prompt in call.prompts}
    if Verdict.OK in verdicts:
        yield _band(Verdict.OK), "✓ окно фразы: начата в нём"
    if Verdict.BAD in verdicts:
        yield _band(Verdict.BAD), "✗ окно фразы: начата вне его или не сказана"
    if Verdict.NOTE in verdicts:
        yield _band(Verdict.NOTE), "– окно фразы, которая не понадобилась"
    if any(not mark.strong for mark in call.marks):
        yield _mark(SOFT, 0.9, "--"), "событие звонка"
    if any(mark.strong for mark in call.marks):
        yield _mark(INK, 1.4, "-"), "решение vad-agent"


def _speech(dark: str, light: str) -> Swatch:
    def draw(sheet: Canvas, box: Box) -> None:
        x0, y0, x1, y1 = box
        middle = (y0 + y1) / 2
        sheet.boxes([box], facecolor=light, edgecolor=dark, linewidth=0.5)
        heights = (1, 3, 6, 4, 6, 2, 5, 3, 1)
        xs = [x0 + 3 + (x1 - x0 - 6) * at / (len(heights) - 1) for at in range(len(heights))]
        ups, downs = [middle - h for h in heights], [middle + h for h in heights]
        sheet.outline(xs, ups, downs, facecolor=dark)

    return draw


def _hatched(hatch: str) -> Swatch:
    return lambda sheet, box: sheet.boxes([box], hatch=hatch, **HATCH)


def _sawtooth(sheet: Canvas, box: Box) -> None:
    x0, y0, x1, y1 = box
    middle = (x0 + x1) / 2
    xs, ys = [x0, middle, middle, x1, x1], [y1, y0, y1, y0, y1]
    sheet.outline(xs, ys, [y1] * len(xs), facecolor="#dfe5ea")
    sheet.line(xs, ys, edgecolor=INK, linewidth=1.1)


def _hold(sheet: Canvas, box: Box) -> None:
    x0, y0, x1, y1 = box
    sheet.line([x0, x1, x1], [y1, y0, y1], edgecolor="#6a3d9a", linewidth=1.1)


def _band(verdict: Verdict) -> Swatch:
    def draw(sheet: Canvas, box: Box) -> None:
        good = verdict is Verdict.OK
        sheet.boxes(
            [box], facecolor=BAND_FILLS[verdict], edgecolor=VERDICT_COLOURS[verdict],
            linewidth=0.9, linestyle="-" if good else "--", hatch=None if good else "////",
        )  # fmt: skip

    return draw


def _mark(colour: str, width: float, style: str) -> Swatch:
    def draw(sheet: Canvas, box: Box) -> None:
        x0, y0, x1, y1 = box
        middle = (x0 + x1) / 2
        sheet.line([middle, middle], [y0, y1], edgecolor=colour, linewidth=width, linestyle=style)

    return draw
