"""Renders a phrase in short-lived processes; see `text_to_speech_worker`.

Engines sometimes ignore the rate or omit a part of the text, without an error. The phrase is
therefore rendered again, only to measure its length, until two lengths agree.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vad_agent.errors import VoiceError

TRIES = 3
"""Failures of the engine, and lengths that agree with no other, after which rendering fails."""
ALIKE = 0.03
"""Share by which two lengths of one phrase may differ; another rate differs by a quarter."""
CHILD = "vad_agent.speech.text_to_speech_worker"
LIMIT_S = 30.0
"""Seconds. A phrase takes one, mostly for the process's start, and ten on a machine that is busy
with ten other programs; an engine may hang for ever.
"""


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """A request to render a phrase."""

    text: str
    voice: str
    rate_wpm: int
    lufs: float
    recording: str | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine that rendered it. `files`: path → [mtime in ns, size], by which a change is detected."""

    name: str
    files: dict[str, list[int]] = field(default_factory=dict)


def render(
    request: SynthesisRequest,
    out: Path,
    *,
    limit_s: float = LIMIT_S,
    check: bool = True,
    command: Sequence[str] | None = None,
    started: Callable[[subprocess.Popen[bytes]], None] = lambda child: None,
) -> Engine:
    """Render to the WAV file `out`. `started` is called with each worker process, so that `end` can
    kill it. `check`: not before another rendering has the same length.

    Raises:
        VoiceError: no engine, no voice, silence, not within `limit_s`, or each time another length.
    """
    body = {
        "text": request.text,
        "voice": request.voice,
        "rate_wpm": request.rate_wpm,
        "lufs": request.lufs,
        "recording": request.recording,
        "out": str(out),
    }

    def once(**more: object) -> dict[str, Any]:
        """The answer of a worker; TRIES times, if the engine fails."""
        for _ in range(TRIES):
            answer = _once(json.dumps({**body, **more}).encode(), limit_s, command, started)
            if not answer.get("again"):
                break
        if answer["problem"] is not None:
            raise VoiceError(str(answer["problem"]))
        return answer

    lengths: list[float] = []
    for _ in range(TRIES):
        answer = once()
        engine = Engine(answer["engine"], answer["files"])
        if request.recording is not None or not check:
            return engine
        rendered: float = answer["seconds"]
        if not any(abs(rendered / other - 1) <= ALIKE for other in lengths):
            lengths += rendered, once(measure=True)["seconds"]
            if abs(rendered / lengths[-1] - 1) > ALIKE:
                continue
        return engine
    told_s = ", ".join(f"{length:.1f}" for length in lengths)
    raise VoiceError(
        f"the speech engine renders the phrase in another length each time: {told_s} s"
    )


def _once(
    body: bytes,
    limit_s: float,
    command: Sequence[str] | None,
    started: Callable[[subprocess.Popen[bytes]], None],
) -> dict[str, Any]:
    try:
        child = subprocess.Popen(
            command or [sys.executable, "-m", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that an engine's own processes end with it
        )
    except OSError as error:
        raise VoiceError(f"the speech engine cannot be started: {error.strerror}") from error
    with child:
        started(child)
        try:
            output, complaint = child.communicate(body, timeout=limit_s)
        except subprocess.TimeoutExpired:
            end(child)
            late = f"the speech engine did not answer within {limit_s:g} s"
            return {"problem": late, "again": True}
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:]
        why = last[0] if last else f"status {child.returncode}"
        return {"problem": f"the speech engine broke off: {why}", "again": True}
    return answer


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill the worker and all processes that it has started."""
    if sys.platform != "win32":
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
