"""The ear with a judge behind it: the cheap path decides at once, the judge where it pays.

    cheap path   ▁▁████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁      every frame
    judge          ?   ?          ?       ?        a run is to be accepted; now and then; before a prompt

The judge hears the last four seconds again. It refuses a run that was no speech, ends one that has
long been noise, finds words that the cheap path missed, and what only sounded like music.
"""

from __future__ import annotations

from collections import deque

from vad_agent.core.actions import LineState
from vad_agent.hearing.ear import SHORTEST, LevelledEar
from vad_agent.hearing.judge import LEAST, Judge, Verdict
from vad_agent.hearing.level import peak, rms
from vad_agent.hearing.music import REJUDGE_FRAMES, is_music
from vad_agent.hearing.webrtc import Detector

# Frames.
HEARD = 200
"""The judge hears the last four seconds: of six it knows no better, and they cost half as much again."""
PERIOD = 100
"""So long after it was asked, it is asked again."""
FRESH = 4
"""A verdict younger than this stands."""
GONE = 40
"""An open run in whose last frames so long nobody spoke is noise."""
MISSED = 12
"""Speech that ended so much later than what the cheap path heard was missed by it."""

MUSIC_LEAST = 40
"""A run of fewer frames has too few notes to tell."""
WORD = 20
"""A run of so many frames is a word: the judge misses one in a hundred of them."""

# Ratios of levels.
AS_LOUD = 0.35
"""9 dB under the speaker's own level: as loud as he is."""
OVER_NOISE = 16.0
"""24 dB over the noise floor."""

PEAK = 60
"""Samples that stay within this (−55 dBFS) are nobody's."""


class JudgedEar(LevelledEar):
    """`LevelledEar` with a `judge` as a second opinion. Keeps four seconds of frames in memory.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
    """

    __slots__ = (
        "_ask_at",
        "_asked",
        "_judge",
        "_rate",
        "_recent",
        "_silence",
        "_spoken",
        "_verdict",
    )

    def __init__(
        self,
        sample_rate: int,
        judge: Judge,
        *,
        detector: Detector | None = None,
        skip_quiet: bool = True,
    ) -> None:
        super().__init__(sample_rate, detector=detector, skip_quiet=skip_quiet)
        self._rate = sample_rate
        self._judge = judge
        self._silence = bytes(self._size)
        self._recent: deque[bytes] = deque(maxlen=HEARD)
        self._ask_at = PERIOD
        self._asked = -PERIOD
        self._verdict = Verdict(None, None, doubtful=False)
        self._spoken = 0  # one past the last frame that the judge called speech

    def hear(self, frame: bytes | bytearray | memoryview | None) -> bool:
        """Take one frame; True: an attribute has changed."""
        changed = LevelledEar.hear(self, frame)
        self._recent.append(
            self._silence if frame is None or self._is_other(frame) else bytes(frame)
        )
        if self._now >= self._ask_at:
            return self._review() or changed
        return changed

    def _is_other(self, frame: bytes | bytearray | memoryview) -> bool:
        """It may be an echo of the product's own prompt, or the other side's leak: not for the judge."""
        if self._loudness.echo:
            return rms(frame, 2) < self._loudness.gate
        return self._now <= self._leak_until and rms(frame, 2) < self._leak

    def confirm(self) -> bool:
        """A prompt is about to be spoken: listen again. True: an attribute has changed."""
        return self._now - self._asked >= FRESH and self._review()

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out as speech."""
        fresh = self._now - self._asked < FRESH
        return LevelledEar.doubtful(self) or (fresh and self._verdict.doubtful)

    # -- the judge's opinions ----------------------------------------------------------------------

    def _ask(self) -> Verdict:
        self._asked = self._now
        self._ask_at = self._now + PERIOD
        frames = list(self._recent)
        if peak(b"".join(frames), 2) <= PEAK:
            self._verdict = Verdict(None, None, doubtful=False)
        else:
            self._verdict = self._judge.hear(frames, self._rate)
        if self._verdict.ended_ago is not None:
            self._spoken = max(self._spoken, self._now - self._verdict.ended_ago)
        return self._verdict

    def _is_speech(self) -> bool:
        if len(self._recent) < LEAST:
            return True
        self._ask()
        return self._spoken > self._opened + 1 or self._is_clear() or self._may_be_music()

    def _may_be_music(self) -> bool:
        """Notes, and nobody speaks: left open until it is known, for hold music is no silence."""
        if self._now - self._opened < MUSIC_LEAST:
            return False
        if not is_music(list(self._recent)[-REJUDGE_FRAMES:], self._rate):
            return False
        self._music.suspect(self._opened, self._now)
        return True

    def _is_clear(self) -> bool:
        """A word far above the noise and as loud as the speaker: one no does not undo it."""
        levels = sorted(self._run.levels())
        if not levels or self._last - self._opened > WORD:
            return False
        heard = levels[len(levels) * 4 // 5]
        loudness = self._loudness
        return heard > max(loudness.speech * AS_LOUD, loudness.floor * OVER_NOISE)

    def _is_music(self) -> bool:
        verdict = self._ask()
        return verdict.ended_ago is None or verdict.ended_ago > 2 * GONE

    def _review(self) -> bool:
        if len(self._recent) < LEAST:
            self._ask_at = self._now + LEAST
            return False
        before = self._state()
        verdict = self._ask()
        speaks = verdict.ended_ago is not None and verdict.ended_ago <= GONE
        if self.line is LineState.MUSIC:
            if speaks:
                self.hold_over()  # somebody speaks: the music is over
        elif self._open:
            if not speaks and not self._may_be_music():
                self._end_noise()
        elif verdict.spoken and self._spoken > self.end + MISSED:
            self._hear_missed(verdict)
        return self._state() != before

    def _end_noise(self) -> None:
        """The open run is no speech now; it may have been, up to where the judge says."""
        levels = self._run.levels()
        if levels:
            self._loudness.raise_floor(sorted(levels)[len(levels) // 2])
        if self._spoken > self._opened + SHORTEST:
            self._accept()
            self._end_run(min(self._spoken, self._now))
        elif self._accepted:
            self._end_run(self._opened + 1)
        self._withdraw_run()

    def _hear_missed(self, verdict: Verdict) -> None:
        """Speech that the cheap path did not hear: it counts, late as it is noticed."""
        began = self._now - (verdict.began_ago or 0)
        self.start = self._last_start = max(began, self.end)
        self.end = self._spoken
        self.utterances += 1
        self.runs += 1
