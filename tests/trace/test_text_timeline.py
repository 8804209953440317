"""The timeline: what a person reads at a terminal, line for line."""

from __future__ import annotations

import pytest

from tests.trace.test_trace_format import EXAMPLES
from vad_agent.core import actions as act
from vad_agent.core.actions import PromptOutcome, Reason
from vad_agent.trace.text_timeline import clock, line

EXPECTED = {
    act.PhaseChanged: "  0:00.02    phase     greeting",
    act.Speech: "  0:00.22    speech    client     until 0:00.94  (0.72 s)",
    act.LineChanged: "  0:00.06    line      client     digital_zero",
    act.Cue: "  0:01.80  → cue       not_heard  to be said between 0:02.00 and 0:03.00  «Вас не слышно»",
    act.PromptDone: "  0:03.70  ✓ prompt    not_heard  after 2.54 s (2–3 s)  said  «Вас не слышно»",
    act.CallbackRequested: "  0:06.00  ☎ callback  agreed  at 2030-05-14T15:00:00+03:00  "
    "«Здравствуйте, Анна»",
    act.CallbackRevised: "  0:06.02  ☎ revised   agreed  at 2030-05-14T15:00:00+03:00  «Здравствуйте, Анна»",
    act.CallbackWithdrawn: "  0:06.20  ☎ callback  silence_in_dialogue  "
    "withdrawn: the client came back and the call ended well",
    act.Hangup: "  0:06.22  ■ hangup    dropped",
    act.Alert: "  0:05.00  ! alert     no_greeting",
    # What they lead to is told by the prompt's line.
    act.Play: None,
    act.Stop: None,
    act.Dismiss: None,
}


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: type(action).__name__)
def test_every_action_is_a_line_or_left_out_on_purpose(action: act.Action) -> None:
    text = line(action)
    assert (text and text.plain) == EXPECTED[type(action)]


def test_runs_of_speech_can_be_left_out() -> None:
    speech = next(one for one in EXAMPLES if isinstance(one, act.Speech))
    assert line(speech, speech=False) is None


@pytest.mark.parametrize(
    ("silence", "outcome", "mark"),
    [
        (99, PromptOutcome.SAID, "✗"),
        (100, PromptOutcome.SAID, "✓"),
        (150, PromptOutcome.SAID, "✓"),
        (151, PromptOutcome.SAID, "✗"),
        (120, PromptOutcome.SAID_BY_OPERATOR, "✓"),
        (151, PromptOutcome.SAID_BY_OPERATOR, "✗"),
        (120, PromptOutcome.INTERRUPTED, "✓"),
        (151, PromptOutcome.INTERRUPTED, "✗"),
        (120, PromptOutcome.FAILED, "✗"),
        (120, PromptOutcome.MISSED, "✗"),
    ],
)
def test_the_mark_tells_whether_the_phrase_was_in_its_window(
    silence: int, outcome: PromptOutcome, mark: str
) -> None:
    started = None if outcome is PromptOutcome.MISSED else 500
    done = act.PromptDone(600, "not_heard", "…", 100, 150, silence, started, 600, outcome)
    text = line(done)
    assert text is not None
    assert text.plain[11] == mark
    assert text.plain.startswith("  0:10.00" if started else "  0:12.00")


@pytest.mark.parametrize(
    ("due", "at", "told"),
    [
        (0.0, None, "at once"),
        (90.0, None, "in 90 s"),
        (None, None, "at the agreed time"),
        (3600.0, "2030-05-14T15:00", "at 2030-05-14T15:00"),
    ],
)
def test_when_the_callback_is_due(due: float | None, at: str | None, told: str) -> None:
    text = line(act.CallbackRequested(1, Reason.AGREED, due, "Здравствуйте", at=at))
    assert text is not None
    assert f"agreed  {told}  «" in text.plain


@pytest.mark.parametrize(
    ("frame", "told"),
    [(0, "  0:00.00"), (2_999, "  0:59.98"), (3_000, "  1:00.00"), (1_800_000, "600:00.00")],
)
def test_the_clock(frame: int, told: str) -> None:
    assert clock(frame) == told


def test_brackets_of_a_phrase_are_no_markup() -> None:
    text = line(act.Cue(1, "not_heard", "[bold]алло[/x]", 1, 2))
    assert text is not None
    assert text.plain.endswith("«[bold]алло[/x]»")
