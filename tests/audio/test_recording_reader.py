"""Recordings: each format gives what was recorded, each broken file says so in one line."""

from __future__ import annotations

import builtins
import os
import re
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from vad_agent.audio import audio_file
from vad_agent.audio.audio_file import AudioFile, session_rate
from vad_agent.audio.recording_reader import open_call, open_leg
from vad_agent.core.frames import Channel, samples_per_frame
from vad_agent.errors import RecordingError

Write = Callable[..., Path]


def speech(seconds: float, rate: int = 8_000, channels: int = 2, peak: float = 0.4) -> Any:
    """Tones that differ from channel to channel and never repeat: float64, shape (n, channels)."""
    t = np.arange(round(seconds * rate)) / rate
    sides = [np.sin(2 * np.pi * (200 + 130 * side + 20 * t) * t) for side in range(channels)]
    return peak * np.stack(sides, axis=1)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, data: Any, rate: int = 8_000, **how: Any) -> Path:
        soundfile.write(tmp_path / name, data, rate, **how)
        return tmp_path / name

    return write


def problem(call: Callable[[], Any]) -> str:
    """The text of the RecordingError, without the file's folder; one line, or the test fails."""
    with pytest.raises(RecordingError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(os.path.dirname(caught.value.source) + os.sep, "")


def play(path: Path, **how: Any) -> list[tuple[bytes | None, bytes | None]]:
    with open_call(path, **how) as call:
        return list(call)


def samples(frames: list[Any], side: int) -> Any:
    return np.frombuffer(b"".join(pair[side] for pair in frames), "<i2").astype(int)


# Formats


@pytest.mark.parametrize(
    ("name", "how", "tolerance"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 1),
        ("a.wav", {"subtype": "PCM_U8"}, 257),
        ("a.wav", {"subtype": "PCM_24"}, 1),
        ("a.wav", {"subtype": "PCM_32"}, 1),
        ("a.wav", {"subtype": "FLOAT"}, 1),
        ("a.wav", {"subtype": "DOUBLE"}, 1),
        ("a.wav", {"subtype": "ALAW"}, 520),
        ("a.wav", {"subtype": "ULAW"}, 520),
        ("a.wav", {"subtype": "PCM_16", "format": "WAVEX"}, 1),
        ("a.rf64", {"subtype": "PCM_16", "format": "RF64"}, 1),
        ("a.flac", {"subtype": "PCM_16"}, 1),
        ("a.flac", {"subtype": "PCM_24"}, 1),
        ("a.ogg", {"subtype": "VORBIS"}, 1_500),
        ("a.ogg", {"subtype": "OPUS"}, 2_500),
        ("a.mp3", {}, 1_500),
    ],
)
def test_a_format_gives_what_was_recorded(
    write: Write, name: str, how: dict[str, str], tolerance: int
) -> None:
    recorded = speech(2)
    with open_call(write(name, recorded, **how)) as call:
        frames = list(call)
        assert (call.sample_rate, call.frames_total, call.duration_s) == (8_000, 100, 2.0)
        assert call.warnings == []
    assert len(frames) == 100
    assert {len(frame or b"") for pair in frames for frame in pair} == {320}
    for side in (0, 1):
        inner = slice(800, -800)  # codecs blur the edges
        wrong = np.abs(samples(frames, side) - recorded[:, side] * 32_768)[inner]
        assert wrong.max() <= tolerance


def test_int16_is_exact(write: Write) -> None:
    noise = np.random.default_rng(1).integers(-32_768, 32_768, (1_600, 2), np.int16)
    for name, how in (("a.wav", {}), ("a.flac", {}), ("b.wav", {"subtype": "FLOAT"})):
        scaled = noise / 32_768 if how else noise
        frames = play(write(name, scaled, **how))
        assert np.array_equal(samples(frames, 0), noise[:, 0])
        assert np.array_equal(samples(frames, 1), noise[:, 1])


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
def test_louder_than_full_scale_is_clipped_not_wrapped(write: Write, name: str) -> None:
    loud = speech(1, peak=1.6)
    how = {"subtype": "FLOAT"} if name == "a.wav" else {"subtype": "VORBIS"}
    heard = samples(play(write(name, loud, **how)), 0)
    assert (heard.min(), heard.max()) == (-32_768, 32_767)
    assert (heard[loud[:, 0] > 1.1] == 32_767).all()


