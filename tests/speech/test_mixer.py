"""The mixer of the playback child: what is in the stream, and at which sample."""

from __future__ import annotations

import array

from hypothesis import given
from hypothesis import strategies as st

from vad_agent.speech.mixer import FADE_MS, Mark, Mixer

RATE = 16_000
BLOCK = 320  # bytes: 10 ms


def pcm(samples: int, value: int = 1000) -> bytes:
    return array.array("h", [value] * samples).tobytes()


def values(data: bytes) -> list[int]:
    return array.array("h", data).tolist()


def test_nothing_to_say_is_silence() -> None:
    mixer = Mixer(RATE)
    assert mixer.mix(BLOCK) == bytes(BLOCK)
    assert mixer.marks == []


def test_a_phrase_is_in_the_stream_whole_and_marked_at_its_first_and_last_sample() -> None:
    mixer = Mixer(RATE)
    mixer.play(7, pcm(400))
    stream = b"".join(mixer.mix(BLOCK) for _ in range(4))
    assert values(stream)[:401] == [1000] * 400 + [0]
    assert mixer.marks == [(7, Mark.STARTED, 0), (7, Mark.ENDED, 80)]


def test_a_stopped_phrase_is_faded_out_in_time() -> None:
    mixer = Mixer(RATE)
    mixer.play(7, pcm(RATE))
    mixer.mix(BLOCK)
    mixer.stop()
    rest = values(b"".join(mixer.mix(BLOCK) for _ in range(6)))
    sounding = [value for value in rest if value]
    assert len(sounding) <= RATE * FADE_MS // 1000
    assert sounding == sorted(sounding, reverse=True)
    assert sounding[0] < 1000
    assert [mark[:2] for mark in mixer.marks] == [(7, Mark.STARTED), (7, Mark.STOPPED)]


def test_a_phrase_that_is_stopped_before_it_began_makes_no_sound() -> None:
    mixer = Mixer(RATE)
    mixer.play(7, pcm(RATE))
    mixer.stop()
    assert mixer.mix(BLOCK) == bytes(BLOCK)
    assert mixer.marks == [(7, Mark.STOPPED, 0)]


def test_a_phrase_may_begin_while_another_fades_out() -> None:
    mixer = Mixer(RATE)
    mixer.play(1, pcm(RATE))
    mixer.mix(BLOCK)
    mixer.stop()
    mixer.play(2, pcm(RATE, 500))
    stream = values(b"".join(mixer.mix(BLOCK) for _ in range(4)))
    assert stream[0] > 500
    assert stream[-1] == 500
    assert (2, Mark.STARTED, 0) in mixer.marks


def test_what_is_stopped_twice_fades_out_once() -> None:
    mixer = Mixer(RATE)
    mixer.play(1, pcm(RATE))
    mixer.mix(BLOCK)
    mixer.stop()
    mixer.mix(BLOCK)
    mixer.stop()
    for _ in range(5):
        mixer.mix(BLOCK)
    assert [mark[1] for mark in mixer.marks] == [Mark.STARTED, Mark.STOPPED]


def test_loud_phrases_together_do_not_wrap_around() -> None:
    mixer = Mixer(RATE)
    mixer.play(1, pcm(RATE, 30_000))
    mixer.play(2, pcm(RATE, 30_000))
    assert set(values(mixer.mix(BLOCK))) == {32767}


@given(st.integers(1, 2000), st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_any_blocks_carry_the_same_samples(length: int, blocks: list[int]) -> None:
    mixer = Mixer(RATE)
    source = array.array("h", range(1, length + 1)).tobytes()
    mixer.play(1, source)
    stream = b"".join(mixer.mix(2 * block) for block in blocks)
    assert len(stream) == 2 * sum(blocks)
    assert stream.rstrip(b"\0") == source[: len(stream)].rstrip(b"\0")
