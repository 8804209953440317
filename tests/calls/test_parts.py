"""Tuning and test have nothing in common, and nobody trains on the test part."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from audio_fixtures import clips
from benchmarks.accuracy import labels
from benchmarks.accuracy.labels import FRAME, RATE
from benchmarks.calls import voices
from benchmarks.calls.voices import VoicesError
from training import sources


def a_file(pattern: str) -> str:
    """A path that the pattern takes."""
    path = pattern.replace("**/", "")
    for wild, one in (("[0-4]", "1"), ("*.*", "x.ogg"), ("*", "x"), ("?", "x")):
        path = path.replace(wild, one)
    return path


def overlap(one: str, other: str) -> bool:
    """A file that both patterns take."""
    plain = [pattern.replace("**/", "*") for pattern in (one, other)]
    return fnmatchcase(a_file(one), plain[1]) or fnmatchcase(a_file(other), plain[0])


def overlaps(ours: Iterable[str], theirs: Iterable[str]) -> list[tuple[str, str]]:
    others = list(theirs)
    return [(one, other) for one in ours for other in others if overlap(one, other)]


def patterns(part: str) -> list[str]:
    return [voice.pattern for voice in voices.VOICES[part]]


def test_overlaps_are_seen() -> None:
    assert overlap("klettres/fr/*/*.ogg", "klettres/fr/*/*.ogg")
    assert overlap("ktuberling/sounds/uk/*.*", "ktuberling/sounds/uk/*.ogg")
    assert overlap("asterisk/sounds/fr/**/*.gsm", "asterisk/sounds/fr/*.gsm")
    assert not overlap("klettres/fr/*/*.ogg", "klettres/nl/*/*.ogg")


PAIRS = [("test", "tuning"), ("test", "world"), ("world", "tuning")]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_voice_is_in_two_parts(one: str, other: str) -> None:
    assert overlaps(patterns(one), patterns(other)) == []
    names = [voice.name for part in voices.PARTS for voice in voices.VOICES[part]]
    assert len(set(names)) == len(names)


def test_no_language_of_a_translators_project_is_in_both_parts() -> None:
    def languages(part: str) -> set[str]:
        made = [voice.name for voice in voices.VOICES[part]]
        return {name.split()[1] for name in made if name.startswith(("klettres", "ktuberling"))}

    assert languages("test") & languages("tuning") == set()


@pytest.mark.parametrize("part", ["test", "world"])
def test_nobody_trains_on_a_voice_of_a_held_out_part(part: str) -> None:
    assert overlaps(patterns(part), [pattern for _, pattern, _ in sources.VOICES]) == []


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_music_is_in_two_parts(one: str, other: str) -> None:
    assert overlaps(voices.MUSIC[one], voices.MUSIC[other]) == []


@pytest.mark.parametrize("part", ["test", "world"])
def test_nobody_trains_on_music_or_noises_of_a_held_out_part(part: str) -> None:
    assert overlaps(voices.MUSIC[part], sources.MUSIC) == []
    assert overlaps(voices.SOUNDS.get(part, ()), sources.SOUNDS) == []


@pytest.mark.parametrize("part", voices.PARTS)
def test_each_package_that_a_part_names_has_its_licence(part: str) -> None:
    found = voices.packages(part)
    assert len(found) >= 7
    assert all(package.licence and package.version for package in found)


# -- clips -----------------------------------------------------------------------------------------


def test_a_clip_with_a_long_pause_or_next_to_no_speech_is_left_out() -> None:
    word = clips.load("caller_fridge") / 32_768
    assert voices.usable(word)
    assert not voices.usable(np.concatenate([word, np.zeros(RATE * 3 // 2), word]))
    assert not voices.usable(word[: 4 * FRAME])
    assert not voices.usable(np.tile(word, 9))


# -- a given folder --------------------------------------------------------------------------------


def test_a_folder_without_calls_is_named(tmp_path: Path) -> None:
    with pytest.raises(VoicesError, match=f"{tmp_path}: expected calls/NAME.flac"):
        voices.given(tmp_path, "test")


def test_packages_that_cannot_be_had_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_apt(*_: object) -> Path:
        raise FileNotFoundError("apt-get")

    monkeypatch.setattr(voices.source_clips, "fetch", no_apt)
    with pytest.raises(VoicesError, match="klettres-data"):
        voices.load("tuning", tmp_path)


def test_speech_that_touches_something_doubtful_is_no_clip() -> None:
    word = np.asarray(clips.load("caller_fridge"), np.float64)
    length = -(-len(word) // FRAME)
    track = np.zeros((length * 3 + 100) * FRAME)
    starts = (20, length + 60)
    for start in starts:
        track[start * FRAME : start * FRAME + len(word)] = word
    speech = tuple((start, start + length) for start in starts)
    doubtful = ((speech[1][1] + 2, speech[1][1] + 9),)
    known = labels.Labels(len(track) // FRAME, speech, doubtful)
    call = labels.LabelledCall(
        "one", "test", dict.fromkeys(voices.Channel, track), dict.fromkeys(voices.Channel, known)
    )
    found = list(voices._spoken(call, voices.Channel.CLIENT))
    assert [round(len(clip) / FRAME) for clip in found] == [pytest.approx(length, abs=6)]
