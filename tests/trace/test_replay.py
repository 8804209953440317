"""Replay: events at their frames, phrases of their length, and an end that is an end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_fixtures.recipe import FOLDER
from tests.tape import PHRASE, TapePlan, play, tape, transcript
from vad_agent import CallSession, Event, Settings
from vad_agent.audio.recording_reader import open_call
from vad_agent.core import actions as act
from vad_agent.core.events import EventKind
from vad_agent.core.frames import Channel, Framer
from vad_agent.errors import EventError, SettingsError
from vad_agent.trace.event_files import MOST_PROBLEMS, EventLog, TimedEvent, load_events
from vad_agent.trace.replay import LATE, Replay

Pair = tuple[bytes | None, bytes | None]


class Session(CallSession):
    """Notes which events come at which frame, and how many frames are fed."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.events: list[tuple[int, str]] = []

    def signal(self, event: Any) -> Sequence[act.Action]:
        self.events.append((self.now, Event.parse(event).kind.value))
        return super().signal(event)


def at(frame: int, kind: str, **more: object) -> TimedEvent:
    return TimedEvent(frame, Event.parse({"kind": kind} | more))


def run(
    length: int, events: Iterable[TimedEvent] = (), operator: str = ""
) -> tuple[Session, list[act.Action], Replay]:
    """A call of so many frames in which nobody speaks, or the operator does."""
    plan = TapePlan()
    session = Session(plan, 8000)
    left = tape(operator) if operator else tape(f".*{length}")
    replay = Replay(session, plan, tuple(events))  # type: ignore[arg-type]
    return session, list(replay.run((frame, b"." * 320) for frame in left)), replay


def prompts(actions: Iterable[act.Action]) -> list[act.PromptDone]:
    return [action for action in actions if isinstance(action, act.PromptDone)]


# -- events and frames -----------------------------------------------------------------------------


def test_an_event_comes_before_the_frame_that_begins_there() -> None:
    session, _, _ = run(100, [at(0, "answered"), at(1, "pause"), at(100, "resume")])
    assert session.events == [(0, "answered"), (1, "pause"), (100, "resume"), (100, "source_ended")]


def test_events_of_one_frame_keep_their_order() -> None:
    kinds = ["pause", "resume", "pause", "hold", "unhold"]
    session, _, _ = run(50, [at(30, kind) for kind in kinds])
    assert [kind for frame, kind in session.events if frame == 30] == kinds


def test_events_that_are_not_in_order_are_put_in_order() -> None:
    session, _, _ = run(50, [at(30, "hold"), at(10, "pause"), at(30, "unhold")])
    assert session.events[:3] == [(10, "pause"), (30, "hold"), (30, "unhold")]


def test_the_end_of_a_prompt_comes_before_an_event_at_the_same_frame() -> None:
    # The greeting is repeated at 50 + 125, and lasts PHRASE frames.
    ends = 50 + 125 + PHRASE
    session, actions, _ = run(0, [at(ends, "pause")], operator="S*50 .*400")
    assert session.events[:3] == [
        (175, "prompt_started"),
        (ends, "prompt_ended"),
        (ends, "pause"),
    ]
    (done,) = prompts(actions)
    assert (done.started, done.ended, done.outcome) == (175, ends, act.PromptOutcome.SAID)


def test_an_event_one_frame_before_the_end_of_a_prompt_stops_it() -> None:
    ends = 50 + 125 + PHRASE
    session, actions, _ = run(0, [at(ends - 1, "pause")], operator="S*50 .*400")
    (done,) = prompts(actions)
    assert (done.ended, done.outcome) == (ends - 1, act.PromptOutcome.INTERRUPTED)
    assert (ends, "prompt_ended") not in session.events  # its sound was stopped


def test_a_hangup_before_the_first_frame() -> None:
    frames = iter(tape(".*10"))
    plan = TapePlan()
    session = Session(plan, 8000)
    replay = Replay(session, plan, [at(0, "hangup", party="operator")])  # type: ignore[arg-type]
    actions = list(replay.run((frame, frame) for frame in frames))
    assert transcript(actions) == ["0 phase greeting", "0 phase ended"]
    assert len(list(frames)) == 10


