"""A call's trace for a person at a terminal: one line per important event, in real time.

  0:07.28  ✓ prompt    greeting_again  after 2.50 s (2–3 s)  said  «Здравствуйте! …»

✓ in its window, ✗ outside of it, or not said. Times of speech and prompts are those of the sound.
"""

from __future__ import annotations

from rich.text import Text

from vad_agent.core import actions as act
from vad_agent.core.frames import seconds

_GOOD = (act.PromptOutcome.SAID, act.PromptOutcome.SAID_BY_OPERATOR)


def clock(frame: int) -> str:
    """A frame number as minutes and seconds."""
    minutes, rest = divmod(seconds(frame), 60)
    return f"{int(minutes):3d}:{rest:05.2f}"


def line(action: act.Action, *, speech: bool = True) -> Text | None:
    """The action as a line of the timeline; None if it is not shown."""
    match action:
        case act.PhaseChanged(phase=phase):
            return _row(action.frame, " ", "phase", phase.value, style="bold cyan")
        case act.Speech(channel=channel, start=start, end=end):
            if not speech:
                return None
            what = (
                f"{channel.value:<8}   until {clock(end).strip()}  ({seconds(end - start):.2f} s)"
            )
            return _row(start, " ", "speech", what, style="dim")
        case act.LineChanged(channel=channel, state=state, since=since):
            return _row(since, " ", "line", f"{channel.value:<8}   {state.value}", style="dim")
        case act.PromptDone():
            return _prompt(action)
        case act.Cue(prompt=prompt, text=text, lo=lo, hi=hi):
            when = f"to be said between {clock(lo).strip()} and {clock(hi).strip()}"
            return _row(action.frame, "→", "cue", f"{prompt}  {when}  «{text}»", style="yellow")
        case act.CallbackRequested(reason=reason, due_in_s=due, opening=opening):
            kind = "revised" if isinstance(action, act.CallbackRevised) else "callback"
            what = f"{reason.value}  {_due(due, action.at)}  «{opening}»"
            return _row(action.frame, "☎", kind, what, style="bold magenta")
        case act.CallbackWithdrawn(reason=reason):
            what = f"{reason.value}  withdrawn: the client came back and the call ended well"
            return _row(action.frame, "☎", "callback", what, style="magenta")
        case act.Hangup(reason=reason):
            return _row(action.frame, "■", "hangup", reason.value, style="bold red")
        case act.Alert(id=name):
            return _row(action.frame, "!", "alert", name, style="bold yellow")
    return None


def _row(frame: int, mark: str, kind: str, what: str, style: str) -> Text:
    return Text.assemble((f"{clock(frame)}  ", "dim"), (f"{mark} {kind:<9} ", style), what)


def _prompt(done: act.PromptDone) -> Text:
    inside = done.lo <= done.silence <= done.hi
    good = inside and done.outcome in (*_GOOD, act.PromptOutcome.INTERRUPTED)
    window = f"{seconds(done.lo):g}–{seconds(done.hi):g} s"
    what = (
        f"{done.prompt}  after {seconds(done.silence):.2f} s ({window})  {done.outcome.value}"
        f"  «{done.text}»"
    )
    frame = done.frame if done.started is None else done.started
    return _row(frame, "✓" if good else "✗", "prompt", what, "green" if good else "bold red")


def _due(due_in_s: float | None, at: str | None) -> str:
    if at is not None:
        return f"at {at}"
    if due_in_s is None:
        return "at the agreed time"
    return "at once" if due_in_s == 0 else f"in {due_in_s:g} s"
