"""The judge: its weights, what no gain or polarity may change, and its verdicts on known sounds."""

from __future__ import annotations

import io
from importlib import resources

import numpy as np
import pytest
from numpy.typing import NDArray
from vad_agent.hearing import features, judge, network
from vad_agent.hearing.features import CHANNELS
from vad_agent.hearing.judge import DOUBT, END, RUN, SURE, NetworkJudge, Verdict, decide
from vad_agent.hearing.network import FILE, HEADS, LAYERS, STRIDE, Network, WeightsError

from audio_fixtures import dsp
from tests.detection.hearing_tape import (
    MUSIC,
    RATE,
    SIZE,
    clip,
    cut,
    draw,
    join,
    music,
    noise,
    over,
    tone,
    voice,
)
from vad_agent.errors import FrameError, VadAgentError

LATE = 12
"""Frames by which an end may be told late or early."""
JUDGE = NetworkJudge()


def hear(frames: list[bytes] | list[bytes | None], rate: int = RATE) -> Verdict:
    return JUDGE.hear([frame for frame in frames if frame is not None], rate)


def with_speech(after: int, gain_db: float = 0.0) -> list[bytes]:
    """A sentence in comfort noise, its end `after` frames before the newest."""
    sound = clip("woman_one_moment", gain_db)
    frames = noise(judge.WINDOW - after - len(sound), seed=3)
    frames += [f for f in over(sound, noise(len(sound), seed=4)) if f is not None]
    return frames + noise(after, seed=5)


# -- the file -----------------------------------------------------------------------------------------


def content() -> bytes:
    return resources.files("vad_agent.hearing").joinpath(FILE).read_bytes()


def stored() -> dict[str, NDArray[np.floating]]:
    with np.load(io.BytesIO(content()), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_file_is_small() -> None:
    assert len(content()) < 200_000
    assert 10_000 < sum(array.size for array in stored().values()) < 100_000


def test_weights_are_loaded_once() -> None:
    assert network.load() is network.load()


def test_shapes() -> None:
    out = network.load().logits(np.zeros((300, CHANNELS), np.float32))
    assert out.shape == (150, HEADS)
    assert out.dtype == np.float32
    assert network.load().logits(np.zeros((51, CHANNELS), np.float32)).shape == (25, HEADS)


@pytest.mark.parametrize("frames", [50, 51, 120, 300])
def test_features(frames: int) -> None:
    energies = features.log_mel(noise(frames), RATE)
    assert energies.shape == (frames, features.BANDS)
    assert energies.dtype == np.float32
    normal = features.normalise(energies)
    assert normal.shape == (frames, CHANNELS)
    assert normal.dtype == np.float32
    assert np.abs(normal).max() <= features.REACH * features.SCALE


def test_a_convolution_is_a_convolution() -> None:
    """Against the definition, for every layer's stride and dilation."""
    random = np.random.default_rng(1)
    for layer in LAYERS:
        signal = random.normal(size=(37, 6)).astype(np.float32)
        columns = network._columns(signal, layer)
        for step in range(37 // layer.stride):
            for tap in range(layer.kernel):
                at = step * layer.stride + tap * layer.dilation - layer.padding
                expected = signal[at] if 0 <= at < 37 else np.zeros(6)
                assert np.array_equal(columns[step, tap * 6 : tap * 6 + 6], expected)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda arrays: arrays.pop("bias_2"), "layer 2 is missing"),
        (lambda arrays: arrays.update(weights_1=np.zeros((3, 2, 1))), "layer 1: expected"),
        (lambda arrays: arrays["weights_0"].fill(np.nan), "layer 0: not finite"),
    ],
)
def test_wrong_arrays(damage: object, text: str) -> None:
    arrays = {name: array.copy() for name, array in stored().items()}
    assert callable(damage)
    damage(arrays)
    with pytest.raises(WeightsError, match=text):
        Network(arrays)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file(share: float) -> None:
    with pytest.raises(WeightsError, match=FILE):
        network.read(content()[: int(len(content()) * share)])


@pytest.mark.parametrize("at", [2, 500, 20_000, -30])
def test_a_flipped_byte(at: int) -> None:
    data = bytearray(content())
    data[at] ^= 0xFF
    with pytest.raises(WeightsError, match=FILE):
        network.read(bytes(data))


def test_a_file_of_something_else() -> None:
    out = io.BytesIO()
    np.save(out, np.zeros(5))
    with pytest.raises(VadAgentError, match=FILE):
        network.read(out.getvalue())


def test_a_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "FILE", "nowhere.npz")
    with pytest.raises(WeightsError, match=r"nowhere\.npz: cannot be read"):
        network.load.__wrapped__()


# -- the rule -------------------------------------------------------------------------------------------


def logits(drawing: str) -> NDArray[np.float32]:
    """One letter a step: S sure, e its fading end, r in the run, d doubtful, . silent."""
    values = {
        "S": SURE + 1,
        "e": END + 0.5,
        "r": RUN + 0.5,
        "d": DOUBT + 0.5,
        ".": min(DOUBT, RUN) - 1,
    }
    out = np.full((len(drawing), HEADS), -9.0, np.float32)
    out[:, network.SPEECH] = [values[letter] for letter in drawing]
    return out


