"""Phrases rendered by the real engine in a process, and the faults of engines."""

from __future__ import annotations

import json
import sys
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.headset.conftest import require
from vad_agent.errors import VoiceError
from vad_agent.speech import text_to_speech_worker
from vad_agent.speech.phrase_cache import read_phrase
from vad_agent.speech.player import PHRASE_HZ
from vad_agent.speech.text_to_speech import SynthesisRequest, render

TEXT = "Алло, меня слышно?"
PEAK = 10 ** (-1 / 20)


@pytest.fixture
def engine() -> None:
    require(["espeak-ng"])


def request(text: str = TEXT, voice: str = "ru", recording: str | None = None) -> SynthesisRequest:
    return SynthesisRequest(text, voice, 150, -20.0, recording)


def samples(path: Path) -> np.ndarray:
    return np.frombuffer(read_phrase(path), "<i2") / 32768


@pytest.mark.usefixtures("engine")
def test_a_phrase_is_trimmed_even_and_at_the_players_rate(tmp_path: Path) -> None:
    import pyloudnorm

    by = render(request(), tmp_path / "out.wav")
    sound = samples(tmp_path / "out.wav")
    assert 0.8 < len(sound) / PHRASE_HZ < 3
    assert "espeak" in by.name
    assert by.files
    assert np.abs(sound).max() <= PEAK
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * 10 ** (-40 / 20))
    assert loud[0] < 0.05 * PHRASE_HZ
    assert len(sound) - loud[-1] < 0.1 * PHRASE_HZ
    assert abs(sound[0]) < 0.001
    assert abs(sound[-1]) < 0.001
    assert pyloudnorm.Meter(PHRASE_HZ).integrated_loudness(sound) == pytest.approx(-20, abs=0.5)


@pytest.mark.usefixtures("engine")
def test_processes_side_by_side_do_not_disturb_each_other(tmp_path: Path) -> None:
    outs = [tmp_path / f"{number}.wav" for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda out: render(request(), out), outs))
    one, other = (np.frombuffer(read_phrase(out), "<i2").astype(int) for out in outs)
    assert len(one) == len(other)
    assert np.abs(one - other).max() <= 2  # engines dither


@pytest.mark.usefixtures("engine")
def test_a_voice_that_is_not_there_tells_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"no voice 'xx-nobody'.*install") as caught:
        render(request(voice="xx-nobody"), tmp_path / "out.wav")
    assert "\n" not in str(caught.value)


def test_a_child_that_hangs_is_ended_at_the_limit(tmp_path: Path) -> None:
    began = time.perf_counter()
    hangs = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(VoiceError, match=r"did not answer within 0\.5 s"):
        render(request(), tmp_path / "out.wav", limit_s=0.5, command=hangs)
    assert time.perf_counter() - began < 10


def test_a_child_that_crashes_is_one_line(tmp_path: Path) -> None:
    crashes = [sys.executable, "-c", "import sys; sys.exit('core dumped')"]
    with pytest.raises(VoiceError, match="broke off: core dumped"):
        render(request(), tmp_path / "out.wav", command=crashes)


def test_without_an_engine_it_tells_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyttsx3'] = None\n"
        "from vad_agent.speech.text_to_speech_worker import main; main()"
    )
    with pytest.raises(VoiceError, match=r"no speech engine .*install"):
        render(request(), tmp_path / "out.wav", command=[sys.executable, "-c", code])


def test_an_engine_that_says_nothing_is_found_out(tmp_path: Path) -> None:
    code = (
        "import vad_agent.speech.text_to_speech_worker as child, soundfile, numpy\n"
        "def speak(request, path):\n"
        "    soundfile.write(path, numpy.zeros(22050), 22050)\n"
        "    return {'engine': 'mute', 'files': {}}\n"
        "child._speak = speak\n"
        "child.main()"
    )
    with pytest.raises(VoiceError, match="silence"):
        render(request(), tmp_path / "out.wav", command=[sys.executable, "-c", code])


