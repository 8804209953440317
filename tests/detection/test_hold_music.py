"""Hold music: detected, with its beginning and end; speech is never taken for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audio_fixtures import clips
from tests.detection.endpointer_tape import (
    MUSIC,
    RATE,
    SIZE,
    Frame,
    clip,
    cut,
    draw,
    listen,
    music,
    near,
    new_endpointer,
    noise,
    over,
    tone,
    voice,
)
from vad_agent.core.actions import LineState

SIX_SECONDS = 300
SPEAKERS = ("man", "caller", "woman", "product")


def piece(track: str, at: int, count: int, gain_db: float = 0.0) -> list[bytes]:
    """Frames [at, at + count) of a track."""
    return music(at + count, track, gain_db)[at:]


def spoken(speaker: str) -> list[bytes]:
    """A minute of one speaker's clips."""
    names = [name for name in clips.catalogue() if name.startswith(f"{speaker}_")]
    once = [frame for name in names for frame in clip(name)]
    return (once * (3_000 // len(once) + 1))[:3_000]


def playing(track: str = MUSIC[0], lead: str = ".*200") -> Any:
    """An endpointer that knows that music plays; the music began after `lead`."""
    endpointer = new_endpointer()
    listen(endpointer, [*draw(lead), *music(400, track)], finish=False)
    assert endpointer.line is LineState.MUSIC
    return endpointer


@pytest.mark.parametrize("before", ["", ".*200", "0*100", ".*60 S*150 .*60", ".*60 S*150"])
@pytest.mark.parametrize("gain_db", [0, -10])
@pytest.mark.parametrize("at", [0, 700, 1400])
@pytest.mark.parametrize("track", MUSIC)
def test_music_is_known_within_six_seconds(track: str, at: int, gain_db: int, before: str) -> None:
    endpointer = new_endpointer()
    lead = draw(before)
    began = len(lead)
    heard = listen(endpointer, [*lead, *piece(track, at, 1_000, gain_db)], finish=False)
    known = [(frame, since) for frame, state, since in heard.lines if state is LineState.MUSIC]
    assert len(known) == 1, "known once"
    frame, since = known[0]
    # Where the music follows a word at once, the first judgement may fall on both.
    after_word = before.endswith("S*150 .*60")
    assert frame - began <= SIX_SECONDS + (100 if after_word else 0)
    assert abs(since - began) <= (125 if after_word else 75)
    assert not endpointer.speaking
    assert "#" not in heard.speaking[frame:]


@pytest.mark.parametrize("track", MUSIC)
def test_speech_before_music_is_kept(track: str) -> None:
    endpointer = new_endpointer()
    heard = listen(endpointer, [*draw(".*60 S*150 .*60"), *piece(track, 0, 600)], finish=False)
    assert near(heard.runs[:1], [(60, 210)])


@pytest.mark.parametrize("gap", [0, 12])
@pytest.mark.parametrize("gain_db", [0, -15])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_minute_of_speech_is_no_music(speaker: str, gain_db: int, gap: int) -> None:
    names = [name for name in clips.catalogue() if name.startswith(f"{speaker}_")]
    once = [frame for name in names for frame in [*clip(name, gain_db), *noise(gap)]]
    frames = (once * (3_000 // len(once) + 1))[:3_000]
    assert listen(new_endpointer(), frames).states() == [("live", 0)]


@pytest.mark.parametrize("level_db", [-40, -30])
def test_speech_over_noise_is_no_music(level_db: int) -> None:
    frames = over(spoken("woman"), noise(3_000, level_db, 21))
    assert listen(new_endpointer(), frames).states() == [("live", 0)]


def test_noise_and_tones_are_no_music() -> None:
    assert listen(new_endpointer(), noise(1_000, -30)).states() == [("live", 0)]
    for frames in (tone(1_000), tone(1_000, -20, (0.35, 0.35))):
        states = [state for state, _ in listen(new_endpointer(), frames).states()]
        assert states[:2] == ["live", "tone"]
        assert "music" not in states


@pytest.mark.parametrize("track", MUSIC)
@pytest.mark.parametrize("after", [".*350", "0*350", "-*350", ",*350"])
def test_music_ends_when_quiet_follows(after: str, track: str) -> None:
    endpointer = playing(track)
    heard = listen(endpointer, draw(after), finish=False)
    frame, state, since = heard.lines[0]
    assert state is not LineState.MUSIC
    assert frame <= SIX_SECONDS
    if after[0] != "-":
        assert abs(since - 600) <= 75


@pytest.mark.parametrize("track", MUSIC)
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_music_ends_when_speech_follows(speaker: str, track: str) -> None:
    endpointer = playing(track)
    speech = spoken(speaker)[:500]
    heard = listen(endpointer, speech, finish=False)
    frame, state, since = heard.lines[0]
    assert state is LineState.LIVE
    assert frame <= SIX_SECONDS
    assert abs(since - 600) <= 150
    assert heard.speaking[SIX_SECONDS + 10 :].count("#") >= 0.8 * (500 - SIX_SECONDS - 10)


@pytest.mark.parametrize("track", MUSIC)
@pytest.mark.parametrize("gap", [0, 10, 60])
def test_hold_over_ends_music_at_once(track: str, gap: int) -> None:
    endpointer = playing(track)
    listen(endpointer, noise(gap), finish=False)
    endpointer.hold_over()
    assert (endpointer.line, endpointer.since) == (LineState.LIVE, 600 + gap)
    heard = listen(endpointer, [*voice(100), *noise(60)])
    assert near(heard.runs, [(600 + gap, 700 + gap)])
    assert heard.lines == []


def test_hold_over_before_music_is_known_forgets_what_was_heard() -> None:
    endpointer = new_endpointer()
    listen(endpointer, [*noise(200), *music(200)], finish=False)
    endpointer.hold_over()
    heard = listen(endpointer, [*noise(60), *voice(100), *noise(60)])
    assert heard.lines == []
    assert near(heard.runs[-1:], [(460, 560)])


def test_hold_over_without_music_changes_nothing() -> None:
    endpointer, other = new_endpointer(), new_endpointer()
    frames: list[Frame] = [*noise(50), *voice(30)]
    listen(endpointer, frames, finish=False)
    listen(other, frames, finish=False)
    endpointer.hold_over()
    rest = [*voice(60), *noise(60)]
    assert listen(endpointer, rest) == listen(other, rest)


def test_a_word_over_the_music_is_not_heard() -> None:
    """What the hold's own announcements say is no client."""
    endpointer = playing()
    heard = listen(endpointer, over(piece(MUSIC[0], 400, 60), voice(60)), finish=False)
    assert heard.opened == []


@pytest.mark.parametrize("pulses_hz", [0, 217])
def test_a_loud_hum_or_buzz_is_no_music(pulses_hz: int) -> None:
    at = np.arange(1_000 * SIZE) / RATE
    sound = np.sum([np.sin(2 * np.pi * 50 * k * at + k) / k for k in range(1, 30)], axis=0)
    if pulses_hz:
        sound = sound * 0.3 + 4.0 * ((at * pulses_hz) % 1 < 0.12)
    sound = 1_500 * sound / np.sqrt(np.mean(np.square(sound)))
    heard = listen(new_endpointer(), over(noise(1_060), [*noise(60, -90.0), *cut(sound)]))
    assert LineState.MUSIC not in [state for _, state, _ in heard.lines]
