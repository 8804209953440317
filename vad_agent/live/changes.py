"""The status as one line for each change: for a pipe, a log, a terminal without a cursor."""

from __future__ import annotations

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.live import words
from vad_agent.live.screen import ORDER, safe
from vad_agent.live.status import Status


class Changes:
    """What has changed since it was last asked, one line each: for a pipe, or a terminal without a cursor."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._last: object = None

    def lines(self, status: Status, question: str = "") -> list[str]:
        """New lines, the oldest first. `question`: what the operator is asked."""
        messages = tuple(status.messages)
        seen = next((i for i in range(len(messages), 0, -1) if messages[i - 1] is self._last), 0)
        new = [f"{words.clock(at)}  {what}" for at, what in messages[seen:]]
        if messages:
            self._last = messages[-1]
        now = words.clock(status.call_s)
        topics = _topics(status) | {"question": question}
        for topic, text in topics.items():
            if text and text != self._told.get(topic):
                new.append(f"{now}  {text}")
        self._told = topics
        return [safe(line) for line in new]


def _topics(status: Status) -> dict[str, str]:
    """What is worth a line when it changes; not the levels, and not who speaks."""
    topics = {
        "phase": words.NO_CALL if status.phase is None else words.PHASES[status.phase],
        "suspended": next(
            (told for why, told in words.SUSPENDED.items() if why in status.suspended), ""
        ),
        "callback": status.callback or "",
        "hang_up": words.HANG_UP if status.hang_up else "",
        "voice": f"{words.VOICE_PROBLEM}: {status.voice_problem}" if status.voice_problem else "",
    }
    for channel in ORDER:
        told, kind = words.state(channel, status.sides[channel])
        shown = kind in ("bad", "odd")
        topics[channel.value] = f"{words.SIDES[channel]}: {told}" if shown else ""
    if status.mode == "auto" and status.prompt_state is DeviceState.LOST:
        topics["prompt_device"] = words.LOST["prompt"].capitalize()
    if (phrase := status.phrase) is not None:
        title = words.PHRASES.get(phrase.state, "Фраза")
        if phrase.state == "cue":
            title = "СКАЖИТЕ СЕЙЧАС" if phrase.from_s <= 0 else "СКАЖИТЕ"
        topics["phrase"] = f"{title}: «{phrase.text}»"
    return topics