def test_gsm_in_a_wav_of_one_channel(write: Write) -> None:
    with open_leg(write("a.wav", speech(2, channels=1), subtype="GSM610")) as leg:
        assert 100 <= len(list(leg)) <= 102


def test_the_content_tells_the_format_not_the_name(write: Write) -> None:
    mp3 = write("a.mp3", speech(1))
    wav = mp3.rename(mp3.with_name("a.wav"))
    with open_call(wav) as call:
        assert call.describe() == "MP3 MPEG_LAYER_III, 8000 Hz, 2 channels, 1.0 s"
        assert len(list(call)) == 50


def test_a_rest_shorter_than_a_frame_is_dropped(write: Write) -> None:
    assert len(play(write("a.wav", speech(1)[:-1]))) == 49


# Blocks


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9_000), st.sampled_from(["wav", "flac", "ogg", "mp3", "44.wav"]))
def test_any_block_size_gives_the_same_frames(
    tmp_path_factory: pytest.TempPathFactory, block: int, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"blocks.{kind}"
    if not path.exists():
        soundfile.write(path, speech(1), 44_100 if kind == "44.wav" else 8_000)
    whole = play(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio_file, "BLOCK_SAMPLES", block)
        assert play(path) == whole


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, np.zeros((8_000, 2), np.int16), 8_000)
        with open(path, "r+b") as file:  # a sparse file: the samples take no room on the disk
            size = 32_000 * seconds
            file.truncate(44 + size)
            for at, value in ((4, 36 + size), (40, size)):
                file.seek(at)
                file.write(struct.pack("<I", value))
        tracemalloc.start()
        with open_call(path) as call:
            assert sum(1 for _ in call) == call.frames_total == seconds * 50
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    minute, hour = peak(60), peak(3_600)
    assert hour < minute + 50_000
    assert minute < 2_000_000


# Rates


@pytest.mark.parametrize(
    ("rate", "heard"),
    [
        (4_000, 8_000),
        (6_000, 8_000),
        (8_000, 8_000),
        (11_025, 16_000),
        (16_000, 16_000),
        (22_050, 16_000),
        (32_000, 32_000),
        (44_100, 16_000),
        (48_000, 48_000),
        (96_000, 16_000),
    ],
)
def test_the_rate_heard(write: Write, rate: int, heard: int) -> None:
    assert session_rate(rate) == heard
    with open_call(write("a.wav", speech(1, rate), rate)) as call:
        frames = list(call)
        assert call.sample_rate == heard
        assert abs(len(frames) - 50) <= 1
        assert call.frames_total is not None
        assert abs(call.frames_total - len(frames)) <= 1
        assert len(frames[0][0] or b"") == 2 * samples_per_frame(heard)


def test_resampling_keeps_length_and_sound(write: Write) -> None:
    path = write("a.wav", speech(10, 44_100), 44_100)
    with open_call(path) as call:
        frames = list(call)
        assert call.describe() == "WAV PCM_16, 44100 Hz, 2 channels, 10.0 s, heard at 16000 Hz"
    assert abs(len(frames) - 500) <= 1
    expected = speech(10, 16_000)
    for side in (0, 1):
        heard = samples(frames, side)
        wrong = np.abs(heard - expected[: len(heard), side] * 32_768)[1_600:-1_600]
        assert wrong.max() < 40


def test_resampling_keeps_digital_zero(write: Write) -> None:
    frames = play(write("a.wav", np.zeros((44_100, 2), np.int16), 44_100))
    assert not samples(frames, 0).any()


# Channels


