"""A recorded call: whatever was fed and signalled, its replay gives the same trace, line for line."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_fixtures.recipe import FOLDER
from tests.tape import TapePlan, tape
from vad_agent import CallSession, Event, Settings, __version__
from vad_agent.audio.recording_reader import open_call
from vad_agent.cli import main
from vad_agent.core import actions as act
from vad_agent.core.actions import Phase
from vad_agent.core.events import EventKind
from vad_agent.errors import EventError, FrameError
from vad_agent.headset import recorder as recording
from vad_agent.headset.recorder import MOST_WAITING, CallRecorder, CallSound, Tap
from vad_agent.script.settings import Settings as SettingsType
from vad_agent.trace.event_files import load_events
from vad_agent.trace.replay import Replay
from vad_agent.trace.trace_format import record

RATE = 8_000
SPEECH, QUIET = b"S" * 320, b"." * 320
ENDINGS = [".events.jsonl", ".flac", ".script.toml", ".trace.jsonl"]


class Live:
    """A loop in small: feeds a tapped session, and a player of some latency says what it asks for.

    `delay`: frames until a phrase sounds, None: it cannot; `length`: frames that it lasts.
    """

    def __init__(
        self,
        folder: Path,
        plan: Any = None,
        *,
        rate: int = RATE,
        mode: str = "auto",
        delay: int | None = 6,
        length: int = 80,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        plan = TapePlan() if plan is None else plan
        how = plan if isinstance(plan, SettingsType) else plan.settings
        self.recorder = CallRecorder(folder, "call", how, mode, report, sample_rate=rate)
        self.session = Tap(CallSession(plan, rate, mode=mode), self.recorder)
        self.actions: list[act.Action] = []
        self._delay, self._length = delay, length
        self._due: deque[tuple[int, Event]] = deque()

    def frame(self, operator: bytes | None, client: bytes | None) -> None:
        while self.recorder._writer.waiting > MOST_WAITING // 2:
            pass  # a live call's frames come at their own pace
        while self._due and self._due[0][0] <= self.session.now:
            self.signal(self._due.popleft()[1])
        self._carry_out(self.session.feed(operator, client))

    def frames(self, operator: str, client: str) -> None:
        for pair in zip(tape(operator), tape(client), strict=True):
            self.frame(*pair)

    def signal(self, event: Any) -> None:
        self._carry_out(self.session.signal(event))

    def _carry_out(self, actions: Sequence[act.Action]) -> None:
        self.recorder.take(actions)
        self.actions += actions
        for action in actions:
            if isinstance(action, act.Play):
                self._play(action.prompt)
            elif isinstance(action, act.Stop):
                self._due.clear()

    def _play(self, prompt: str) -> None:
        if self._delay is None:
            self.signal(Event(EventKind.PROMPT_FAILED, prompt=prompt))
            return
        started = self.session.now + self._delay
        self._due.append((started, Event(EventKind.PROMPT_STARTED, prompt=prompt)))
        self._due.append((started + self._length, Event(EventKind.PROMPT_ENDED, prompt=prompt)))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def replayed(folder: Path, plan: Any, name: str = "call", mode: str | None = None) -> list[Any]:
    log = load_events(folder / f"{name}.events.jsonl").in_mode(mode)
    with open_call(folder / f"{name}.flac") as call:
        session = CallSession(plan, call.sample_rate, mode=mode or log.mode or "auto")
        actions = Replay(session, plan, log.events, plays=not log.live).run(log.cut(call))
        return [line for line in map(record, actions) if line is not None]


# -- the same trace --------------------------------------------------------------------------------

LETTERS = st.sampled_from("S..0mt-")
STRETCH = st.tuples(LETTERS, LETTERS, st.integers(1, 400))
PARTY = st.sampled_from(["operator", "client"])
DEVICE = st.sampled_from(["operator", "client", "prompt"])
EVENT = st.one_of(
    st.builds(
        Event,
        st.sampled_from(
            [
                kind
                for kind in EventKind
                if not kind.value.startswith(("device", "player", "source"))
            ]
        ),
        party=st.none() | PARTY,
        name=st.none() | st.text(max_size=8),
        prompt=st.none() | st.sampled_from(["greeting_again", "not_heard"]),
        seq=st.none() | st.integers(0, 9),
        ts=st.none() | st.just("2030-05-13T12:00:00+03:00"),
    ),
    st.builds(Event, st.sampled_from([EventKind.DEVICE_LOST, EventKind.DEVICE_BACK]), party=DEVICE),
    st.builds(Event, st.just(EventKind.PLAYER_READY), latency_s=st.floats(0, 1)),
)
CALLS = st.lists(st.one_of(STRETCH, STRETCH, STRETCH, EVENT), max_size=14)


@given(
    calls=CALLS,
    mode=st.sampled_from(["auto", "cue"]),
    delay=st.sampled_from([0, 1, 7, 49, 60, None]),
    length=st.integers(1, 200),
    ended=st.booleans(),
)
@settings(max_examples=200)
def test_any_call_is_replayed_as_it_went(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[Any],
    mode: str,
    delay: int | None,
    length: int,
    ended: bool,
) -> None:
    folder = tmp_path_factory.mktemp("calls")
    live = Live(folder, mode=mode, delay=delay, length=length)
    live.frames("S*50", ".*50")
    for one in calls:
        if isinstance(one, Event):
            live.signal(one)
        else:
            left, right, count = one
            live.frames(f"{left}*{count}", f"{right}*{count}")
    if ended:
        live.signal(EventKind.SOURCE_ENDED.value)
    live.recorder.close()
    assert not live.recorder.lost
    went = lines(folder / "call.trace.jsonl")
    again = replayed(folder, TapePlan())
    assert went == [line for line in map(record, live.actions) if line is not None]
    if live.session.phase is Phase.ENDED:
        assert again == went
    else:  # the program was ended: its last line is where the replay goes beyond it
        assert again[: len(went)] == went
        assert again[-1]["phase"] == "ended"


def test_a_real_call_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Settings(shop="Мой магазин")
    with open_call(FOLDER / "greeting_silence.flac") as call:
        live = Live(tmp_path, plan, rate=call.sample_rate, delay=9, length=150)
        live.signal({"kind": "client_name", "name": "Анна"})
        live.signal({"kind": "player_ready", "latency_s": 0.2})
        for number, (operator, client) in enumerate(call):
            live.frame(operator, None if 400 <= number < 430 else client)
    live.signal("source_ended")
    live.recorder.close()
    went = (tmp_path / "call.trace.jsonl").read_text(encoding="utf-8")
    assert '"said"' in went
    arguments = ["replay", f"{tmp_path}/call.flac", "--events", f"{tmp_path}/call.events.jsonl"]
    arguments += ["--script", f"{tmp_path}/call.script.toml", "--trace", "-"]
    main.app(arguments, standalone_mode=False)
    out, told = capsys.readouterr()
    assert out == went
    assert told == ""


def test_the_mode_is_the_calls_own_unless_another_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_call(FOLDER / "greeting_silence.flac") as call:
        live = Live(tmp_path, Settings(), rate=call.sample_rate, mode="cue")
        for pair in call:
            live.frame(*pair)
    live.signal("source_ended")
    live.recorder.close()
    went = (tmp_path / "call.trace.jsonl").read_text(encoding="utf-8")
    arguments = ["replay", f"{tmp_path}/call.flac", "--events", f"{tmp_path}/call.events.jsonl"]
    main.app([*arguments, "--trace", "-"], standalone_mode=False)
    assert capsys.readouterr().out == went
    assert '"kind": "cue"' in went
    main.app([*arguments, "--trace", "-", "--mode", "auto"], standalone_mode=False)
    other = capsys.readouterr().out
    assert '"outcome": "said"' in other  # the replay plays the phrases
    assert '"kind": "cue"' not in other


# -- the files -------------------------------------------------------------------------------------


def test_the_sound_is_kept_to_the_sample_with_the_operator_left(tmp_path: Path) -> None:
    noise = np.random.default_rng(4).integers(-32_768, 32_768, (30, 2, 160)).astype("<i2")
    live = Live(tmp_path)
    for number, (operator, client) in enumerate(noise):
        left = None if number == 10 else operator.tobytes()
        live.session.recorder.frame(left, None if number > 26 else client.tobytes())
    live.recorder.close()
    info = soundfile.info(tmp_path / "call.flac")
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_16", RATE)
    sound, _ = soundfile.read(tmp_path / "call.flac", dtype="int16")
    noise[10, 0] = 0
    noise[27:, 1] = 0
    assert np.array_equal(sound[:, 0], noise[:, 0].reshape(-1))
    assert np.array_equal(sound[:, 1], noise[:, 1].reshape(-1))
    assert lines(tmp_path / "call.events.jsonl")[1:] == [
        {"t": 0.2, "kind": "gap", "party": "operator", "until": 0.22},
        {"t": 0.54, "kind": "gap", "party": "client", "until": 0.6},
    ]


def test_the_events_file_tells_all_that_the_session_was_told(tmp_path: Path) -> None:
    live = Live(tmp_path, mode="cue")
    agreed = {"kind": "callback_agreed", "at": "2030-05-14T15:00:00+03:00", "phone": "+7 000"}
    live.signal("answered")
    live.frames("S*3", ".*3")
    live.signal(agreed | {"seq": "4", "call_id": 7, "of the provider": [1]})
    live.signal({"kind": "device_lost", "party": "prompt"})
    live.recorder.close()
    assert lines(tmp_path / "call.events.jsonl") == [
        {"t": 0.0, "kind": "recorded", "mode": "cue", "version": __version__},
        {"t": 0.0, "kind": "answered"},
        {"t": 0.06} | agreed | {"call_id": "7", "seq": 4},
        {"t": 0.06, "kind": "device_lost", "party": "prompt"},
    ]


def test_the_script_is_kept_as_it_was(tmp_path: Path) -> None:
    plan = Settings(shop="Мой магазин", timing={"no_greeting_s": 7.0})
    CallRecorder(tmp_path, "call", plan, "auto", print).close()
    assert Settings.load(tmp_path / "call.script.toml") == plan


def test_what_comes_after_the_calls_end_is_not_kept(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.frames("S*50", ".*50")
    live.signal({"kind": "hangup", "party": "operator"})
    live.frames("S*50", "S*50")
    live.signal("pause")
    live.recorder.close()
    assert soundfile.info(tmp_path / "call.flac").frames == 50 * 160
    assert [line["kind"] for line in lines(tmp_path / "call.events.jsonl")] == [
        "recorded",
        "hangup",
    ]


def test_a_frame_that_is_refused_is_not_kept(tmp_path: Path) -> None:
    live = Live(tmp_path, Settings())
    with pytest.raises(FrameError):
        live.frame(b"", None)
    with pytest.raises(EventError):
        live.signal("nonsense")
    live.frame(bytearray(SPEECH), memoryview(QUIET))  # type: ignore[arg-type]
    live.recorder.close()
    assert soundfile.info(tmp_path / "call.flac").frames == 160
    assert len(lines(tmp_path / "call.events.jsonl")) == 1


def test_a_call_without_a_frame_has_no_sound(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.signal("ringing")
    live.recorder.close()
    assert sorted(path.suffixes[0] for path in tmp_path.iterdir()) == [
        ".events",
        ".script",
        ".trace",
    ]


def test_the_session_is_reached_through_the_tap(tmp_path: Path) -> None:
    live = Live(tmp_path)
    assert live.session.phase is None
    live.frame(SPEECH, None)
    assert (live.session.now, live.session.phase) == (1, Phase.GREETING)
    assert live.session.watch == live.session.session.watch
    with pytest.raises(AttributeError):
        _ = live.session.nonsense
    live.recorder.close()


def test_a_long_gap_is_told_in_parts(tmp_path: Path) -> None:
    live = Live(tmp_path)
    for _ in range(1_234):
        live.recorder.frame(SPEECH, None)
    live.recorder.close()
    gaps = [(line["t"], line["until"]) for line in lines(tmp_path / "call.events.jsonl")[1:]]
    assert gaps == [(0.0, 10.0), (10.0, 20.0), (20.0, 24.68)]


@pytest.mark.skipif(os.name == "nt", reason="its files have no modes")
def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "records"
    before = os.umask(0)
    try:
        live = Live(folder)
        live.frame(SPEECH, QUIET)
        live.recorder.close()
    finally:
        os.umask(before)
    assert sorted("".join(path.suffixes) for path in folder.iterdir()) == ENDINGS
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "call.flac").write_bytes(b"mine")
    for _ in range(2):
        live = Live(tmp_path)
        live.frame(SPEECH, QUIET)
        live.recorder.close()
    assert (tmp_path / "call.flac").read_bytes() == b"mine"
    for name in ("call-2", "call-3"):
        assert len(list(tmp_path.glob(f"{name}.*"))) == 4


# -- a disk that is slow, full, gone ---------------------------------------------------------------


class SlowDisk:
    """Holds the recorder's thread before its first frame until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stands = threading.Event()
        self.go = threading.Event()
        write = CallSound.write

        def slow(*args: Any) -> None:
            self.stands.set()
            self.go.wait()
            write(*args)

        monkeypatch.setattr(CallSound, "write", slow)


