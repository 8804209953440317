"""The ear of one channel: who speaks, from when to when, and what else is on the line.

    frame ─> 8 kHz ─> StreamingClassifier ─> near: earshot, the own level, no leak ──┐
                              └─> Network ─> logits of speech and music ─────────────┴─> Segments, HoldMusic
          └─> Line, ToneProbe, DualMono, Offset: what the line carries

Speech is what earshot and the network call speech together: earshot was trained on the world and takes a
buzz and music for speech, the network knows those, and errs where earshot does not. The network is evaluated
in blocks: at once where earshot hears something, late where nothing can follow from its answer; which of
both makes no difference to what it says. A sound is known to be speech or not GROUP frames after earshot
has heard HEARD frames of it: then it stops a phrase, and a group later it counts as an utterance.
"""

from __future__ import annotations


import numpy as np

from vad_agent.core.actions import LineState
from vad_agent.core.ear import Progress
from vad_agent.core.frames import ENDLESS, SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.detection import classifier as weights
from vad_agent.detection.classifier import MUSIC, SPEECH, Network, Stream
from vad_agent.detection.decimator import Decimator
from vad_agent.detection.hold_music import HoldMusic
from vad_agent.detection.segment import HEARD, OF, Segments
from vad_agent.detection.spectral import GROUP, RATE
from vad_agent.detection.streaming_classifier import (
    Earshot,
    StreamingClassifier,
    earshot,
)
from vad_agent.hearing import leak
from vad_agent.hearing.dual_mono import DualMono
from vad_agent.hearing.level import add, from_dbfs, rms
from vad_agent.hearing.line import Line, Offset
from vad_agent.hearing.loudness import FLAT_MAX
from vad_agent.hearing.tone import MOST
from vad_agent.hearing.tone_probe import ToneProbe

THRESHOLD = 0.2
"""Of earshot's probability: whatever the network says, less is no speech."""
NEAR_DB = 25.0
"""Who is so far under this side's own level is somebody behind, or an echo."""
EVEN, WEIGHT, LOGIT = 0.4, 4.0, 1.0
"""Speech is where the network's logit, and WEIGHT times what earshot says over EVEN, add up to LOGIT."""
LAZY = 25
"""Frames that may wait for the network while earshot hears nothing …"""
OPEN = 10
"""… and while somebody is known to speak."""
ECHO_DBFS = -40.0
ECHO_DB = 6.0
"""While the product speaks, this side is believed above ECHO_DBFS, or above its own level less ECHO_DB
if that is lower: what comes back of a prompt is weaker."""
ECHO_TAIL = 20
"""Frames."""
NO_MUSIC, ALL_MUSIC = -4.0, 2.0
"""Logits of no music and of nothing else."""
MUSIC_LEAD = 30
"""Frames that music plays before the network begins to call it so."""
TONE_FROM = from_dbfs(-55)
BLOCK = 50
FULL_SCALE_DB = 90.3
"""Of an RMS of one int16 step."""


def classifier(detector: Earshot | None) -> StreamingClassifier:
    """A channel's classifier, as the ear uses it."""
    return StreamingClassifier(detector, threshold=THRESHOLD, near_db=NEAR_DB)