def test_operator_left_client_right_unless_swapped(write: Write) -> None:
    path = write("a.wav", speech(1))
    plain = play(path)
    swapped = [(client, operator) for operator, client in plain]
    assert plain != swapped
    assert play(path, operator_channel="right", client_channel="left") == swapped
    assert play(path, operator_channel="right") == swapped
    assert play(path, client_channel=0) == swapped
    assert play(path, client_channel="1") == plain


def test_channels_of_many(write: Write) -> None:
    many = speech(1, channels=4)
    frames = play(write("a.wav", many), operator_channel=3, client_channel=2)
    assert frames == play(write("b.wav", many[:, [3, 2]]))


def test_two_files_the_shorter_side_ends_with_none(write: Write) -> None:
    operator = write("operator.wav", speech(1, channels=1))
    client = write("client.flac", speech(2, channels=1))
    with open_call(operator, client_path=client) as call:
        frames = list(call)
        assert (call.frames_total, call.duration_s) == (100, 2.0)
        assert call.describe() == (
            "WAV PCM_16, 8000 Hz, 1 channel, 1.0 s + FLAC PCM_16, 8000 Hz, 1 channel, 2.0 s"
        )
    assert len(frames) == 100
    assert all(pair[0] and pair[1] for pair in frames[:50])
    assert all(pair[0] is None and pair[1] for pair in frames[50:])


@pytest.mark.parametrize(
    ("operator", "client", "heard"),
    [(8_000, 16_000, 8_000), (44_100, 48_000, 16_000), (44_100, 8_000, 8_000)],
)
def test_two_files_of_two_rates_meet_at_the_lower(
    write: Write, operator: int, client: int, heard: int
) -> None:
    first = write("operator.wav", speech(1, operator, 1), operator)
    second = write("client.wav", speech(1, client, 1), client)
    with open_call(first, client_path=second) as call:
        frames = list(call)
    assert call.sample_rate == heard
    assert 49 <= sum(pair[0] is not None for pair in frames) <= 51
    assert 49 <= sum(pair[1] is not None for pair in frames) <= 51


def test_a_leg(write: Write) -> None:
    stereo = write("a.wav", speech(1))
    pairs = play(stereo)
    with open_leg(stereo) as client, open_leg(stereo, "left") as operator:
        assert [(next(operator), frame) for frame in client] == pairs
    mono = write("b.wav", speech(1)[:, 1])
    for name in ("left", "right", 0, 1):
        with open_leg(mono, name) as leg:
            assert list(leg) == [pair[1] for pair in pairs]


def test_read_after_close(write: Write) -> None:
    with open_call(write("a.wav", speech(1))) as call:
        pass
    call.close()
    with pytest.raises(ValueError, match="read after close"):
        next(call)


@pytest.mark.parametrize(
    ("channels", "how", "text"),
    [
        (
            1,
            {},
            (
                "a.wav: one channel, where a call needs two: pass the client's file with "
                "--client-file, or a recording with the operator left and the client right"
            ),
        ),
        (
            2,
            {"client_channel": 2},
            "a.wav: no channel 2: it has 0 to 1 (left is 0, right is 1)",
        ),
        (
            2,
            {"operator_channel": -1},
            "a.wav: no channel -1: it has 0 to 1 (left is 0, right is 1)",
        ),
        (
            2,
            {"operator_channel": "middle"},
            "a.wav: channel 'middle': expected left, right or a number from 0",
        ),
        (
            2,
            {"operator_channel": "left", "client_channel": 0},
            (
                "a.wav: operator and client are both channel 0: "
                "name two channels with --operator-channel and --client-channel"
            ),
        ),
    ],
)
def test_wrong_channels(write: Write, channels: int, how: dict[str, Any], text: str) -> None:
    path = write("a.wav", speech(1, channels=channels))
    assert problem(lambda: open_call(path, **how)) == text


