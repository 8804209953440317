"""The ear of one channel: is anyone speaking, since when, and what is on the line.

Theory of operation. A frame is *active* if it is loud enough and the detector calls it speech; only
frames that are loud enough are asked about, which is both the first decision and the saving.

    level    ▁▁▁▁▂▅▇▆▇▅▂▁▁▁▁▁▁▂▁▁▁▁      gate: see `loudness.py`
    active   ....aAAAAAAa.......a...
    speaking ▁▁▁▁▁▁▁▁████████████▁▁▁      opens at 5 active of 8, closes 15 frames after the last one
                 |start   |end            both taken back to the sound itself

An open run is *accepted* after a second, or when it closes; it is taken back where its levels do not
move as speech does (`run.py`): noise and tones before they were accepted, music (`music.py`) when it is
known as such. While music plays, nothing is speech. Nor is what may be the other side's voice, leaking
into this channel while that side speaks.
"""

from __future__ import annotations

from collections.abc import Sequence

from vad_agent.core.actions import LineState
from vad_agent.core.frames import SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.hearing.level import crossings, from_dbfs, gain, rms
from vad_agent.hearing.loudness import FLAT_MAX, FLOOR_UNKNOWN, Loudness
from vad_agent.hearing.music import MusicWatch
from vad_agent.hearing.run import DENSE_FRAMES, SEGMENT, STEADY_FRAMES, RunLevels
from vad_agent.hearing.webrtc import (
    LONG_HANGOVER,
    LONG_RUN,
    SHORT_HANGOVER,
    Detector,
    webrtc,
)

# Frames.
HISTORY = 8
HISTORY_MASK = (1 << HISTORY) - 1
LONG_HISTORY = LONG_RUN + LONG_HANGOVER
LONG_MASK = (1 << LONG_HISTORY) - 1
ONSET = 5
"""Active frames of the last HISTORY that open a run: a «да» of 150 ms has 7, a key click 2 or 3."""
VOICED = 50
"""A run opens on a frame with no more changes of sign than this: a vowel has 10 to 50 in 20 ms,
breath and the rattle of keys 55 and more."""
HANGOVER = 15
"""An open run closes so long after its last active frame."""
SHORTEST = 4
"""A run of fewer frames, its hangover taken back, was a click."""
SPARSE = 6
"""Loud frames in a segment that are clicks, not speech: typing must not hold a run open."""
DOUBT = 3
"""A sound that began so recently may turn out as speech."""
BLOCK = 50
FIRST_BLOCK = 5
"""The noise floor is needed before the first word."""
FLAT = 50
NO_MEDIA = 50
ENDLESS = 1 << 62
WARM_UP = 5
"""The detector hears so many first frames in any case: new to a line, it misses 140 ms of a first word."""
QUIET_BLOCKS = 3
"""Blocks without a sound before a line is called quiet."""
ECHO_TAIL = 20
"""An echo is up to 300 ms late."""

LEAK = 10 ** (-16 / 20)
"""A voice leaks into the other channel 25 dB weaker and more; who talks over it is louder than this."""
LEAK_FROM = from_dbfs(-45)
LEAK_DECAY = 0.97
LEAK_FRAMES = 20
"""It comes 20 to 300 ms late."""
BUSY = from_dbfs(-54)
"""A line that does not fall below this for a second is noisy, or plays music."""