def test_a_slow_disk_stalls_nobody_and_what_it_misses_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    monkeypatch.setattr(recording, "MOST_WAITING", 100)
    told: list[str] = []
    recorder = CallRecorder(tmp_path, "call", Settings(), "auto", told.append, sample_rate=RATE)
    recorder.frame(SPEECH, QUIET)
    disk.stands.wait()
    for _ in range(299):
        recorder.frame(SPEECH, QUIET)
    recorder.signal(300, Event(EventKind.PAUSE))
    disk.go.set()
    recorder.close()
    assert recorder.lost == 199
    assert soundfile.info(tmp_path / "call.flac").frames == 300 * 160
    log = load_events(tmp_path / "call.events.jsonl")
    assert {party.value: list(spans) for party, spans in log.gaps.items()} == {
        "operator": [(101, 300)],
        "client": [(101, 300)],
    }
    assert [timed.event.kind for timed in log.events] == [EventKind.PAUSE]
    assert len(told) == 1
    assert "3.98 с" in told[0]


def test_memory_does_not_grow_with_a_disk_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    monkeypatch.setattr(recording, "MOST_WAITING", 100)
    recorder = CallRecorder(tmp_path, "call", Settings(), "auto", print, sample_rate=RATE)
    for number in range(2_000):
        recorder.frame(SPEECH, QUIET)
        recorder.signal(number, Event(EventKind.PAUSE))
    disk.stands.wait()
    assert recorder._writer.waiting <= 200
    disk.go.set()
    recorder.close()


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX limit makes the disk full")
def test_a_full_disk_is_told_once_and_the_call_goes_on(tmp_path: Path) -> None:
    told: list[str] = []
    noise = np.random.default_rng(4).integers(-9_000, 9_000, (200, 160)).astype("<i2")
    # The script alone is larger than what there is room for, so it is written before.
    recorder = CallRecorder(tmp_path, "call", Settings(), "auto", told.append, sample_rate=RATE)
    recorder.frame(SPEECH, SPEECH)
    while not (tmp_path / "call.flac").exists():
        pass
    with room(20_000):
        for frame in noise:
            recorder.frame(frame.tobytes(), frame[::-1].tobytes())
        recorder.close()
    assert len(told) == 1
    assert "call.flac: звук не пишется с" in told[0]
    log = load_events(tmp_path / "call.events.jsonl")
    assert log.mode == "auto"


