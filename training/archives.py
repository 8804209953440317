"""Takes music out of games' archives, as files that soundfile reads: Nexuiz, UFO: Alien Invasion."""

from __future__ import annotations

import zipfile
from pathlib import Path

FOLDER = "archives"
"""Beside the packages' own folders."""
ARCHIVES = {
    "nexuiz": "games/nexuiz/data/music.pk3",
    "ufoai": "games/ufoai/base/0music.pk3",
}


def extract(share: Path) -> None:
    """Everything under `share`/FOLDER, once."""
    for name, archive in ARCHIVES.items():
        out = share / FOLDER / name
        if (out / ".ready").exists():
            continue
        out.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(share / archive) as pieces:
            for piece in pieces.namelist():
                if piece.endswith(".ogg"):
                    (out / piece.replace("/", "-")).write_bytes(pieces.read(piece))
        (out / ".ready").touch()
