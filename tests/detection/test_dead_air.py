"""Dead air: every silence once, at the frame at which a live call would know it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audio_fixtures.recipe import FOLDER
from tests.detection.endpointer_tape import RATE, cut, join, music, noise, voice
from tests.tape import HANGOVER, ScriptedEndpointer, tape
from vad_agent import Settings
from vad_agent.audio.recording_reader import open_leg
from vad_agent.cli.main import app
from vad_agent.core.actions import LineState
from vad_agent.core.frames import Channel
from vad_agent.detection.dead_air import DEFER, PATIENCE, DeadAir, beside, dead_air

THRESHOLD = 125


def found(
    drawing: str, threshold: int = THRESHOLD, endpointer: Any = None
) -> list[tuple[int, int, str]]:
    """(fired, started, cause) of each silence of the tape."""
    silences = dead_air(
        tape(drawing), endpointer or ScriptedEndpointer(), Channel.CLIENT, threshold
    )
    return [(one.fired, one.started, one.cause.value) for one in silences]


# -- the threshold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silence", "expected"),
    [(124, []), (125, [(225, 100, "live")]), (126, [(225, 100, "live")])],
)
def test_a_silence_that_reaches_the_threshold_to_the_frame(
    silence: int, expected: list[object]
) -> None:
    assert found(f"S*100 .*{silence}") == expected


@pytest.mark.parametrize("silence", [123, 124])
def test_a_word_ends_the_silence_at_its_second_frame(silence: int) -> None:
    # One frame of a sound is not a doubt yet: that silence counts as one frame longer.
    expected = [] if silence == 123 else [(225, 100, "live")]
    assert found(f"S*100 .*{silence} S*60") == expected


@pytest.mark.parametrize("length", [124, 125, 126])
def test_a_recording_of_silence_from_its_beginning(length: int) -> None:
    assert found(f".*{length}") == ([] if length < 125 else [(125, 0, "live")])


def test_an_empty_stream_has_none() -> None:
    assert found("") == []


def test_each_silence_is_told_once_however_long() -> None:
    assert found("S*100 .*3000 S*100 .*3000") == [(225, 100, "live"), (3325, 3200, "live")]


def test_a_silence_that_is_told_again_after_a_word_only() -> None:
    # The line's state changes in the silence; it is the same silence.
    assert found("S*100 .*200 0*100 .*200 -*100") == [(225, 100, "live")]


@pytest.mark.parametrize("threshold", [5, 16, 17])
def test_a_threshold_shorter_than_the_hangover_waits_for_it(threshold: int) -> None:
    # Known at the 16th frame after the last word; the start is the true end of it.
    fired = 100 + max(threshold, HANGOVER + 1)
    assert found("S*100 .*50", threshold) == [(fired, 100, "live")]


# -- why it is silent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("S*100 0*200", [(225, 100, "digital_zero")]),
        ("S*100 m*200", [(225, 100, "music")]),
        ("S*100 -*200", [(225, 100, "no_media")]),
        ("S*100 .*100 0*100", [(225, 100, "live")]),  # zero for 0.5 s: not known yet
        ("-*40", [(30, 0, "no_media")]),
    ],
)
def test_the_cause_is_what_was_known_of_the_line(drawing: str, expected: list[object]) -> None:
    assert found(drawing, 30 if drawing == "-*40" else THRESHOLD) == expected


# -- a sound that begins just then -----------------------------------------------------------------


def test_a_word_that_begins_just_before_it_is_waited_for() -> None:
    assert found("S*100 .*122 S*60 .*20") == []


def test_a_click_just_then_delays_it_by_the_click() -> None:
    assert found("S*100 .*122 S*4 .*50") == [(227, 100, "live")]


class Doubter(ScriptedEndpointer):
    """Always says that a sound has just begun."""

    def doubtful(self) -> bool:
        return True


def test_doubt_delays_it_by_a_few_frames_at_most() -> None:
    assert found("S*100 .*400", endpointer=Doubter()) == [(225 + DEFER, 100, "live")]
    assert Settings().script.timing.defer == DEFER  # as long as a live call waits


def test_a_recording_that_ends_in_doubt_tells_nothing() -> None:
    assert found(f"S*100 .*{125 + DEFER - 1}", endpointer=Doubter()) == []


class Withdrawing(ScriptedEndpointer):
    """Takes its second run back: it was a noise."""

    def _close(self) -> None:
        if self.segments_ended:
            self.speaking = self.sure = False
        else:
            super()._close()


def test_a_noise_that_is_taken_back_does_not_end_the_silence() -> None:
    # Told already: not again.
    assert found("S*100 .*200 S*20 .*200", endpointer=Withdrawing()) == [(225, 100, "live")]
    # The noise runs when it is due: told when it turns out as noise, from the true start.
    closed = 100 + 115 + 20 + HANGOVER + 1
    assert found("S*100 .*115 S*20 .*200", endpointer=Withdrawing()) == [(closed, 100, "live")]


# -- properties ------------------------------------------------------------------------------------

drawings = st.lists(
    st.tuples(st.sampled_from("S.0m-"), st.integers(1, 200)), min_size=1, max_size=12
).map(lambda runs: " ".join(f"{letter}*{count}" for letter, count in runs))


@given(drawing=drawings, cut=st.integers(0, 2400), threshold=st.integers(5, 300))
def test_what_comes_later_changes_nothing(drawing: str, cut: int, threshold: int) -> None:
    frames = tape(drawing)

    def silences(part: list[bytes | None]) -> list[DeadAir]:
        return list(dead_air(part, ScriptedEndpointer(), Channel.CLIENT, threshold))

    assert silences(frames[:cut]) == [one for one in silences(frames) if one.fired <= cut]


@given(drawing=drawings, threshold=st.integers(5, 300))
def test_each_is_a_silence_of_its_length_and_they_do_not_meet(drawing: str, threshold: int) -> None:
    silences = list(dead_air(tape(drawing), ScriptedEndpointer(), Channel.CLIENT, threshold))
    assert all(one.fired - one.started >= threshold for one in silences)
    assert all(a.fired < b.started for a, b in pairwise(silences))


# -- what is not known ----------------------------------------------------------------------------


def test_a_noise_that_never_becomes_known_puts_it_off_by_no_more_than_patience() -> None:
    assert found("S*100 .*20 n*1500") == [(100 + PATIENCE, 100, "live")]


def test_a_word_found_at_the_threshold_begins_the_silence_anew() -> None:
    assert found("S*100 .*50 s*10 .*200") == [(285, 160, "live")]


# -- beside the operator ---------------------------------------------------------------------------


def echo(level_db: float) -> tuple[list[bytes], list[bytes]]:
    """The operator speaks, and comes back in the client's channel 200 ms later; the client is silent."""
    operator = [*voice(300), *noise(50, -65)]
    samples = join(operator) * 10 ** (level_db / 20)
    late = np.concatenate([np.zeros(RATE // 5), samples[: -RATE // 5]])
    return operator, cut(late + join(noise(350, -65)))


@pytest.mark.parametrize("level_db", [-18, -25, -32])
def test_the_operators_echo_is_not_the_client(level_db: float) -> None:
    operator, client = echo(level_db)
    endpointers = {channel: Settings().endpointer(channel, RATE) for channel in Channel}
    stream = beside(
        endpointers[Channel.OPERATOR],
        endpointers[Channel.CLIENT],
        zip(operator, client, strict=True),
    )
    silences = list(dead_air(stream, endpointers[Channel.CLIENT], Channel.CLIENT, THRESHOLD))
    assert [(one.fired, one.started) for one in silences] == [(THRESHOLD, 0)]


def test_dead_air_of_a_call_with_two_channels_hears_both(tmp_path: Path) -> None:
    operator, client = echo(-25)
    path = tmp_path / "echo.wav"
    both = np.stack([join(operator), join(client)], axis=1).round().astype(np.int16)
    soundfile.write(path, both, RATE)
    result = CliRunner().invoke(app, ["dead-air", str(path)])
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["fired_s"] for line in result.stdout.splitlines()] == [2.5]


# -- recordings ------------------------------------------------------------------------------------


@cache
def leg(name: str, channel: str = "right") -> tuple[int, list[bytes]]:
    with open_leg(FOLDER / name, channel) as opened:
        return opened.sample_rate, list(opened)


def heard(
    name: str, side: Channel = Channel.CLIENT, upto: int | None = None, threshold: int = THRESHOLD
) -> Iterator[DeadAir]:
    rate, frames = leg(name, "left" if side is Channel.OPERATOR else "right")
    return dead_air(frames[:upto], Settings().endpointer(side, rate), side, threshold)


@given(st.integers(0, 4200))
@settings(max_examples=15, deadline=None)
def test_a_recording_cut_short_tells_the_same_so_far(cut: int) -> None:
    whole = list(heard("hold_music_returning.flac"))
    assert len(whole) >= 3
    assert list(heard("hold_music_returning.flac", upto=cut)) == [
        one for one in whole if one.fired <= cut
    ]


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("greeting_silence.flac", LineState.LIVE),
        ("greeting_silence_line_dead.wav", LineState.DIGITAL_ZERO),
        ("dialogue_line_dead.flac", LineState.DIGITAL_ZERO),
    ],
)
def test_why_the_client_of_a_recording_is_silent(name: str, cause: LineState) -> None:
    assert list(heard(name))[-1].cause is cause