def test_a_recording_of_any_rate_and_channels_becomes_a_phrase(tmp_path: Path) -> None:
    rate = 44_100
    tone = 0.02 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    quiet = np.zeros(rate // 2)
    both = np.column_stack([np.concatenate([quiet, tone, quiet])] * 2)
    soundfile.write(tmp_path / "own.flac", both, rate)
    render(request("", recording=str(tmp_path / "own.flac")), tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, PHRASE_HZ)
    assert len(samples(tmp_path / "out.wav")) / PHRASE_HZ == pytest.approx(1.02, abs=0.01)


class EarlyEngine:
    """pyttsx3 on a busy machine: its loop returns while the engine speaks; the file ends later, or never."""

    class _Voice:
        id = name = "ru"
        languages = ("ru",)

    def __init__(self, *, after_s: float | None) -> None:
        self.proxy = self._driver = self
        self._speaking = True
        self._after_s = after_s
        self._path = ""
        self.rate = 150

    def getProperty(self, name: str) -> object:
        return self.rate if name == "rate" else [self._Voice()]

    def setProperty(self, _name: str, _value: object) -> None:
        pass

    def save_to_file(self, _text: str, path: str) -> None:
        self._path = path

    def runAndWait(self) -> None:
        if self._after_s is not None:
            Path(self._path).write_bytes(b"half")
            threading.Timer(self._after_s, self._end).start()

    def _end(self) -> None:
        Path(self._path).write_bytes(b"the whole prompt")
        self._speaking = False


def speak_with(engine: EarlyEngine, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyttsx3", SimpleNamespace(init=lambda: engine))
    text_to_speech_worker._speak({"text": TEXT, "voice": "ru", "rate_wpm": 150}, str(path))


def test_a_prompt_is_whole_though_the_engines_loop_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_with(EarlyEngine(after_s=0.2), tmp_path / "out.wav", monkeypatch)
    assert (tmp_path / "out.wav").read_bytes() == b"the whole prompt"


def test_an_engine_that_never_ends_has_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_to_speech_worker, "SETTLE_S", 0.1)
    with pytest.raises(text_to_speech_worker.BrokeOff, match="still speaking"):
        speak_with(EarlyEngine(after_s=None), tmp_path / "out.wav", monkeypatch)


LENGTHS = """
import json, sys, soundfile, numpy
import vad_agent.speech.text_to_speech_worker as child
left = sys.argv[1]
def speak(request, path):
    seconds, *more = json.loads(open(left).read())
    open(left, "w").write(json.dumps(more))
    sound = 0.1 * numpy.sin(numpy.arange(round(seconds * 22050)) / 10)
    soundfile.write(path, sound, 22050)
    return {"engine": "one that loses its rate", "files": {}}
child._speak = speak
child.main()
"""


def render_in(
    lengths: list[float], folder: Path, *, check: bool = True
) -> tuple[float, list[float]]:
    """(length of what is rendered, lengths that were not asked for) by an engine that gives these."""
    left = folder / "left.json"
    left.write_text(json.dumps(lengths))
    command = [sys.executable, "-c", LENGTHS, str(left)]
    render(request(), folder / "out.wav", command=command, check=check)
    return len(samples(folder / "out.wav")) / PHRASE_HZ, json.loads(left.read_text())


@pytest.mark.parametrize(
    ("lengths", "right"),
    [
        ([2.0, 2.0], 2.0),
        ([1.5, 2.0, 2.0], 2.0),
        ([2.0, 1.5, 2.0], 2.0),
        ([1.5, 1.0, 2.0, 2.0], 2.0),
    ],
)
def test_a_phrase_that_came_out_at_another_rate_is_rendered_again(
    tmp_path: Path, lengths: list[float], right: float
) -> None:
    seconds, left = render_in([*lengths, 9.0], tmp_path)
    assert seconds == pytest.approx(right, abs=0.1)
    assert left == [9.0]


def test_an_engine_whose_lengths_never_agree_is_told(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"another length each time: .*1\.0.* s"):
        render_in([1.0, 1.2, 1.4, 1.6, 1.8, 2.0], tmp_path)


def test_a_name_in_a_call_does_not_wait_for_a_second_rendering(tmp_path: Path) -> None:
    assert render_in([2.0, 9.0], tmp_path, check=False)[1] == [9.0]


def test_an_engine_that_lost_its_rate_has_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = EarlyEngine(after_s=0.0)
    engine.rate = 200
    with pytest.raises(text_to_speech_worker.BrokeOff, match=r"200\.0 words a minute, not 150"):
        speak_with(engine, tmp_path / "out.wav", monkeypatch)


SLOW_QUEUE = """
import time
from pyttsx3.drivers import _espeak
real, since = _espeak.IsPlaying, []
def playing():  # as on a busy machine: the queue takes its time
    since.append(time.monotonic())
    return real() or time.monotonic() - since[0] < 0.3
_espeak.IsPlaying = playing
from vad_agent.speech.text_to_speech_worker import main
main()
"""


@pytest.mark.usefixtures("engine")
def test_espeak_carries_out_its_rate_before_pyttsx3_cancels_what_it_has_not(tmp_path: Path) -> None:
    render(request(), tmp_path / "plain.wav", check=False)
    slow = [sys.executable, "-c", SLOW_QUEUE]
    render(request(), tmp_path / "slow.wav", check=False, command=slow)
    plain, late = (len(samples(tmp_path / f"{name}.wav")) for name in ("plain", "slow"))
    assert late == pytest.approx(plain, rel=0.01)
