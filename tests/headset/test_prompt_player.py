"""Play and Stop carried out, and told to the session at the frames at which they were heard."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.audio.devices import DeviceRole
from vad_agent.core.actions import Play
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.prompt_player import PromptPlayer
from vad_agent.script.settings import Settings
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PlaybackReport
from vad_agent.speech.prompt_library import Phrase

OPENED = Opened(rate=48_000, channels=1, latency_s=0.03, pid=1)
LOST = Lost("unplugged", first=True)


class Voice:
    """Phrases that are ready."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def get(self, prompt_id: str, text: str) -> Phrase | None:
        return Phrase(text, b"\1\0" * 480, recorded=False) if text in self.texts else None


class FakePlayer:
    """A player that is told what its child says, and notes what it is asked for."""

    def __init__(self) -> None:
        self.state = DeviceState.OPENING
        self.latency_s = 0.03
        self.asked: list[object] = []
        self.count = 0

    def take(self, what: object) -> PlaybackReport | None:
        if isinstance(what, PlaybackReport):
            return what
        self.state = DeviceState.OPEN if isinstance(what, Opened) else DeviceState.LOST
        return None

    def play(self, pcm: bytes) -> int | None:
        if self.state is not DeviceState.OPEN:
            return None
        self.count += 1
        self.asked.append(len(pcm))
        return self.count

    def stop(self) -> None:
        self.asked.append("stop")

    def close(self) -> None:
        self.asked.append("close")


class FakeCanceller:
    """A canceller that removes our phrases from the client's channel."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def play(self, pcm: bytes, index: int) -> None:
        self.told.append(("play", index))

    def stop(self, index: int) -> None:
        self.told.append(("stop", index))


TEXT = "К сожалению, вас не слышно"


def speaker(voice: Voice | None = None, **more: object) -> tuple[PromptPlayer, FakePlayer]:
    player = FakePlayer()
    made = PromptPlayer(
        Settings().script,
        voice or Voice(TEXT),
        player,  # type: ignore[arg-type]
        lambda at: at * 50,
        **more,  # type: ignore[arg-type]
    )
    made.take(OPENED)
    return made, player


def kinds(events: Sequence[Event]) -> list[EventKind]:
    return [event.kind for event in events]


def test_an_open_player_tells_how_long_its_way_is():
    made, _ = speaker()
    (ready,) = made.take(OPENED)
    assert ready.kind is EventKind.PLAYER_READY
    assert ready.latency_s == pytest.approx(0.03 + 0.02 + 0.015)


def test_a_phrase_is_told_at_the_frames_of_its_sound_and_not_before():
    made, _ = speaker()
    assert made.play(Play(100, "not_heard", TEXT), 100) == ()
    made.take(PlaybackReport(1, Mark.STARTED, 2.069))  # type: ignore[arg-type]
    made.take(PlaybackReport(1, Mark.ENDED, 3.001))  # type: ignore[arg-type]
    assert [*made.due(102)] == []
    (started,) = made.due(103)  # the frame in which it begins
    assert (started.kind, started.prompt, started.text) == (
        EventKind.PROMPT_STARTED,
        "not_heard",
        None,
    )
    assert [*made.due(150)] == []
    (ended,) = made.due(151)  # after the frame in which it ends
    assert ended.kind is EventKind.PROMPT_ENDED


def test_the_way_that_was_measured_is_the_next_phrases():
    made, _ = speaker()
    made.play(Play(100, "not_heard", TEXT), 100)
    (ready,) = made.take(PlaybackReport(1, Mark.STARTED, 2.12))  # type: ignore[arg-type]
    assert ready.kind is EventKind.PLAYER_READY
    assert ready.latency_s == pytest.approx(0.12)


def test_a_phrase_without_the_name_stands_in_and_is_told_so():
    made, _ = speaker(Voice("Вас не слышно"))
    made.play(Play(100, "not_heard_in_dialogue", "Анна, вас не слышно"), 100)
    made.take(PlaybackReport(1, Mark.STARTED, 2.06))  # type: ignore[arg-type]
    (started,) = made.due(200)
    assert started.text == "Вас не слышно"


def test_a_phrase_that_is_not_ready_has_failed():
    made, player = speaker(Voice())
    assert kinds(made.play(Play(100, "not_heard", TEXT), 100)) == [EventKind.PROMPT_FAILED]
    assert player.asked == []


def test_a_phrase_without_a_device_has_failed():
    made, _ = speaker()
    assert kinds(made.take(LOST)) == [EventKind.DEVICE_LOST]
    assert kinds(made.play(Play(100, "not_heard", TEXT), 100)) == [EventKind.PROMPT_FAILED]
    assert kinds(made.take(OPENED)) == [EventKind.DEVICE_BACK, EventKind.PLAYER_READY]


def test_what_is_stopped_is_told_no_more():
    made, player = speaker()
    made.play(Play(100, "not_heard", TEXT), 100)
    made.take(PlaybackReport(1, Mark.STARTED, 2.06))  # type: ignore[arg-type]
    made.stop(104)
    made.take(PlaybackReport(1, Mark.ENDED, 2.5))  # type: ignore[arg-type]
    assert [*made.due(1000)] == []
    assert player.asked[-1] == "stop"


def test_a_device_lost_before_the_last_sample_left_has_not_said_it():
    made, _ = speaker()
    made.play(Play(100, "not_heard", TEXT), 100)
    made.take(PlaybackReport(1, Mark.STARTED, 2.06))  # type: ignore[arg-type]
    made.take(PlaybackReport(1, Mark.ENDED, 2.5))  # type: ignore[arg-type]
    made.take(LOST)
    assert [*made.due(1000)] == []


def test_reports_of_a_phrase_before_are_nobodys():
    made, _ = speaker()
    made.play(Play(100, "not_heard", TEXT), 100)
    made.stop(101)
    made.play(Play(200, "not_heard", TEXT), 200)
    made.take(PlaybackReport(1, Mark.ENDED, 4.0))  # type: ignore[arg-type]
    assert [*made.due(1000)] == []


def test_the_operator_hears_it_too_and_it_is_taken_out_of_the_clients_channel():
    monitor, canceller = FakePlayer(), FakeCanceller()
    made, _ = speaker(monitor=monitor, canceller=canceller)
    made.take_monitor(OPENED)
    made.play(Play(100, "not_heard", TEXT), 100)
    assert len(monitor.asked) == 1
    made.take_monitor(PlaybackReport(1, Mark.STARTED, 2.06))  # type: ignore[arg-type]
    assert canceller.told == [("play", 103)]
    made.stop(110)
    assert canceller.told[-1][0] == "stop"
    assert monitor.asked[-1] == "stop"


def test_played_into_the_headset_itself_it_is_taken_out_too():
    canceller = FakeCanceller()
    made, _ = speaker(canceller=canceller, echo_source=lambda: DeviceRole.PROMPT)
    made.play(Play(100, "not_heard", TEXT), 100)
    made.take(PlaybackReport(1, Mark.STARTED, 2.06))  # type: ignore[arg-type]
    assert canceller.told == [("play", 103)]


def test_a_mute_speaker_stays_lost_when_its_device_is_back():
    made, _ = speaker()
    assert made.mute().kind is EventKind.DEVICE_LOST
    made.take(LOST)
    assert made.take(OPENED) == ()
