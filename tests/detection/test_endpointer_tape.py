"""The tapes themselves: a letter is a frame."""

from __future__ import annotations

from tests.detection.endpointer_tape import KINDS, carets, draw, near, runs_of, voice


def test_a_drawing_is_letters_and_run_lengths() -> None:
    assert list(runs_of("..S*50 -*3 kk")) == [(".", 2), ("S", 50), ("-", 3), ("k", 2)]
    assert list(runs_of("S*2.*3")) == [("S", 2), (".", 3)]


def test_every_letter_draws_as_many_frames_as_it_says() -> None:
    for kind in KINDS:
        frames = draw(f"{kind}*7")
        assert len(frames) == 7
        assert {len(frame) for frame in frames if frame is not None} <= {320}


def test_a_drawing_is_the_same_every_time() -> None:
    assert draw(".*9 S*9 k, n m t") == draw(".*9 S*9 k, n m t")


def test_the_voice_goes_on_where_the_clips_end() -> None:
    assert len(voice(4_000)) == 4_000


def test_carets() -> None:
    assert carets("  ^  $   ^$") == [(2, 6), (9, 11)]


def test_near() -> None:
    assert near([(10, 20)], [(12, 18)], by=2)
    assert not near([(10, 20)], [(12, 17)], by=2)
    assert not near([], [(12, 17)], by=2)
