"""Stage 1: short clips out of the Debian packages, espeak-ng, seeded noise and sines.

The catalogue (`clips/catalogue.toml`) says what each clip is. A clip begins and ends with its sound:

    source  ▁▁▁▂▇▇▅▇▇▂▁▁▁     trimmed where 2.5 ms come within 45 dB of the peak
    clip       ▂▇▇▅▇▇▂        so its length is the true extent of the sound

Speech is then -20 dBFS RMS while active, music and synthetic sounds too, none over -1 dBFS.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile  # type: ignore[import-untyped]

from audio_fixtures import dsp
from vad_agent.core.script import fill

FOLDER = Path(__file__).parent / "clips"
SUMS = FOLDER / "SHA256SUMS"
SCRIPT = Path(__file__).parent.parent / "vad_agent" / "script" / "haieronline.toml"
SHARE = Path("/usr/share/asterisk")
LEVEL_DB = -20.0
PEAK_DB = -1.0

Source = Literal["espeak", "asterisk", "music", "synth"]
Kind = Literal["speech", "music", "noise", "tone"]

PACKAGES: Mapping[Source, str] = {
    "espeak": "espeak-ng",
    "asterisk": "asterisk-core-sounds-ru-wav",
    "music": "asterisk-moh-opsound-wav",
}


class FixtureError(Exception):
    """A clip, recipe or recording that is wrong or cannot be made: one line says what to do."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One entry of the catalogue."""

    name: str
    source: Source
    what: str
    """The text spoken, the file in the package, or the sound made."""
    kind: Kind
    voice: str = "ru"
    words_per_minute: int = 170
    pitch: int = 45
    from_s: float = 0.0
    length_s: float | None = None
    wide: bool = False

    @property
    def rate(self) -> int:
        """Samples a second."""
        return 16_000 if self.wide else 8_000

    @property
    def path(self) -> Path:
        """Where the committed clip lies."""
        return FOLDER / f"{self.name}.flac"


def prompt_text(prompt: str) -> str:
    """A prompt's text in the shipped script, with no names known."""
    script = tomllib.loads(SCRIPT.read_text(encoding="utf-8"))
    values = {"shop": script["shop"], "operator_name": None, "client_name": None}
    return fill(script["prompts"][prompt]["text"], values)


@cache
def catalogue() -> Mapping[str, Clip]:
    """Every clip by name."""
    tables = tomllib.loads((FOLDER / "catalogue.toml").read_text(encoding="utf-8"))
    return {name: _entry(name, dict(table)) for name, table in tables.items()}


_SOURCES: Mapping[str, tuple[Source, Kind]] = {
    "text": ("espeak", "speech"),
    "asterisk": ("asterisk", "speech"),
    "music": ("music", "music"),
    "synth": ("synth", "noise"),
    "tone": ("synth", "tone"),
}
"""The key that names a clip's source: the source, and what kind of sound it gives."""


def _entry(name: str, table: dict[str, Any]) -> Clip:
    if "prompt" in table:
        table["text"] = prompt_text(table.pop("prompt"))
    keys = [key for key in _SOURCES if key in table]
    if len(keys) != 1:
        raise FixtureError(f"catalogue: {name}: expected one source of {', '.join(_SOURCES)}")
    source, kind = _SOURCES[keys[0]]
    return Clip(name=name, source=source, kind=kind, what=table.pop(keys[0]), **table)


# -- making --------------------------------------------------------------------------------------


