"""The detector: what mode 3 says of one real clip, letter by letter, and that its state is its own."""

from __future__ import annotations

import webrtcvad
from vad_agent.hearing.webrtc import LONG_HANGOVER, LONG_RUN, SHORT_HANGOVER, webrtc

from tests.detection.hearing_tape import RATE, clip, draw, noise, voice

GOLDEN = "1111" + "0" * 16 + "1" * 46 + "0" * 15


def bits(frames: list[bytes]) -> str:
    detect = webrtc(RATE)
    return "".join("1" if detect(frame, 160) else "0" for frame in frames)


def test_golden() -> None:
    assert bits([*noise(20), *clip("woman_hello"), *noise(20, seed=3)]) == GOLDEN


def test_it_is_webrtcvad_in_mode_3() -> None:
    frames = [*noise(20), *clip("caller_alo_alo"), *clip("noise_typing"), *noise(20)]
    reference = webrtcvad.Vad(3)
    theirs = "".join("1" if reference.is_speech(frame, RATE) else "0" for frame in frames)
    assert bits(frames) == theirs
    milder = webrtcvad.Vad(1)
    assert bits(frames) != "".join(
        "1" if milder.is_speech(frame, RATE) else "0" for frame in frames
    )


def test_each_detector_has_a_state_of_its_own() -> None:
    one, other = webrtc(RATE), webrtc(RATE)
    frames = [*noise(30), *voice(60), *noise(30)]
    alone = bits(frames)
    loud = draw("n")[0]
    together = ""
    for frame in frames:
        together += "1" if one(frame, 160) else "0"
        other(loud, 160)
    assert together == alone


def test_its_hangover() -> None:
    """After up to six frames of speech it says so for three more, after seven and more for five."""
    totals = set()
    for length in range(1, 30):
        heard = bits([*noise(60), *voice(60)[10 : 10 + length], *[bytes(320)] * 30])
        totals.add(heard[60:].count("1"))
    assert not totals & {
        LONG_RUN - 1 + SHORT_HANGOVER + more
        for more in range(1, LONG_HANGOVER - SHORT_HANGOVER + 1)
    }
    assert LONG_RUN - 1 + SHORT_HANGOVER in totals
    assert LONG_RUN + LONG_HANGOVER in totals
