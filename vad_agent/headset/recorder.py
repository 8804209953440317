"""Records a call for a replay: its sound, the session's events and actions, the script.

    session ── Tap ─┬─ frames ──┐                        NAME.flac           operator left, client right
                    ├─ events ──┼─> queue ─> a thread ─> NAME.events.jsonl   `t`: frames fed by then
                    └─ actions ─┘                        NAME.trace.jsonl, NAME.script.toml

    vad-agent replay NAME.flac --events NAME.events.jsonl --script NAME.script.toml

reproduces NAME.trace.jsonl line for line.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vad_agent import __version__
from vad_agent.common.private_files import (
    LineFile,
    ReportProblem,
    open_private,
    private_folder,
    why,
)
from vad_agent.common.writer_thread import WriterThread
from vad_agent.core.actions import Action, Phase
from vad_agent.core.events import Event
from vad_agent.core.frames import FRAMES_PER_SECOND, Channel, FrameInput, samples_per_frame, seconds
from vad_agent.core.session import CallSession
from vad_agent.errors import OutputError
from vad_agent.script.settings import Settings
from vad_agent.trace.trace_format import record

if TYPE_CHECKING:
    from vad_agent.script.settings import Settings


SAMPLE_RATE = 16_000
"""Sample rate of a live session, Hz."""
MOST_WAITING = 30 * FRAMES_PER_SECOND
"""Frames that wait for a slow disk (2 MB); event lines may still be added beyond it."""
LONGEST_GAP = 10 * FRAMES_PER_SECOND
"""A longer gap is recorded in parts, so that a crash loses little of it."""
SOUND, EVENTS, TRACE, SCRIPT = ".flac", ".events.jsonl", ".trace.jsonl", ".script.toml"

_Pair = tuple[int, bytes | None, bytes | None]
_Told = tuple[str, Mapping[str, object]]


class CallRecorder:
    """Records one call to files of `folder`, which is created if needed.

    `name`: of the files, without a suffix; if it is taken they are called NAME-2, …. `report`:
    called with problems, from this object's own thread. Nothing raises, and only `close` waits for
    the disk.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Settings,
        mode: str,
        report: ReportProblem,
        *,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        self.lost = 0
        """Frames that were not recorded because the disk was too slow."""
        self._folder = folder
        self._name = name
        self._settings = settings
        self._report = report
        self._sample_rate = sample_rate
        self._lost_lines = 0
        self._files: _Files | None = None
        self._broken = False
        self._fed = 0
        self._gaps: dict[Channel, int] = {}  # the frame at which a gap began
        self._closed = False
        self._writer: WriterThread[_Pair | _Told] = WriterThread(
            f"record {name}", self._write, most=2 * MOST_WAITING, finish=self._finish
        )
        self._put_line(EVENTS, {"t": 0.0, "kind": "recorded", "mode": mode, "version": __version__})

    # -- the loop's thread -------------------------------------------------------------------------

    def frame(self, operator: FrameInput, client: FrameInput) -> None:
        """Record a pair of frames that the session was fed. None: no frame arrived."""
        if self._closed:
            return
        number, self._fed = self._fed, self._fed + 1
        left = None if operator is None else bytes(operator)
        right = None if client is None else bytes(client)
        if self._writer.waiting >= MOST_WAITING:
            left = right = None
            self.lost += 1
        self._note_gap(Channel.OPERATOR, number, left is None)
        self._note_gap(Channel.CLIENT, number, right is None)
        if left is not None or right is not None:
            self._writer.put((number, left, right))

    def _note_gap(self, party: Channel, number: int, missing: bool) -> None:
        since = self._gaps.get(party)
        if since is None:
            if missing:
                self._gaps[party] = number
        elif not missing or number - since >= LONGEST_GAP:
            self._end_gap(party, number)
            if missing:
                self._gaps[party] = number

    def _end_gap(self, party: Channel, until: int) -> None:
        since = seconds(self._gaps.pop(party))
        line = {"t": since, "kind": "gap", "party": party.value, "until": seconds(until)}
        self._put_line(EVENTS, line)

    def signal(self, frame: int, event: Event) -> None:
        """Record an event that the session got when `frame` frames were fed."""
        self._put_line(EVENTS, {"t": seconds(frame)} | event.to_dict())

    def take(self, actions: Sequence[Action]) -> None:
        """Record the session's actions, in order."""
        for action in actions:
            if (line := record(action)) is not None:
                self._put_line(TRACE, line)

    def _put_line(self, ending: str, line: Mapping[str, object]) -> None:
        if not self._closed and not self._writer.put((ending, line)):
            self._lost_lines += 1  # the queue is this long only after a long stall of the disk

    def finish(self) -> None:
        """The call is over; the remaining data is written and the files closed in the background."""
        if not self._closed:
            for party in list(self._gaps):
                self._end_gap(party, self._fed)
            self._closed = True
            self._writer.end()

    def close(self, limit_s: float | None = None) -> bool:
        """Finish, and wait until the files are complete.

        False: they are not, `limit_s` seconds after `finish`.
        """
        self.finish()
        return self._writer.close(limit_s)

    # -- writer thread
    # -------------------------------------------------------------------------------

    def _write(self, item: _Pair | _Told) -> None:
        if self._files is None and not self._broken:
            self._open()
        if self._files is not None:
            self._files.write(item)

    def _open(self) -> None:
        try:
            self._files = _Files(
                self._folder, self._name, self._settings, self._sample_rate, self._report
            )
        except OutputError as error:
            self._report(f"звонок не записывается: {error}")
            self._broken = True

    def _finish(self) -> None:
        if self._files is not None:
            self._files.close(self._fed)
        path = self._folder / self._name
        if self.lost:
            lost = f"{seconds(self.lost):g} с звонка в записи тишина"
            self._report(f"{path}: диск не успевал: {lost}")
        if self._lost_lines:
            self._report(f"{path}: диск не успевал: пропало строк: {self._lost_lines}")


