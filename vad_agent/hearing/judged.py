"""The ear with a judge behind it: the cheap path hears every frame, the judge decides what it was.

    sound        ▁▁▁▁▁▁♪♪♪♪▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    cheap path   ______########_______________      a run opens: it may be speech, it is not known yet
    judge                 ?              ?          asked soon, and before a prompt; now it is known

A run counts as speech only when the judge has said so. It is asked when a run is new, then every PERIOD
while something sounds, and when a decision is due (`expect_decision`); it hears the last seconds again,
refuses a run that was no speech, ends one that has long been noise, and finds words that the cheap path
missed.

Questions are paid for: on average one in PRICE frames, two at once after a quiet time. Those before a
decision are always asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from vad_agent.core.actions import LineState
from vad_agent.core.frames import ENDLESS
from vad_agent.hearing.ear import HANGOVER, SHORTEST, LevelledEar
from vad_agent.hearing.judge import LEAST, WINDOW, Listener, Verdict
from vad_agent.hearing.level import from_dbfs, rms
from vad_agent.hearing.loudness import FLOOR_UNKNOWN
from vad_agent.hearing.run import SEGMENT
from vad_agent.hearing.webrtc import Detector

# Frames.
PERIOD = 110
"""Between two questions, on average: that speech has ended is known before a phrase is due after 2.5 s."""
PRICE = 125
"""A question is paid for in so many frames."""
SELDOM = 500
"""Where something is loud, but nothing like speech: words may be missed all the same."""
FIRST = 25
"""A run of so many frames is asked about, one that is over before at once: of less it is hard to tell."""
SOON = 12
"""So long after the last active frame of a run that is not known yet it is taken for over."""
AGAIN = 10
"""So long after a doubtful verdict on a run it is asked again …"""
MOST_AGAIN = 4
"""… so many times."""
REFUSED = 50
"""A second run that was no speech, and each one after it, makes the next question so much later."""
CURIOUS = 2
"""So many more questions about what still sounds when it was found to be no speech: it may be music …"""
MUSIC_KNOWN = 135
"""… which is known after so long."""
MUSIC_PERIOD = 150
"""While music plays, and nothing is louder than it."""
FRESH = 6
"""A verdict younger than this stands."""
GONE = 15
"""An open run in whose last frames so long nobody spoke is noise."""
GOES_ON = 5
"""Speech that ended so recently has not ended."""
MISSED = 6
"""Speech that ended so much later than what the cheap path heard was missed by it."""
BARGE_IN = 15
"""While the product itself speaks, it is asked so often: who is spoken over waits for no one."""
SENTENCE = 50
"""Speech of a second is no note."""
SOUNDS_OVER = 50
"""What is louder than the music is asked about so often …"""
PAUSE_PERIOD = 100
"""… and its pauses so often."""

# Ratios of levels.
BEHIND = 0.1
"""20 dB under the speaker's loudest: music, or what sounds like it, in his room."""
LOUDER = 1.4
"""3 dB over the music: it is no longer alone."""
PAUSE = 1 / 16
"""24 dB under that: a pause, or its end."""
OVER_MUSIC = 2.5
"""8 dB: who speaks over music is louder than it; a note is not."""
OVER_REST = 3.0
"""6 dB over what else is heard."""
UNDER_SPEECH = 0.1
"""20 dB under the speaker's own level: what is weaker is somebody behind him, or nobody."""
QUIET_FLOOR = from_dbfs(-54)
"""Over a floor this low, whatever stays below the gate is nobody."""

TONES = 0.2
"""So much of what the judge calls speech is pure tones: it is none."""

# Logits.
CLEAR = 4.0
"""Such speech needs no level to be believed."""
WEAK = 2.0
"""A new run of no more than this is asked about again."""