def test_a_folder_that_cannot_be_made_is_told_and_the_call_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    live = Live(tmp_path / "file" / "records", report=told.append)
    live.frames("S*50", ".*50")
    live.recorder.close()
    assert len(told) == 1
    assert "cannot make the folder" in told[0]


def test_a_recording_that_nobody_closed_is_whole_up_to_its_last_moment(tmp_path: Path) -> None:
    code = f"""
import os, time
from pathlib import Path
from vad_agent import Settings, Event
from vad_agent.headset.recorder import CallRecorder
recorder = CallRecorder(Path({str(tmp_path)!r}), "call", Settings(), "auto", print)
for number in range(500):
    recorder.frame(b"ab" * 320, b"cd" * 320)
recorder.signal(499, Event("pause"))
while recorder._writer.waiting:
    time.sleep(0.01)
time.sleep(0.1)
os._exit(9)
"""
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    log = load_events(tmp_path / "call.events.jsonl")
    assert [timed.frame for timed in log.events] == [499]
    with open_call(tmp_path / "call.flac") as call:
        pairs = list(call)
    assert len(pairs) >= 480
    assert set(pairs) == {(b"ab" * 320, b"cd" * 320)}


def test_a_program_that_ends_without_closing_it_ends(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from vad_agent import Settings
from vad_agent.headset.recorder import CallRecorder
recorder = CallRecorder(Path({str(tmp_path)!r}), "call", Settings(), "auto", print)
recorder.frame(b"ab" * 320, b"cd" * 320)
"""
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with open_call(tmp_path / "call.flac") as call:
        assert len(list(call)) == 1
