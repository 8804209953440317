"""Writes the status: the session's actions in the operator's words, and the state after each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.audio.devices import DeviceRole
from vad_agent.audio.jitter_buffer import Pair
from vad_agent.audio.pcm import peak, rms, to_dbfs
from vad_agent.core import actions as act
from vad_agent.core.actions import Action, LineState, Phase, Reason
from vad_agent.core.frames import SAMPLE_BYTES, Channel, seconds
from vad_agent.core.session_snapshot import SessionSnapshot
from vad_agent.headset import messages_ru
from vad_agent.headset.loop import Loop
from vad_agent.headset.noise_gate import NoiseGate
from vad_agent.headset.status import FarewellQuestion, PhraseStatus, Status
from vad_agent.trace import labels_ru

EVERY = 10
"""Frames between two updates: 0.2 s. The pages run their clocks and meters in between."""
QUIETEST_DB = -100.0
FALL_DB = 4.0
"""dB by which a displayed level falls per update, so that a word stays visible."""
IDLE = (LineState.DIGITAL_ZERO, LineState.NO_MEDIA)
ALERTS = {
    **labels_ru.ALERTS,
    "operator_device_lost": "микрофон отключён",
    "operator_device_back": "микрофон снова на месте",
    "client_device_lost": "наушники отключены",
    "client_device_back": "наушники снова на месте",
    "prompt_device_lost": "вывод фраз отключён: фразы говорите сами",
    "prompt_device_back": "вывод фраз снова на месте",
}


class StatusPresenter:
    """Keeps one status up to date. `questions`: returns the open questions about ended calls."""

    def __init__(
        self,
        status: Status,
        questions: Callable[[], tuple[FarewellQuestion, ...]] = lambda: (),
    ) -> None:
        self._status = status
        self._questions = questions
        self._look_in = 1
        self._refused = 0
        self._changed: tuple[Callable[[], None], ...] = ()
        self._update_requested = False
        self._spoke = (False, False)
        self._gate = NoiseGate()
        self._next_phone: str | None = None

    def on_update(self, changed: Callable[[], None]) -> None:
        """Register a function to be called after each update, and update at once on a change.

        It must not block.
        """
        self._changed += (changed,)

    def request_update(self) -> None:
        """Something has happened: update after the next frame."""
        self._update_requested = True

    # -- actions
    # -----------------------------------------------------------------------------------------

    def begin(self, call: str, began: datetime) -> None:
        """A call begins: clear the state of the previous one."""
        self._status.hang_up, self._status.callback = False, None
        self._status.client_name = None
        self._status.client_phone, self._next_phone = self._next_phone, None

    def answered(self, phone: str | None) -> None:
        """The client's number came with the answer; the call may not have begun yet."""
        self._next_phone = phone
        self._status.client_phone = phone or self._status.client_phone

    def end(self) -> None:
        """The call is over; what is left to do stays on the screen."""
        self._next_phone = None

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Show what the answer to a question about an ended call has changed."""
        self._update_requested = True
        for action in actions:
            text = messages_ru.SAID_GOODBYE
            if isinstance(action, act.CallbackRequested):
                why = labels_ru.REASONS[action.reason.value]
                text = f"перезвон {labels_ru.due(action.due_in_s, action.at)}: {why}"
            self._status.messages.append((self._status.call_s, text))

    def take(self, actions: Sequence[Action]) -> None:
        """Show the operator the actions that concern them."""
        self._update_requested = True
        for action in actions:
            if (text := self._text_of(action)) is not None:
                self._status.messages.append((seconds(action.frame), text))

    def _text_of(self, action: Action) -> str | None:
        status = self._status
        match action:
            case act.PhaseChanged(phase=Phase.GREETING):
                return "звонок начался"
            case act.PhaseChanged(phase=Phase.ENDED):
                return "звонок завершён"
            case act.PromptDone():
                said = labels_ru.OUTCOMES[action.outcome.value]
                return (
                    f"{said} после {labels_ru.number(seconds(action.silence))} с: «{action.text}»"
                )
            case act.CallbackRequested(reason=Reason.UNCONFIRMED):
                status.callback = None  # the question is shown instead
                return "линии больше нет: попрощались ли, не сказано"
            case act.CallbackRequested(reason=reason, due_in_s=due_in_s, opening=opening, at=at):
                why = labels_ru.REASONS[reason.value]
                when = labels_ru.due(due_in_s, at)
                status.callback = f"Перезвонить {when} ({why}): «{opening}»"
                return f"перезвон {when}: {why}"
            case act.CallbackWithdrawn():
                status.callback = None
                return "перезвон больше не нужен"
            case act.Hangup(reason=reason):
                status.hang_up = True
                return f"звонок закончить: {labels_ru.REASONS[reason.value]}"
            case act.Alert(id=name):
                return ALERTS.get(name, labels_ru.ALERTS.get(name, name))
        return None

    # -- state
    # -------------------------------------------------------------------------------------------

    def look(self, loop: Loop, pair: Pair) -> None:
        """Update after a frame. `pair`: as the session got it, without our own prompts."""
        self._look_in -= 1
        if self._look_in > 0 and not (self._changed and self._is_news(loop)):
            return
        self._look_in, self._update_requested = EVERY, False
        if loop.refused != self._refused:
            self._refused = loop.refused
            self._status.messages.append((self._status.call_s, "событие не принято: оно неверно"))
        self._sides(loop, pair)
        self._call(loop)
        self._status.questions = self._questions()
        for changed in self._changed:
            changed()

    def _is_news(self, loop: Loop) -> bool:
        """Something was said or done, or a side has begun or ceased to speak.

        Runs in each frame, so it is cheap.
        """
        endpointers = loop.tracker.session or loop.tracker
        spoke = endpointers.speaking(Channel.OPERATOR), endpointers.speaking(Channel.CLIENT)
        if spoke == self._spoke:
            return self._update_requested
        self._spoke = spoke
        return True

    def _sides(self, loop: Loop, pair: Pair) -> None:
        headset, session = loop.headset, loop.tracker.session
        if headset is None:
            return
        for channel, frame in ((Channel.OPERATOR, pair.operator), (Channel.CLIENT, pair.client)):
            side, lane = self._status.sides[channel], headset.lane(channel)
            side.state = headset.state(channel)
            level = QUIETEST_DB
            if frame and peak(frame, SAMPLE_BYTES):
                level = to_dbfs(rms(frame, SAMPLE_BYTES))
            side.level_db = max(level, side.level_db - FALL_DB, QUIETEST_DB)
            endpointers = session if session is not None else loop.tracker
            side.speaking, side.line = endpointers.speaking(channel), endpointers.line(channel)
            if channel is Channel.OPERATOR:
                if side.state is DeviceState.LOST:
                    self._gate.lost()
                side.line = self._gate.look(side.line, side.speaking, pair.slot)
            side.late, side.missing, side.overruns = lane.late, lane.missing, lane.overruns
        if loop.prompt_player is not None:
            self._status.prompt_state = loop.prompt_player.player.state
        self._status.voice_lost = DeviceRole.PROMPT.value in loop.tracker.standing

    def _call(self, loop: Loop) -> None:
        status, session = self._status, loop.tracker.session
        status.guessed = loop.tracker.guessed
        if (goodbye := loop.tracker.goodbye) != status.goodbye:
            status.goodbye = goodbye
            if session is not None:
                text = messages_ru.GOODBYE if goodbye else messages_ru.GOODBYE_UNDONE
                status.messages.append((seconds(session.now), text))
        if session is None:
            if status.sides[Channel.CLIENT].line in IDLE:
                status.hang_up = False  # the operator has hung up
            status.phase = status.silence_s = status.window_s = status.phrase = None
            status.upcoming = status.after = None
            status.suspended, status.held = (), False
            return
        status.phase, status.call_s = session.phase, seconds(session.now)
        watch = session.watch
        status.suspended, status.held = watch.suspended, watch.held
        status.silence_s = None if watch.silence is None else seconds(watch.silence)
        status.window_s = None
        if watch.lo is not None and watch.hi is not None:
            status.window_s = seconds(watch.lo), seconds(watch.hi)
        status.phrase = self._phrase(watch, session.now)
        status.upcoming = _upcoming(watch)
        status.after = None if watch.prompt is None else "" if watch.ends else watch.next_text

    def _phrase(self, watch: SessionSnapshot, now: int) -> PhraseStatus | None:
        if watch.prompt_text is None or watch.prompt_state is None:
            return None
        lo, hi = watch.prompt_lo or 0, watch.prompt_hi or 0
        state = "cue" if watch.prompt_state == "cued" else watch.prompt_state
        return PhraseStatus(watch.prompt_text, state, seconds(lo - now), seconds(hi - now))


def _upcoming(watch: SessionSnapshot) -> PhraseStatus | None:
    if watch.prompt is not None or watch.next_text is None or watch.silence is None:
        return None
    if watch.lo is None or watch.hi is None:
        return None
    lo, hi = watch.lo - watch.silence, watch.hi - watch.silence
    return PhraseStatus(watch.next_text, "next", seconds(lo), seconds(hi))