def test_nothing_is_read_after_the_end_of_the_call() -> None:
    frames = iter(tape(".*100"))
    plan = TapePlan()
    replay = Replay(Session(plan, 8000), plan, [at(40, "hangup"), at(60, "hold")])  # type: ignore[arg-type]
    actions = list(replay.run((frame, frame) for frame in frames))
    assert isinstance(actions[-1], act.PhaseChanged)
    assert actions[-1].frame == 40
    assert len(list(frames)) == 60
    assert [event.event.kind for event in replay.unused] == [EventKind.HOLD]


def test_a_climbed_ladder_ends_it_too() -> None:
    # 50 of greeting, three windows to their middles, three phrases
    end = 50 + 125 + 125 + 175 + 3 * PHRASE
    actions = play("S*50 .*2000", ".*2050")
    assert transcript(actions)[-2:] == [
        f"{end} hangup silence_after_greeting",
        f"{end} phase ended",
    ]


@pytest.mark.parametrize("late", [0, 1, LATE])
def test_an_event_just_after_the_recording_belongs_to_its_end(late: int) -> None:
    session, actions, replay = run(200, [at(200 + late, "hangup", party="client")])
    assert session.events[0] == (200, "hangup")
    assert transcript(actions)[-1] == "200 phase ended"
    assert "200 hangup dropped" in transcript(actions)
    assert not replay.unused


def test_an_event_of_a_later_time_is_left_out_and_known() -> None:
    late = at(200 + LATE + 1, "hangup", party="client")
    session, actions, replay = run(200, [late])
    assert list(replay.unused) == [late]
    assert transcript(actions)[-1] == "200 phase ended"
    assert not any(isinstance(action, act.Hangup) for action in actions)
    assert session.events == [(200, "source_ended")]


def test_a_prompt_in_the_air_when_the_recording_ends_is_interrupted() -> None:
    _, actions, _ = run(0, operator="S*50 .*175")
    (done,) = prompts(actions)
    assert (done.started, done.ended, done.outcome) == (175, 225, act.PromptOutcome.INTERRUPTED)
    assert isinstance(actions[-1], act.PhaseChanged)


def test_a_prompt_that_ends_with_the_recording_is_said() -> None:
    _, actions, _ = run(0, operator=f"S*50 .*{125 + PHRASE}")
    (done,) = prompts(actions)
    assert (done.ended, done.outcome) == (275, act.PromptOutcome.SAID)


def test_a_recording_without_frames() -> None:
    _, actions, _ = run(0)
    assert transcript(actions) == ["0 phase greeting", "0 phase ended"]


def test_actions_come_as_they_are_decided() -> None:
    plan = TapePlan()
    session = Session(plan, 8000)
    actions = Replay(session, plan).run(  # type: ignore[arg-type]
        zip(tape("S*50 .*400"), tape(".*450"), strict=True)
    )
    for action in actions:
        assert action.frame == session.now
        if isinstance(action, act.Play):
            break
    else:
        pytest.fail("no prompt")


# -- the length of a phrase ------------------------------------------------------------------------


def real(how: Settings, events: Sequence[TimedEvent] = ()) -> list[act.Action]:
    rate, pairs = frames_of("greeting_silence.flac")
    return list(Replay(CallSession(how, rate), how, events).run(pairs))


@cache
def frames_of(name: str) -> tuple[int, list[Pair]]:
    with open_call(FOLDER / name) as call:
        return call.sample_rate, list(call)


