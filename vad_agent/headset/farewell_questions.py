"""Asks the operator about a call whose end nobody has reported: did they say goodbye?

    a call ends, its callback unconfirmed ─> question ─┬─ yes ─────> the callback is withdrawn
    (the request is in the outbox already)             ├─ no ──────> it is due at once: the call dropped
                                                       └─ no answer until it is due ─> it stands

The callback is requested before the call's record is closed, due later. Only an answer changes it: if
this program is killed while a question is open, the desk makes the callback, marked as unconfirmed. A
`listen` that is started before asks the question again (`open_question_file.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from vad_agent.core import actions as act
from vad_agent.core.actions import Action, Reason
from vad_agent.core.callback_request import revised
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel
from vad_agent.core.script import Script
from vad_agent.headset import messages_ru
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.open_question_file import OpenQuestion, OpenQuestionFile
from vad_agent.headset.status import FarewellQuestion


class FarewellQuestions:
    """An action sink that keeps the open questions, and takes their answers.

    `publish(call, actions)`: called with what an answer changes, for a call that is over. `report`:
    called with messages for the operator. `callbacks`: an earlier sink that requests the callbacks.
    Questions that the last `listen` has left in the `journal` are open; without one, nothing is kept.
    All methods are for the loop's thread.
    """

    def __init__(
        self,
        script: Script,
        publish: Callable[[str, Sequence[Action]], None],
        report: Callable[[str], None],
        callbacks: CallbackPublisher,
        journal: OpenQuestionFile | None = None,
        *,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._script = script
        self._publish = publish
        self._report = report
        self._now = now
        self._call = ""
        self._began = now()
        self._on = False
        self._asked: act.CallbackRequested | None = None
        self._callbacks = callbacks
        self._journal = journal
        self._open: dict[str, OpenQuestion] = {}  # the newest last
        for left in journal.left(self._began) if journal is not None else ():
            self._open[left.question.id] = left
            callbacks.adopt(left.question.id, left.callback)

    # -- the calls ---------------------------------------------------------------------------------

    def begin(self, call: str, began: datetime) -> None:
        """The following actions belong to this call."""
        self._call, self._began, self._on, self._asked = call, began, True, None

    def take(self, actions: Sequence[Action]) -> None:
        """Note whether the call's callback is requested, and for which reason."""
        for action in actions:
            if isinstance(action, act.CallbackRequested):
                self._asked = action
            elif isinstance(action, act.CallbackWithdrawn):
                self._asked = None
                if not self._on:  # the call that had ended goes on
                    self._take_out(self._call)

    def end(self) -> None:
        """The call is over: ask about it, if its callback is unconfirmed."""
        asked, self._asked, self._on = self._asked, None, False
        if asked is None or asked.reason is not Reason.UNCONFIRMED:
            return
        ended = self._now()
        question = FarewellQuestion(
            id=self._call,
            began=self._began,
            ended=ended,
            due=ended + timedelta(seconds=asked.due_in_s or 0.0),
            client_name=asked.name,
        )
        self._open[question.id] = OpenQuestion(question, asked, self._callbacks.call)
        self._keep()

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Do nothing: these actions come from here."""

    def close(self) -> None:
        """The program ends: report the unanswered questions to the operator."""
        for one in self.waiting():
            self._report(messages_ru.unanswered(one))

    # -- the questions -----------------------------------------------------------------------------

    def waiting(self) -> tuple[FarewellQuestion, ...]:
        """The open questions, the newest first. One whose callback is due is no longer asked."""
        now = self._now()
        for one in [one.question for one in self._open.values() if one.question.due <= now]:
            self._take_out(one.id)
            self._report(messages_ru.unanswered(one))
        return tuple(one.question for one in reversed(self._open.values()))

    def answer(self, event: Event, *, in_call: bool) -> bool:
        """Take the event, if it answers a question. Without an id it answers the newest one, unless a
        call is on.

        A goodbye, or a hangup by the operator, is a yes; another hangup is a no.
        """
        if event.kind not in (EventKind.GOODBYE, EventKind.HANGUP):
            return False
        if event.question is None and (in_call or not self._open):
            return False
        found = self._take_out(event.question or next(reversed(self._open)))
        if found is None:
            self._report(messages_ru.ANSWERED_LATE)
            return True
        asked = found.asked
        if event.kind is EventKind.GOODBYE or event.party == Channel.OPERATOR.value:
            action: Action = act.CallbackWithdrawn(asked.frame, asked.reason)
        else:
            action = revised(self._script, asked, Reason.DROPPED)
        self._publish(found.question.id, [action])
        return True

    def _take_out(self, id: str) -> OpenQuestion | None:
        if (found := self._open.pop(id, None)) is not None:
            self._keep()
        return found

    def _keep(self) -> None:
        if self._journal is not None:
            self._journal.keep(tuple(self._open.values()))
