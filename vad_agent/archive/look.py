"""Colours, hatches and signs of the report. Nothing is told by a colour alone."""

from __future__ import annotations

from vad_agent.verdicts import Verdict

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
"""Straight strokes only: a hatch of circles is 200 kB of SVG in every row."""
HATCH = {"facecolor": "#ffffff", "edgecolor": "#8b98a5", "linewidth": 0.6}
