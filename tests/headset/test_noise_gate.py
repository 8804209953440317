"""A microphone that is quiet between words has a noise gate; one that gives nothing is told of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.headset.speech import speech
from vad_agent.audio.device_recovery import DeviceState
from vad_agent.audio.duplex_capture import SAMPLE_RATE
from vad_agent.audio.jitter_buffer import Lane, Pair
from vad_agent.core.actions import LineState
from vad_agent.core.frames import FRAMES_PER_SECOND, Channel
from vad_agent.headset import messages_ru
from vad_agent.headset.call_tracker import CallTracker
from vad_agent.headset.noise_gate import DOUBTFUL, NoiseGate
from vad_agent.headset.status import Status
from vad_agent.headset.status_presenter import StatusPresenter
from vad_agent.headset.terminal_display import ChangeLines
from vad_agent.script.settings import Settings

QUIET, LIVE = LineState.QUIET, LineState.LIVE


def test_a_microphone_that_gave_no_word_is_told_of_at_once() -> None:
    gate = NoiseGate()
    assert gate.look(QUIET, False, 0) is QUIET
    assert gate.look(QUIET, False, 10 * DOUBTFUL) is QUIET


def test_after_a_word_it_is_told_of_when_it_has_been_quiet_for_a_minute() -> None:
    gate = NoiseGate()
    assert gate.look(LIVE, True, 0) is LIVE
    assert gate.look(QUIET, False, 1) is LIVE
    assert gate.look(QUIET, False, DOUBTFUL) is LIVE
    assert gate.look(QUIET, False, DOUBTFUL + 1) is QUIET


def test_a_microphone_that_was_quiet_between_words_is_not_told_of_again() -> None:
    gate = NoiseGate()
    gate.look(LIVE, True, 0)
    gate.look(QUIET, False, 1)
    gate.look(LIVE, False, 2)  # a sound comes before it is known for a word
    gate.look(LIVE, True, 3)
    assert gate.look(QUIET, False, 4) is LIVE
    assert gate.look(QUIET, False, 10 * DOUBTFUL) is LIVE


def test_another_microphone_is_judged_anew() -> None:
    gate = NoiseGate()
    gate.look(LIVE, True, 0)
    gate.lost()
    assert gate.look(QUIET, False, 1) is QUIET


def test_what_else_a_microphone_carries_is_told_as_it_is() -> None:
    gate = NoiseGate()
    gate.look(LIVE, True, 0)
    for line in (None, LineState.DIGITAL_ZERO, LineState.NO_MEDIA, LineState.TONE):
        assert gate.look(line, False, 1) is line


class Loop:
    """What the presenter reads, with a real tracker."""

    refused = 0
    prompt_player = None

    def __init__(self) -> None:
        self.tracker = CallTracker(Settings(), SAMPLE_RATE, policy="manual")
        self.headset = self

    def state(self, channel: Channel) -> DeviceState:
        return DeviceState.OPEN

    def lane(self, channel: Channel) -> Lane:
        return Lane()


def test_ten_answers_into_a_gated_microphone_are_told_of_in_no_line() -> None:
    rng = np.random.default_rng(1)
    words = speech("man_how_can_i_help")
    words = np.repeat(words, SAMPLE_RATE // 8_000)
    gap = rng.integers(-2, 3, 6 * SAMPLE_RATE).astype(np.int16)
    samples = np.concatenate([words, gap] * 10).astype("<i2")
    loop: Any = Loop()
    status, changes = Status(), ChangeLines()
    presenter = StatusPresenter(status)
    size = SAMPLE_RATE // FRAMES_PER_SECOND
    told, lines = [], set()
    for slot in range(len(samples) // size):
        frame = samples[slot * size : (slot + 1) * size].tobytes()
        loop.tracker.feed(frame, bytes(2 * size))
        lines.add(loop.tracker.line(Channel.OPERATOR))
        presenter.look(loop, Pair(slot, frame, bytes(2 * size)))
        told += changes.lines(status)
    assert LineState.QUIET in lines
    quiet = messages_ru.LINES[Channel.OPERATOR][LineState.QUIET]
    assert [line for line in told if quiet in line] == []