@pytest.mark.parametrize("rate", [8.0, 14.0])
def test_a_phrase_lasts_as_its_text_at_the_rate_of_speech(rate: float) -> None:
    done = prompts(real(Settings(voice={"chars_per_s": rate})))[0]
    assert done.started is not None
    assert done.ended is not None
    assert done.ended - done.started == -(-len(done.text) * 50 // rate)


def test_a_recorded_phrase_lasts_as_its_recording(tmp_path: Path) -> None:
    path = tmp_path / "again.wav"
    soundfile.write(path, np.zeros(8_000 + 80, np.int16), 8_000)  # 50.5 frames
    voice = {"recordings": {"greeting_again": str(path)}}
    first, second, *_ = prompts(real(Settings(voice=voice)))
    assert first.started is not None
    assert first.ended is not None
    assert first.ended - first.started == 51
    assert second.started is not None
    assert second.started - first.ended == 125  # counted from the end of the recording


# -- the source's chunks ---------------------------------------------------------------------------


def recut(frames: Sequence[bytes | None], rate: int, sizes: Iterator[int]) -> list[bytes]:
    data = b"".join(frame for frame in frames if frame is not None)
    framer, cut, position = Framer(rate), [], 0
    while position < len(data):
        size = next(sizes)
        cut += list(framer.push(data[position : position + size]))
        position += size
    assert framer.rest_bytes == 0
    return cut


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=5))
@settings(max_examples=10, deadline=None)
def test_the_chunks_of_the_source_do_not_matter(sizes: list[int]) -> None:
    rate, pairs = frames_of("answer_in_not_heard.flac")
    sides = [recut([pair[side] for pair in pairs], rate, cycle(sizes)) for side in (0, 1)]
    plan = Settings()
    again = Replay(CallSession(plan, rate), plan).run(zip(*sides, strict=True))
    assert list(again) == list(Replay(CallSession(plan, rate), plan).run(pairs))


# -- the session's own door ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        "hangup",
        {"kind": "hangup"},
        {"kind": "hangup", "seq": 7, "call_id": "c", "vendor": {}},
        Event(EventKind.HANGUP),
    ],
)
def test_an_event_in_any_form(event: Any) -> None:
    session = CallSession(Settings(), 8000)
    session.feed(bytes(320), bytes(320))
    assert "1 hangup dropped" in transcript(session.signal(event))


@pytest.mark.parametrize(
    "event",
    ["ring", {}, {"kind": None}, {"kind": "hold", "party": 7.5j}, 5, None, [], {"kind": []}],
)
def test_an_event_that_cannot_be_understood_changes_nothing(event: Any) -> None:
    session = CallSession(Settings(), 8000)
    with pytest.raises(EventError):
        session.signal(event)
    assert session.phase is None
    assert session.now == 0


# -- the file of events ----------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "events.jsonl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_events(path)
    assert caught.value.source == str(path)
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)
    return caught.value.problems


def test_events_of_a_file_in_order(write: Any) -> None:
    path = write(
        '\ufeff{"t": 3.01, "kind": "hangup", "party": "client", "seq": 4}\r\n'
        "\n"
        '{"t": 1, "kind": "hold", "ts": 1.5}\n'
        '{"t": 1.0, "kind": "unhold", "of the provider": [1]}\n'
        '{"t": 0, "kind": "client_name", "name": "Анна\u2028Мария"}'
    )
    assert load_events(path).events == [
        TimedEvent(0, Event(EventKind.CLIENT_NAME, name="Анна\u2028Мария")),
        TimedEvent(50, Event(EventKind.HOLD, ts="1.5")),
        TimedEvent(50, Event(EventKind.UNHOLD)),
        TimedEvent(151, Event(EventKind.HANGUP, party="client", seq=4)),
    ]


def test_a_file_without_events(write: Any) -> None:
    assert load_events(write("\n")) == EventLog([])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("hold", "expected a JSON object, got 'hold'"),
        ("[1]", "expected a JSON object, got '[1]'"),
        ('"hold"', "expected a JSON object"),
        ("{" * 5_000, "expected a JSON object"),
        ("[" * 100_000, "expected a JSON object"),
        ('{"t": ' + "1" * 5_000 + "}", "expected a JSON object"),
        ('{"kind": "hold"}', "t: expected seconds"),
        ('{"t": -0.02, "kind": "hold"}', "t: expected seconds"),
        ('{"t": "1", "kind": "hold"}', "t: expected seconds"),
        ('{"t": true, "kind": "hold"}', "t: expected seconds"),
        ('{"t": NaN, "kind": "hold"}', "t: expected seconds"),
        ('{"t": Infinity, "kind": "hold"}', "t: expected seconds"),
        ('{"t": 1e6, "kind": "hold"}', "t: expected seconds"),
        ('{"t": 1}', "kind: expected one of ringing, answered"),
        ('{"t": 1, "kind": "held"}', "got 'held'"),
        ('{"t": 1, "kind": "hold", "party": []}', "party: expected text, got []"),
        ('{"t": 1, "kind": "hold", "seq": "x"}', "seq: expected a whole number"),
        ('{"t": 1, "kind": "callback_agreed", "at": "tomorrow"}', "at: expected an ISO 8601 time"),
        ('{"t": 1, "kind": "prompt_ended"}', "expected call control, got prompt_ended"),
        ('{"t": 1, "kind": "source_ended"}', "expected call control, got source_ended"),
        (
            '{"t": 1, "kind": "player_ready", "latency_s": 0.1}',
            "expected call control, got player_ready",
        ),
    ],
)
def test_a_line_that_is_wrong(write: Any, line: str, problem: str) -> None:
    (told,) = problems(write('{"t": 0, "kind": "answered"}\n\n' + line))
    assert told.startswith("line 3: ")
    assert problem in told
    assert len(told) < 400