def test_wrong_channels_of_two_files_and_a_leg(write: Write) -> None:
    mono, stereo = write("m.wav", speech(1, channels=1)), write("s.wav", speech(1))
    assert problem(lambda: open_call(mono, client_path=stereo)) == (
        "s.wav: 2 channels, where one side of the call was expected: "
        "choose one with --client-channel"
    )
    assert len(play(mono, client_path=stereo, client_channel="right")) == 50
    only = "m.wav: no channel 5: it has channel 0 only (left is 0, right is 1)"
    assert problem(lambda: open_leg(mono, 5)) == only
    assert problem(lambda: open_call(mono, client_path=mono, operator_channel=5)) == only


# Broken files


def test_no_file_and_no_room_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    assert problem(lambda: open_call(path)) == "a.wav: no such file: check the path"
    assert problem(lambda: open_call(tmp_path / "a\0.wav")) == (
        "a\0.wav: cannot be opened: embedded null byte"
    )
    os.mkdir(path)
    assert problem(lambda: open_call(path)) == (
        "a.wav: a folder: name one audio file (WAV, FLAC, Ogg, MP3)"
    )
    os.mkfifo(tmp_path / "b.wav")
    assert problem(lambda: open_call(tmp_path / "b.wav")) == (
        "b.wav: a pipe or a device: save the recording to a file first"
    )
    (tmp_path / "c.wav").write_bytes(b"RIFF")

    def refuse(*_: Any, **__: Any) -> None:  # the tests may run as root, who may read everything
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)
        text = problem(lambda: open_call(tmp_path / "c.wav"))
    assert text == (
        "c.wav: no permission to read it: check the owner and mode of the file and its folder"
    )


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.wav", b"", "empty (0 bytes): fetch the recording again"),
        ("a.mp3", b"", "empty (0 bytes): fetch the recording again"),
        ("a.wav", b"hello\n" * 99, "not an audio file that can be read (WAV, FLAC, Ogg, MP3)"),
        ("a.wav", bytes(9_999), "not an audio file that can be read (WAV, FLAC, Ogg, MP3)"),
        ("a.mp3", b"hello\n" * 99, "not an audio file that can be read (WAV, FLAC, Ogg, MP3)"),
        ("a.wav", b"RIFF", "not an audio file that can be read (WAV, FLAC, Ogg, MP3)"),
        (
            "a.m4a",
            b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(999),
            "not an audio file that can be read (WAV, FLAC, Ogg, MP3): M4A: convert it, for example "
            "ffmpeg -i call.m4a call.wav",
        ),
        (
            "a.webm",
            b"\x1a\x45\xdf\xa3" + bytes(999),
            "not an audio file that can be read (WAV, FLAC, Ogg, MP3): WebM: convert it, for example "
            "ffmpeg -i call.webm call.wav",
        ),
        (
            "a.mp3",
            bytes(700) + b"\xff\xfb\x90\x64" * 99,
            "not an audio file that can be read (WAV, FLAC, Ogg, MP3): it begins with 700 zero bytes: "
            "remove them, or fetch the recording again",
        ),
        (
            "a.wav",
            b"RIFF\xff\xff\0\0WAVE" + bytes(99_999),
            "not an audio file that can be read (WAV, FLAC, Ogg, MP3)",
        ),
        (
            "a.raw",
            bytes(9_999),
            (
                "raw audio has no header that tells its rate and channels: convert it, for example "
                "sox -t raw -r 8000 -e signed -b 16 -c 2 call.raw call.wav"
            ),
        ),
    ],
)
def test_not_audio(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert problem(lambda: open_call(tmp_path / name)) == f"{name}: {text}"


@pytest.mark.parametrize(
    ("at", "field", "value", "text"),
    [
        (20, "<H", 0x83, ("WAV with an encoding that cannot be read (0x0083): convert it, "
         "for example ffmpeg -i call.wav -c:a pcm_s16le pcm.wav")),
        (22, "<H", 0, "its header says 0 channels: it is damaged: fetch the recording again"),
        (24, "<I", 0, ("its header says a sample rate of 0 Hz: it is damaged: "
         "fetch the recording again")),
        (24, "<I", 1, ("sample rate 1 Hz: expected 4000 to 192000 Hz; the header is damaged: "
         "fetch the recording again")),
        (24, "<I", 10_000_000, ("sample rate 10000000 Hz: expected 4000 to 192000 Hz; "
         "the header is damaged: fetch the recording again")),
        (40, "<I", 0, ("its header says 0 samples, yet there is data: the recorder was stopped "
         "before it wrote the length; repair it: "
         "ffmpeg -ignore_length 1 -i call.wav repaired.wav")),
    ],
)  # fmt: skip
def test_a_wrong_wav_header(write: Write, at: int, field: str, value: int, text: str) -> None:
    path = write("a.wav", speech(1))
    content = bytearray(path.read_bytes())
    struct.pack_into(field, content, at, value)
    path.write_bytes(content)
    assert problem(lambda: open_call(path)) == f"a.wav: {text}"


def test_a_header_and_nothing_else(write: Write) -> None:
    text = "a header and no samples after it: fetch the recording again"
    wav = write("a.wav", np.zeros((0, 2), np.int16))
    assert problem(lambda: open_call(wav)) == f"a.wav: {text}"
    flac = write("a.flac", speech(1))
    content = bytearray(flac.read_bytes())
    content[21] &= 0xF0  # the count of samples: 36 bits, and 0 says that it is unknown
    content[22:26] = bytes(4)
    flac.write_bytes(content)
    with open_call(flac) as call:
        assert (call.frames_total, len(list(call))) == (None, 50)
    flac.write_bytes(content[: content.index(b"\xff\xf8")])
    assert problem(lambda: play(flac)) == f"a.flac: {text}"


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize("subtype", ["PCM_16", "ALAW", "FLOAT"])
def test_a_wav_cut_short_is_replayed_with_a_warning(write: Write, subtype: str) -> None:
    path = cut(write("a.wav", speech(10), subtype=subtype), 0.5)
    with open_call(path) as call:
        assert call.warnings == [f"{path}: truncated: 5.0 s of 10.0 s are there"]
        assert call.frames_total == len(list(call)) == 249


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.aiff", {}),
        ("a.au", {}),
        ("a.rf64", {"format": "RF64"}),
        ("a.w64", {"format": "W64"}),
    ],
)
def test_any_container_cut_short_is_replayed_with_a_warning(
    write: Write, name: str, how: dict[str, str]
) -> None:
    """A replay that ends early looks like a client who fell silent."""
    whole = write(name, speech(10), **how)
    with open_call(whole) as call:
        assert (call.warnings, len(list(call))) == ([], 500)
    path = cut(whole, 0.5)
    with open_call(path) as call:
        assert call.warnings == [f"{path}: truncated: 5.0 s of 10.0 s are there"]
        assert len(list(call)) in (249, 250)
    with open_leg(path) as leg:
        assert len(leg.warnings) == 1


