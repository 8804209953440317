"""A recipe: the truth about one recording, as data. `NAME.recipe.toml` beside the recording.

    title        one sentence for a supervisor
    frames       length; everything is counted in frames of 20 ms from the recording's beginning
    rate         samples a second of the file: 8000, 16000 or 44100
    file         "wav" or "flac"
    coding       "pcm", "alaw" or "ulaw": what the line did to the sound; in a WAV also how it is stored
    left, right  whose channel it is; `two_mono = true`: two files, NAME.operator and NAME.client
    client_frames   two mono files only: the client's ends after so many frames
    mode         "auto" (the product speaks its prompts; they are not in the recording) or "cue"
    script       file of settings beside the recipe, where they are not the shipped ones
    seed         of the background noise
    expect       what the product must do, in order (see `EXPECTATIONS`)
    background   runs per channel: comfort (noise at level_db dBFS RMS), constant (one value)
    sounds       channel, clip, at (frame of its first sample), gain_db, cut (frames that are kept),
                 as = "echo" where a voice is an echo of the product's own
    events       call control at its frame, for NAME.events.jsonl

A sound's true extent is [at, at + its clip's length): clips begin and end with their sound.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_fixtures import clips
from audio_fixtures.clips import FixtureError
from vad_agent.core.actions import Phase, PromptOutcome, Reason
from vad_agent.core.events import Event
from vad_agent.errors import EventError

FOLDER = Path(__file__).parent
SUFFIX = ".recipe.toml"
CHANNELS = ("operator", "client")
RATES = (8_000, 16_000, 44_100)
FRAMES_PER_SECOND = 50
PROMPTS = (
    "greeting_again",
    "not_heard",
    "farewell_after_greeting",
    "not_heard_in_dialogue",
    "farewell_in_dialogue",
    "hold_farewell",
)
ALERTS = ("no_greeting",)

_REASONS = frozenset(reason.value for reason in Reason)
EXPECTATIONS: Mapping[str, frozenset[str]] = {
    "phase": frozenset(phase.value for phase in Phase),
    "prompt": frozenset(
        f"{prompt} {outcome.value}" for prompt in PROMPTS for outcome in PromptOutcome
    ),
    "callback": _REASONS,
    "callback_withdrawn": _REASONS,
    "hangup": _REASONS,
    "alert": frozenset(ALERTS),
}
"""First word of an expectation: what may follow it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a channel carries where nobody speaks, frames [start, end)."""

    start: int
    end: int
    kind: str
    level_db: float = 0.0
    """Comfort noise: dBFS RMS."""
    value: int = 0
    """Constant: the sample."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One clip in one channel."""

    channel: str
    clip: str
    at: int
    gain_db: float
    cut: int | None
    kind: str
    """speech, music, noise, tone or echo."""

    @property
    def length_s(self) -> float:
        """True length in seconds."""
        clip_s = len(clips.load(self.clip)) / clips.catalogue()[self.clip].rate
        return clip_s if self.cut is None else min(clip_s, self.cut / FRAMES_PER_SECOND)

    @property
    def end(self) -> int:
        """One past the last frame that holds a sample of it."""
        return self.at + -(-round(self.length_s * 16_000) // 320)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recording's truth."""

    name: str
    title: str
    rate: int
    file: str
    coding: str
    frames: int
    mode: str
    left: str
    right: str
    two_mono: bool
    client_frames: int
    script: str | None
    seed: int
    expect: tuple[str, ...]
    background: Mapping[str, tuple[Run, ...]]
    sounds: tuple[Sound, ...]
    events: tuple[Mapping[str, object], ...]

    @property
    def recordings(self) -> Mapping[Path, tuple[str, ...]]:
        """The audio files and the channels in each."""
        if self.two_mono:
            return {FOLDER / f"{self.name}.{side}.{self.file}": (side,) for side in CHANNELS}
        return {FOLDER / f"{self.name}.{self.file}": (self.left, self.right)}

    @property
    def events_path(self) -> Path:
        """Where its events lie, if it has any."""
        return FOLDER / f"{self.name}.events.jsonl"

    @property
    def replay(self) -> tuple[str, ...]:
        """Options with which `vad-agent replay` reads it."""
        options: list[str] = []
        if self.two_mono:
            options += ["--client-file", f"{self.name}.client.{self.file}"]
        if self.left == "client":
            options += ["--operator-channel", "right", "--client-channel", "left"]
        if self.mode != "auto":
            options += ["--mode", self.mode]
        if self.events:
            options += ["--events", self.events_path.name]
        if self.script:
            options += ["--script", self.script]
        return tuple(options)

    def length(self, channel: str) -> int:
        """Frames in the channel's file."""
        return self.client_frames if channel == "client" else self.frames

    def silences(self) -> Iterator[tuple[int, int]]:
        """Frames [from, to) in which neither side speaks or plays music, by truth alone."""
        at = 0
        for sound in sorted(self.sounds, key=lambda sound: sound.at):
            if sound.kind not in ("speech", "music"):
                continue
            if sound.at > at:
                yield at, sound.at
            at = max(at, sound.end)
        if at < self.frames:
            yield at, self.frames


def load(path: Path) -> Recipe:
    """Read and check one recipe.

    Raises:
        FixtureError: what is wrong, one line each.
    """
    name = path.name.removesuffix(SUFFIX)
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    background = {
        channel: tuple(
            Run(run["from"], run["to"], **{k: v for k, v in run.items() if k not in ("from", "to")})
            for run in table.get("background", {}).get(channel, [])
        )
        for channel in CHANNELS
    }
    recipe = Recipe(
        name=name,
        title=table["title"],
        rate=table["rate"],
        file=table["file"],
        coding=table["coding"],
        frames=table["frames"],
        mode=table["mode"],
        left=table.get("left", "operator"),
        right=table.get("right", "client"),
        two_mono=table.get("two_mono", False),
        client_frames=table.get("client_frames", table["frames"]),
        script=table.get("script"),
        seed=table["seed"],
        expect=tuple(table["expect"]),
        background=background,
        sounds=tuple(_sound(sound) for sound in table.get("sounds", [])),
        events=tuple(table.get("events", [])),
    )
    problems = list(_problems(recipe))
    if problems:
        raise FixtureError("\n".join(f"{path.name}: {problem}" for problem in problems))
    return recipe


def _sound(table: Mapping[str, Any]) -> Sound:
    clip = clips.catalogue().get(table["clip"])
    kind = table.get("as", clip.kind if clip else "speech")
    gain_db, cut = float(table.get("gain_db", 0.0)), table.get("cut")
    return Sound(table["channel"], table["clip"], table["at"], gain_db, cut, kind)


def _problems(recipe: Recipe) -> Iterator[str]:
    if recipe.rate not in RATES:
        yield f"rate: expected one of {RATES}, got {recipe.rate}"
    if recipe.file not in ("wav", "flac"):
        yield f"file: expected wav or flac, got {recipe.file!r}"
    if recipe.coding not in ("pcm", "alaw", "ulaw"):
        yield f"coding: expected pcm, alaw or ulaw, got {recipe.coding!r}"
    if recipe.mode not in ("auto", "cue"):
        yield f"mode: expected auto or cue, got {recipe.mode!r}"
    if {recipe.left, recipe.right} != set(CHANNELS):
        yield f"left, right: expected operator and client, got {recipe.left}, {recipe.right}"
    if recipe.script and not (FOLDER / recipe.script).exists():
        yield f"script: {recipe.script} is not there"
    for text in recipe.expect:
        head, _, rest = text.partition(" ")
        if rest not in EXPECTATIONS.get(head, ()):
            yield f"expect: {text!r} is nothing the product can do"
    for channel in CHANNELS:
        yield from _gaps(channel, recipe.background[channel], recipe.length(channel))
    for sound in recipe.sounds:
        if sound.channel not in CHANNELS or sound.clip not in clips.catalogue():
            yield f"sounds: {sound.clip}: no such clip or channel {sound.channel!r}"
        elif not 0 <= sound.at < sound.end <= recipe.length(sound.channel):
            yield f"sounds: {sound.clip} at {sound.at} ends at {sound.end}, after the recording"
    for event in recipe.events:
        if not 0 <= int(str(event.get("at", -1))) < recipe.frames:
            yield f"events: {event}: expected `at` within the recording"
        try:
            Event.parse({key: value for key, value in event.items() if key != "at"})
        except EventError as error:
            yield f"events: {error}"


def _gaps(channel: str, runs: Sequence[Run], frames: int) -> Iterator[str]:
    at = 0
    for run in runs:
        if run.start != at or run.end <= run.start or run.kind not in ("comfort", "constant"):
            yield f"background.{channel}: expected a run from {at} on, got {run}"
        at = run.end
    if at != frames:
        yield f"background.{channel}: ends at {at}, the recording at {frames}"


def load_all() -> list[Recipe]:
    """Every recipe, by name."""
    return [load(path) for path in sorted(FOLDER.glob(f"*{SUFFIX}"))]