def test_all_lines_that_are_wrong_are_told(write: Any) -> None:
    told = problems(write('x\n{"t": 1, "kind": "hold"}\ny\n{"t": 1}\n'))
    assert [re.match(r"line \d+", problem)[0] for problem in told] == [  # type: ignore[index]
        "line 1",
        "line 3",
        "line 4",
    ]


def test_a_file_of_another_kind_is_told_briefly(write: Any) -> None:
    told = problems(write("2030-05-13 14:20:00 call answered\n" * 5_000))
    assert len(told) == MOST_PROBLEMS + 1
    assert told[-1] == f"{5_000 - MOST_PROBLEMS} more lines are wrong"


def test_files_that_cannot_be_read(write: Any, tmp_path: Path) -> None:
    assert problems(tmp_path / "none.jsonl") == ("no such file: check the path of the events",)
    assert "Is a directory" in problems(tmp_path)[0]
    assert problems(write(b"\xff\xfe{\x00")) == ("expected UTF-8 text, one JSON object a line",)


def test_the_events_beside_the_recordings_are_right() -> None:
    files = sorted(FOLDER.glob("*.events.jsonl"))
    assert len(files) > 5
    for path in files:
        assert len(load_events(path).events) == len(path.read_text(encoding="utf-8").splitlines())


# -- a live call's file ----------------------------------------------------------------------------

LIVE = '{"t": 0.0, "kind": "recorded", "mode": "cue", "version": "1"}\n'


def test_a_live_calls_file_has_the_players_reports_and_the_gaps(write: Any) -> None:
    path = write(
        LIVE + '{"t": 3, "kind": "prompt_started", "prompt": "not_heard", "text": "Алло"}\n'
        '{"t": 3, "kind": "player_ready", "latency_s": 0.2}\n'
        '{"t": 2, "kind": "gap", "party": "client", "until": 2.1}\n'
        '{"t": 1, "kind": "gap", "party": "operator", "until": 1.02}\n'
        '{"t": 1, "kind": "gap", "party": "client", "until": 2}\n'
        '{"t": 4, "kind": "source_ended"}\n'
    )
    log = load_events(path)
    assert (log.live, log.mode) == (True, "cue")
    assert log.events == [
        TimedEvent(150, Event(EventKind.PROMPT_STARTED, prompt="not_heard", text="Алло")),
        TimedEvent(150, Event(EventKind.PLAYER_READY, latency_s=0.2)),
        TimedEvent(200, Event(EventKind.SOURCE_ENDED)),
    ]
    assert log.gaps == {Channel.CLIENT: [(50, 105)], Channel.OPERATOR: [(50, 51)]}


def test_frames_that_did_not_come_do_not_come_again(write: Any) -> None:
    log = load_events(
        write(
            LIVE + '{"t": 0.04, "kind": "gap", "party": "client", "until": 0.08}\n'
            '{"t": 0.12, "kind": "gap", "party": "client", "until": 0.14}\n'
            '{"t": 0.06, "kind": "gap", "party": "operator", "until": 0.1}\n'
        )
    )
    frames = [bytes([number]) for number in range(8)]
    cut = list(log.cut(zip(frames, frames, strict=True)))
    assert [number for number, pair in enumerate(cut) if pair[0] is None] == [3, 4]
    assert [number for number, pair in enumerate(cut) if pair[1] is None] == [2, 3, 6]
    assert all(one in (None, frames[number]) for number, pair in enumerate(cut) for one in pair)


