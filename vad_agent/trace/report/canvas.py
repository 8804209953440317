"""A sheet measured in pixels of the page, drawn with matplotlib and exported as inline SVG.

One axes over the whole figure, x to the right and y down: 1 unit is 1 px at the page's full width.
The same drawing gives the same bytes on every machine: ids are salted with a fixed word, nothing is
dated, and texts stay texts, measured in the font that matplotlib includes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from types import ModuleType
from typing import Any

from vad_agent.errors import MissingExtra
from vad_agent.trace.window_compliance import Verdict

WIDTH = 1152
INK = "#1c2733"
SOFT = "#5d6b78"
RULE = "#d5dbe1"

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in px."""


def library() -> ModuleType:
    """matplotlib, loaded when the first picture is drawn.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import matplotlib.figure
        import matplotlib.patches
        import matplotlib.path
    except ImportError as error:
        raise MissingExtra("matplotlib", "report", "--report") from error
    return matplotlib


def width_of(text: str, size: float = 11) -> float:
    """Estimated width of a text in px, rather too large, because the reader's font is unknown."""
    return len(text) * size * 0.58


class Canvas:
    """A sheet of WIDTH × `height` px.

    `name` distinguishes its ids from those of other sheets on the page.
    """

    def __init__(self, height: float, name: str) -> None:
        self._mpl = library()
        self.height = height
        self._settings = {
            "svg.hashsalt": f"vad-agent {name}",
            "svg.fonttype": "none",
            "font.family": ["sans-serif"],
            "font.sans-serif": ["DejaVu Sans"],
            "hatch.linewidth": 0.7,
            "path.simplify": False,
            "text.parse_math": False,
        }
        with self._mpl.rc_context(self._settings):
            figure = self._mpl.figure.Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set(xlim=(0, WIDTH), ylim=(height, 0))
            axes.set_axis_off()
            figure.patch.set_visible(False)
        self._figure: Any = figure
        self._axes: Any = axes

    def boxes(self, boxes: Iterable[Box], **style: Any) -> None:
        """Draw rectangles of one style as one path: a thousand speech segments are one element."""
        points: list[tuple[float, float]] = []
        codes: list[int] = []
        path = self._mpl.path.Path
        for x0, y0, x1, y1 in boxes:
            points += [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
            codes += [path.MOVETO, path.LINETO, path.LINETO, path.LINETO, path.CLOSEPOLY]
        if points:
            self._add(path(points, codes), style)

    def outline(self, xs: Sequence[float], tops: Sequence[float], bottoms: Sequence[float],
                **style: Any) -> None:  # fmt: skip
        """Draw the area between two curves."""
        if len(xs):
            points = [*zip(xs, tops, strict=True)]
            points += [*zip(reversed(xs), reversed(bottoms), strict=True)]
            self._add(self._mpl.path.Path([*points, points[0]]), style)

    def line(self, xs: Sequence[float], ys: Sequence[float], **style: Any) -> None:
        """Draw an open line."""
        if len(xs):
            points = list(zip(xs, ys, strict=True))
            self._add(self._mpl.path.Path(points), {"facecolor": "none"} | style)

    def dot(self, x: float, y: float, radius: float, **style: Any) -> None:
        """Draw a disc."""
        self._patch(self._mpl.patches.Circle((x, y), radius, **({"linewidth": 0} | style)))

    def text(self, x: float, y: float, text: str, *, size: float = 11, **style: Any) -> None:
        """Draw one line of text, by default left-aligned and centred on y."""
        style = {"color": INK, "va": "center", "ha": "left"} | style
        with self._mpl.rc_context(self._settings):
            self._axes.text(x, y, text, fontsize=size, clip_on=False, **style)

    def _add(self, path: Any, style: dict[str, Any]) -> None:
        self._patch(self._mpl.patches.PathPatch(path, **({"linewidth": 0} | style)))

    def _patch(self, patch: Any) -> None:
        patch.set_clip_on(False)
        self._axes.add_artist(patch)
        patch.set_clip_path(None)

    def svg(self, label: str) -> str:
        """The sheet as an SVG element that scales with the page; `label` is for screen readers."""
        out = io.StringIO()
        with self._mpl.rc_context(self._settings):
            self._figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        body = out.getvalue()
        body = body[body.index("<svg") :].rstrip()
        body = body[body.index(">") + 1 :]
        # An embedded style sheet would apply to the whole page; the page has its own.
        for leaf in ("metadata", "style"):
            body = re.sub(rf"<{leaf}\b[^>]*>.*?</{leaf}>", "", body, flags=re.DOTALL)
        # Ids of groups are the same on every sheet and nothing refers to them. Fractions of a pixel
        # beyond the second digit are half of the size.
        body = re.sub(r'<g id="[^"]*"', "<g", body)
        body = re.sub(r'(?<= d=")[^"]*', _rounded, body)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            f' viewBox="0 0 {WIDTH} {self.height:g}" role="img" aria-label="{escape(label)}">{body}'
        )


def _rounded(match: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", " ".join(match[0].split()))


VERDICT_COLOURS = {Verdict.OK: "#17703f", Verdict.BAD: "#b3261e", Verdict.NOTE: "#6b7680"}
VERDICT_SIGNS = {Verdict.OK: "✓", Verdict.BAD: "✗", Verdict.NOTE: "–"}
BAND_FILLS = {Verdict.OK: "#cfe9d8", Verdict.BAD: "#fbe3e0", Verdict.NOTE: "#eceff1"}
SOUND_COLOURS = {"operator": ("#2f5d8a", "#d6e4f1"), "client": ("#8a5a12", "#f5e6c8")}
PHASE_FILLS = {
    "greeting": "#f1f6fb", "dialogue": "#ffffff", "on_hold": "#f4eff9", "ended": "#f0f1f2",
}  # fmt: skip
LINE_HATCHES = {
    "quiet": "--", "digital_zero": "///", "no_media": "xxx", "music": "|||", "tone": "+++",
    "muted": "\\\\\\",
}  # fmt: skip
"""Straight strokes only: a hatch of circles adds 200 kB of SVG to every row."""
HATCH = {"facecolor": "#ffffff", "edgecolor": "#8b98a5", "linewidth": 0.6}
