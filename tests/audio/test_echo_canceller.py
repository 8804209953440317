"""The product's own prompt in the client's channel is taken out, and the client stays.

A prompt is spoken by espeak-ng at 48 kHz, mixed with a client at 48 kHz, and comes to 16 kHz by another
resampler than the one that the product has it from, as an audio server would do it.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from audio_fixtures import clips
from vad_agent.audio.adaptive_filter import FRAME
from vad_agent.audio.echo_canceller import MUTE_FRAMES, EchoCanceller
from vad_agent.audio.pcm import from_dbfs
from vad_agent.core.frames import Channel
from vad_agent.errors import FrameError
from vad_agent.script.settings import Settings

Floats = NDArray[np.float64]
AT = 60
"""Frame in which a prompt is expected."""
KNOWN_BY = 12
"""Frames after its beginning: nothing of it is heard any more."""
PHRASES = (
    "Здравствуйте! Чем я могу вам помочь?",
    "К сожалению, вас не слышно. Если вы меня слышите, скажите что-нибудь, пожалуйста.",
)
VOICES = ("woman_long", "caller_name_phone", "wide_caller_think")

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng")


# -- a channel -------------------------------------------------------------------------------------


@cache
def phrase(number: int) -> Floats:
    """At 48 kHz and -18 dBFS."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "phrase.wav"
        subprocess.run(
            ["espeak-ng", "-v", "ru", "-w", str(path), PHRASES[number]], check=True, timeout=20
        )
        samples, rate = soundfile.read(path, dtype="float64")
    wide: Floats = soxr.resample(samples, rate, 48_000)
    loud_enough: Floats = wide * (from_dbfs(-18) / float(np.sqrt(np.mean(wide**2))))
    return loud_enough


@cache
def voice(name: str) -> Floats:
    """A clip at 48 kHz."""
    samples, rate = soundfile.read(clips.FOLDER / f"{name}.flac", dtype="float64")
    wide: Floats = soxr.resample(samples * 32_768, rate, 48_000)
    return wide


def as_bytes(samples: Floats) -> bytes:
    data: bytes = np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes()
    return data


def played(number: int) -> bytes:
    """The phrase as the product knows it."""
    return as_bytes(soxr.resample(phrase(number), 48_000, 16_000))


def length(number: int) -> int:
    """Frames."""
    return len(phrase(number)) // 960


def drifted(samples: Floats, ppm: float) -> Floats:
    places = np.arange(int(len(samples) / (1 + ppm * 1e-6))) * (1 + ppm * 1e-6)
    moved: Floats = np.interp(places, np.arange(len(samples)), samples)
    return moved


def line(frames: int) -> Floats:
    """Comfort noise at 48 kHz."""
    quiet: Floats = np.random.default_rng(1).normal(0.0, from_dbfs(-62), frames * 960)
    return quiet


def put(into: Floats, samples: Floats, frame: float) -> Floats:
    """The sum, the samples beginning at this frame; what does not fit is cut off."""
    out = into.copy()
    at = round(frame * 960)
    samples = samples[: max(len(out) - at, 0)]
    out[at : at + len(samples)] += samples
    return out


def captured(samples: Floats) -> list[bytes]:
    """Frames as the server gives them: at 16 kHz, by a resampler of its own."""
    data = as_bytes(soxr.resample(np.clip(samples, -32_768, 32_767), 48_000, 16_000, quality="LQ"))
    return [data[at : at + 2 * FRAME] for at in range(0, len(data) - 2 * FRAME + 1, 2 * FRAME)]


def level(frames: list[bytes]) -> float:
    """Power, dB."""
    return float(10 * np.log10(np.mean(samples_of(frames) ** 2) + 1e-3))


def samples_of(frames: list[bytes]) -> Floats:
    samples: Floats = np.frombuffer(b"".join(frames), "<i2").astype(np.float64)
    return samples


def cleaned(frames: list[bytes], number: int = 0, own: EchoCanceller | None = None) -> list[bytes]:
    own = own or EchoCanceller()
    own.play(played(number), AT)
    return [own.clean(frame, index) or b"" for index, frame in enumerate(frames)]


def without(frames: list[bytes], client: list[bytes]) -> list[bytes]:
    """What is not the client's in them."""
    rest = samples_of(frames) - samples_of(client)
    return [as_bytes(rest[at : at + FRAME]) for at in range(0, len(rest), FRAME)]


def heard(frames: list[bytes], number: int = 0) -> list[int]:
    """Frames in which the session's own endpointer opens a run of speech."""
    endpointer = Settings().endpointer(Channel.CLIENT, 16_000)
    quiet = captured(line(100))
    for frame in quiet:
        endpointer.feed(frame)
    opened = []
    before = False
    for index, frame in enumerate(frames):
        if index == AT:
            endpointer.own_prompt(True)
        if index == AT + length(number):
            endpointer.own_prompt(False)
        endpointer.feed(frame)
        if endpointer.speaking and not before:
            opened.append(index)
        before = endpointer.speaking
    return opened


