"""Clips of the sources at 8 kHz.

`python -m training.source_clips CACHE` downloads the packages of `sources.py` into CACHE (with apt-get
download and dpkg -x, so nothing is installed), renders words with espeak-ng and flite, and
writes CACHE/pools.npz.
Everything is seeded.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training import archives, sources

Float32Array = NDArray[np.float32]
Bools = NDArray[np.bool_]

RATE = 8_000
HOP = 160

ACTIVE_DB = 30.0
"""A frame is speech within so much of the clip's loud frames …"""
EDGE_DB = 36.0
"""… and so are its neighbours down to this."""
CLEAN_DB, LEAST_DB = 36.0, 22.0
"""So far is a clip's noise under its loud frames, or brought there; nearer than the second: left out."""
STEADY_DB = 6.0
"""Noise changes less within 100 ms."""
SOUND_S = 12
"""Of a long noise so much is kept."""
PIECE_S = 80
"""Of a long piece of music so much is kept."""
UTTERANCE_FRAMES = 250
"""A longer clip is cut at its pauses …"""
PAUSE_FRAMES = 12
"""… of so many frames."""
WORD_FRAMES = 8, 22
"""What stands between two pauses and is no longer is a word …"""
GAP_FRAMES = 4
"""… if they have so many frames."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker."""

    name: str
    clips: list[Float32Array]
    """float32 at RATE, RMS 1 while active."""


@dataclass(slots=True)
class Pools:
    """What calls are made of."""

    voices: list[Voice] = field(default_factory=list)
    music: list[Float32Array] = field(default_factory=list)
    """float32 at RATE, RMS 1."""
    keys: list[Float32Array] = field(default_factory=list)
    """Key clicks, float32 at RATE, peak 1."""
    sounds: list[Float32Array] = field(default_factory=list)
    """Noises: traffic, tools, water, fire, doors; float32 at RATE, RMS 1."""


def frame_rms(samples: Float32Array) -> Float32Array:
    """RMS of each whole frame, float32, (frames,)."""
    count = len(samples) // HOP
    frames = samples[: count * HOP].reshape(count, HOP)
    out: Float32Array = np.sqrt((frames**2).mean(axis=1) + 1e-12).astype(np.float32)
    return out


def active_frames(samples: Float32Array) -> Bools:
    """An energy gate on a clean clip: which frames are speech."""
    level = 20 * np.log10(frame_rms(samples))
    if len(level) == 0:
        return np.zeros(0, bool)
    loud = float(np.percentile(level, 95))
    active = level > loud - ACTIVE_DB
    near = level > loud - EDGE_DB
    for _ in range(4):  # an edge belongs to its word, no further than 80 ms
        grown = active.copy()
        grown[1:] |= active[:-1]
        grown[:-1] |= active[1:]
        active = grown & near | active
    return _without_short(active)


def _without_short(active: Bools) -> Bools:
    """Gaps of at most 4 frames closed, then runs under 3 frames dropped."""
    out = active.copy()
    for value, shortest in ((False, 5), (True, 3)):
        for start, end in runs(out == value):
            inner = start > 0 and end < len(out)
            if end - start < shortest and (inner or value):
                out[start:end] = not value
    return out