def test_an_ordinary_file_has_no_gaps_and_no_mode(write: Any) -> None:
    log = load_events(write('{"t": 1, "kind": "hold"}'))
    assert (log.live, log.mode, log.gaps) == (False, None, {})
    pairs = iter([(b"", b"")])
    assert log.cut(pairs) is pairs


def test_a_live_calls_phrases_are_not_played_again() -> None:
    plan = TapePlan()
    session = Session(plan, 8000)
    started = at(180, "prompt_started", prompt="greeting_again")
    ended = at(190, "prompt_ended", prompt="greeting_again")
    replay = Replay(session, plan, [started, ended], plays=False)  # type: ignore[arg-type]
    (done, *_) = prompts(replay.run(zip(tape("S*50 .*200"), tape(".*250"), strict=True)))
    assert (done.started, done.ended, done.outcome) == (180, 190, act.PromptOutcome.SAID)
    assert session.events == [
        (180, "prompt_started"),
        (190, "prompt_ended"),
        (250, "source_ended"),
    ]


def test_in_another_mode_the_replay_plays_the_phrases(write: Any) -> None:
    log = load_events(
        write(
            LIVE + '{"t": 1, "kind": "player_ready", "latency_s": 0.2}\n'
            '{"t": 1, "kind": "prompt_failed"}\n'
            '{"t": 1, "kind": "device_lost", "party": "client"}\n'
            '{"t": 2, "kind": "gap", "party": "client", "until": 2.1}\n'
            '{"t": 3, "kind": "prompt_started"}\n{"t": 4, "kind": "prompt_ended"}\n'
        )
    )
    assert log.in_mode(None) is log
    assert log.in_mode("cue") is log
    other = log.in_mode("auto")
    assert not other.live
    assert [timed.event.kind for timed in other.events] == [EventKind.DEVICE_LOST]
    assert other.gaps == log.gaps


@given(st.integers(1, 200))
def test_a_live_calls_file_cut_at_any_byte_is_read_so_far(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    lines = [f'{{"t": {number}, "kind": "client_name", "name": "Ян"}}\n' for number in range(9)]
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.write_bytes((LIVE + "".join(lines)).encode()[: len(LIVE) + cut])
    whole = (cut + 1) // len(lines[0].encode())  # without its line feed a line is whole, too
    assert len(load_events(path).events) == whole


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"t": 1, "ki\n', "expected a JSON object"),
        ('{"t": 1, "kind": "held"}', "got 'held'"),
        ('{"t": 1, "kind": "gap", "party": "client", "until": 1}', "until: expected a time after"),
        ('{"t": 1, "kind": "gap", "party": "client"}', "until: expected seconds"),
        ('{"t": 1, "kind": "gap", "party": "prompt", "until": 2}', "party: expected operator or"),
        ('{"t": 1, "kind": "gap", "party": [], "until": 2}', "party: expected operator or"),
        (LIVE, "got 'recorded'"),
    ],
)
def test_a_damaged_line_of_a_live_calls_file(write: Any, line: str, problem: str) -> None:
    (told,) = problems(write(LIVE + '{"t": 0, "kind": "answered"}\n' + line))
    assert told.startswith("line 3: ")
    assert problem in told


@pytest.mark.parametrize("mode", [None, 1, "loud", []])
def test_a_mode_that_is_none(write: Any, mode: object) -> None:
    line = json.dumps({"t": 0, "kind": "recorded", "mode": mode})
    (told,) = problems(write(line + "\n"))
    assert told.startswith("line 1: mode: expected one of auto, cue, got ")


def test_gaps_are_no_part_of_an_ordinary_file(write: Any) -> None:
    (told,) = problems(write('{"t": 1, "kind": "gap", "party": "client", "until": 2}'))
    assert "got 'gap'" in told


events = st.lists(
    st.tuples(
        st.integers(0, 40_000),
        st.sampled_from([kind.value for kind in EventKind][:12]),
        st.none() | st.text(max_size=5),
    )
)


@given(events)
@settings(deadline=None)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, str, str | None]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.jsonl"
    lines = [
        json.dumps({"t": frame / 50, "kind": kind, "name": name}, ensure_ascii=frame % 2 == 0)
        for frame, kind, name in events
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    expected = [
        TimedEvent(frame, Event(EventKind(kind), name=name)) for frame, kind, name in events
    ]
    assert load_events(path).events == sorted(expected, key=lambda timed: timed.frame)