def test_hold_music_is_told_as_the_cause() -> None:
    frames = [*voice(150), *music(300)]
    endpointer = Settings().endpointer(Channel.CLIENT, RATE)
    (silence,) = dead_air(frames, endpointer, Channel.CLIENT, THRESHOLD)
    assert silence.cause is LineState.MUSIC
    assert abs(silence.started - 150) <= 10
    # Where it begins in a silence that was told already, it is the same silence.
    assert LineState.MUSIC not in [one.cause for one in heard("hold_music_not_returning.flac")]


def test_the_operators_side() -> None:
    # He greets until 4.78 s and is silent to the end.
    (last,) = heard("greeting_silence.flac", Channel.OPERATOR)
    assert last.channel is Channel.OPERATOR
    assert last.fired == last.started + THRESHOLD
    assert 230 <= last.started <= 245


def test_a_recording_at_44100_hz() -> None:
    rate, _ = leg("woman_operator_44100.flac")
    assert rate == 16_000
    last = list(heard("woman_operator_44100.flac"))[-1]
    assert last.fired - last.started == THRESHOLD


@pytest.mark.parametrize("side", list(Channel))
def test_a_mono_file_is_either_side(side: Channel, tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, np.zeros(8_000 * 3, np.int16), 8_000)
    with open_leg(path, "left" if side is Channel.OPERATOR else "right") as opened:
        endpointer = Settings().endpointer(side, opened.sample_rate)
        (silence,) = dead_air(opened, endpointer, side, THRESHOLD)
    assert json.loads(json.dumps(silence.record())) == {
        "fired_s": 2.5,
        "silence_started_s": 0.0,
        "cause": "digital_zero",
        "channel": side.value,
    }