# -- the prompt alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [0, 200, -200])
@pytest.mark.parametrize("late_frames", [-7.3, 0.0, 3.71, 7.4])
@pytest.mark.parametrize("gain", [0.1, 0.3, 1.0])
def test_a_prompt_is_25_db_weaker_once_it_is_found(
    gain: float, late_frames: float, ppm: float
) -> None:
    frames = AT + length(0) + 40
    prompt = put(np.zeros(frames * 960), drifted(phrase(0), ppm) * gain, AT + late_frames)
    client = captured(line(frames))
    out = cleaned(captured(line(frames) + prompt))
    known = round(AT + late_frames) + KNOWN_BY
    before = level(captured(prompt)[known:])
    assert before - level(without(out, client)[known:]) >= 25


@pytest.mark.parametrize("number", range(len(PHRASES)))
@pytest.mark.parametrize("late_frames", [-7, 0, 7])
@pytest.mark.parametrize("gain", [0.1, 1.0])
def test_the_endpointer_hears_nobody_in_a_prompt(
    gain: float, late_frames: int, number: int
) -> None:
    frames = AT + length(number) + 60
    channel = captured(put(line(frames), phrase(number) * gain, AT + late_frames))
    assert heard(cleaned(channel, number), number) == []


def test_without_it_the_endpointer_takes_the_prompt_for_the_client() -> None:
    assert heard(captured(put(line(AT + length(0)), phrase(0), AT))) != []


def test_a_prompt_that_is_stopped_fades_and_is_still_nobody() -> None:
    frames = AT + length(1) + 60
    end = (AT + 70) * 960
    faded = phrase(1).copy()
    stop = end - (AT + 3) * 960
    faded[stop : stop + 1_920] *= np.linspace(1.0, 0.0, 1_920)
    faded[stop + 1_920 :] = 0.0
    own = EchoCanceller()
    own.play(played(1), AT)
    out = []
    for index, frame in enumerate(captured(put(line(frames), faded, AT + 3))):
        if index == AT + 66:
            own.stop(AT + 68)
        out.append(own.clean(frame, index) or b"")
    assert heard(out, 1) == []


def test_a_frame_that_was_left_out_does_not_bring_the_prompt_back() -> None:
    frames = AT + length(1) + 60
    channel = captured(put(line(frames), phrase(1), AT + 3))
    del channel[AT + 80]
    channel.insert(AT + 120, channel[AT + 120])
    assert heard(cleaned(channel, 1), 1) == []


@pytest.mark.parametrize("seed", [*range(20), 77, 104, 110])
def test_a_prompt_that_underruns_of_the_device_move_is_still_nobody(seed: int) -> None:
    """The rest of it comes 15 to 65 ms later, once or twice, on a line with more or less noise."""
    random = np.random.default_rng(seed)
    number, gain = int(random.integers(2)), float(random.choice([0.1, 0.3, 1.0]))
    moved = phrase(number) * gain
    places = random.integers(20 * 960, len(moved) - 20 * 960, int(random.integers(1, 3)))
    for place in sorted(places, reverse=True):
        gap = np.zeros(round(random.uniform(0.015, 0.065) * 48_000))
        moved = np.concatenate([moved[:place], gap, moved[place:]])
    frames = AT + length(number) + 60
    noise = random.normal(0.0, from_dbfs(float(random.choice([-62, -50, -42]))), frames * 960)
    channel = captured(put(noise, moved, AT + float(random.uniform(-5, 7))))
    assert heard(cleaned(channel, number), number) == []


def test_a_prompt_that_many_underruns_have_moved_by_far_is_nobody_to_its_end() -> None:
    moved = phrase(1)
    for place in range(len(moved) - 40 * 960, 40 * 960, -30 * 960):
        moved = np.concatenate([moved[:place], np.zeros(50 * 48), moved[place:]])
    moved_by = (len(moved) - len(phrase(1))) // 960
    assert moved_by > 2 * 8  # frames: more than is uncertain of its beginning
    channel = captured(put(line(AT + length(1) + moved_by + 60), moved, AT + 3))
    assert heard(cleaned(channel, 1), 1) == []


def test_two_prompts_in_a_row_are_both_nobody() -> None:
    second = AT + length(0) + 10
    frames = second + length(1) + 60
    channel = captured(put(put(line(frames), phrase(0), AT + 2.5), phrase(1), second + 4.2))
    own = EchoCanceller()
    own.play(played(0), AT)
    own.play(played(1), second)
    out = [own.clean(frame, index) or b"" for index, frame in enumerate(channel)]
    assert level(out[AT + 2 :]) < level(channel[AT + 2 :]) - 25