@pytest.mark.parametrize("magic", [b"FORM", b".snd"])
def test_a_length_that_was_left_open_is_not_called_truncated(write: Write, magic: bytes) -> None:
    path = write("a.aiff" if magic == b"FORM" else "a.au", speech(1))
    content = bytearray(path.read_bytes())
    at = 4 if magic == b"FORM" else 8
    content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    with open_call(path) as call:
        assert call.warnings == []


def lying(path: Path, announced_s: float) -> Path:
    """Its header announces fewer samples than there are: the recorder wrote on."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    struct.pack_into("<I", content, at, round(announced_s * 8_000) * 4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("announced_s", [1.0, 9.0])
def test_a_wav_that_goes_on_behind_its_samples_says_so(write: Write, announced_s: float) -> None:
    path = lying(write("a.wav", speech(10)), announced_s)
    with open_call(path) as call:
        assert call.warnings == [
            f"{path}: its header announces {announced_s:.1f} s, and {10 - announced_s:.1f} s of data "
            "follow, which are not read: "
            "repair it: ffmpeg -ignore_length 1 -i call.wav repaired.wav"
        ]


@pytest.mark.parametrize("padded", [True, False])
def test_chunks_behind_the_samples_are_no_sound(write: Write, padded: bool) -> None:
    """A list of 40 kB of an odd length, and another chunk behind it."""
    path = write("a.wav", speech(2))
    behind = b"LIST" + struct.pack("<I", 40_001) + bytes(40_001) + (b"\0" if padded else b"")
    behind += b"id3 " + struct.pack("<I", 10) + bytes(10) if padded else b""
    path.write_bytes(path.read_bytes() + behind)
    with open_call(path) as call:
        assert (call.warnings, len(list(call))) == ([], 100)


def test_two_wavs_joined_say_where_the_second_one_begins(write: Write, tmp_path: Path) -> None:
    one = write("a.wav", speech(2)).read_bytes()
    (tmp_path / "b.wav").write_bytes(one + one)
    text = problem(lambda: play(tmp_path / "b.wav"))
    assert text == (
        f"b.wav: another recording begins behind the first one, at byte {len(one)}: split the file "
        "there, and read each part"
    )


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_F000])
def test_a_wav_written_to_a_pipe_is_not_called_truncated(write: Write, size: int) -> None:
    path = write("a.wav", speech(1))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 40, size)
    path.write_bytes(content)
    with open_call(path) as call:
        assert (call.warnings, len(list(call))) == ([], 50)


def test_an_ogg_cut_short_is_replayed_with_a_warning(write: Write) -> None:
    path = cut(write("a.ogg", speech(10), subtype="OPUS"), 0.5)
    with open_call(path) as call:
        frames = len(list(call))
        assert 0 < frames < 300
        assert call.warnings == [
            f"{path}: truncated: the Ogg stream has no end mark, {call.duration_s:.1f} s are there"
        ]


def read_up_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """How many frames came, and the error that ended them."""
    monkeypatch.setattr(audio_file, "BLOCK_SAMPLES", 800)
    frames: list[Any] = []

    def drain() -> None:
        with open_call(path) as call:
            frames.extend(call)  # keeps what came before the error

    text = problem(drain)
    return len(frames), text


def test_damage_ends_in_an_error_that_names_the_time(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, text = read_up_to(cut(write("a.flac", speech(10)), 0.5), monkeypatch)
    reached = count * 0.02
    assert 3 < reached < 7
    assert text == (
        f"a.flac: damaged: read up to {reached:.1f} s of 10.0 s "
        "(flac decoder lost sync): fetch the recording again"
    )
    count, text = read_up_to(cut(write("a.mp3", speech(10)), 0.5), monkeypatch)
    assert 200 < count < 300
    words = re.fullmatch(
        r"a\.mp3: damaged: read up to (\d\.\d) s of 10\.0 s \(the data ends there\): "
        "fetch the recording again",
        text,
    )
    assert words
    assert abs(float(words[1]) - count * 0.02) < 0.08


def test_a_hole_in_an_ogg(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, (80_000, 2)).clip(-1, 1)
    path = write("a.ogg", noise, subtype="VORBIS")
    content = bytearray(path.read_bytes())
    middle, eighth = len(content) // 2, len(content) // 8
    content[middle : middle + eighth] = bytes(eighth)
    path.write_bytes(content)
    _, text = read_up_to(path, monkeypatch)
    assert text.startswith("a.ogg: damaged: read up to ")
    assert text.endswith(" s of 10.0 s (the data ends there): fetch the recording again")


def bare_mp3(write: Write, quiet_first: bool) -> Path:
    """30 s quiet, 30 s loud: an MP3 of variable bit rate without the header for its length."""
    noise = np.random.default_rng(1).normal(0, 0.2, (480_000, 2)).clip(-1, 1)
    quiet = np.zeros_like(noise)
    halves = [quiet, noise] if quiet_first else [noise, quiet]
    path = write("a.mp3", np.concatenate(halves), 16_000, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content[content.find(content[:2], content.find(b"Xing")) :])
    return path


def test_an_mp3_longer_than_the_decoder_believes(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, text = read_up_to(bare_mp3(write, quiet_first=False), monkeypatch)
    assert count < 2_000
    assert text == (
        f"a.mp3: only {count * 0.02:.1f} s could be read: this MP3 does not state its length and "
        "there is more of it: convert it, as with ffmpeg -i call.mp3 call.wav"
    )


@pytest.mark.parametrize(
    "between", [b"", b"ID3\x04\0\0" + bytes((0, 1, 0x3F, 0x76)) + bytes(24_566)]
)
def test_an_mp3_that_goes_on_behind_its_announced_end(
    write: Write, between: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two joined, with a picture between them."""
    path = write("a.mp3", speech(5))
    path.write_bytes(path.read_bytes() + between + path.read_bytes())
    count, text = read_up_to(path, monkeypatch)
    assert count < 300
    assert "could be read: this MP3 does not state its length and there is more of it" in text


