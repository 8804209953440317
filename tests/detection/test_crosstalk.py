"""Cross-talk of the operator in the client's channel is not the client; speech over it is.

operator ▁▁▁▁████████████▁▁▁▁▁▁▁▁
client   ▁▁▁▁▁▁▂▂▂▂▂▂▂▂▂▂▂▂▁▁▁▁▁▁      25 dB weaker and more, 20 to 300 ms late
"""

from __future__ import annotations

import pytest

from tests.detection.endpointer_tape import RATE, clip, new_endpointer, noise, over, voice
from vad_agent import CallSession, Settings
from vad_agent.core.actions import PhaseChanged
from vad_agent.core.endpointer_port import EndpointerPort

SAID = "man_delivery_time"


def both(operator: list[bytes], client: list[bytes]) -> tuple[EndpointerPort, list[int]]:
    """The client's endpointer after both channels, and the frames at which a run opened."""
    near, far = new_endpointer(), new_endpointer()
    far.expect_crosstalk_of(near)
    opened, speaking = [], False
    for now, (ours, theirs) in enumerate(zip(operator, client, strict=True)):
        near.feed(ours)
        far.feed(theirs)
        if far.speaking and not speaking:
            opened.append(now)
        speaking = far.speaking
    far.finish()
    return far, opened


def leaked(late: int, leak_db: float) -> tuple[list[bytes], list[bytes]]:
    """The operator speaks; his voice comes back weaker and later on a line with comfort noise."""
    said = clip(SAID)
    operator = [*noise(60), *said, *noise(60, seed=2)]
    echo = [*noise(60 + late), *clip(SAID, leak_db)]
    quiet = noise(len(operator), seed=5)
    client = over(echo[: len(quiet)], quiet[: len(echo)]) + quiet[len(echo) :]
    return operator, client


@pytest.mark.parametrize("late", [1, 5, 10, 15])
@pytest.mark.parametrize("leak_db", [-25, -30, -35])
def test_a_leak_is_not_the_client(late: int, leak_db: float) -> None:
    endpointer, opened = both(*leaked(late, leak_db))
    assert opened == []
    assert endpointer.utterances == 0


@pytest.mark.parametrize(("level_db", "within"), [(-30, 40), (-24, 12), (-18, 12)])
def test_double_talk_is_the_client(level_db: float, within: int) -> None:
    operator, client = leaked(8, -28)
    client[100:180] = over(client[100:180], voice(80, level_db))
    _, opened = both(operator, client)
    assert opened
    assert 100 <= opened[0] <= 100 + within


def test_the_client_is_heard_again_as_soon_as_the_operator_is_silent() -> None:
    operator = [*voice(100), *noise(120)]
    client = [*noise(125), *voice(40, -36), *noise(55)]
    _, opened = both(operator, client)
    assert len(opened) == 1
    assert 125 <= opened[0] <= 137


def test_in_a_call_a_leak_of_the_greeting_does_not_begin_the_dialogue() -> None:
    session = CallSession(Settings(), RATE)
    actions = [a for pair in zip(*leaked(8, -26), strict=True) for a in session.feed(*pair)]
    assert [str(a.phase) for a in actions if isinstance(a, PhaseChanged)] == ["greeting"]