class _Files:
    """The four files of a call.

    Raises:
        OutputError: they cannot be created.
    """

    def __init__(
        self, folder: Path, name: str, settings: Settings, sample_rate: int, report: ReportProblem
    ) -> None:
        private_folder(folder)
        base = _free(folder, name)
        script = Path(f"{base}{SCRIPT}")
        try:
            with open_private(script, "xb") as file:
                file.write(settings.to_toml().encode())
        except OSError as error:
            raise OutputError(f"{script}: cannot write the script: {why(error)}") from error
        self._sound = CallSound(Path(f"{base}{SOUND}"), sample_rate, report)
        self._lines = {
            EVENTS: LineFile(Path(f"{base}{EVENTS}"), "call's events", report, mode="xb"),
            TRACE: LineFile(Path(f"{base}{TRACE}"), "call's trace", report, mode="xb"),
        }

    def write(self, item: _Pair | _Told) -> None:
        if len(item) == 2:
            ending, line = item
            self._lines[ending].write(line)
        else:
            self._sound.write(*item)

    def close(self, length: int) -> None:
        self._sound.close(length)
        for lines in self._lines.values():
            lines.close()


def _free(folder: Path, name: str) -> Path:
    """The first of NAME, NAME-2, … without existing files."""
    number, base = 1, folder / name
    while any(Path(f"{base}{ending}").exists() for ending in (SOUND, EVENTS, TRACE, SCRIPT)):
        number += 1
        base = folder / f"{name}-{number}"
    return base


class Tap:
    """A session whose frames and events are recorded; used like the session itself.

    Input after the call's end is not recorded. The caller passes the actions to the recorder.
    """

    def __init__(self, session: CallSession, recorder: CallRecorder) -> None:
        self.session = session
        self.recorder = recorder

    def feed(self, operator: FrameInput, client: FrameInput) -> Sequence[Action]:
        """As `CallSession.feed`."""
        session = self.session
        over = session.phase is Phase.ENDED
        actions = session.feed(operator, client)
        if not over:
            self.recorder.frame(operator, client)
        return actions

    def signal(self, event: Event | Mapping[str, object] | str) -> Sequence[Action]:
        """As `CallSession.signal`."""
        session = self.session
        event = Event.parse(event)
        over, now = session.phase is Phase.ENDED, session.now
        actions = session.signal(event)
        if not over:
            self.recorder.signal(now, event)
        return actions

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


CLOSE_S = 5.0


