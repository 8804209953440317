"""Monitors one channel apart from speech: constants, an offset, tones, blocks with almost no sound.

    frame ─> less the offset ─┬─> constant? ──────> digital zero ┐
                              ├─> ToneProbe ──────> tone         ├─> LineState
                              └─> every BLOCK ────> quiet, tones ┘

The endpointer reports speech to it; its results refer to the last frame.
"""

from __future__ import annotations

from vad_agent.audio.pcm import add, from_dbfs, rms
from vad_agent.core.actions import LineState
from vad_agent.core.frames import ENDLESS, samples_per_frame
from vad_agent.detection.call_progress_tones import MOST
from vad_agent.detection.line_state import Line, Offset
from vad_agent.detection.tone_probe import ToneProbe

FLAT_MAX = 8
"""RMS of int16: frames of a constant, or with almost no sound, have at most this."""
TONE_FROM = from_dbfs(-55)
BLOCK = 50
"""Frames."""
AGAIN = 7
"""Frames between two checks for a tone in a continuing sound; no cadence has this period."""


class LineWatch:
    """The monitor of one channel. `sample_rate`: Hz."""

    __slots__ = (
        "_against", "_constant", "_look_at", "_loud", "_loud_since", "_offset", "_sounded",
        "_tone_due", "block_end", "frame", "level", "line", "tone_began", "tones",
    )  # fmt: skip

    def __init__(self, sample_rate: int) -> None:
        samples = samples_per_frame(sample_rate)
        self.line = Line(samples)
        self.tones = ToneProbe(sample_rate)
        self.frame = b""
        """The newest frame, without the line's offset."""
        self.level = 0
        """Its RMS."""
        self.tone_began = False
        """A sound that began recently was recognized as a tone in the newest frame."""
        self._constant = False
        self._offset = Offset(samples)
        self._against = b""
        self.block_end = BLOCK
        """The frame at which `end_block` is due."""
        self._sounded = 0  # one past the last frame above FLAT_MAX
        self._loud = 0  # one past the last frame in which a tone could be heard …
        self._loud_since = 0  # … without a gap since here
        self._look_at = 0  # while it continues: when to check for a tone
        self._tone_due = ENDLESS  # while a tone plays: when to check it again

    def feed(self, frame: bytes, now: int, *, spoken: bool) -> bool:
        """Process frame number `now`, counted from 1; `spoken`: the current sound is known to be speech.

        True: what the line carries may have changed.
        """
        line = self.line
        due = line.missing > 0 or line.state is None
        line.missing = 0
        if self._against:
            frame = add(frame, self._against, 2)
        level = rms(frame, 2)
        self.frame, self.level = frame, level
        if level <= FLAT_MAX:
            # A constant frame ends as it begins; most others don't.
            same = frame != line.flat_frame if self._constant else frame[0] == frame[-2]
            if same and line.watch_constant(frame, now):
                self._constant = line.flat_since is not None
                due = True
        else:
            self._sounded = now
            if self._constant:
                self._constant, due = False, True
                line.end_constant(now)
        self.tone_began = level >= TONE_FROM and self._tone_begins(frame, now, spoken)
        if now >= self._tone_due or (not spoken and self._loud == now and now >= self._look_at):
            self.probe_tone(now)
            due = True
        if due or self.tone_began:
            return True
        return line.flat_since is not None and now >= (line.due() or ENDLESS)

    @property
    def sounding_since(self) -> int:
        """The frame since which there has been sound without a gap; without sound, the last frame."""
        return self._loud_since - 1

    def feed_missing(self, now: int) -> None:
        """Process a missing frame."""
        self.line.missing += 1
        self.line.end_constant(now)
        self._constant = False
        self.frame, self.level, self.tone_began = b"", 0, False

    def end_block(self, now: int, spoken_until: int | None) -> None:
        """End a block. `spoken_until`: the end of speech so far; None: it continues."""
        start, self.block_end = now - BLOCK, now + BLOCK
        if self._offset.watch(self.frame, self.level):
            self._against = self._offset.against
        if not self._constant:
            played = self.tones.watch.playing
            self.probe_tone(now)
            # A tone whose first pulses were taken for speech.
            self.tone_began = spoken_until is None and not played and self.tones.watch.playing
            if spoken_until is not None and spoken_until <= start:
                self.line.end_block(start, now, dull=self._sounded <= start)

    def note_speech(self, since: int, now: int) -> None:
        """Somebody speaks as of that frame: end the tones so far."""
        self.forget_tones(since, now)
        self.line.note_speech(since)

    def forget_tones(self, over_since: int, now: int) -> None:
        """Somebody is present."""
        if self.tones.watch.speech():
            self._follow_tones(over_since, now)

    def _tone_begins(self, frame: bytes, now: int, spoken: bool) -> bool:
        tones = self.tones
        if self._loud != now - 1:
            tones.begin(now - 1)
            self._loud_since = now
            self._look_at = now + 2 * MOST
        self._loud = now
        tones.frames.append(frame)
        begins = MOST <= now - self._loud_since + 1 <= 2 * MOST
        if not begins or spoken or not tones.is_tone(now):
            return False
        self._follow_tones(now, now)
        return True

    def probe_tone(self, now: int) -> None:
        """Check whether a sound that is not speech is a tone, and whether a tone has ended."""
        self.tones.probe(now, self._loud)
        self._look_at = now + AGAIN
        self._follow_tones(self.tones.watch.ended, now)

    def _follow_tones(self, over_since: int, now: int) -> None:
        watch = self.tones.watch
        self._tone_due = max(self.tones.due, now + 1) if watch.playing else ENDLESS
        if not watch.playing:
            self.line.leave(LineState.TONE, over_since)
        elif self.line.state in (LineState.LIVE, LineState.QUIET):
            self.line.set(LineState.TONE, watch.began)
