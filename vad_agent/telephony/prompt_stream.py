"""Prompts into a media stream, at our pace or at the peer's.

    paced   play(pcm) ──> frames ──one each 20 ms, silence where nothing is said──> the stream
                             └── first, last frame, and the latency ──> reports()
    ahead   play(pcm) ──> mark, chunks, mark ──up to AHEAD_S ahead of its sound──> the peer's queue
                             └── the peer has reached a mark ──marked()──> reports()

Where the PBX mixes what we send into what the client hears as it comes, frames must come without a
pause: a stream that pauses is a fault in several versions of Asterisk. Where the peer has a queue, it
tells by marks what was heard, and a stopped phrase is cleared from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from vad_agent.audio.device_recovery import DeviceState, Lost, Opened
from vad_agent.audio.ipc_framing import Record
from vad_agent.core.frames import FRAME_S, SAMPLE_BYTES, samples_per_frame
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PlaybackReport, resample

LATENCY_S = 0.06
"""Seconds from our write to the client's ear: a frame that waits to be mixed, a packet, the telephone's
jitter buffer.
"""
CHUNK_S = 1.0
"""Length of a message to a peer with a queue, in seconds of sound."""
AHEAD_S = 3.0
"""Sound, in seconds, that is in the peer's queue at most: Asterisk drops what exceeds 20 s, others 10 s."""
BEGIN_LATE_S, END_LATE_S = 1.0, 1.0
"""Seconds after which a mark is overdue. Without any, the peer does not play what we send; where only the
last one is missing, the phrase has ended.
"""


class MediaStream(Protocol):
    """A connection that carries a call, or a leg of it."""

    def send(self, pcm: bytes | None) -> None:
        """Send one frame; None: silence, or nothing where the peer needs none."""

    def close(self) -> None:
        """End it."""


@runtime_checkable
class PacingStream(MediaStream, Protocol):
    """A stream whose peer has a queue, and plays it at its own pace."""

    @property
    def marks_begin(self) -> bool:
        """A mark in an empty queue comes back at once, so that it tells when a phrase begins."""

    def send_ahead(self, pcm: bytes) -> None:
        """Append sound to the peer's queue: int16 mono, whole frames."""

    def mark(self, number: int, mark: Mark) -> None:
        """Ask the peer to say when it has played what is in its queue now."""

    def clear(self) -> None:
        """Empty the peer's queue at once."""


