"""Keeps the open questions about ended calls on the disk, so that the next `listen` asks them again.

    KEY.json     the open questions of one process, replaced as a whole at each change
    KEY.lock     held while that process lives: a later one takes over what an ended one has left

The callback of such a call is in the outbox already. A file that cannot be written or read therefore
costs a question, never a callback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vad_agent.common.private_files import FileLock, private_folder, replacing
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.actions import CallbackRequested, Reason
from vad_agent.errors import OutputError
from vad_agent.headset.status import FarewellQuestion

log = logging.getLogger(__name__)

FOLDER = "questions"
"""In the folder of the outbox, whose callbacks they are about."""
MOST_WAITING = 100
CLOSE_S = 1.0
TIMES = ("began", "ended", "due")


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question, and what an answer needs."""

    question: FarewellQuestion
    asked: CallbackRequested
    callback: str
    """The id under which the callback was requested."""


class OpenQuestionFile:
    """The open questions of one headset of this operator. `keep` does not block."""

    def __init__(self, folder: Path, operator: str) -> None:
        self._folder = folder
        self._operator = operator
        self._path = folder / f"{secrets.token_hex(8)}.json"
        self._lock: FileLock | None = None
        self._writer = WriterThread("questions", self._write, most=MOST_WAITING)

    def left(self, now: datetime) -> list[OpenQuestion]:
        """Take over the questions of this operator whose process has ended, and whose time has not.

        The oldest first. May block: call it once, before the first call.
        """
        found: list[OpenQuestion] = []
        try:
            private_folder(self._folder)
            self._lock = FileLock(self._path.with_suffix(".lock"))
            for path in sorted(self._folder.glob("*.json")):
                with contextlib.suppress(BlockingIOError), _locked(path):
                    found += self._take_over(path, now)
        except (OSError, OutputError) as error:
            log.warning("open questions cannot be kept", extra={"why": type(error).__name__})
        return sorted(found, key=lambda one: one.question.ended)

    def _take_over(self, path: Path, now: datetime) -> list[OpenQuestion]:
        try:
            operator, left = _parsed(path.read_text("utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            operator, left = self._operator, []  # not readable: nothing can be asked
        left = [one for one in left if one.question.due > now]
        if left and operator != self._operator:
            return []
        if left:
            self._write(left)
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)
        return left

    def keep(self, questions: Sequence[OpenQuestion]) -> None:
        """These questions are open now."""
        self._writer.put(questions)

    def finish(self) -> None:
        """Nothing will change any more."""
        self._writer.end()

    def close(self) -> None:
        """Wait briefly until all is written; another `listen` may take over the questions."""
        self._writer.close(CLOSE_S)
        if self._lock is not None:
            self._lock.close()
            if not self._path.exists():
                self._path.with_suffix(".lock").unlink(missing_ok=True)

    def _write(self, questions: Sequence[OpenQuestion]) -> None:
        if not questions:
            self._path.unlink(missing_ok=True)
            return
        told = {"operator": self._operator, "questions": [_fields(one) for one in questions]}
        with replacing(self._path, durable=True) as file:
            file.write(json.dumps(told).encode())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_suffix(".lock"))
    try:
        yield
    finally:
        lock.close()


def _fields(one: OpenQuestion) -> dict[str, Any]:
    question = dataclasses.asdict(one.question)
    for name in TIMES:
        question[name] = question[name].isoformat()
    return {
        "question": question,
        "asked": dataclasses.asdict(one.asked),
        "callback": one.callback,
    }


def _parsed(text: str) -> tuple[str, list[OpenQuestion]]:
    """The operator, and the questions.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: not what `_write` writes.
    """
    told = json.loads(text)
    found = []
    for one in told["questions"]:
        times = {name: datetime.fromisoformat(one["question"][name]) for name in TIMES}
        asked = one["asked"] | {"reason": Reason(one["asked"]["reason"])}
        found.append(
            OpenQuestion(
                FarewellQuestion(**one["question"] | times),
                CallbackRequested(**asked),
                str(one["callback"]),
            )
        )
    return str(told["operator"]), found
