"""Tuning and test: which prompt, piece of music, noise and key belongs where. See `split.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

PARTS = ("tuning", "test")
SHARE = Path("/usr/share/asterisk")
PROMPTS = SHARE / "sounds" / "ru_RU_f_IvrvoiceRU"
MUSIC = SHARE / "moh"
KEYS = Path("/usr/share/buckle/wav")
CLIPS = Path(__file__).parent.parent.parent / "audio_fixtures" / "clips"


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(Path(__file__).with_name("split.toml").read_text(encoding="utf-8"))


def prompts(part: str) -> list[Path]:
    """Phrases that made calls consist of."""
    return [PROMPTS / f"{name}.wav" for name in _table()["prompts"][part]]


def music(part: str) -> list[Path]:
    """Pieces of hold music."""
    return [MUSIC / f"{name}.wav" for name in _table()["music"][part]]


def answers(part: str) -> list[Path]:
    """Short words."""
    return [
        CLIPS / f"{name.removeprefix('clip:')}.flac"
        if name.startswith("clip:")
        else PROMPTS / f"{name}.wav"
        for name in _table()["answers"][part]
    ]


def speeds(part: str) -> list[float]:
    """Of the made speakers: above 1 is faster and higher."""
    return [float(speed) for speed in _table()["speeds"][part]]


def noise(folder: Path, part: str) -> list[Path]:
    """Recorded noises of the folder."""
    found = sorted(
        path for kind in ("flac", "wav") for path in (folder / "noise").glob(f"*.{kind}")
    )
    if len(found) < 2:
        return found
    return found[:1] if part == "tuning" else found[1:]


def keys(part: str) -> list[Path]:
    """Single key clicks; none where bucklespring-data is not installed."""
    found = sorted(KEYS.glob("*-1.wav"))
    return found[::2] if part == "tuning" else found[1::2]