class Recordings:
    """An action sink that records each call; `tap` comes before the call's `begin`.

    Raises:
        OutputError: the folder cannot be created or written.
    """

    def __init__(
        self, folder: Path, settings: Settings, mode: str, report: Callable[[str], None]
    ) -> None:
        private_folder(folder)
        self._folder = folder
        self._settings = settings
        self._mode = mode
        self._report = report
        self._next: deque[CallRecorder] = deque()
        self._now: CallRecorder | None = None
        self._ended: list[CallRecorder] = []

    def tap(self, session: CallSession, call: str) -> CallSession:
        """Wrap the session, so that its input is recorded."""
        recorder = CallRecorder(self._folder, call, self._settings, self._mode, self._report)
        self._next.append(recorder)
        return Tap(session, recorder)  # type: ignore[return-value]

    def begin(self, call: str, began: datetime) -> None:
        """The following actions belong to this call."""
        self._now = self._next.popleft() if self._next else None

    def take(self, actions: Sequence[Action]) -> None:
        """Take actions in order."""
        if self._now is not None:
            self._now.take(actions)

    def end(self) -> None:
        """The call is over: its files are finished in the background."""
        recorder, self._now = self._now, None
        if recorder is not None:
            recorder.finish()
            self._ended = [one for one in self._ended if not one.close(0.0)] + [recorder]

    def late(self, call: str, actions: Sequence[Action]) -> None:
        """Do nothing: a recording ends with its call, and a replay has no answers."""

    def finish(self) -> None:
        """No more calls will come."""
        self.end()

    def close(self) -> None:
        """Wait until all files are complete; report those that are not."""
        self.finish()
        whole = [one.close(CLOSE_S) for one in self._ended]
        if not all(whole):
            self._report(f"{self._folder}: запись не дописана: диск не отвечает")


class CallSound:
    """Sound file written frame by frame; readable up to its last second, however the program ends.

    The file is created with the first frame, so that no file is without sound. After an error,
    reported once to `report`, nothing more is written.
    """

    def __init__(self, path: Path, sample_rate: int, report: ReportProblem) -> None:
        self._path = path
        self._rate = sample_rate
        self._samples = samples_per_frame(sample_rate)
        self._report = report
        self._sound: Any = None
        self._broken = False
        self._written = 0

    def write(self, number: int, operator: bytes | None, client: bytes | None) -> None:
        """Write the frames of number `number`, int16 little-endian mono; skipped frames become silence."""
        import numpy

        self._pad(number)
        both = numpy.zeros((self._samples, 2), numpy.int16)
        for side, frame in enumerate((operator, client)):
            if frame is not None:
                both[:, side] = numpy.frombuffer(frame, "<i2")
        self._append(both)

    def close(self, length: int) -> None:
        """Close the file; it is `length` frames long."""
        self._pad(length)
        sound, self._sound = self._sound, None
        if sound is not None and not self._broken:
            self._try(sound.close)

    def _pad(self, number: int) -> None:
        import numpy

        silence = numpy.zeros((self._samples, 2), numpy.int16)
        while self._written < number and not self._broken:
            self._append(silence)

    def _append(self, both: Any) -> None:
        if not self._broken:
            self._try(self._write_samples, both)
        self._written += 1

    def _write_samples(self, both: Any) -> None:
        import soundfile  # type: ignore[import-untyped]

        if self._sound is None:
            open_private(self._path, "xb").close()
            self._sound = soundfile.SoundFile(
                self._path, "w", self._rate, 2, format="FLAC", subtype="PCM_16"
            )
        self._sound.write(both)

    def _try(self, act: Any, *args: Any) -> None:
        import soundfile

        try:
            act(*args)
        except (OSError, soundfile.SoundFileError, AssertionError) as error:
            # soundfile asserts that everything was written; libsndfile gives no reason if it was not.
            self._broken = True
            if self._sound is not None:
                with contextlib.suppress(OSError, soundfile.SoundFileError):
                    self._sound.close()
            reason = why(error) if isinstance(error, OSError) else "нет места, или диск пропал"
            self._report(
                f"{self._path}: звук не пишется с {seconds(self._written):g} с: {reason}; "
                "звонок идёт дальше"
            )
