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
from vad_agent.core.ear import Progress
from vad_agent.core.frames import ENDLESS, SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.hearing import leak
from vad_agent.hearing.dual_mono import DualMono
from vad_agent.hearing.leak import Leak
from vad_agent.hearing.level import add, crossings, from_dbfs, gain, rms
from vad_agent.hearing.line import Line, Offset
from vad_agent.hearing.loudness import FLAT_MAX, FLOOR_UNKNOWN, Loudness
from vad_agent.hearing.music import MusicWatch
from vad_agent.hearing.run import DENSE_FRAMES, SEGMENT, STEADY_FRAMES, RunLevels
from vad_agent.hearing.tone import FEWEST
from vad_agent.hearing.tone_probe import ToneProbe
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
"""A run opens on a frame with no more changes of sign than this, or soon after it: a vowel has 10 to 50
in 20 ms, breath and the rattle of keys 55 and more."""
VOICED_AGO = 2
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
WARM_UP = 5
"""The detector hears so many first frames in any case: new to a line, it misses 140 ms of a first word."""
ECHO_TAIL = 20
"""An echo is up to 300 ms late."""

MOVES = 1.35
"""2.6 dB from one frame to the next or the one after it."""
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
        "_against", "_block_end", "_busy_since", "_constant", "_detect", "_dual_mono", "_due", "_echo_until",
        "_history", "_keep_sound", "_last", "_last_start", "_leak", "_leaks_to", "_levels", "_line",
        "_loud", "_loudness", "_music", "_now", "_offset", "_open", "_opened", "_over", "_run",
        "_samples", "_segment_end", "_segment_start", "_size", "_skip_quiet", "_solid", "_tones",
        "_voiced", "_wake", "end", "failed", "progress", "runs", "speaking", "start", "sure",
        "utterances",
    )  # fmt: skip

    def __init__(
        self, sample_rate: int, *, detector: Detector | None = None, skip_quiet: bool = True
    ) -> None:
        self._samples = samples_per_frame(sample_rate)
        self._size = self._samples * SAMPLE_BYTES
        self._detect = detector or webrtc(sample_rate)
        self._skip_quiet = skip_quiet

        self.speaking = False
        self.sure = False
        self.start = 0
        self.end = 0
        self.utterances = 0
        self.runs = 0
        self.progress: Progress | None = None
        self.failed = False

        self._now = 0  # frames heard or missed so far
        self._line = Line(self._samples)
        self._constant = False  # every sample is the same
        self._offset = Offset(self._samples)
        self._against = b""  # what takes the line's offset out of a frame
        self._leak = Leak()
        self._leaks_to: LevelledEar | None = None
        self._dual_mono: DualMono | None = None
        self._wake = 0  # from this frame on, more than the hot path is needed …
        self._due = 0  # … and more than to collect what may be music
        self._loudness = Loudness()
        self._block_end = FIRST_BLOCK
        self._busy_since: int | None = None

        self._history = 0  # of the frames up to _last, newest in bit 0; 1 = active
        self._last = 0  # one past the last active frame
        self._voiced = -HISTORY  # one past the last active frame that may be a vowel
        self._solid = 0  # `_last` at the end of the open run's last segment that was no clicks
        self._open = False
        self._over = False  # the open run is over, but not known yet to be speech
        self._opened = 0  # first frame of the open run
        self._loud = 0  # one past the last frame above the gate
        self._last_start = 0  # of the last run that is over
        self._run = RunLevels()
        self._levels = self._run.current
        self._segment_start = 0
        self._segment_end = 0

        self._music = MusicWatch(sample_rate)
        self._tones = ToneProbe(sample_rate)
        self._keep_sound = self._tones.frames.append
        self._echo_until = ENDLESS

    # -- the way of a frame ------------------------------------------------------------------------

    def hear(self, frame: bytes | bytearray | memoryview | None) -> bool:
        """Take one frame; True: an attribute has changed."""
        if type(frame) is not bytes or len(frame) != self._size:
            if frame is None:
                return self._hear_nothing()
            frame = check_frame(frame, self._size)
        now = self._now = self._now + 1
        if self._against:
            frame = add(frame, self._against, 2)
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
                # A constant frame ends as it begins; most others don't.
                if frame != self._line.flat_frame if self._constant else frame[0] == frame[-2]:
                    self._watch_constant(frame)
            elif self._constant:
                self._end_constant()
            return now >= self._wake and self._keep_house(frame, level)
        if self._constant:
            self._end_constant()
        if level < self._leak.level and now <= self._leak.until:
            return now >= self._wake and self._keep_house(frame, level)
        if self._leaks_to is not None:
            if level > leak.FROM:
                self._leaks_to._hear_other(frame, level, now)
        elif self._dual_mono is not None and self._dual_mono.hear_own(frame, now):
            return self._ignore_own_sound(frame, level)
        self._levels.append(level)
        if self._loud != now - 1:
            self._tones.begin(now - 1)
        self._loud = now
        self._keep_sound(frame)
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
            if not self._open:
                if crossings(frame, 2) <= VOICED:
                    self._voiced = now
                if (
                    (history & HISTORY_MASK).bit_count() >= ONSET
                    and now - self._voiced <= VOICED_AGO
                    and now >= self._tones.due
                ):
                    # Here, and not in housekeeping: it must not wait.
                    if self._line.state is not LineState.MUSIC:
                        return self._open_run()
                    self._sounds_over_music()
        elif self._last == now - 1:
            self._take_hangover_back()
        return now >= self._wake and self._keep_house(frame, level)

    def _hear_other(self, frame: bytes, level: int, now: int) -> None:
        """The other side is loud in this frame."""
        self._leak.hear(level, now)
        if self._dual_mono is not None:
            self._dual_mono.hear_other(frame, now)

    def _ignore_own_sound(self, frame: bytes, level: int) -> bool:
        """It is the other side's as well: nobody can tell that this side speaks."""
        before = self._state()
        if self._open:
            if self.sure:
                self._end_run(self._last)
            self._withdraw_run()
        changed = self._state() != before
        return (self._now >= self._wake and self._keep_house(frame, level)) or changed

    def _hear_nothing(self) -> bool:
        self._now += 1
        self._line.missing += 1
        self._end_constant()
        return self._keep_house(None, 0)

    def _watch_constant(self, frame: bytes) -> None:
        if self._line.watch_constant(frame, self._now):
            self._constant = self._line.flat_since is not None
            self._wake = self._due = 0

    def _end_constant(self) -> None:
        self._line.end_constant(self._now)
        self._constant = False
        self._wake = self._due = 0

    # -- what the core may ask ---------------------------------------------------------------------

    @property
    def line(self) -> LineState | None:
        """What the line carries; None: no frame came yet, nor was one missed for long."""
        return self._line.state

    @property
    def since(self) -> int:
        """The frame since which the line is in this state."""
        return self._line.since

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out as speech."""
        return not self._open and self._now - self._last < DOUBT and self._history.bit_count() >= 2

    def expect_decision(self, at: int) -> None:
        """A decision falls due at frame `at`; here nothing is left to be settled by then."""

    def settled(self) -> bool:
        """What is known is good for a decision now."""
        return True

    @property
    def gated(self) -> bool:
        """Speech has ended digital silence on this line before."""
        return self._line.gated

    @property
    def dual_mono(self) -> bool:
        """This side carries the same sound as the other one."""
        return self._dual_mono is not None and self._dual_mono.same

    def lacks_frame(self) -> bool:
        """The last frame did not come; not for so long yet that the line has no media."""
        return self._line.missing > 0 and self.line not in (None, LineState.NO_MEDIA)

    def own_prompt(self, playing: bool) -> None:
        """The product itself begins or ends to speak: an echo of it may come back for a while."""
        if playing:
            self._echo_until = ENDLESS
            self._loudness.expect_echo(True)
        else:
            self._echo_until = self._now + ECHO_TAIL
            self._due = min(self._due, self._echo_until)
            self._wake = min(self._wake, self._due)

    def expect_leak_of(self, other: LevelledEar) -> None:
        """The other side's voice may leak into this channel. `other` is to be fed first."""
        other._leaks_to = self
        self._dual_mono = DualMono()

    def hold_over(self) -> None:
        """The hold has ended, or the ringing: music and tones heard so far are over."""
        self._music.drop()
        self._line.leave(LineState.MUSIC, self._now)
        self._loudness.expect_music(0)
        if self._tones.watch.speech():
            self._follow_tones(self._now)

    def finish(self) -> bool:
        """No more frames: close the open run. True: an attribute has changed."""
        before = self._state()
        if self._open:
            self._close_run()
        return self._state() != before

    # -- housekeeping: at a transition or a deadline, never on every frame --------------------------

    def _keep_house(self, frame: bytes | None, level: int) -> bool:
        known = False
        if self._music.busy and frame is not None:
            known = self._music.hear(frame, level > BUSY, self._now)
            if not known and self._now < self._due:
                return False
        before = self._state()
        if frame is not None:
            self._line.missing = 0
        if self._open and not self._over:
            self._follow_run()
        if self._now >= self._block_end:
            if frame is not None and self._offset.watch(frame, level):
                self._against = self._offset.against
                self._loudness.forget_floor()
            self._end_block()
        if self._tones.watch.tone is not None and self._now >= self._tones.due and not self._open:
            self._probe_tone()
        if self._now >= self._echo_until:
            self._echo_until = ENDLESS
            self._loudness.expect_echo(False)
        if known:
            self._music_has_changed()
        elif frame is None or self._line.state is LineState.DIGITAL_ZERO:
            self._music.drop()
            self._line.leave(LineState.MUSIC, self._now)
        self._line.settle(self._now)
        if self._loudness.music and self._line.state is not LineState.MUSIC:
            self._loudness.expect_music(0)
        self._due = 0 if frame is None else self._next_wake()
        self._wake = 0 if self._music.busy else self._due
        return self._state() != before

    def _state(self) -> tuple[object, ...]:
        return (
            self.speaking, self.sure, self.utterances, self.runs, self._line.state, self.progress,
            self.failed, self.dual_mono,
        )  # fmt: skip

    def _next_wake(self) -> int:
        wake = min(self._block_end, self._echo_until)
        if self._tones.watch.tone is not None:
            wake = min(wake, self._tones.due)
        if self._open and not self._over:
            wake = min(wake, self._last + self._hangover() + 1, self._segment_end)
        if self._line.flat_since is not None and (due := self._line.due()) is not None:
            wake = min(wake, due)
        return wake

    def _end_block(self) -> None:
        start, self._block_end = self._block_end - BLOCK, self._now + BLOCK
        lowest = self._loudness.lowest
        if self._tones.watch.playing and self._tones.watch.ended > start:
            self._loudness.lowest = FLOOR_UNKNOWN  # a tone is no noise
        self._loudness.end_block()
        if not self._open:
            self._probe_tone()
        if self._line.missing or self._line.flat_since is not None:
            self._busy_since = None
            return
        if not self._open:
            self._run.begin(HISTORY)
        if not self._open and self._last <= start:
            # At most FLAT_MAX throughout the block: next to nothing.
            self._line.end_block(start, self._now, dull=lowest == FLOOR_UNKNOWN)
        if BUSY < lowest < FLOOR_UNKNOWN:
            if self._busy_since is None:
                self._busy_since = start
            if not self._open:  # an open run is judged by its own levels
                self._suspect_music(max(self._busy_since, 0))
        else:
            self._busy_since = None

    # -- music and tones --------------------------------------------------------------------------------

    def _music_has_changed(self) -> None:
        if not self._music.playing:
            self._line.set(LineState.LIVE, self._music.ended)
            return
        began = self._music.began
        if self.speaking and began > self._opened:
            self._end_run(began)
        self._withdraw_run()
        self._line.set(LineState.MUSIC, began)

    def _sounds_over_music(self) -> None:
        """Something speech-like is louder than the music; here nobody can tell whether it is a note."""

    def _suspect_music(self, since: int) -> None:
        """The line sounds as music might since frame `since`."""
        self._music.suspect(since, self._now)

    def _is_tone(self) -> bool:
        """The newest frames are a tone, and no voice."""
        newest = self._levels[-FEWEST:]
        if self._loud != self._now or (newest and max(newest) > MOVES * min(newest)):
            return False  # without a spectrum: no tone moves so much
        if not self._tones.is_tone(self._now):
            return False
        self._history = 0
        self._follow_tones(self._now)
        return True

    def _probe_tone(self) -> bool:
        """What sounds, or sounded last, may be a tone; one that played may be over. True: it is one."""
        found = self._tones.probe(self._now, self._loud)
        if found:
            self._history = 0
        self._follow_tones(self._tones.watch.ended)
        return found

    def _follow_tones(self, over_since: int) -> None:
        watch = self._tones.watch
        self.progress = watch.progress
        if not watch.playing:
            self._line.leave(LineState.TONE, over_since)
        elif self.line in (LineState.LIVE, LineState.QUIET):
            self._line.set(LineState.TONE, watch.began)

    # -- runs of speech ----------------------------------------------------------------------------

    def _open_run(self) -> bool:
        before = self._state()
        if self._is_tone():
            self._wake = self._due = 0
            return self._state() != before
        since = self._now - (self._history & HISTORY_MASK).bit_length()
        if self._tones.is_rest_of_tone(since, self._now):
            return False
        self._begin_run(since)
        return True

    def _begin_run(self, since: int) -> None:
        self._open = self.speaking = True
        self.sure = self._over = False
        self._line.missing = 0
        self._solid = self._now
        self._opened = self.start = max(since, self.end)
        self._run.begin(self._now - self._opened)
        self._segment_start = self._opened
        self._segment_end = self._now + SEGMENT
        self._wake = self._due = 0
        self._line.wake(self._opened)

    def _follow_run(self) -> None:
        if self._now - self._last > self._hangover():
            self._close_run()
        elif self._now >= self._segment_end:
            if self.sure and self._probe_tone():
                self._end_run(self._tones.watch.began)  # who spoke has been cut off
                self._withdraw_run()
                return
            levels = self._end_segment(self._now)
            if len(levels) <= SPARSE:
                self._last = self._solid
                self._close_run()
                return
            self._solid = self._last
            if not self.sure and self._now - self._opened < STEADY_FRAMES:
                if self._tones.watch.tone is not None and self._is_tone():
                    self._withdraw_run()
                return
            if self._run.steady():
                self._turn_out_noise(levels)
                return
            if self._accepts():
                self._loudness.hear_speech(levels)
            if self._run.dense():
                # If it is music, it began with the run, or with what is judged.
                began = self._now - DENSE_FRAMES - SEGMENT
                self._suspect_music(max(self._opened, began))

    def _hangover(self) -> int:
        """How long after its last active frame the open run closes."""
        return HANGOVER

    def _end_segment(self, end: int) -> Sequence[int]:
        levels = self._run.end_segment(max(end - self._segment_start, 0))
        self._levels = self._run.current
        self._segment_start = end
        self._segment_end = end + SEGMENT
        return levels

    def _accepts(self) -> bool:
        """The open run has lasted for a second: it counts as speech; False: it is not known yet."""
        self._accept()
        return True

    def _accept(self) -> None:
        if not self.sure:
            self.sure = True
            self.utterances += 1
            self._line.hear_speech(self._opened)
            if self._tones.watch.speech():
                self._follow_tones(self._opened)

    def _close_run(self) -> None:
        levels = self._end_segment(self._last)
        if not self.sure and self._is_no_word():
            self._withdraw_run()
            return
        if levels:
            self._loudness.hear_speech(levels)
        self._accept()
        self._end_run(self._last)
        self._open = self.sure = False

    def _is_no_word(self) -> bool:
        """The open run, now over, is too short, the rest of a tone, or does not move as speech does."""
        if self._tones.is_rest_of_tone(self._opened, self._last):
            return True
        return self._last - self._opened < SHORTEST or self._run.steady()

    def _end_run(self, end: int) -> None:
        self._line.hear_speech(self._opened)
        self.start = self._last_start = self._opened
        self.end = max(end, self._opened + 1)
        self.runs += 1
        self.speaking = False

    def _withdraw_run(self) -> None:
        """It was no speech; `end` stays that of the speech before it."""
        self._open = self.speaking = self.sure = self._over = False
        self.start = self._last_start
        self._history = 0

    def _turn_out_noise(self, levels: Sequence[int]) -> None:
        """Steady for a second: what came before it stays what it was."""
        if levels and not self._is_tone():
            self._loudness.raise_floor(sorted(levels)[len(levels) // 2])
        if self.sure:
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
        self._wake = self._due = 0
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
