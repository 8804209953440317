"""What the script says of a prompt, at each edge of its window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.core.actions import PromptOutcome
from vad_agent.trace.report.call_timeline import timeline
from vad_agent.trace.window_compliance import Verdict, verdict

OK, BAD, NOTE = Verdict.OK, Verdict.BAD, Verdict.NOTE
SECONDS = st.integers(0, 2000).map(lambda frames: round(frames / 50, 2))


@pytest.mark.parametrize(
    ("silence", "said"), [(1.98, BAD), (2.0, OK), (2.5, OK), (3.0, OK), (3.02, BAD), (0.0, BAD)]
)
@pytest.mark.parametrize("outcome", ["said", "interrupted", "said_by_operator"])
def test_what_sounded_is_right_within_its_window_and_at_its_edges(silence, outcome, said):
    assert verdict(outcome, 7.0, silence, 2.0, 3.0) is said


@pytest.mark.parametrize("silence", [1.0, 2.5, 9.0])
@pytest.mark.parametrize("started", [None, 7.0])
@pytest.mark.parametrize("outcome", ["failed", "missed"])
def test_what_failed_or_was_missed_is_wrong_whenever(outcome, started, silence):
    assert verdict(outcome, started, silence, 2.0, 3.0) is BAD


@pytest.mark.parametrize("silence", [1.0, 2.5, 9.0])
def test_what_made_no_sound_and_was_not_missed_is_of_no_account(silence):
    assert verdict("interrupted", None, silence, 2.0, 3.0) is NOTE


@given(st.sampled_from(PromptOutcome), st.none() | SECONDS, SECONDS, SECONDS, SECONDS)
def test_the_report_says_the_same(outcome, started, silence, lo, hi):
    line = {
        "t": 40.0,
        "kind": "prompt",
        "id": "not_heard",
        "text": "…",
        "window_s": [lo, hi],
        "silence_s": silence,
        "started_s": started,
        "ended_s": started,
        "outcome": outcome.value,
    }
    [prompt] = timeline([line]).prompts
    assert prompt.verdict is verdict(outcome.value, started, silence, lo, hi)