def test_frames_that_did_not_come_are_none_and_do_no_harm() -> None:
    frames = AT + length(1) + 60
    channel: list[bytes | None] = [*captured(put(line(frames), phrase(1), AT + 3))]
    channel[AT + 60] = channel[AT + 61] = None
    own = EchoCanceller()
    own.play(played(1), AT)
    out = [own.clean(frame, index) for index, frame in enumerate(channel)]
    assert [index for index, frame in enumerate(out) if frame is None] == [AT + 60, AT + 61]
    after = [frame for frame in out[AT + 63 :] if frame is not None]
    assert level(after) < level([frame for frame in channel[AT + 63 :] if frame]) - 25


def test_a_hole_of_the_device_is_not_filled_with_the_prompt() -> None:
    frames = AT + length(1) + 60
    channel = captured(put(line(frames), phrase(1), AT + 3))
    channel[AT + 60 : AT + 70] = [bytes(2 * FRAME)] * 10
    assert set(cleaned(channel, 1)[AT + 60 : AT + 70]) == {bytes(2 * FRAME)}


# -- the client with it ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("at", [AT + 25, AT + 50])
@pytest.mark.parametrize("gain", [0.1, 1.0])
def test_who_begins_to_speak_in_a_prompt_is_heard_within_300_ms(
    gain: float, at: int, name: str
) -> None:
    frames = AT + length(1) + 60
    channel = captured(put(put(line(frames), phrase(1) * gain, AT + 3), voice(name), at))
    assert at <= heard(cleaned(channel, 1), 1)[0] <= at + 15


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("gain", [0.3, 1.0])
def test_a_client_who_speaks_all_through_the_prompt_is_what_is_left(gain: float, name: str) -> None:
    frames = AT + length(1) + 20
    talk = np.tile(voice(name), 8) * gain
    client = captured(put(line(frames), talk, 40))
    channel = captured(put(put(line(frames), talk, 40), phrase(1) * gain, AT - 4.6))
    known, end = AT + 20, AT + length(1)
    rest = without(cleaned(channel, 1), client)
    assert level(client[known:end]) - level(rest[known:end]) >= 10


def test_a_clipped_sum_leaves_the_client() -> None:
    frames = AT + length(1) + 60
    total = put(put(line(frames), phrase(1), AT), voice("woman_long") * 6, AT + 50)
    assert float(np.max(np.abs(total))) > 32_767
    opened = heard(cleaned(captured(total), 1), 1)
    assert AT + 50 <= opened[0] <= AT + 65


# -- no prompt in the channel ----------------------------------------------------------------------


@pytest.mark.parametrize("name", VOICES)
def test_on_another_device_the_client_loses_no_more_than_the_first_moment(name: str) -> None:
    frames = AT + length(1) + 20
    channel = captured(put(line(frames), np.tile(voice(name), 8), 40))
    own = EchoCanceller()
    out = cleaned(channel, 1, own)
    quieter = [at for at, frame in enumerate(out) if level([frame]) < level([channel[at]]) - 6]
    assert len(quieter) <= MUTE_FRAMES + 3
    assert cleaned(channel, 1, own)[: AT + 20] == channel[: AT + 20]  # it knows now


def test_a_silent_channel_stays_as_it_is_and_who_speaks_then_is_heard_at_once() -> None:
    frames = AT + length(1) + 60
    channel = captured(put(line(frames), voice("woman_long"), AT + 40))
    assert cleaned(channel, 1) == channel


def test_outside_of_prompts_a_frame_is_the_same_object() -> None:
    own = EchoCanceller()
    frame = bytes(2 * FRAME)
    assert own.clean(frame, 0) is frame
    own.play(played(0), 1_000)
    assert own.clean(frame, 900) is frame
    assert own.clean(frame, 1_000 + length(0) + 30) == frame
    assert own.clean(frame, 1_000 + length(0) + 31) is frame
    assert own.clean(None, 0) is None


def test_a_prompt_that_was_stopped_before_it_began_is_forgotten() -> None:
    own = EchoCanceller()
    frame = as_bytes(np.full(FRAME, 5_000.0))
    own.play(played(0), 100)
    own.stop(60)
    own.play(b"", 100)
    assert own.clean(frame, 100) is frame


def test_another_rate_and_a_wrong_frame_are_refused() -> None:
    with pytest.raises(FrameError, match="expected 16000 Hz"):
        EchoCanceller(8_000)
    own = EchoCanceller()
    own.play(played(0), 0)
    with pytest.raises(FrameError, match="640"):
        own.clean(bytes(10), 0)