@pytest.mark.parametrize(
    ("drawing", "ended", "began", "doubtful"),
    [
        ("..............", None, None, False),
        (".....S........", None, None, False),
        ("..rSSSe.......", 7, 12, False),
        ("..rSSSrr......", 8, 12, False),
        ("..SSS...SSS...", 3, 6, False),
        ("SSS.....rrr...", 11, 14, False),
        (".......SSSSSSS", 0, 7, True),
        ("...SSS......d.", 8, 11, True),
        ("...SSS....d...", 8, 11, False),
        ("SSSSSSSSSSSSSS", 0, 14, True),
    ],
)
def test_rule(drawing: str, ended: int | None, began: int | None, doubtful: bool) -> None:
    verdict = decide(logits(drawing))
    assert verdict.ended_ago == (None if ended is None else ended * STRIDE)
    assert verdict.began_ago == (None if began is None else began * STRIDE)
    assert verdict.doubtful is doubtful
    assert verdict.spoken is (ended is not None)
    assert not verdict.music


# -- the door --------------------------------------------------------------------------------------------


def test_wrong_frames_are_refused() -> None:
    with pytest.raises(FrameError):
        JUDGE.hear([bytes(320)] * 60 + [bytes(318)], RATE)
    with pytest.raises(FrameError):
        JUDGE.hear([bytes(320)] * 60, 11_025)


def test_too_little_is_only_doubted() -> None:
    assert hear([]) == hear(noise(judge.LEAST - 1)) == Verdict(None, None, doubtful=True)


def test_nothing_raises() -> None:
    random = np.random.default_rng(2)
    square = np.where(np.arange(SIZE) % 40 < 20, 32767, -32768).astype("<i2").tobytes()
    for frame in (bytes(320), b"\x08\x00" * SIZE, square, random.bytes(320)):
        hear([frame] * 300)
        hear([frame] * 77)
    hear([random.bytes(320) for _ in range(300)])


# -- what must not matter ----------------------------------------------------------------------------------


def test_deterministic() -> None:
    frames = with_speech(100)
    assert hear(frames) == hear(frames) == NetworkJudge().hear(frames, RATE)


def test_only_the_newest_six_seconds_count() -> None:
    frames = with_speech(100)
    assert hear(voice(200) + frames) == hear(frames)


def same(one: Verdict, other: Verdict) -> None:
    assert one.spoken == other.spoken
    if one.ended_ago is not None and other.ended_ago is not None:
        assert abs(one.ended_ago - other.ended_ago) <= 4


@pytest.mark.parametrize("gain_db", [-40, -30, -20, -12, -6, 0])
@pytest.mark.parametrize("after", [60, 125])
def test_gain(gain_db: int, after: int) -> None:
    loud = cut(dsp.gain(join(with_speech(after)), 18))
    same(hear(loud), hear(cut(dsp.gain(join(loud), gain_db))))


@pytest.mark.parametrize("offset", [-2000, 300, 2000])
def test_dc_offset(offset: int) -> None:
    frames = with_speech(125)
    same(hear(frames), hear(cut(join(frames) + offset)))


def test_polarity() -> None:
    frames = with_speech(125)
    assert hear(frames) == hear(cut(-join(frames)))


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_sample_rates(factor: int) -> None:
    frames = with_speech(125)
    samples = dsp.resample(join(frames), RATE, RATE * factor)
    same(hear(frames), hear(cut(samples, SIZE * factor), RATE * factor))


# -- known sounds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 20, 60, 90, 120])
@pytest.mark.parametrize("gain_db", [-24, -12, 0])
def test_the_end_of_speech(after: int, gain_db: float) -> None:
    verdict = hear(with_speech(after, gain_db))
    assert verdict.ended_ago is not None
    assert abs(verdict.ended_ago - after) <= LATE


@pytest.mark.parametrize("name", ["caller_yes", "woman_no", "caller_alo", "woman_two"])
@pytest.mark.parametrize("gain_db", [-20, -10, 0])
def test_short_words_are_heard(name: str, gain_db: float) -> None:
    sound = clip(name, gain_db)
    frames = over([*noise(150), *sound, *noise(100)], noise(250 + len(sound), -66.0, seed=9))
    verdict = hear(frames)
    assert verdict.ended_ago is not None
    assert abs(verdict.ended_ago - 100) <= LATE


SILENT: dict[str, list[bytes] | list[bytes | None]] = {
    "comfort noise": noise(300),
    "loud noise": noise(300, -30.0),
    "digital zero": draw("0*300"),
    "A-law's zero": draw("z*300"),
    "dither": draw(",*300"),
    "tone": tone(300),
    "ringback": tone(300, cadence=(1.0, 4.0)),
    "busy": tone(300, cadence=(0.35, 0.35)),
    "clicks": draw(".*100 k*100 .*100"),
    "typing": [*noise(100), *clip("noise_typing"), *noise(100)],
    "breath": [*noise(150), *clip("noise_breath"), *noise(120)],
}


@pytest.mark.parametrize("name", SILENT)
def test_nobody_speaks(name: str) -> None:
    verdict = hear(SILENT[name])
    assert not verdict.spoken
    assert not verdict.doubtful or name in ("tone", "busy")


@pytest.mark.parametrize("name", MUSIC)
@pytest.mark.parametrize("gain_db", [-20, -10, 0])
def test_music_is_no_speech(name: str, gain_db: float) -> None:
    verdict = hear(music(300, name, gain_db))
    assert not verdict.spoken
    assert verdict.music


def test_speech_is_no_music() -> None:
    assert not hear(voice(300)).music
    assert not hear(with_speech(125)).music
    assert not hear(noise(300)).music


def test_a_steady_talker_is_speech_to_the_last_frame() -> None:
    verdict = hear(voice(300))
    assert verdict.ended_ago is not None
    assert verdict.ended_ago <= 4


def test_a_beginning_word_is_doubted() -> None:
    sound = clip("woman_hello")
    frames = [*noise(240), *sound]
    begun = [hear(frames[: 240 + k]) for k in range(2, 12)]
    assert all(verdict.doubtful or verdict.spoken for verdict in begun[3:])
