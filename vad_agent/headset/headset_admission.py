"""Asks the operator whether another headset of their login may take over at the desk.

    the desk asks ─> question on the screen and the page ─┬─ yes ─> it takes over; this one is no longer shown
                                                          └─ no, or no answer ─> it is refused

A call goes on in any case, and its callbacks are stored: only the desk's view of it is concerned.
"""

from __future__ import annotations

from collections.abc import Callable

from vad_agent.headset.status import HeadsetQuestion, Status


class HeadsetAdmission:
    """`AskOperator` of the status's readers. Any thread may call its methods."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._asked: tuple[str, Callable[[bool], None]] | None = None

    def ask(self, id: str, address: str, answer: Callable[[bool], None]) -> None:
        """Show the question."""
        self._asked = (id, answer)
        self._status.headset_question = HeadsetQuestion(id, address)

    def over(self, id: str) -> None:
        """Remove the question."""
        if self._asked is not None and self._asked[0] == id:
            self._asked = None
            self._status.headset_question = None

    def answer(self, yes: bool) -> None:
        """Pass the operator's answer on; without a question nothing happens."""
        if (asked := self._asked) is not None:
            self.over(asked[0])
            asked[1](yes)