class PromptStream:
    """The prompts of one line. `rate`: Hz of the frames."""

    def __init__(self, rate: int, *, latency_s: float = LATENCY_S) -> None:
        self.latency_s = latency_s
        self.state = DeviceState.LOST
        """Open while a stream is connected that can carry prompts."""
        self.unheard = False
        """The peer does not play what we send: it has not told any mark."""
        self._rate = rate
        self._size = samples_per_frame(rate) * SAMPLE_BYTES
        self._frames: deque[bytes] = deque()
        self._number = 0
        self._fresh = False
        self._reports: list[PlaybackReport] = []
        self._stream: MediaStream | None = None
        self._pacing: PacingStream | None = None
        # With a peer that paces:
        self._chunks: deque[bytes] = deque()
        self._sound_s = 0.0
        self._sent_at: float | None = None  # None: nothing of the phrase is in the peer's queue
        self._sent_s = 0.0
        self._begun = False
        self._stopped = False

    # -- the stream --------------------------------------------------------------------------------

    def attach(self, stream: MediaStream | None) -> None:
        """Prompts go into this stream from now on; None: into none."""
        self._stream = stream
        self._pacing = stream if isinstance(stream, PacingStream) else None
        self._stopped = self.unheard = False

    def turn(self, now: float) -> None:
        """Send what is due at time `now` (s of `time.perf_counter`). Call it each 20 ms."""
        if self._pacing is not None:
            self._fill(self._pacing, now)
        elif self._stream is not None:
            self._stream.send(self.next_frame(now))

    def next_frame(self, now: float) -> bytes | None:
        """The frame to send at time `now` where we set the pace; None: nothing is said."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        heard_at = now + self.latency_s
        if self._fresh:
            self._fresh = False
            self._report(Mark.STARTED, heard_at)
        if not self._frames:
            self._report(Mark.ENDED, heard_at + FRAME_S)
        return frame

    def _fill(self, stream: PacingStream, now: float) -> None:
        if self._stopped:
            self._stopped = False
            stream.clear()
        if self._fresh:
            self._fresh = False
            sound, size = b"".join(self._frames), round(CHUNK_S / FRAME_S) * self._size
            self._frames.clear()
            self._chunks.extend(sound[at : at + size] for at in range(0, len(sound), size))
            self._sound_s = len(sound) / self._size * FRAME_S
            self._sent_at, self._sent_s, self._begun = now, 0.0, False
            stream.mark(self._number, Mark.STARTED)
        if self._sent_at is None:
            return
        while self._chunks and self._sent_at + self._sent_s < now + AHEAD_S:
            chunk = self._chunks.popleft()
            self._sent_s += len(chunk) / self._size * FRAME_S
            stream.send_ahead(chunk)
            if not self._chunks:
                stream.mark(self._number, Mark.ENDED)
        self._watch_marks(stream, now)

    def _watch_marks(self, pacing: PacingStream, now: float) -> None:
        assert self._sent_at is not None
        if not self._begun and not pacing.marks_begin:
            self._begun = True
            self._report(Mark.STARTED, self._sent_at + self.latency_s)
        ends = self._sent_at + self.latency_s + self._sound_s
        if now > self._sent_at + BEGIN_LATE_S and not self._begun:
            self.unheard = True
        elif now > ends + END_LATE_S:
            if pacing.marks_begin:
                self.marked(self._number, Mark.ENDED, ends)
            else:
                self.unheard = True

    def marked(self, number: int, mark: Mark, at: float) -> None:
        """The peer has played phrase `number` up to this mark; it is heard at `at` (s)."""
        if number != self._number or self._sent_at is None:
            return  # a phrase that was stopped: its marks come when the queue is cleared
        if not self._begun:
            self._begun = True
            self._report(Mark.STARTED, at)
        if mark is Mark.ENDED:
            self._sent_at = None
            self._report(Mark.ENDED, at)

    def _report(self, mark: Mark, at: float) -> None:
        self._reports.append(PlaybackReport(self._number, mark, at))

    def reports(self) -> Sequence[PlaybackReport]:
        """What has begun and ended since the last call."""
        told, self._reports = self._reports, []
        return told

    # -- the prompt player's output ----------------------------------------------------------------

    def watch(self) -> None:
        """Do nothing: there is no process that could hang."""

    def play(self, pcm: bytes) -> int | None:
        """Begin a phrase (int16 mono at PHRASE_HZ) with the next frame. None: no stream."""
        if self.state is not DeviceState.OPEN:
            return None
        self.stop()
        sound = resample(pcm, self._rate)
        sound += bytes(-len(sound) % self._size)
        self._frames = deque(sound[at : at + self._size] for at in range(0, len(sound), self._size))
        self._fresh = True
        self._number += 1
        return self._number

    def stop(self) -> None:
        """Send silence from the next frame on; what the peer has in its queue is cleared."""
        self._stopped |= self._sent_at is not None
        self._sent_at = None
        self._chunks.clear()
        self._frames.clear()
        self._fresh = False

    def take(self, what: Opened | Lost | Record | PlaybackReport) -> PlaybackReport | None:
        """Take a report: of the sound, or of the connection, which changes the state."""
        if isinstance(what, PlaybackReport):
            return what
        if isinstance(what, Opened):
            self.state, self.unheard = DeviceState.OPEN, False
        elif isinstance(what, Lost):
            self.state = DeviceState.LOST
            self.stop()
            self._stopped = False
        return None

    def close(self) -> None:
        """Nothing more is played."""
        self.take(Lost("closed", first=False))