class LevelledEar:
    """webrtcvad mode 3 on level-normalised audio; see the theory above. Implements `core.ear.Ear`.

    `detector`: another one instead of webrtcvad. `skip_quiet=False` asks it about every frame and
    drops the answers for quiet ones: to measure what the saving changes.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
    """

    __slots__ = (
        "_accepted", "_block_end", "_busy_since", "_detect", "_dull_blocks", "_echo_until",
        "_flat_frame", "_flat_since", "_history", "_last", "_last_start", "_leak", "_leak_until",
        "_leaks_to", "_levels", "_loudness", "_missing", "_music", "_now", "_open", "_opened",
        "_run", "_samples", "_segment_end", "_segment_start", "_size", "_skip_quiet", "_solid",
        "_wake", "end", "failed", "line", "runs", "since", "speaking", "start", "utterances",
    )  # fmt: skip

    def __init__(
        self, sample_rate: int, *, detector: Detector | None = None, skip_quiet: bool = True
    ) -> None:
        self._samples = samples_per_frame(sample_rate)
        self._size = self._samples * SAMPLE_BYTES
        self._detect = detector or webrtc(sample_rate)
        self._skip_quiet = skip_quiet

        self.speaking = False
        self.start = 0
        self.end = 0
        self.utterances = 0
        self.runs = 0
        self.line: LineState | None = None
        self.since = 0
        self.failed = False
        self._missing = 0

        self._now = 0  # frames heard or missed so far
        self._leaks_to: LevelledEar | None = None
        self._leak = 0.0  # frames below this are the other channel's voice …
        self._leak_until = 0  # … until this frame
        self._wake = 0  # from this frame on, more than the hot path is needed
        self._loudness = Loudness()
        self._block_end = FIRST_BLOCK
        self._dull_blocks = 0
        self._busy_since: int | None = None

        self._history = 0  # of the frames up to _last, newest in bit 0; 1 = active
        self._last = 0  # one past the last active frame
        self._solid = 0  # `_last` at the end of the open run's last segment that was no clicks
        self._open = False
        self._opened = 0  # first frame of the open run
        self._accepted = False
        self._last_start = 0  # of the last run that is over
        self._run = RunLevels()
        self._levels = self._run.current
        self._segment_start = 0
        self._segment_end = 0

        self._flat_since: int | None = None
        self._flat_frame = b""
        self._music = MusicWatch(sample_rate)
        self._echo_until = ENDLESS

    # -- the way of a frame ------------------------------------------------------------------------

    def hear(self, frame: bytes | bytearray | memoryview | None) -> bool:
        """Take one frame; True: an attribute has changed."""
        if type(frame) is not bytes or len(frame) != self._size:
            if frame is None:
                return self._hear_nothing()
            frame = check_frame(frame, self._size)
        now = self._now = self._now + 1
        level = rms(frame, 2)
        loudness = self._loudness
        if FLAT_MAX < level < loudness.lowest:
            loudness.lowest = level
            if level < loudness.floor:
                loudness.settle()
        if level < loudness.gate:
            if now <= WARM_UP or not self._skip_quiet:
                self._warm_up(frame)
            # Hot path: most frames of a call end here or a few lines below.
            if level <= FLAT_MAX:
                if self._flat_since is None:
                    # A constant frame ends as it begins; most others don't.
                    if frame[0] == frame[-2]:
                        self._watch_flat(frame)
                elif frame != self._flat_frame:
                    self._watch_flat(frame)
            elif self._flat_since is not None:
                self._end_flat()
            return now >= self._wake and self._keep_house(frame, level)
        if self._flat_since is not None:
            self._end_flat()
        if level < self._leak and now <= self._leak_until:
            return now >= self._wake and self._keep_house(frame, level)
        if self._leaks_to is not None and level > LEAK_FROM:
            self._leaks_to.hear_leak(level)
        self._levels.append(level)
        try:
            active = self._detect(
                frame if loudness.gain == 1 else gain(frame, 2, loudness.gain), self._samples
            )
        except Exception:  # whatever a detector dies of, the client must not be hung up on
            active = self._replace_detector()
        if active:
            age = now - self._last
            self._last = now
            history = (self._history << age | 1) & LONG_MASK if age < LONG_HISTORY else 1
            self._history = history
            if (
                not self._open
                and (history & HISTORY_MASK).bit_count() >= ONSET
                and crossings(frame, 2) <= VOICED
                and self.line is not LineState.MUSIC
            ):
                # Here, and not in housekeeping: it must not wait.
                return self._open_run()
        elif self._last == now - 1:
            self._take_hangover_back()
        return now >= self._wake and self._keep_house(frame, level)

    def _hear_nothing(self) -> bool:
        self._now += 1
        self._missing += 1
        self._end_flat()
        return self._keep_house(None, 0)

    # -- what the core may ask ---------------------------------------------------------------------

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out as speech."""
        return not self._open and self._now - self._last < DOUBT and self._history.bit_count() >= 2

    def confirm(self) -> bool:
        """A prompt is about to be spoken: listen again; here there is nothing to add."""
        return False

    def lacks_frame(self) -> bool:
        """The last frame did not come; not for so long yet that the line has no media."""
        return self._missing > 0 and self.line not in (None, LineState.NO_MEDIA)

    def own_prompt(self, playing: bool) -> None:
        """The product itself begins or ends to speak: an echo of it may come back for a while."""
        if playing:
            self._echo_until = ENDLESS
            self._loudness.expect_echo(True)
        else:
            self._echo_until = self._now + ECHO_TAIL
            self._wake = min(self._wake, self._echo_until)

    def expect_leak_of(self, other: LevelledEar) -> None:
        """The other side's voice may leak into this channel. `other` is to be fed first."""
        other._leaks_to = self

    def hear_leak(self, level: float) -> None:
        """The other side speaks at this level: for a while, what is LEAK of it is its leak."""
        kept = self._leak * LEAK_DECAY if self._now <= self._leak_until else 0.0
        self._leak = max(level * LEAK, kept)
        self._leak_until = self._now + LEAK_FRAMES

    def hold_over(self) -> None:
        """Call control says that the hold has ended: music heard so far is over."""
        self._music.drop()
        if self.line is LineState.MUSIC:
            self._set_line(LineState.LIVE, self._now)

    def finish(self) -> bool:
        """No more frames: close the open run. True: an attribute has changed."""
        before = self._state()
        if self._open:
            self._close_run()
        return self._state() != before

    # -- housekeeping: at a transition or a deadline, never on every frame --------------------------

    def _keep_house(self, frame: bytes | None, level: int) -> bool:
        before = self._state()
        if frame is not None:
            self._missing = 0
        if self._open:
            self._follow_run()
        if self._now >= self._block_end:
            self._end_block()
        if self._now >= self._echo_until:
            self._echo_until = ENDLESS
            self._loudness.expect_echo(False)
        if self._music.busy:
            self._watch_music(frame, level)
        self._watch_line()
        self._wake = 0 if frame is None or self._music.busy else self._next_wake()
        return self._state() != before

    def _state(self) -> tuple[object, ...]:
        return self.speaking, self.utterances, self.runs, self.line, self.failed

    def _next_wake(self) -> int:
        wake = self._block_end
        wake = min(wake, self._echo_until)
        if self._open:
            wake = min(wake, self._last + HANGOVER + 1, self._segment_end)
        if self._flat_since is not None and self.line is not LineState.DIGITAL_ZERO:
            wake = min(wake, self._flat_since + FLAT)
        return wake

    def _end_block(self) -> None:
        start, self._block_end = self._block_end - BLOCK, self._now + BLOCK
        lowest = self._loudness.lowest
        self._loudness.end_block()
        if self._missing or self._flat_since is not None:
            self._busy_since = None
            return
        if not self._open:
            self._run.begin(HISTORY)
        if not self._open and self._last <= start:
            # At most FLAT_MAX throughout the block: next to nothing.
            dull = lowest == FLOOR_UNKNOWN
            self._dull_blocks = self._dull_blocks + 1 if dull else 0
            if self.line is LineState.LIVE and self._dull_blocks == QUIET_BLOCKS:
                self._set_line(LineState.QUIET, self._now - QUIET_BLOCKS * BLOCK)
            elif self.line is LineState.QUIET and not dull:
                self._set_line(LineState.LIVE, start)
        if BUSY < lowest < FLOOR_UNKNOWN:
            if self._busy_since is None:
                self._busy_since = start
            if not self._open:  # an open run is judged by its own levels
                self._music.suspect(max(self._busy_since, 0), self._now)
        else:
            self._busy_since = None

    # -- the line ----------------------------------------------------------------------------------

    def _set_line(self, state: LineState, since: int) -> None:
        self.line = state
        self.since = max(since, 0)

    def _watch_line(self) -> None:
        now = self._now
        if self._missing:
            if self._missing >= NO_MEDIA and self.line is not LineState.NO_MEDIA:
                self._set_line(LineState.NO_MEDIA, now - self._missing)
        elif self._flat_since is not None and now - self._flat_since >= FLAT:
            if self.line is not LineState.DIGITAL_ZERO:
                self._set_line(LineState.DIGITAL_ZERO, self._flat_since)
        elif self.line in (None, LineState.NO_MEDIA) or (
            self.line is LineState.DIGITAL_ZERO and self._flat_since is None
        ):
            self._set_line(LineState.LIVE, now - 1)

    def _watch_music(self, frame: bytes | None, level: int) -> None:
        if frame is None or self.line is LineState.DIGITAL_ZERO:
            self._music.drop()
            if self.line is LineState.MUSIC:
                self._set_line(LineState.LIVE, self._now)
        elif self._music.hear(frame, level > BUSY, self._now):
            if not self._music.playing:
                self._set_line(LineState.LIVE, self._music.ended)
                return
            if not self._is_music():
                self._music.drop()
                return
            began = self._music.began
            if self.speaking and began > self._opened:
                self._end_run(began)
            self._withdraw_run()
            self._set_line(LineState.MUSIC, began)

    def _watch_flat(self, frame: bytes) -> None:
        """A frame near zero, and not the same as those before: does a constant begin?"""
        if frame == frame[:SAMPLE_BYTES] * self._samples:
            self._flat_frame = frame
            if self._flat_since is None:
                self._flat_since = self._now - 1
                self._wake = 0
        elif self._flat_since is not None:
            self._end_flat()

    def _end_flat(self) -> None:
        self._flat_since = None
        self._wake = 0

    # -- runs of speech ----------------------------------------------------------------------------

    def _open_run(self) -> bool:
        self._open = self.speaking = True
        self._accepted = False
        self._missing = 0
        self._solid = self._now
        self._opened = self.start = self._now - (self._history & HISTORY_MASK).bit_length()
        self._run.begin(self._now - self._opened)
        self._segment_start = self._opened
        self._segment_end = self._now + SEGMENT
        self._wake = self._dull_blocks = 0
        if self.line is LineState.QUIET:
            self._set_line(LineState.LIVE, self._opened)
        return True

    def _follow_run(self) -> None:
        if self._now - self._last > HANGOVER:
            self._close_run()
        elif self._now >= self._segment_end:
            levels = self._end_segment(self._now)
            if len(levels) <= SPARSE:
                self._last = self._solid
                self._close_run()
                return
            self._solid = self._last
            if self._now - self._opened < STEADY_FRAMES:
                return
            if self._run.steady() or not (self._accepted or self._is_speech()):
                self._turn_out_noise(levels)
                return
            self._accept()
            self._loudness.hear_speech(levels)
            if self._run.dense():
                # If it is music, it began with the run, or with what is judged.
                began = self._now - DENSE_FRAMES - SEGMENT
                self._music.suspect(max(self._opened, began), self._now)

    def _end_segment(self, end: int) -> Sequence[int]:
        levels = self._run.end_segment(max(end - self._segment_start, 0))
        self._levels = self._run.current
        self._segment_start = end
        self._segment_end = end + SEGMENT
        return levels

    def _is_speech(self) -> bool:
        """A second opinion on the open run, before it counts; here there is none."""
        return True

    def _is_music(self) -> bool:
        """A second opinion on what sounds like music; here there is none."""
        return True

    def _accept(self) -> None:
        if not self._accepted:
            self._accepted = True
            self.utterances += 1

    def _close_run(self) -> None:
        levels = self._end_segment(self._last)
        short = self._last - self._opened < SHORTEST
        if not self._accepted and (short or self._run.steady() or not self._is_speech()):
            self._withdraw_run()
            return
        if levels:
            self._loudness.hear_speech(levels)
        self._accept()
        self._end_run(self._last)
        self._open = False

    def _end_run(self, end: int) -> None:
        self.start = self._last_start = self._opened
        self.end = max(end, self._opened + 1)
        self.runs += 1
        self.speaking = False

    def _withdraw_run(self) -> None:
        """It was no speech; `end` stays that of the speech before it."""
        self._open = self.speaking = False
        self.start = self._last_start
        self._history = 0

    def _turn_out_noise(self, levels: Sequence[int]) -> None:
        """Steady for a second: what came before it stays what it was."""
        if levels:
            self._loudness.raise_floor(sorted(levels)[len(levels) // 2])
        if self._accepted:
            self._end_run(self._now - STEADY_FRAMES)
        self._withdraw_run()

    def _warm_up(self, frame: bytes) -> None:
        try:
            self._detect(frame, self._samples)
        except Exception:
            self._replace_detector()

    def _replace_detector(self) -> bool:
        """From now on whatever is loud is speech: too much is heard, and nobody is lost."""
        self.failed = True
        self._detect = _always
        self._wake = 0
        return True

    def _take_hangover_back(self) -> None:
        """The detector has just said no after a yes: its last yeses were its hangover."""
        ones = self._history & (self._history + 1)  # clears the run of ones at the end
        length = (self._history ^ ones).bit_length()
        hangover = LONG_HANGOVER if length == LONG_HISTORY else SHORT_HANGOVER
        self._history >>= hangover
        self._last -= hangover


def _always(_frame: bytes, _samples: int, /) -> bool:
    return True