def make(clip: Clip) -> dsp.Wide:
    """The clip's samples from its source.

    Raises:
        FixtureError: the source's package is not installed.
    """
    if clip.source == "synth":
        samples, rate = _SYNTH[clip.what](), clip.rate
    elif clip.source == "espeak":
        samples, rate = _speak(clip)
    else:
        folder = "moh" if clip.source == "music" else "sounds/ru_RU_f_IvrvoiceRU"
        samples, rate = _read(SHARE / folder / f"{clip.what}.wav", PACKAGES[clip.source])
    start = round(clip.from_s * rate)
    end = len(samples) if clip.length_s is None else start + round(clip.length_s * rate)
    samples = dsp.resample(samples[start:end], rate, clip.rate)
    if clip.length_s is not None:
        samples = dsp.fade(samples, clip.rate // 400, clip.rate // 200)
    band = (50.0, 7000.0) if clip.wide else (300.0, 3400.0)
    return _level(dsp.trim(dsp.fir(samples, dsp.band_pass(*band, clip.rate)), clip.rate), clip)


def _level(samples: dsp.Wide, clip: Clip) -> dsp.Wide:
    """At LEVEL_DB while active, or lower where the peak would pass PEAK_DB."""
    peak_db = 20 * math.log10(int(np.abs(samples).max()) / dsp.FULL_SCALE)
    wanted = min(LEVEL_DB - dsp.active_level_db(samples, clip.rate), PEAK_DB - peak_db)
    return dsp.gain(samples, round(wanted, 2))


def _read(path: Path, package: str) -> tuple[dsp.Wide, int]:
    if not path.exists():
        raise FixtureError(f"{path}: not found: apt-get install {package}")
    samples, rate = soundfile.read(path, dtype="int16")
    return samples.astype(np.int64), int(rate)


def _speak(clip: Clip) -> tuple[dsp.Wide, int]:
    program = shutil.which("espeak-ng")
    if program is None:
        raise FixtureError("espeak-ng: not found: apt-get install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        options = ["-v", clip.voice, "-s", str(clip.words_per_minute), "-p", str(clip.pitch)]
        subprocess.run([program, *options, "-w", str(path), clip.what], check=True, timeout=60)
        return _read(path, PACKAGES["espeak"])


def _breath() -> dsp.Wide:
    """0.55 s of air: noise that swells and falls."""
    samples = dsp.noise(4400, -20.0, dsp.band_pass(500, 2600, 8000, 41), 0xB4EA)
    return dsp.fade(samples, 2000, 2400)


def _click(seed: int = 0xC11C) -> dsp.Wide:
    """A key: 6 ms of noise that dies away."""
    samples = dsp.noise(48, -14.0, dsp.band_pass(1200, 3400, 8000, 21), seed)
    return dsp.fade(samples, 2, 46)


def _typing() -> dsp.Wide:
    """Nine keys within 1.5 s."""
    out = np.zeros(12_000, np.int64)
    for number, at in enumerate((0, 1130, 2610, 3480, 5200, 6040, 7790, 9320, 11_900)):
        out[at : at + 48] += dsp.gain(_click(0xC11C + number), -(number % 3))
    return out


def _sines(count: int, *parts: tuple[float, int]) -> dsp.Wide:
    """A sum of sines: Hz and amplitude in int16 steps of each."""
    at = np.arange(count) / 8_000
    waves = [np.rint(peak * np.sin(2 * np.pi * hz * at)).astype(np.int64) for hz, peak in parts]
    return sum(waves, np.zeros(count, np.int64))


def _busy() -> dsp.Wide:
    """12 s of a Russian exchange's busy tone: 425 Hz, 0.35 s on and 0.35 s off."""
    out = _sines(96_000, (425.0, 8_000))
    out[np.arange(len(out)) % 5_600 >= 2_800] = 0
    return out


_KEYS_HZ = {
    "123": (697.0, (1_209.0, 1_336.0, 1_477.0)),
    "456": (770.0, (1_209.0, 1_336.0, 1_477.0)),
    "789": (852.0, (1_209.0, 1_336.0, 1_477.0)),
    "*0#": (941.0, (1_209.0, 1_336.0, 1_477.0)),
}


def _keys() -> dsp.Wide:
    """A number of seven digits, pressed by a person: 2.34 s. The column's tone is 2 dB louder."""
    parts = []
    for digit, on_ms, off_ms in (
        ("4", 140, 220), ("0", 160, 180), ("7", 120, 260), ("1", 180, 200),
        ("5", 140, 240), ("9", 160, 200), ("8", 140, 0),
    ):  # fmt: skip
        row, columns, place = next(
            (row, columns, keys.index(digit))
            for keys, (row, columns) in _KEYS_HZ.items()
            if digit in keys
        )
        parts.append(_sines(on_ms * 8, (row, 5_000), (columns[place], 6_300)))
        parts.append(np.zeros(off_ms * 8, np.int64))
    return np.concatenate(parts)


_SYNTH = {
    "breath": _breath,
    "click": _click,
    "typing": _typing,
    "busy": _busy,
    "keys": _keys,
}


# -- the committed files -------------------------------------------------------------------------


@cache
def load(name: str) -> dsp.Wide:
    """The committed clip's samples.

    Raises:
        FixtureError: no such clip.
    """
    clip = catalogue().get(name)
    if clip is None:
        raise FixtureError(f"clip {name!r}: not in {FOLDER.name}/catalogue.toml")
    if not clip.path.exists():
        raise FixtureError(f"{clip.path}: not found: python -m audio_fixtures.build clips")
    samples, _ = soundfile.read(clip.path, dtype="int16")
    return np.asarray(samples, dtype=np.int64)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sums() -> str:
    """What SHA256SUMS has to hold: the digest and name of every clip, as `sha256sum -c` reads it."""
    return "".join(f"{digest(clip.path)}  {clip.path.name}\n" for clip in catalogue().values())


def stale(name: str) -> bool:
    """The committed clip is missing or is not what its source gives."""
    clip = catalogue()[name]
    return not clip.path.exists() or not np.array_equal(make(clip), load(name))


def rebuild(check: bool) -> list[str]:
    """Names of the clips that differ from their sources; unless `check`, they are written anew."""
    changed = [name for name in catalogue() if stale(name)]
    if not check:
        for name in changed:
            clip = catalogue()[name]
            soundfile.write(clip.path, make(clip).astype(np.int16), clip.rate, subtype="PCM_16")
        load.cache_clear()
        SUMS.write_text(sums(), encoding="utf-8")
    return changed