class Endpointer:
    """Implements `core.ear.Ear`. `detector`: another one instead of earshot; `network`: not the shipped one.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
        WeightsError: the network's weights are damaged or missing.
    """

    __slots__ = (
        "_against", "_before", "_block_end", "_candidates", "_classifier", "_constant", "_decimator",
        "_done", "_dual_mono", "_echo_until", "_judged", "_leaks_to", "_levels", "_line", "_loud",
        "_loud_since", "_music", "_near", "_now", "_offset", "_other", "_samples", "_segments", "_size",
        "_sounded", "_stream", "_sure_at", "_told", "_tone_due", "_tones", "end", "failed", "progress",
        "runs", "speaking", "start", "sure", "utterances",
    )  # fmt: skip

    def __init__(
        self,
        sample_rate: int,
        *,
        detector: Earshot | None = None,
        network: Network | None = None,
    ) -> None:
        self._samples = samples_per_frame(sample_rate)
        self._size = self._samples * SAMPLE_BYTES
        self._decimator = Decimator(sample_rate) if sample_rate != RATE else None
        self._classifier = classifier(detector or earshot())
        self._stream = Stream(network or weights.load())

        self.speaking = False
        self.sure = False
        self.start = 0
        self.end = 0
        self.utterances = 0
        self.runs = 0
        self.progress: Progress | None = None
        self.failed = False

        self._now = 0  # frames heard or missed so far
        self._done = 0  # those of them that the network has heard
        self._near: list[
            float
        ] = []  # of the others: earshot's probability, 0 where it is nobody near
        self._levels: list[float] = []  # of the same, smoothed
        self._judged: list[
            tuple[bool, float, float]
        ] = []  # frames: is it speech, share of music, level
        self._candidates = 0  # `near` of the last OF frames, newest in bit 0
        self._segments = Segments()
        self._sure_at = 0  # what is open counts as an utterance from here on
        self._music = HoldMusic()

        self._line = Line(self._samples)
        self._constant = False
        self._offset = Offset(self._samples)
        self._against = b""
        self._block_end = BLOCK
        self._sounded = 0  # one past the last frame that was more than next to nothing
        self._loud = 0  # one past the last frame in which a tone could be heard …
        self._loud_since = 0  # … without a gap since here
        self._tones = ToneProbe(sample_rate)
        self._echo_until = 0
        self._tone_due = ENDLESS  # while a tone plays: when to ask of it again
        self._before = 0, 0  # `start` and `end` before the open run
        self._told: tuple[object, ...] = ()
        self._other: Endpointer | None = None
        self._leaks_to: Endpointer | None = None
        self._dual_mono: DualMono | None = None

    # -- the way of a frame ------------------------------------------------------------------------

    def hear(self, frame: bytes | bytearray | memoryview | None) -> bool:
        """Take one frame; True: an attribute has changed."""
        if type(frame) is not bytes or len(frame) != self._size:
            if frame is None:
                return self._hear_nothing()
            frame = check_frame(frame, self._size)
        now = self._now = self._now + 1
        line = self._line
        due = line.missing > 0 or line.state is None
        line.missing = 0
        if self._against:
            frame = add(frame, self._against, 2)
        level = rms(frame, 2)
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
        if level >= TONE_FROM:
            due = self._keep_for_tones(frame) or due
        if now >= self._tone_due:
            self._probe_tone()
            due = True
        self._classify(frame, level)
        if now >= self._block_end:
            self._end_block(frame, level)
            due = True
        if due or self._judged or now >= (line.due() or ENDLESS) or self._wants_answer():
            return self._follow()
        return self.dual_mono and self._has_changed()

    def _hear_nothing(self) -> bool:
        self._now += 1
        self._line.missing += 1
        self._line.end_constant(self._now)
        self._constant = False
        self._classify(bytes(self._size), 0)
        return self._follow()

    def _classify(self, frame: bytes, level: int) -> None:
        now, other = self._now, self._other
        if self._decimator is not None:
            frame = self._decimator.decimate(frame)
            level = rms(frame, 2)
        theirs = other._classifier if other is not None and other._now == now else None
        near = self._classifier.hear(frame, level, theirs)
        if self._leaks_to is not None:
            if level > leak.FROM and self._leaks_to._dual_mono is not None:
                self._leaks_to._dual_mono.hear_other(frame, now)
        elif self._dual_mono is not None and level >= TONE_FROM:
            alike = self._dual_mono.hear_own(frame, now)
            near = near and not alike
            if alike and self.speaking:
                self._withdraw()
        if near and now <= self._echo_until:
            own = self._classifier.speaker_db - ECHO_DB
            near = self._classifier.db >= min(ECHO_DBFS + FULL_SCALE_DB, own)
        self._near.append(self._classifier.probability if near else 0.0)
        self._levels.append(self._classifier.smooth)
        self._candidates = (self._candidates << 1 | near) & (1 << OF) - 1

    def _wants_answer(self) -> bool:
        """It is time to ask the network."""
        waiting = len(self._near)
        if waiting % GROUP:
            return False
        if self._candidates.bit_count() >= HEARD and not self.sure:
            return True
        return waiting >= (OPEN if self._segments.open else LAZY)

    def _follow(self) -> bool:
        """Something may have changed."""
        if self._wants_answer():
            self._ask()
        if self._judged:
            self._hear_judged()
        self._line.settle(self._now)
        return self._has_changed()

    def _has_changed(self) -> bool:
        before, self._told = self._told, (
            self.speaking, self.sure, self.utterances, self.runs, self._line.state, self.progress,
            self.failed, self.dual_mono,
        )  # fmt: skip
        return self._told != before

    # -- what the network says -----------------------------------------------------------------------

    def _ask(self) -> None:
        count = len(self._near) // GROUP * GROUP
        if not count:
            return
        logits = self._stream.logits(self._classifier.take(count))
        near, self._near = self._near[:count], self._near[count:]
        levels, self._levels = self._levels[:count], self._levels[count:]
        self.failed = self.failed or self._classifier.failed
        said = np.array(near)
        speech = (said > 0) & (logits[:, SPEECH] + WEIGHT * (said - EVEN) > LOGIT)
        music = ((logits[:, MUSIC] - NO_MUSIC) / (ALL_MUSIC - NO_MUSIC)).clip(0, 1)
        music = music.reshape(-1, GROUP).mean(axis=1).tolist()
        shares = [share for share in music for _ in range(GROUP)]
        self._judged += zip(speech.tolist(), shares, levels, strict=True)

    def _hear_judged(self) -> None:
        """What the network has said, up to the next transition: the core looks at one after the other."""
        for number, (speech, music, smooth) in enumerate(self._judged, 1):
            self._done += 1
            if self._done % GROUP == 0 and self._music.hear(music, self._done - GROUP):
                self._music_has_changed()
            playing = self._line.state is LineState.MUSIC
            if speech and not playing:
                self._classifier.learn_level(smooth)
            if self._segments.hear(self._done, speech and not playing):
                self._open() if self._segments.open else self._close()
                del self._judged[:number]
                break
        else:
            self._judged.clear()
        if self._segments.open:
            self.end = self._segments.end
            if not self.sure and self._done >= self._sure_at:
                self._accept()

    def _open(self) -> None:
        tone = self._tones.watch
        if tone.playing and tone.ended > self._segments.start:  # it is the tone, or the rest of it
            self._segments.forget()
            return
        self._before = self.start, self.end
        self.start = max(self._segments.start, self.end)
        self.speaking = True
        self._sure_at = self._done + GROUP
        self._line.wake(self.start)

    def _accept(self) -> None:
        self.sure = True
        if self._tones.watch.speech():
            self._follow_tones(self.start)
        self.utterances += 1
        self._line.hear_speech(self.start)

    def _close(self) -> None:
        if not self.sure:
            self._accept()
        self.end = max(self._segments.end, self.start + 1)
        self.speaking = self.sure = False
        self.runs += 1

    def _withdraw(self) -> None:
        """Both sides carry one sound: what is open is nobody's."""
        self._segments.forget()
        if self.speaking:
            self._close()

    def _music_has_changed(self) -> None:
        state = self._line.state
        if not self._music.playing:
            self._line.leave(LineState.MUSIC, self._done)
        elif state in (LineState.LIVE, LineState.QUIET):
            began = self._music.began - MUSIC_LEAD
            if self.start >= began - MUSIC_LEAD:
                began = self.start  # what was taken for speech was its first notes
            elif not self.speaking:
                began = max(began, self.end)
            if self._segments.open:
                self._withdraw()
            self._line.set(LineState.MUSIC, began)

    # -- what else is on the line ----------------------------------------------------------------------

    def _keep_for_tones(self, frame: bytes) -> bool:
        """True: a tone was found where a sound has just begun, or it plays and it is time to ask again."""
        now, tones = self._now, self._tones
        if self._loud != now - 1:
            tones.begin(now - 1)
            self._loud_since = now
        self._loud = now
        tones.frames.append(frame)
        begins = MOST <= now - self._loud_since + 1 <= 2 * MOST
        if not begins or self.sure or not tones.is_tone(now):
            return False
        if self.speaking:  # what has just been taken for speech
            self._segments.forget()
            self.speaking = False
            self.start, self.end = self._before
        self._follow_tones(now)
        return True

    def _probe_tone(self) -> None:
        """What sounds, though it is no speech, may be a tone; one that played may be over."""
        self._tones.probe(self._now, self._loud)
        self._follow_tones(self._tones.watch.ended)

    def _follow_tones(self, over_since: int) -> None:
        watch = self._tones.watch
        self.progress = watch.progress
        self._tone_due = max(self._tones.due, self._now + 1) if watch.playing else ENDLESS
        if not watch.playing:
            self._line.leave(LineState.TONE, over_since)
        elif self.line in (LineState.LIVE, LineState.QUIET):
            self._line.set(LineState.TONE, watch.began)

    def _end_block(self, frame: bytes, level: int) -> None:
        start, self._block_end = self._now - BLOCK, self._now + BLOCK
        if self._offset.watch(frame, level):
            self._against = self._offset.against
        if self._constant:
            return
        if not self._segments.open:
            self._probe_tone()
            if self.end <= start:
                self._line.end_block(start, self._now, dull=self._sounded <= start)

    # -- what the core may ask ---------------------------------------------------------------------

    @property
    def line(self) -> LineState | None:
        """What the line carries; None: no frame came yet, nor was one missed for long."""
        return self._line.state

    @property
    def since(self) -> int:
        """The frame since which the line is in this state."""
        return self._line.since

    @property
    def gated(self) -> bool:
        """Speech has ended digital silence on this line before."""
        return self._line.gated

    @property
    def dual_mono(self) -> bool:
        """This side carries the same sound as the other one."""
        return self._dual_mono is not None and self._dual_mono.same

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out as speech: earshot hears it, the network has not yet."""
        newest = self._near[-OF:]
        return not self.speaking and sum(map(bool, newest)) >= 2 and any(newest[-2:])

    def lacks_frame(self) -> bool:
        """The last frame did not come; not for so long yet that the line has no media."""
        return self._line.missing > 0 and self.line not in (None, LineState.NO_MEDIA)

    def expect_decision(self, at: int) -> None:
        """A decision falls due at frame `at`: what is known is always known by then."""

    def settled(self) -> bool:
        """What is known is good for a decision now."""
        return True

    def own_prompt(self, playing: bool) -> None:
        """The product itself begins or ends to speak: an echo of it may come back for a while."""
        self._echo_until = ENDLESS if playing else self._now + ECHO_TAIL

    def expect_leak_of(self, other: Endpointer) -> None:
        """The other side's voice may leak into this channel. `other` is to be fed first."""
        self._other = other
        other._leaks_to = self
        self._dual_mono = DualMono()

    def hold_over(self) -> None:
        """The hold has ended, or the ringing: music and tones heard so far are over."""
        self._music.drop()
        self._line.leave(LineState.MUSIC, self._now)
        if self._tones.watch.speech():
            self._follow_tones(self._now)

    def finish(self) -> bool:
        """No more frames: close what is open. True: an attribute has changed."""
        self._ask()
        while self._judged:
            self._hear_judged()
        if self._segments.open:
            self._withdraw()
        return self._has_changed()