def runs(flags: Bools) -> Iterator[tuple[int, int]]:
    """[start, end) of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


_GSM = {"samplerate": RATE, "channels": 1, "format": "RAW", "subtype": "GSM610"}
"""GSM 06.10 as Asterisk keeps it: frames without a header."""


def read(path: Path, seconds: float | None = None) -> Float32Array:
    """A sound file as mono float32 at RATE; `seconds`: half as much of
    its beginning and of its middle, where it is longer than twice that."""
    raw = _GSM if path.suffix == ".gsm" else {}
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True, **raw)
    mono = samples.mean(axis=1)
    if seconds is not None and len(mono) > 2 * seconds * rate:
        half = int(seconds * rate) // 2
        mono = np.concatenate([mono[:half], mono[len(mono) // 2 :][:half]])
    out: Float32Array = (mono if rate == RATE else soxr.resample(mono, rate, RATE)).astype(
        np.float32
    )
    return out


def _without_noise(samples: Float32Array) -> Float32Array | None:
    """Noise between the words lowered so far that a gate can tell; None: too much of it."""
    level = 20 * np.log10(frame_rms(samples))
    loud = float(np.percentile(level, 95))
    there = level[level > loud - 60]
    if len(there) < 8:
        return None
    powers = np.convolve(10 ** (there / 10), np.ones(5) / 5, "valid")
    quietest = int(powers.argmin())
    floor = 10 * float(np.log10(powers[quietest]))
    lacking = CLEAN_DB - (loud - floor)
    if lacking <= 0 or np.ptp(there[quietest : quietest + 5]) > STEADY_DB:
        return samples  # its quietest frames are a word's edge: the clip is cut tight
    if lacking > CLEAN_DB - LEAST_DB:
        return None
    over = np.convolve(np.pad(level, 2, "edge"), np.ones(5) / 5, "valid")
    over = np.maximum(over, level) - floor
    gain = -(lacking + 4) * np.clip((9 - over) / 4, 0, 1)
    gain = np.interp(np.arange(len(samples)), (np.arange(len(gain)) + 0.5) * HOP, gain)
    out: Float32Array = (samples * 10 ** (gain / 20)).astype(np.float32)
    return out


def speech_clip(path: Path) -> Float32Array | None:
    """Trimmed to its speech and levelled; None: too short, too long or not clean."""
    try:
        samples = read(path)
    except soundfile.LibsndfileError:
        return None
    return clean_speech(samples)


def clean_speech(samples: Float32Array) -> Float32Array | None:
    """Trimmed to its speech and levelled; None: too short, too long or not clean."""
    if not 0.12 * RATE < len(samples) < 25 * RATE or np.abs(samples).max() < 0.01:
        return None
    cleaned = _without_noise(np.pad(samples - samples.mean(), (0, -len(samples) % HOP)))
    if cleaned is None:
        return None
    samples, active = cleaned, active_frames(cleaned)
    if active.sum() < 5:
        return None
    level = 20 * np.log10(frame_rms(samples))
    if not active.all() and np.median(level[~active]) > np.median(level[active]) - 26:
        return None  # noise or music behind the voice: no gate can label it
    where = np.flatnonzero(active)
    start, end = max(where[0] - 1, 0), where[-1] + 2
    rms = float(np.sqrt((frame_rms(samples)[active] ** 2).mean()))
    return (samples[start * HOP : end * HOP] / rms).astype(np.float32)


def music_clip(path: Path) -> Float32Array | None:
    """Levelled; None: not readable, silent, or under 8 s."""
    try:
        samples = read(path, PIECE_S)
    except soundfile.LibsndfileError:
        return None
    rms = float(np.sqrt((samples**2).mean()))
    return None if rms < 1e-4 or len(samples) < 8 * RATE else (samples / rms).astype(np.float32)


def sound_clip(path: Path) -> Float32Array | None:
    """Levelled; None: not readable, silent, or under 50 ms."""
    try:
        samples = read(path, SOUND_S)
    except soundfile.LibsndfileError:
        return None
    rms = float(np.sqrt((samples**2).mean()))
    return None if rms < 1e-4 or len(samples) < 0.05 * RATE else (samples / rms).astype(np.float32)


def keys_clip(path: Path) -> Float32Array | None:
    """At most half a second, peak 1; None: silent."""
    samples = read(path)
    peak = float(np.abs(samples).max())
    return None if peak < 1e-3 else (samples[: RATE // 2] / peak).astype(np.float32)


def _download(wanted: str, folder: Path) -> None:
    """Whole or not at all: who interrupts it finds no part of a package at the next start."""
    command = ["apt-get", "download", "--quiet=2", wanted]
    with tempfile.TemporaryDirectory(dir=folder) as part:

        def once(*, check: bool) -> int:
            return subprocess.run(command, cwd=part, check=check, capture_output=True).returncode

        if once(check=False):  # a new machine knows no package yet
            subprocess.run(["apt-get", "update", "--quiet=2"], check=True, capture_output=True)
            once(check=True)
        (deb,) = Path(part).glob("*.deb")
        deb.replace(folder / deb.name)


def fetch(cache: Path, packages: Sequence[sources.Package] = sources.PACKAGES) -> Path:
    """The packages unpacked under CACHE/root; returns its usr/share.

    Raises:
        subprocess.CalledProcessError: apt-get or dpkg could not do it.
        FileNotFoundError: there is no apt-get or dpkg.
    """
    debs, root = cache / "debs", cache / "root"
    debs.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not list(debs.glob(f"{package.name}_*.deb")):
            _download(f"{package.name}={package.version}", debs)
        deb = next(debs.glob(f"{package.name}_*.deb"))
        unpacked = deb.with_suffix(".unpacked")
        if not unpacked.exists():
            subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
            unpacked.touch()
    archives.extract(root / "usr/share")
    return root / "usr/share"


def utterances(clip: Float32Array) -> Iterator[Float32Array]:
    """A long clip cut at its pauses, each piece with a frame of margin."""
    padded = np.pad(clip, (0, -len(clip) % HOP))
    active = active_frames(padded)
    if len(active) <= UTTERANCE_FRAMES:
        yield clip
        return
    spoken: list[tuple[int, int]] = []
    for start, end in runs(active):
        near = spoken and start - spoken[-1][1] < PAUSE_FRAMES
        if near and end - spoken[-1][0] <= UTTERANCE_FRAMES:
            spoken[-1] = spoken[-1][0], end
        else:
            spoken.append((start, end))
    for start, end in spoken:
        yield padded[max(start - 1, 0) * HOP : (end + 1) * HOP]


def words(clip: Float32Array) -> Iterator[Float32Array]:
    """Single short words of a longer clip, each with a frame of margin."""
    padded = np.pad(clip, (0, -len(clip) % HOP))
    active = active_frames(padded)
    spoken = list(runs(active))
    if len(spoken) < 2:
        return
    pauses = [start - end for (_, end), (start, _) in itertools.pairwise(spoken)]
    for (start, end), before, after in zip(
        spoken, [len(active), *pauses], [*pauses, len(active)], strict=True
    ):
        if WORD_FRAMES[0] <= end - start <= WORD_FRAMES[1] and min(before, after) >= GAP_FRAMES:
            yield padded[max(start - 1, 0) * HOP : (end + 1) * HOP]


def _speak(job: tuple[str, ...]) -> Float32Array | None:
    """Job: the program and its arguments, the text last."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        *command, text = job
        written = "-o" if command[0] == "flite" else "-w"
        given = ["-t", text] if command[0] == "flite" else [text]
        subprocess.run(
            [*command, written, str(path), *given], check=True, timeout=60, capture_output=True
        )
        return speech_clip(path)


