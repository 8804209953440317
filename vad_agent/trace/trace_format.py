"""The trace format: actions as JSON lines, the same for a replay and a live call.

One object per line: `t` (seconds), `kind`, and the kind's fields. Times are seconds counted from
the first frame fed, multiples of 0.02. A callback's name, phone and topic are not written: only the
store has them. The client's name occurs only within spoken prompts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from vad_agent.core import actions as act
from vad_agent.core.frames import seconds
from vad_agent.errors import OutputError


def record(action: act.Action) -> dict[str, object] | None:
    """The action as its JSON object; None for an action without a line."""
    line: dict[str, object] = {"t": seconds(action.frame)}
    match action:
        case act.PhaseChanged(phase=phase, detector_missing=missing):
            line |= {"kind": "phase", "phase": phase.value}
            line |= {"detector_missing": missing} if missing else {}
        case act.Speech(channel=channel, start=start, end=end):
            line |= {
                "kind": "speech",
                "channel": channel.value,
                "start_s": seconds(start),
                "end_s": seconds(end),
            }
        case act.LineChanged(channel=channel, state=state, since=since):
            line |= {
                "kind": "line",
                "channel": channel.value,
                "state": state.value,
                "since_s": seconds(since),
            }
        case act.PromptDone():
            line |= {
                "kind": "prompt",
                "id": action.prompt,
                "text": action.text,
                "window_s": [seconds(action.lo), seconds(action.hi)],
                "silence_s": seconds(action.silence),
                "started_s": _optional(action.started),
                "ended_s": _optional(action.ended),
                "outcome": action.outcome.value,
            }
        case act.CallbackRevised():
            line |= {"kind": "callback_revised"} | _callback(action)
        case act.CallbackRequested():
            line |= {"kind": "callback"} | _callback(action)
        case act.CallbackWithdrawn(reason=reason):
            line |= {"kind": "callback_withdrawn", "reason": reason.value}
        case act.Hangup(reason=reason):
            line |= {"kind": "hangup", "reason": reason.value}
        case act.Alert(id=name):
            line |= {"kind": "alert", "id": name}
        case act.Cue(prompt=prompt, text=text, lo=lo, hi=hi):
            line |= {
                "kind": "cue",
                "id": prompt,
                "text": text,
                "from_s": seconds(lo),
                "to_s": seconds(hi),
            }
        case act.Play() | act.Stop() | act.Dismiss():
            return None  # the prompt's line reports the outcome
        case _:
            raise AssertionError(f"an action without a trace line: {action!r}")
    return line


def _optional(frame: int | None) -> float | None:
    return None if frame is None else seconds(frame)


def _callback(action: act.CallbackRequested) -> dict[str, object]:
    line: dict[str, object] = {
        "reason": action.reason.value,
        "due_in_s": action.due_in_s,
        "opening": action.opening,
    }
    return line | ({"at": action.at} if action.at else {})


class Trace:
    """Writes actions in real time, one line each.

    Raises:
        OutputError: on write, if the file cannot be written (no space).
        BrokenPipeError: on write, if nobody reads any more.
    """

    def __init__(self, out: TextIO, name: str) -> None:
        self._out = out
        self._name = name

    def write(self, actions: Iterable[act.Action]) -> None:
        """Append the actions in order."""
        try:
            for action in actions:
                if (line := record(action)) is not None:
                    self._out.write(json.dumps(line, ensure_ascii=False) + "\n")
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{self._name}: cannot write the trace: {error.strerror}") from error