def test_an_mp3_that_does_not_tell_its_length(write: Write) -> None:
    with open_call(bare_mp3(write, quiet_first=True)) as call:
        assert (call.frames_total, call.duration_s) == (None, None)
        assert call.describe() == "MP3 MPEG_LAYER_III, 16000 Hz, 2 channels, length unknown"
        assert abs(len(list(call)) - 3_000) <= 10


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"APETAGEX" + b"\xff\xd8\xff\xe0" * 9_999])
def test_a_tag_after_an_mp3_is_no_sound(write: Write, tag: bytes) -> None:
    path = write("a.mp3", speech(2))
    path.write_bytes(path.read_bytes() + tag)
    assert len(play(path)) == 100


@pytest.mark.parametrize(("value", "name"), [(np.nan, "nan"), (-np.inf, "-inf"), (20_000, "20000")])
def test_samples_of_another_scale_and_none(write: Write, value: float, name: str) -> None:
    data = speech(10)
    data[70_004, 1] = data[70_500, 1] = value
    path = write("a.wav", data, subtype="FLOAT")
    assert problem(lambda: play(path)) == (
        f"a.wav: a sample at 8.751 s is {name}, where -1 to 1 was expected: "
        "export the recording again as 16-bit PCM"
    )
    with open_leg(path, "left") as leg:
        assert len(list(leg)) == 500


