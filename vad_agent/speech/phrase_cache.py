"""Disk cache of rendered phrases: WAV files named by a hash of everything that determines their sound.

    key = text, voice, rate, loudness, engine and its version          a recording: its content, loudness

A file beside each phrase contains its length, as measured when the phrase was checked. A phrase of
another length, or one that was never checked, is rendered again.

A cached phrase is found without starting the engine: the cache stores the last engine, and the
files by which a change of it is detected. File names do not reveal texts.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vad_agent.common.private_files import replacing
from vad_agent.speech.player import PHRASE_HZ
from vad_agent.speech.text_to_speech import Engine
from vad_agent.speech.text_to_speech_worker import SPOKEN, file_stamp

ENGINE = "engine.json"
NEW = "new-"
CHECKED = ".samples"
"""Suffix of the file with the number of a phrase's samples."""
LEFT_S = 300.0
"""Seconds; no rendering takes that long."""
SAMPLE_BYTES = 2


def default_folder() -> Path:
    """The user's cache folder."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("vad-agent", appauthor=False)) / "phrases"


class PhraseCache:
    """A folder of phrases. If it cannot be written, nothing is cached: all is rendered each time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()

    def _sweep(self) -> None:
        """Remove leftovers of a killed process: they may contain a spoken name."""
        with suppress(OSError):
            for path in self.folder.glob(f"{NEW}*.wav"):
                if time.time() - path.stat().st_mtime > LEFT_S:
                    path.unlink()

    def engine(self) -> str | None:
        """The engine of the last rendering, if it is unchanged."""
        try:
            stored = json.loads((self.folder / ENGINE).read_text(encoding="utf-8"))
            same = all(file_stamp(path) == stamp for path, stamp in stored["files"].items())
            return str(stored["engine"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def remember(self, engine: Engine) -> None:
        """Store the current engine."""
        stored = json.dumps({"engine": engine.name, "files": engine.files})
        with suppress(OSError), replacing(self.folder / ENGINE) as file:
            file.write(stored.encode())

    def get(self, key: str) -> bytes | None:
        """The phrase's samples. None: not cached, or damaged or never checked (and then removed)."""
        path = self._path(key)
        try:
            pcm = read_phrase(path)
            checked = int(path.with_suffix(CHECKED).read_text("ascii"))
            if len(pcm) != checked * SAMPLE_BYTES:
                raise ValueError(f"expected {checked} samples, as checked")
            return pcm
        except (OSError, EOFError, ValueError, wave.Error):
            with suppress(OSError):
                path.unlink()
            return None

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A temporary path for rendering: in the cache's folder, else in the system's; removed
        afterwards.
        """
        folder = self.folder if os.access(self.folder, os.W_OK) else None
        handle, name = tempfile.mkstemp(".wav", NEW, folder)
        os.close(handle)
        try:
            yield Path(name)
        finally:
            for left in (name, name + SPOKEN):
                with suppress(OSError):
                    os.unlink(left)

    def keep(self, key: str, rendered: Path) -> None:
        """Add this file, which was checked, atomically."""
        path = self._path(key)
        with suppress(OSError):
            with wave.open(str(rendered), "rb") as file:
                path.with_suffix(CHECKED).write_text(str(file.getnframes()), "ascii")
            os.replace(rendered, path)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.wav"


def key_of(*parts: object) -> str:
    """The hash of everything that determines a sound."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:40]


def content_of(path: str) -> str:
    """The hash of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_phrase(path: Path) -> bytes:
    """The samples of one of our WAV files: int16 mono at PHRASE_HZ.

    Raises:
        OSError, EOFError, wave.Error: it cannot be read.
        ValueError: it has another format, or is truncated.
    """
    with wave.open(str(path), "rb") as file:
        found = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if found != (1, SAMPLE_BYTES, PHRASE_HZ):
            raise ValueError(f"expected mono int16 at {PHRASE_HZ} Hz, got {found}")
        pcm = file.readframes(file.getnframes())
        if not pcm or len(pcm) != file.getnframes() * SAMPLE_BYTES:
            raise ValueError("cut off")
    return pcm
