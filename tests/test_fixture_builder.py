"""The recordings are what their recipes say, bit for bit, and nothing in them is of unknown origin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from audio_fixtures import build, clips, dsp, g711, mix, readme, recipe
from vad_agent.core.events import Event

RECIPES = recipe.load_all()
each = pytest.mark.parametrize("one", RECIPES, ids=lambda one: one.name)


@each
def test_a_recording_is_what_its_recipe_says(one: recipe.Recipe) -> None:
    assert mix.rebuild(one, check=True) == []


@each
def test_nothing_is_clipped_and_speech_is_at_a_real_level(one: recipe.Recipe) -> None:
    for sound in one.sounds:
        samples = dsp.gain(clips.load(sound.clip), sound.gain_db)
        assert int(np.abs(samples).max()) < dsp.FULL_SCALE
        if sound.kind == "speech":
            level = dsp.active_level_db(samples, clips.catalogue()[sound.clip].rate)
            assert -26 <= level <= -14 or -44 <= level <= -40, (sound, level)


@each
def test_a_sound_begins_and_ends_where_its_recipe_says(one: recipe.Recipe) -> None:
    """In the frames around a clip there is the background only, or another sound of the recipe."""
    rate = mix.mix_rate(one)
    size = rate // recipe.FRAMES_PER_SECOND
    for side in recipe.CHANNELS:
        sounds = [sound for sound in one.sounds if sound.channel == side]
        covered = np.zeros(one.length(side) + 1, bool)
        for sound in sounds:
            covered[max(sound.at - 1, 0) : sound.end + 1] = True
        if one.rate != rate:
            continue  # converted after mixing: frames don't begin on whole samples of the mix
        rms = dsp.block_rms(mix.channel(one, side).astype(np.int64), size)
        quiet = rms[~covered[: len(rms)]]
        assert not len(quiet) or quiet.max() < 10 ** (-46 / 20) * dsp.FULL_SCALE
        for sound in sounds:
            if sound.kind == "speech" and sound.gain_db > -10:
                inside = rms[sound.at : sound.end]
                assert inside.max() > 10 ** (-26 / 20) * dsp.FULL_SCALE


@each
def test_events_can_be_read(one: recipe.Recipe) -> None:
    lines = mix.events_text(one).splitlines()
    assert len(lines) == len(one.events)
    times = [json.loads(line)["t"] for line in lines]
    assert times == sorted(times)
    for line in lines:
        Event.parse(json.loads(line))


def test_there_is_a_readme_line_with_a_licence_for_each_recording() -> None:
    written = readme.PATH.read_text(encoding="utf-8")
    assert written == readme.text(RECIPES, build.MADE_WITH)
    for one in RECIPES:
        (row,) = [line for line in written.splitlines() if line.startswith(f"| `{one.name}` |")]
        assert "CC-BY" in row or "made for this project" in row
        has_music = any(sound.kind == "music" for sound in one.sounds)
        assert has_music == ("CC-BY-SA-3.0" in row)


def test_no_recording_is_without_a_recipe() -> None:
    wanted = {path for one in RECIPES for path in one.recordings}
    found = {path for suffix in ("wav", "flac") for path in recipe.FOLDER.glob(f"*.{suffix}")}
    assert found == wanted
    events = {one.events_path for one in RECIPES if one.events}
    assert set(recipe.FOLDER.glob("*.events.jsonl")) == events


def test_the_set_has_the_formats_that_telephony_has() -> None:
    assert len(RECIPES) >= 24
    infos = [soundfile.info(path) for one in RECIPES for path in one.recordings]
    formats = {(info.format, info.subtype) for info in infos}
    assert {("WAV", "ALAW"), ("WAV", "ULAW"), ("WAV", "PCM_16"), ("FLAC", "PCM_16")} <= formats
    rates = [info.samplerate for info in infos]
    assert rates.count(16_000) >= 2
    assert 44_100 in rates


def test_the_folder_is_small() -> None:
    total = sum(path.stat().st_size for path in recipe.FOLDER.rglob("*") if path.is_file())
    assert total < 25_000_000


def test_the_clips_are_the_committed_ones() -> None:
    assert clips.SUMS.read_text(encoding="utf-8") == clips.sums()
    names = {clip.path for clip in clips.catalogue().values()}
    assert set(clips.FOLDER.glob("*.flac")) == names


@pytest.mark.parametrize("source", ["espeak", "asterisk", "music", "synth"])
def test_clips_are_made_the_same_again(source: clips.Source) -> None:
    """Where the package of the recorded version is installed; elsewhere the digests must do."""
    entries = [clip for clip in clips.catalogue().values() if clip.source == source]
    assert entries
    package = clips.PACKAGES.get(source)
    rebuildable = package is None or build.installed(package) == build.MADE_WITH[source]
    lines = [line.split() for line in clips.SUMS.read_text(encoding="utf-8").splitlines()]
    digests = {name: digest for digest, name in lines}
    for clip in entries:
        assert clips.digest(clip.path) == digests[clip.path.name]
        assert not rebuildable or not clips.stale(clip.name), clip.name


def test_phrases_of_the_script_are_spoken_word_for_word() -> None:
    for prompt in recipe.PROMPTS:
        assert clips.catalogue()[f"man_{prompt}"].what == clips.prompt_text(prompt)


def test_a_clip_is_trimmed_to_its_sound() -> None:
    for clip in clips.catalogue().values():
        samples = clips.load(clip.name)
        assert len(dsp.trim(samples, clip.rate)) >= len(samples) - clip.rate // 200, clip.name


def test_the_busy_tone_has_the_cadence_and_the_frequency_of_an_exchange() -> None:
    samples = clips.load("tone_busy")
    loud = dsp.block_rms(samples, 400) > 500  # blocks of 50 ms
    assert len(samples) == pytest.approx(12 * 8_000, abs=80)
    assert loud.tolist() == [at % 14 < 7 for at in range(len(loud))]
    power = np.abs(np.fft.rfft(samples[:2_800] * np.hanning(2_800)))
    assert power.argmax() * 8_000 / 2_800 == pytest.approx(425, abs=2)


def test_the_keys_are_those_of_the_number() -> None:
    """4 0 7 1 5 9 8: a row's and a column's frequency each (ITU-T Q.23), with a pause after it."""
    samples = clips.load("tone_keys")
    loud = dsp.block_rms(samples, 160) > 500
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    found = []
    for start, end in edges.reshape(-1, 2) * 160:
        press = samples[start:end]
        power = np.abs(np.fft.rfft(press * np.hanning(len(press)), 8_000))  # a bin is 1 Hz
        found.append((power[:1_000].argmax(), 1_000 + power[1_000:].argmax()))
    wanted = np.array(
        [(770, 1209), (941, 1336), (852, 1209), (697, 1209), (770, 1336), (852, 1477), (852, 1336)]
    )
    assert np.abs(np.array(found) - wanted).max() <= 3


# -- the tools -----------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_companding_keeps_what_was_companded(law: g711.Law) -> None:
    codes = np.arange(256, dtype=np.uint8)
    values = g711.decode(codes, law)
    assert np.array_equal(g711.decode(g711.encode(values, law), law), values)
    # µ-law has two zeros; all else has one code
    assert np.count_nonzero(g711.encode(values, law) != codes) == (1 if law == "ulaw" else 0)


def test_companding_has_the_values_of_the_standard() -> None:
    samples = np.array([0, -1, 1000, -1000, 32767, -32768], np.int16)
    assert g711.encode(samples, "alaw").tolist() == [0xD5, 0x55, 0xFA, 0x7A, 0xAA, 0x2A]
    assert g711.round_trip(samples, "alaw").tolist() == [8, -8, 1008, -1008, 32256, -32256]
    assert g711.encode(samples, "ulaw").tolist() == [0xFF, 0x7E, 0xCE, 0x4E, 0x80, 0x00]
    assert g711.round_trip(samples, "ulaw").tolist() == [0, -8, 988, -988, 32124, -32124]


@pytest.mark.parametrize("level_db", [-62.0, -52.0, -30.0])
def test_noise_has_the_level_asked_for(level_db: float) -> None:
    samples = dsp.noise(80_000, level_db, dsp.band_pass(300, 3400, 8000, 41), 7)
    rms = float(dsp.block_rms(samples, len(samples))[0])
    assert 20 * np.log10(rms / dsp.FULL_SCALE) == pytest.approx(level_db, abs=0.3)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_resampling_keeps_a_tone_and_its_place(rate: int) -> None:
    at = np.arange(22_050)
    tone = np.rint(10_000 * np.sin(2 * np.pi * 1000 * at / 22_050)).astype(np.int64)
    out = dsp.resample(tone, 22_050, rate)
    wanted = 10_000 * np.sin(2 * np.pi * 1000 * np.arange(len(out)) / rate)
    assert len(out) == rate
    assert float(np.abs(out - wanted)[200:-200].max()) < 20


# -- the command and its errors ------------------------------------------------------------------


def test_check_passes_on_what_is_committed(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["recordings", "--check"]) == 0
    assert "0 files differ" in capsys.readouterr().out


def test_check_tells_a_changed_recording(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = mix.channel

    def one_sample_off(one: recipe.Recipe, side: str) -> mix.Samples:
        samples = kept(one, side)
        if one.name == "drop" and side == "client":
            samples = samples.copy()
            samples[1000] += 16
        return samples

    monkeypatch.setattr(mix, "channel", one_sample_off)
    assert build.main(["recordings", "--check"]) == 1
    assert "drop.flac differs from its recipe" in capsys.readouterr().out


def test_show_tells_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["show", "nobody"]) == 2
    assert "no such recording" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('"phase dialogue"', '"phase monologue"'), "nothing the product can do"),
        (("rate = 8000", "rate = 11025"), "rate: expected one of"),
        (('mode = "auto"', 'mode = "loud"'), "mode: expected auto or cue"),
        (("frames = ", "frames = 9"), "the recording at"),
        (('kind = "hangup"', 'kind = "shrug"'), "event kind: expected"),
        (('clip = "woman_hello"', 'clip = "woman_hallo"'), "no such clip"),
    ],
)
def test_a_wrong_recipe_is_told(change: tuple[str, str], problem: str, tmp_path: Path) -> None:
    text = (recipe.FOLDER / f"drop{recipe.SUFFIX}").read_text(encoding="utf-8")
    assert change[0] in text
    path = tmp_path / f"wrong{recipe.SUFFIX}"
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(clips.FixtureError, match=problem):
        recipe.load(path)
