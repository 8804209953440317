"""Takes sounds out of games' ZIP archives, as files that soundfile reads."""

from __future__ import annotations

import zipfile
from pathlib import Path

FOLDER = "archives"
"""Beside the packages' own folders."""
ARCHIVES = {
    "nexuiz": "games/nexuiz/data/music.pk3",
    "ufoai": "games/ufoai/base/0music.pk3",
    "warzone": "games/warzone2100/base.wz",
}


def extract(share: Path) -> None:
    """What there is of the archives, under `share`/FOLDER, once."""
    for name, archive in ARCHIVES.items():
        out = share / FOLDER / name
        if (out / ".ready").exists() or not (share / archive).exists():
            continue
        out.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(share / archive) as pieces:
            for piece in pieces.namelist():
                if piece.endswith(".ogg"):
                    pieces.extract(piece, out)
        (out / ".ready").touch()