def _play(job: tuple[Path, int]) -> Float32Array | None:
    """A composed piece."""
    from training import compose  # wants mido, which only who trains has

    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "piece.wav"
        compose.play(job, wave)
        return music_clip(wave)


def _spoken_jobs() -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Name of each synthetic voice, and what it is to say."""
    for voice, speed, pitch in sources.espeak_voices():
        texts = sources.TEXTS[voice.split("+")[0]]
        command = ("espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch))
        yield f"espeak {voice}", [(*command, text) for text in texts]
    for voice in sources.FLITE:
        yield f"flite {voice}", [("flite", "-voice", voice, text) for text in sources.TEXTS["en"]]


def build(cache: Path) -> Pools:
    """All pools, from the cached file where there is one."""
    made = cache / "pools.npz"
    if not made.exists():
        _store(_collect(cache), made)
    return _restore(made)


def _is_kept_out(path: Path) -> bool:
    """A prompt that the benchmark is made of."""
    *_, folder, _ = ("", *path.parts)
    names = (path.stem, f"{folder}/{path.stem}")
    return any("ru_RU" in part for part in path.parts) and not sources.kept_out().isdisjoint(names)


def _collect(cache: Path) -> Pools:
    share = fetch(cache)
    pools = Pools()
    random = np.random.default_rng(20_240_601)
    with ProcessPoolExecutor(2) as workers:
        for name, pattern, most in sources.VOICES:
            paths = [path for path in sorted(share.glob(pattern)) if not _is_kept_out(path)]
            if len(paths) > most:
                paths = [paths[i] for i in sorted(random.choice(len(paths), most, replace=False))]
            found = [c for c in workers.map(speech_clip, paths, chunksize=16) if c is not None]
            clips = [piece for clip in found for piece in utterances(clip)]
            pools.voices.append(Voice(name, clips))
            print(f"{name:24} {len(clips):4} of {len(paths)} files, "
                  f"{sum(map(len, clips)) / RATE / 60:.1f} min", flush=True)  # fmt: skip
        for name, jobs in _spoken_jobs():
            clips = [c for c in workers.map(_speak, jobs, chunksize=4) if c is not None]
            pools.voices.append(Voice(name, clips))
        scores = [(share / sources.SOUND_FONT, number) for number in range(sources.COMPOSED)]
        made = workers.map(_play, scores, chunksize=8)
        pools.music.extend(piece for piece in made if piece is not None)
        for patterns, clip, kept in (
            (sources.MUSIC, music_clip, pools.music),
            (sources.SOUNDS, sound_clip, pools.sounds),
        ):
            paths = sorted({path for pattern in patterns for path in share.glob(pattern)})
            kept.extend(c for c in workers.map(clip, paths) if c is not None)
        # Of the benchmark's test part is every second key.
        keys = [path for path in sorted(share.glob(sources.KEYS)) if path.stem.endswith("-1")]
        pools.keys.extend(c for c in workers.map(keys_clip, keys[::2]) if c is not None)
    print(f"{len(pools.music)} pieces of music, {len(pools.sounds)} noises, {len(pools.keys)} keys")
    return pools


def _store(pools: Pools, path: Path) -> None:
    arrays: dict[str, Float32Array] = {}
    for v, voice in enumerate(pools.voices):
        for c, clip in enumerate(voice.clips):
            arrays[f"voice/{v:03}/{voice.name}/{c:05}"] = clip
    for kind in ("music", "sounds", "keys"):
        for c, clip in enumerate(getattr(pools, kind)):
            arrays[f"{kind}/{c:05}"] = clip
    with path.open("wb") as file:
        np.savez(file, **{k: v.astype(np.float16) for k, v in arrays.items()})  # type: ignore[arg-type]


def _restore(path: Path) -> Pools:
    pools = Pools()
    voices: dict[str, Voice] = {}
    with np.load(path) as arrays:
        for key in sorted(arrays.files):
            kind, *rest = key.split("/")
            clip = arrays[key].astype(np.float32)
            if kind == "voice":
                if rest[1] not in voices:
                    voice = voices[rest[1]] = Voice(rest[1], [])
                    pools.voices.append(voice)
                voices[rest[1]].clips.append(clip)
            else:
                getattr(pools, kind).append(clip)
    return pools


if __name__ == "__main__":
    build(Path(sys.argv[1]))