def test_a_failed_open_leaves_no_file_open(write: Write) -> None:
    mono, bad = write("a.wav", speech(1, channels=1)), write("b.wav", speech(1))
    bad.write_bytes(b"no audio")
    before = len(os.listdir("/proc/self/fd"))
    for attempt in (
        lambda: open_call(mono),
        lambda: open_call(mono, client_path=bad),
        lambda: open_call(mono, client_path=mono, client_channel=3),
        lambda: open_leg(mono, 3),
        lambda: AudioFile(bad),
    ):
        problem(attempt)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_audio_libraries_wait_until_a_file_is_opened() -> None:
    code = (
        "import sys, vad_agent.audio.recording_reader; "
        "print({'numpy', 'soundfile', 'soxr'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    ("operator", "client", "early"),
    [
        (30, 9, (Channel.CLIENT, 450)),
        (9, 30, (Channel.OPERATOR, 450)),
        (30, 10, None),  # a leg that has dropped: the other one is recorded for a while longer
        (30, 30, None),
    ],
)
def test_a_side_that_is_far_too_short_is_told(
    write: Write, operator: int, client: int, early: tuple[Channel, int] | None
) -> None:
    first = write("operator.wav", speech(operator, channels=1))
    second = write("client.wav", speech(client, channels=1))
    with open_call(first, client_path=second) as call:
        assert call.early_end == early
        told = [line for line in call.warnings if "of the same call" in line]
        assert len(told) == (early is not None)
