"""Voices, music and key clicks that calls are made of, split into tuning and test.

    Debian packages ──source_clips.fetch──> usr/share ──speech_clip──> .benchmarks/calls/PART.npy, PART.json

The voices, music and noises of the parts `test` and `world` are not among those of `training/sources.py`: do
not train or tune anything on them. KTuberling and KLettres may share a translator in a language, so each of
their languages belongs to one part.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import labels, signals, split
from benchmarks.accuracy.labels import FRAME, RATE, Samples
from training import source_clips, sources
from training.sources import Package
from vad_agent.core.frames import Channel, frames

CACHE = Path(__file__).parent.parent.parent / ".benchmarks" / "calls"
PARTS = (*split.PARTS, "world")
"""`world`: other voices, music and noises than the other two have, recorded sounds, rooms, louder clients."""
LONGEST = frames(8)
"""Longer clips are left out."""
LONGEST_GAP = frames(1)
"""So are clips with a longer pause inside."""
NO_SPEECH = frozenset({"beep", "beeperr", "ascending-2tone", "descending-2tone", "tt-monkeys"})
"""Prompts of Asterisk that are tones, or have another sound in them."""
WORD_MS = 120
"""A clip of less speech is no word."""


class VoicesError(Exception):
    """The packages or the folder cannot be used: the text says which and why."""


class Voice(NamedTuple):
    """One speaker of the packages."""

    name: str
    pattern: str
    """Glob under usr/share."""
    most: int
    """At most so many clips."""


_ASTERISK = "asterisk/sounds"
_FISH = "games/fillets-ng/sound"
_TOYS = "ktuberling/sounds"
_HOGS = "games/hedgewars/Data/Sounds/voices"
VOICES: Mapping[str, Sequence[Voice]] = {
    "tuning": (
        Voice("ru woman", f"{_ASTERISK}/ru_RU_f_IvrvoiceRU/**/*.wav", 400),
        Voice("it man", f"{_ASTERISK}/it_IT_m_Carlo/**/*.wav", 300),
        *(
            Voice(f"ktuberling {x}", f"{_TOYS}/{x}/*.*", 120)
            for x in ("ru", "uk", "ca", "lt", "da")
        ),
        *(Voice(f"klettres {x}", f"klettres/{x}/*/*.ogg", 90) for x in ("ru", "it", "lt", "uk")),
    ),
    "test": (
        Voice("fr woman", f"{_ASTERISK}/fr_CA_f_June/**/*.wav", 300),
        Voice("fr Armelle", f"{_ASTERISK}/fr/**/*.gsm", 200),
        Voice("es Colombia", f"{_ASTERISK}/es/**/*.gsm", 200),
        Voice("nl small fish", f"{_FISH}/*/nl/*-m-*.ogg", 300),
        Voice("nl big fish", f"{_FISH}/*/nl/*-v-*.ogg", 300),
        *(
            Voice(f"ktuberling {x}", f"{_TOYS}/{x}/*.*", 120)
            for x in ("fr", "nn", "gl", "fi", "ga", "nl", "pt", "sr", "sv")
        ),
        *(Voice(f"klettres {x}", f"klettres/{x}/*/*.ogg", 60) for x in ("fr", "nl")),
    ),
    "world": (
        Voice("hedgehogs en", f"{_HOGS}/British/*.ogg", 80),
        Voice("hedgehogs ru", f"{_HOGS}/Default_ru/*.ogg", 80),
        Voice("stamps bg", "tuxpaint/stamps/**/*_desc_bg.ogg", 300),
        Voice("teacher", "archives/warzone/audio/tutorial/*.ogg", 80),
        Voice("computer", "archives/warzone/audio/memressp/**/*.ogg", 160),
        Voice("counter", "archives/warzone/audio/countdown/*.ogg", 40),
        *(Voice(f"taunts {x}", f"archives/warzone/audio/taunts/taunt{x}/*.ogg", 20) for x in "123"),
        Voice("reader", "pocketsphinx/test/data/librivox/*.wav", 10),
    ),
}
MUSIC: Mapping[str, Sequence[str]] = {
    "tuning": ("asterisk/moh/macroform*.wav", "games/frozen-bubble/snd/*zik*.ogg"),
    "test": ("asterisk/moh/manolo*.wav", "asterisk/moh/reno*.wav",
             "hyperrogue/music/hr-savino*.ogg", "hyperrogue/music/hr-domina*.ogg"),
    "world": ("unknown-horizons/content/audio/music/**/*.ogg", "games/fillets-ng/music/*.ogg"),
}  # fmt: skip
SOUNDS: Mapping[str, Sequence[str]] = {
    "world": ("unknown-horizons/content/audio/sounds/[bclrsw]*.ogg", "games/colobot/sounds/*.wav",
              "games/colobot/sounds/*.ogg"),
}  # fmt: skip
"""Recorded noises. What may have people in it is left out."""
KEYS = sources.KEYS
_BOTH = ("asterisk-moh-opsound-wav", "bucklespring-data", "ktuberling-data", "klettres-data")
_PACKAGES = {
    "tuning": (*_BOTH, "asterisk-core-sounds-ru-wav", "asterisk-core-sounds-it-wav",
               "frozen-bubble-data"),
    "test": (*_BOTH, "hyperrogue-music"),
    "world": ("hedgewars-data", "tuxpaint-stamps-default", "fillets-ng-data", "bucklespring-data"),
}  # fmt: skip
_ONLY_HERE = {
    "test": (
        Package("asterisk-core-sounds-fr-wav", "1.6.1-1", "CC-BY-SA-3.0", "a woman, French"),
        Package("fillets-ng-data-nl", "1.0.1-1.1", "GPL-2", "actors, Dutch"),
        Package("asterisk-prompt-fr-armelle", "20070613-2.2", "GPL-2+", "a woman, French"),
        Package("asterisk-prompt-es-co", "0.20070403-2.1", "GPL-2+", "a woman, Spanish"),
    ),
    "world": (
        Package("warzone2100-data", "4.3.3-3", "GPL-2+", "actors, English"),
        Package("pocketsphinx-testdata", "0.8+5prealpha+1-15", "BSD-2-clause", "a reader, English"),
        Package("unknown-horizons", "2019.1-6", "CC-BY-SA-3.0", "music and noises"),
        Package("colobot-common-sounds", "0.2.0-2", "GPL-3+", "noises"),
    ),
}


def packages(part: str) -> list[Package]:
    """Debian packages that a part is made of."""
    named = [package for package in sources.PACKAGES if package.name in _PACKAGES[part]]
    return [*named, *_ONLY_HERE.get(part, ())]


@dataclass(frozen=True)
class Library:
    """What calls are made of. All samples are at RATE; clips have RMS 1 while active."""

    voices: Mapping[str, Sequence[NDArray[np.floating]]]
    """Clips by speaker: trimmed, clean, of speech alone."""
    music: Sequence[NDArray[np.floating]]
    """Pieces, RMS 1."""
    keys: Sequence[NDArray[np.floating]]
    """Single key clicks, peak 1."""
    noises: Sequence[NDArray[np.floating]] = ()
    """Recorded noises of a given folder, RMS 1."""

    def clip(self, voice: str, number: int, speed: float = 1.0) -> Samples:
        """One clip, faster and higher where `speed` is above 1."""
        samples = np.asarray(self.voices[voice][number], np.float64)
        return labels.resampled(samples, RATE * speed, RATE)

    def length(self, voice: str, number: int, speed: float = 1.0) -> int:
        """Frames that the clip takes."""
        return -(-round(len(self.voices[voice][number]) / speed + 1) // FRAME)


# -- the packages' own -----------------------------------------------------------------------------


def load(part: str, cache: Path = CACHE) -> Library:
    """The library of a part; fetched and cut into clips the first time.

    Raises:
        VoicesError: the packages cannot be had.
    """
    recipe = repr(
        (
            VOICES[part],
            MUSIC[part],
            SOUNDS.get(part),
            KEYS,
            packages(part),
            LONGEST,
            LONGEST_GAP,
            sorted(NO_SPEECH),
        )
    )
    state = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    index, store = cache / f"{part}.json", cache / f"{part}.npy"
    try:
        table = json.loads(index.read_text(encoding="utf-8"))
    except FileNotFoundError:
        table = {}
    if table.get("state") != state:
        _build(part, cache, state)
        table = json.loads(index.read_text(encoding="utf-8"))
    audio = np.load(store, mmap_mode="r")

    def cut(spans: Sequence[Sequence[int]]) -> list[NDArray[np.floating]]:
        return [audio[start:end] for start, end in spans]

    voices = {name: cut(spans) for name, spans in table["voices"].items()}
    return Library(voices, cut(table["music"]), cut(table["keys"]), cut(table["noises"]))


def _build(part: str, cache: Path, state: str) -> None:
    try:
        share = source_clips.fetch(cache, packages(part))
    except (OSError, subprocess.CalledProcessError) as error:
        names = " ".join(package.name for package in packages(part))
        raise VoicesError(f"cannot fetch the Debian packages {names}: {error}") from error
    random = np.random.default_rng(20_260_101)
    audio: list[NDArray[np.float16]] = []
    at = 0

    def keep(clips: Sequence[source_clips.Float32Array]) -> list[tuple[int, int]]:
        nonlocal at
        spans = []
        for clip in clips:
            audio.append(clip.astype(np.float16))
            spans.append((at, at := at + len(clip)))
        return spans

    voices = {}
    for voice in VOICES[part]:
        paths = sorted(path for path in share.glob(voice.pattern) if _is_speech(path))
        if len(paths) > voice.most:
            chosen = random.choice(len(paths), voice.most, replace=False)
            paths = [paths[number] for number in sorted(chosen)]
        found = [clip for path in paths if (clip := source_clips.speech_clip(path)) is not None]
        clips = (
            [one for clip in found for one in source_clips.utterances(clip)]
            if part == "world"
            else found
        )
        if spans := keep([clip for clip in clips if usable(clip)]):
            voices[voice.name] = spans
    tracks = sorted({path for pattern in MUSIC[part] for path in share.glob(pattern)})
    music = keep([piece for path in tracks if (piece := source_clips.music_clip(path)) is not None])
    noisy = sorted({path for pattern in SOUNDS.get(part, ()) for path in share.glob(pattern)})
    noises = keep([clip for path in noisy if (clip := source_clips.sound_clip(path)) is not None])
    pressed = [path for path in sorted(share.glob(KEYS)) if path.stem.endswith("-1")]
    pressed = pressed[::2] if part == "tuning" else pressed[1::2]
    keys = keep([click for path in pressed if (click := source_clips.keys_clip(path)) is not None])
    table = {"state": state, "voices": voices, "music": music, "keys": keys, "noises": noises}
    _replace(cache / f"{part}.npy", lambda path: np.save(path, np.concatenate(audio)))
    text = json.dumps(table)
    _replace(cache / f"{part}.json", lambda path: path.write_text(text, encoding="utf-8"))


def _is_speech(path: Path) -> bool:
    return not path.is_symlink() and path.stem not in NO_SPEECH and path.parent.name != "silence"


def usable(clip: NDArray[np.floating]) -> bool:
    """A clip that is a word at least, and has no pause in which a silence could be heard."""
    padded = np.pad(np.asarray(clip, np.float32), (0, -len(clip) % FRAME))
    active = source_clips.active_frames(padded)
    gap = max((end - start for start, end in source_clips.runs(~active)), default=0)
    enough = active.sum() * FRAME >= WORD_MS * RATE // 1000
    return bool(enough and gap <= LONGEST_GAP and len(active) <= LONGEST)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    scratch = path.with_name(f".{os.getpid()}.{path.name}")  # another process may be building too
    write(scratch)
    scratch.replace(path)


# -- a given folder's ------------------------------------------------------------------------------


def given(folder: Path, part: str) -> Library:
    """The voices and the noises of a folder of labelled calls; music and keys of the part.

    The folder is that of `benchmarks.accuracy`: `calls/NAME.flac` with `NAME.labels.json`, `noise/*.flac`.

    Raises:
        VoicesError: it has no call that can be used.
    """
    try:
        calls = labels.load_calls(folder, part)
    except labels.LabelsError as error:
        raise VoicesError(str(error)) from error
    voices = {}
    for call in calls:
        for side in Channel:
            if clips := list(_spoken(call, side)):
                voices[f"{call.name} {side.value}"] = clips
    if len(voices) < 2:
        raise VoicesError(f"{folder}: expected calls/NAME.flac with NAME.labels.json, found none")
    own = load(part)
    noises = [labels.read_mono(path) for path in split.noise(folder, part)]
    return Library(voices, own.music, own.keys, [one / np.sqrt((one**2).mean()) for one in noises])


def _spoken(call: labels.LabelledCall, side: Channel) -> Iterator[source_clips.Float32Array]:
    """Runs of speech as clips, those that touch something doubtful left out."""
    doubtful = call.labels[side].ambiguous + call.labels[side].buried
    runs: list[labels.Run] = []
    for start, end in call.labels[side].speech:
        if runs and start - runs[-1][1] < frames(0.3):
            runs[-1] = runs[-1][0], end
        else:
            runs.append((start, end))
    for start, end in runs:
        if all(first >= end + 5 or last <= start - 5 for first, last in doubtful):
            cut = call.samples[side][max(start - 2, 0) * FRAME : (end + 2) * FRAME]
            clip = source_clips.clean_speech(np.asarray(cut / signals.FULL_SCALE, np.float32))
            if clip is not None and usable(clip):
                yield clip