class JudgedEar(LevelledEar):
    """`LevelledEar` with a `listener` that decides. Keeps up to eight seconds of frames in memory.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
    """

    __slots__ = (
        "_again",
        "_ask_at",
        "_asked",
        "_curious",
        "_decision",
        "_listener",
        "_paid",
        "_recent",
        "_refused",
        "_said",
        "_silence",
        "_sounds_since",
        "_spoken",
        "_unheard",
        "_verdict",
    )

    def __init__(
        self,
        sample_rate: int,
        listener: Listener,
        *,
        detector: Detector | None = None,
        skip_quiet: bool = True,
    ) -> None:
        super().__init__(sample_rate, detector=detector, skip_quiet=skip_quiet)
        self._listener = listener
        self._silence = bytes(self._size)
        self._recent: list[bytes] = []  # since the last question
        self._ask_at = LEAST
        self._asked = -PERIOD
        self._decision = ENDLESS
        self._paid = 0  # questions are paid for up to this frame
        self._again = 0
        self._curious = 0  # questions still to be asked of a sound that is no speech
        self._sounds_since = 0  # … which began here
        self._refused = 0  # runs in a row that were no speech
        self._verdict = Verdict(None, None, doubtful=False)
        self._spoken = 0  # one past the last frame that the judge called speech, and meant it …
        self._said = 0  # … or calls so now
        self._unheard = 0  # judgements in a row that heard no music while it plays

    def hear(self, frame: bytes | bytearray | memoryview | None) -> bool:
        """Take one frame; True: an attribute has changed."""
        changed = LevelledEar.hear(self, frame)
        self._recent.append(
            self._silence if frame is None or self._is_other(frame) else bytes(frame)
        )
        if changed:
            self._plan()
        if self._now >= self._ask_at:
            return self._review_if_due() or changed
        if self._now >= self._decision and not self.settled():
            changed = self._review() or changed
            self._plan()
        return changed

    def _is_other(self, frame: bytes | bytearray | memoryview) -> bool:
        """It may be an echo of the product's own prompt, or the other side's sound: not for the judge."""
        if self.dual_mono:
            return True
        if self._loudness.echo:
            # Music with holes in it sounds like speech.
            return self.line is not LineState.MUSIC and rms(frame, 2) < self._loudness.gate
        return self._now <= self._leak.until and rms(frame, 2) < self._leak.level

    # -- what the core may ask ---------------------------------------------------------------------

    def expect_decision(self, at: int) -> None:
        """A decision falls due at frame `at`: from it on the judge is asked about what is not known."""
        self._decision = at

    def settled(self) -> bool:
        """The judge was asked lately, or there is nothing to ask about."""
        return self._now - self._asked < FRESH or not self._worth_asking()

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out as speech."""
        fresh = self._now - self._asked < FRESH
        return LevelledEar.doubtful(self) or (fresh and self._verdict.doubtful)

    def finish(self) -> bool:
        """No more frames: settle and close the open run. True: an attribute has changed."""
        before = self._state()
        if self._open and not self.sure and self._now >= LEAST:
            self._review()
            if self._open and not self.sure:
                self._withdraw_run()
        if self._open:
            LevelledEar._close_run(self)
        return self._state() != before

    def _worth_asking(self) -> bool:
        heard = self._loud > max(self.end + MISSED, self._asked)
        noisy = QUIET_FLOOR < self._loudness.floor < FLOOR_UNKNOWN
        return self._open or heard or noisy or self._curious > 0

    # -- when to ask -------------------------------------------------------------------------------

    def _plan(self) -> None:
        """When is the next question worth its cost?"""
        period = BARGE_IN if self._loudness.echo else PERIOD
        free = self._paid - PRICE  # two at once
        if self._loudness.echo:
            free = self._asked + period
        if not self._open:
            wanted = self._asked + (PERIOD if self._curious > 0 else SELDOM)
            if self.line is LineState.MUSIC:
                wanted = self._asked + MUSIC_PERIOD
        elif self.sure:
            wanted = max(self._spoken + period, self._asked + min(FIRST, period))
        elif self._over:
            wanted = self._now
        else:
            wanted = max(self._asked + AGAIN, self._opened + FIRST)
        self._ask_at = max(wanted, free, LEAST)
        if self._curious == CURIOUS and not self.sure:
            known = max(self._sounds_since + MUSIC_KNOWN, self._asked + AGAIN)
            self._ask_at = min(self._ask_at, known)

    def _review_if_due(self) -> bool:
        if self.line is not LineState.MUSIC and not self._worth_asking():
            self._ask_at = self._now + PERIOD  # nothing to hear
            if len(self._recent) > 2 * WINDOW:
                del self._recent[:-WINDOW]
            return False
        changed = self._review()
        self._plan()
        return changed

    def _ask(self) -> Verdict:
        now = self._now
        self._asked = now
        if now >= self._sounds_since + MUSIC_KNOWN:
            self._curious -= 1
        self._paid = min(max(self._paid, now) + PRICE, now + 2 * PRICE)
        self._verdict = self._listener.hear(self._recent)
        self._recent = []
        self._said = self._spoken
        if self._verdict.ended_ago is not None:
            self._said = max(self._spoken, now - self._verdict.ended_ago)
            if self.sure or self._verdict.strength >= WEAK:
                self._spoken = self._said
        return self._verdict

    # -- what follows from the answer --------------------------------------------------------------

    def _review(self) -> bool:
        before = self._state()
        frames = self._recent
        verdict = self._ask()
        if self.line is LineState.MUSIC:
            self._review_music(verdict, frames)
        elif verdict.music and self._is_loud(frames):
            self._begin_music(verdict.music_ago or 0, frames)
        elif self._open:
            self._review_run(verdict, frames)
        elif (
            verdict.spoken and self._said > self.end + MISSED and self._was_missed(verdict, frames)
        ):
            self._hear_missed(verdict)
        return self._state() != before

    def _review_run(self, verdict: Verdict, frames: Sequence[bytes]) -> None:
        spoken = self._said > self._opened + 1
        doubted = self._is_tones(verdict) or not self._is_over_music(verdict, frames)
        if spoken and not self.sure and doubted:
            self._said = self._opened
            spoken = False
        again, self._again = self._again, 0
        weak = spoken and not self.sure and verdict.strength < WEAK
        if weak and again >= MOST_AGAIN and not self._stands_out(verdict, frames):
            self._said = self._opened
            spoken = weak = False
        if weak and again < MOST_AGAIN:
            self._again = again + 1
        elif spoken and self._now - self._said <= GONE:
            self._refused, self._spoken = 0, self._said
            self._accept()
            if self._over:
                self._go_on()
        elif not spoken and not self._over and self._now - self._opened < FIRST:
            self._again = again  # too young to be refused
        elif not spoken and verdict.doubtful and again < MOST_AGAIN:
            self._again = again + 1  # not known yet
        else:
            if not spoken:
                self._refused += 1
                if self._refused > 1:
                    self._paid += REFUSED
            self._end_noise()

    def _go_on(self) -> None:
        """A run that was over, and is speech: close it, or it has gone on."""
        self._over = False
        self._segment_end = self._now
        self._wake = self._due = 0
        if self._now - self._last > HANGOVER:
            self._close_run()

    def _end_noise(self) -> None:
        """The open run is no speech now; it may have been, up to where the judge says."""
        levels = self._run.levels() or self._levels
        lasts = self._now - self._last < HANGOVER and not self._tones.watch.playing
        if lasts and self._curious <= 0 and self._refused <= CURIOUS:
            self._curious, self._sounds_since = CURIOUS, self._opened
        if lasts and levels and self._now - self._opened > SEGMENT:
            self._loudness.raise_floor(sorted(levels)[len(levels) // 2])
        if self._said > self._opened + SHORTEST:
            self._accept()
            near = self._last - self._said <= MISSED
            self._end_run(self._last if near else min(self._said, self._now))
        elif self.sure:
            self._end_run(self._opened + 1)
        self._withdraw_run()

    def _hear_missed(self, verdict: Verdict) -> None:
        """Speech that the cheap path did not hear: it counts, late as it is noticed."""
        began = self._now - (verdict.began_ago or 0)
        self._spoken = self._said
        if self._now - self._said <= GOES_ON:
            self._begin_run(began)
            self._last = self._now
            self._accept()
            return
        self.start = self._last_start = max(began, self.end)
        self.end = self._said
        self.utterances += 1
        self.runs += 1

    # -- runs: not known until the judge says so ---------------------------------------------------

    def _accepts(self) -> bool:
        return self.sure

    def _hangover(self) -> int:
        return HANGOVER if self.sure else SOON

    def _close_run(self) -> None:
        if self.sure or self._is_no_word():
            LevelledEar._close_run(self)
        else:
            self._over = True
            self._plan()

    # -- music -------------------------------------------------------------------------------------

    def _suspect_music(self, since: int) -> None:
        if not self._listener.knows_music:
            LevelledEar._suspect_music(self, since)

    def _sounds_over_music(self) -> None:
        self._ask_at = min(self._ask_at, max(self._now + AGAIN, self._asked + SOUNDS_OVER))

    def _end_block(self) -> None:
        paused = self._loudness.lowest < self._loudness.music * PAUSE
        LevelledEar._end_block(self)
        if paused and self.line is LineState.MUSIC:
            self._ask_at = min(self._ask_at, max(self._now, self._asked + PAUSE_PERIOD))

    def _is_loud(self, frames: Sequence[bytes]) -> bool:
        """Music far below the speaker's own level is behind him: no hold."""
        levels = sorted(rms(frame, 2) for frame in frames)
        return bool(levels) and levels[len(levels) * 4 // 5] >= self._loudness.loudest * BEHIND

    def _begin_music(self, ago: int, frames: Sequence[bytes]) -> None:
        began = self._now - ago
        if self._open and not self.sure:
            began = min(began, self._opened)  # the run was its beginning
        began = max(began, self.end)
        if self._open and self.sure:
            self._end_run(max(self._said, self._opened + 1))
        self._withdraw_run()
        self._unheard = 0
        self._line.set(LineState.MUSIC, began)
        levels, _ = _levels(frames, ago, 0)
        if levels:
            self._loudness.expect_music(levels[len(levels) * 4 // 5] * LOUDER)

    def _review_music(self, verdict: Verdict, frames: Sequence[bytes]) -> None:
        if self._said > max(self.since, self.end) + MISSED and self._is_over_music(verdict, frames):
            self.hold_over()  # somebody speaks: the music is over
            self._hear_missed(verdict)
            return
        self._unheard = 0 if verdict.music or not self._listener.knows_music else self._unheard + 1
        if self._unheard >= 2:
            self.hold_over()

    def _is_over_music(self, verdict: Verdict, frames: Sequence[bytes]) -> bool:
        """What the judge calls speech while music plays is no note of it."""
        ended, began = verdict.ended_ago, verdict.began_ago
        if ended is None or began is None:
            return False
        if not verdict.plays or began - ended >= SENTENCE:
            return True
        voice, rest = _levels(frames, began, ended)
        return (
            bool(voice and rest)
            and voice[len(voice) * 4 // 5] > OVER_MUSIC * rest[len(rest) * 4 // 5]
        )

    def _was_missed(self, verdict: Verdict, frames: Sequence[bytes]) -> bool:
        """What the judge calls speech, though the cheap path heard none, is believed."""
        if self._is_tones(verdict) or not self._stands_out(verdict, frames):
            return False
        ended, began = verdict.ended_ago or 0, verdict.began_ago or 0
        stretch = frames[-min(began, ended + SENTENCE) : -ended or None]
        return self._tones.share(stretch) < TONES

    def _is_tones(self, verdict: Verdict) -> bool:
        """What the judge calls speech is what is known to be tones."""
        tones, began = self._tones.watch, self._now - (verdict.began_ago or 0)
        return tones.began - GOES_ON <= began and self._said <= tones.ended + HANGOVER

    def _stands_out(self, verdict: Verdict, frames: Sequence[bytes]) -> bool:
        """What the judge calls speech, though the cheap path heard none: it is clear, or at least loud."""
        if verdict.strength >= CLEAR:
            return True
        if not verdict.ended_ago:
            return False  # it has just begun
        voice, rest = _levels(frames, verdict.began_ago or 0, verdict.ended_ago)
        if not voice or not rest:
            return True
        least = max(OVER_REST * rest[len(rest) // 2], UNDER_SPEECH * self._loudness.speech)
        return voice[len(voice) * 4 // 5] > least


def _levels(frames: Sequence[bytes], began_ago: int, ended_ago: int) -> tuple[list[int], list[int]]:
    """Levels within a stretch of the newest frames and outside it, each in order of size."""
    levels = [rms(frame, 2) for frame in frames]
    begin, end = (max(len(levels) - ago, 0) for ago in (began_ago, ended_ago))
    return sorted(levels[begin:end]), sorted(levels[:begin] + levels[end:])
