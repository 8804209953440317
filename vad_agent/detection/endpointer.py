"""The endpointer of one channel: detects segments of speech and their ends.

    frame ─> LineWatch ─> 8 kHz ─> FeatureExtractor ─> detector, level, crosstalk ─┬─> FrameDecision,
                                     └─> Network ─> logits of speech and music ────┘   Segments, HoldMusic

A frame is speech if the detector and the network together say so. earshot detects many voices, but takes
music and a buzz for speech; the network rejects those, and makes errors elsewhere. The network is
evaluated in blocks: at once while the detector detects something, later while the result cannot matter.
The block sizes do not change its answers.

Whether a sound is speech is known within GROUP frames after the detector has detected HEARD frames of
it. It then stops a prompt, and one GROUP later it counts as an utterance. Without a network the detector
decides, without a detector the network, without both the level.
"""

from __future__ import annotations

from vad_agent.audio.pcm import from_dbfs, rms
from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import Progress
from vad_agent.core.frames import ENDLESS, SAMPLE_BYTES, check_frame, samples_per_frame
from vad_agent.detection.decimator import Decimator
from vad_agent.detection.dual_mono import FROM, DualMono
from vad_agent.detection.feature_extractor import FeatureExtractor
from vad_agent.detection.hold_music import HoldMusic
from vad_agent.detection.line_watch import TONE_FROM, LineWatch
from vad_agent.detection.neural_network import MUSIC, Network, NetworkStream
from vad_agent.detection.spectral_features import GROUP, RATE
from vad_agent.detection.speech_decision import HEARD, OF, THRESHOLD, FrameDecision, Segments
from vad_agent.detection.third_party_detectors import Detector

NEAR = 10 ** (-25 / 20)
"""Relative to this side's own level: a weaker voice is a person in the background, or an echo."""
BLOCK = 50
"""Frames that may wait for the network while the detector detects nothing …"""
OPEN = 20
"""… and while somebody is known to speak."""
STAGGER = 10
"""Frames between the blocks of the two sides, so that they are not evaluated in the same frame."""
PATIENCE = 3
"""Groups between two evaluations of a sound that was refused: 0.3 s."""
ECHO_FROM = from_dbfs(-40)
ECHO = 10 ** (-6 / 20)
"""While a prompt plays, only what is above ECHO_FROM counts, or above ECHO of this side's own level if that
is lower: the prompt's echo is weaker."""
ECHO_TAIL = 20
"""Frames after the prompt in which its echo may still arrive."""
NO_MUSIC, ALL_MUSIC = -4.0, 2.0
"""The network's logits that count as a music share of 0 and of 1."""
MUSIC_LEAD = 20
"""Frames from the beginning of music to its first trace in the network's answers."""
FIRST_NOTES = 200
"""Frames of music that may be taken for speech, or for nothing."""
LOUD = from_dbfs(-50)
"""RMS from which a frame is speech if there is neither a detector nor a network."""


def feature_extractor(detector: Detector | None, threshold: float = THRESHOLD) -> FeatureExtractor:
    """A channel's feature extractor, as the endpointer uses it."""
    return FeatureExtractor(detector, threshold=threshold, near=NEAR)


class Endpointer:
    """Implements `core.endpointer_port.EndpointerPort`.

    `detector`, `network`: None: the other one decides alone; `detector_missing`: the name of the detector
    that would be there if it were installed.

    Raises:
        FrameError: `sample_rate` (Hz) is not one that the product takes.
    """

    __slots__ = (
        "_before", "_candidates", "_changed_between_frames", "_crosstalk_to", "_decided",
        "_decimator", "_decision", "_done", "_dual_mono", "_echo_until", "_evaluate_at",
        "_features", "_music", "_near", "_now", "_other", "_refused", "_reported", "_segments",
        "_size", "_stream", "_sure_at", "_watch", "detector_missing", "end", "failed",
        "segments_ended", "speaking", "start", "sure", "utterances",
    )  # fmt: skip

    def __init__(
        self,
        sample_rate: int,
        *,
        detector: Detector | None,
        network: Network | None,
        detector_missing: str | None = None,
    ) -> None:
        self._size = samples_per_frame(sample_rate) * SAMPLE_BYTES
        self._decimator = Decimator(sample_rate) if sample_rate != RATE else None
        threshold = THRESHOLD
        if detector is not None and network is None:
            threshold = detector.threshold
        self._features = feature_extractor(detector, threshold)
        self._stream = None if network is None else NetworkStream(network)
        self._watch = LineWatch(sample_rate)

        self.speaking = False
        self.sure = False
        self.start = 0
        self.end = 0
        self.utterances = 0
        self.segments_ended = 0
        self.failed = False
        self.detector_missing = detector_missing

        self._now = 0  # frames received or missed so far
        self._done = 0  # frames that are decided and have been processed
        self._near: list[float] = []  # undecided frames: the probability, 0 if gated
        self._evaluate_at = BLOCK  # the frame at which the network is evaluated for them
        self._decision = FrameDecision()
        self._refused = 0  # consecutive evaluations that rejected what the detector had detected
        # Decided frames that are not processed yet: speech, music share, level.
        self._decided: list[tuple[bool, float, float]] = []
        self._candidates = 0  # whether the last OF frames passed the gates, newest in bit 0
        self._segments = Segments()
        self._sure_at = 0  # the frame from which the open segment counts as an utterance
        self._music = HoldMusic()
        self._echo_until = 0
        self._before = 0, 0  # `start` and `end` before the open segment
        self._other: Endpointer | None = None
        self._crosstalk_to: Endpointer | None = None
        self._dual_mono: DualMono | None = None
        self._reported = self._state()
        self._changed_between_frames = False  # an attribute may have changed between two frames

    # -- processing of a frame ---------------------------------------------------------------------

    def feed(self, frame: bytes | bytearray | memoryview | None) -> bool:
        """Process one frame. True: an attribute has changed."""
        if type(frame) is not bytes or len(frame) != self._size:
            if frame is None:
                return self._feed_missing()
            frame = check_frame(frame, self._size)
        now = self._now = self._now + 1
        watch = self._watch
        due = watch.feed(frame, now, spoken=self.sure)
        if now >= watch.block_end:
            watch.end_block(now, None if self._segments.open else self.end)
            due = True
        if watch.tone_began and self.speaking:  # it was taken for speech
            self._withdraw()
        self._classify(watch.frame, watch.level)
        if due or self._changed_between_frames or self._decided or now >= self._evaluate_at:
            return self._follow()
        both = self._dual_mono
        return both is not None and both.same and self._has_changed()

    def _feed_missing(self) -> bool:
        self._now += 1
        self._watch.feed_missing(self._now)
        self._classify(bytes(self._size), 0)
        if self._segments.open:
            self._evaluate_at = min(self._evaluate_at, self._now + -self._now % GROUP)
        return self._follow()

    def _classify(self, frame: bytes, level: int) -> None:
        now, other, one = self._now, self._other, self._features
        if self._decimator is not None:
            frame = self._decimator.decimate(frame)
            level = rms(frame, 2)
        theirs = other._features if other is not None and other._now == now else None
        near = one.feed(frame, level, theirs)
        if self._crosstalk_to is not None:
            if level > FROM and self._crosstalk_to._dual_mono is not None:
                self._crosstalk_to._dual_mono.feed_other(frame, now)
        elif (
            self._dual_mono is not None
            and level >= TONE_FROM
            and self._dual_mono.feed_own(frame, now)
        ):
            near = False
            self._withdraw()
        if near and now <= self._echo_until:
            near = min(level, one.smoothed) >= min(ECHO_FROM, one.own_level * ECHO or ECHO_FROM)
        if near and self._stream is None and one.without_detector:
            near = level >= LOUD
        self._near.append(one.probability if near else 0.0)
        candidates = self._candidates = (self._candidates << 1 | near) & (1 << OF) - 1
        if near and not self.sure and candidates.bit_count() >= HEARD:
            patience = GROUP * min(1 + self._refused, PATIENCE)
            due = max(now + -now % GROUP, self._done + patience)
            if due < self._evaluate_at:
                self._evaluate_at = due

    def _follow(self) -> bool:
        """Evaluate and process what is due."""
        self._changed_between_frames = False
        if self._now >= self._evaluate_at:
            self._decide()
        if self._decided:
            self._process_decided()
        self._watch.line.settle(self._now)
        return self._has_changed()

    def _has_changed(self) -> bool:
        before, self._reported = self._reported, self._state()
        return self._reported != before

    def _state(self) -> tuple[object, ...]:
        return (
            self.speaking, self.sure, self.utterances, self.segments_ended, self.line, self.progress,
            self.failed, self.dual_mono,
        )  # fmt: skip

    # -- what is speech ------------------------------------------------------------------------------

    def _decide(self) -> None:
        """Decide the waiting frames, in whole groups."""
        count = len(self._near) // GROUP * GROUP
        if not count:
            return
        near, self._near = self._near[:count], self._near[count:]
        self.failed = self._features.failed
        heard = any(near)
        levels = self._features.levels(count)
        detector = not self._features.without_detector
        logits = None
        music = [0.0] * count
        if self._stream is None:
            self._features.drop(count)
        else:
            logits = self._stream.logits(self._features.take(count))
            shares = ((logits[:, MUSIC] - NO_MUSIC) / (ALL_MUSIC - NO_MUSIC)).clip(0, 1)
            music = shares.reshape(-1, GROUP).mean(axis=1).repeat(GROUP).tolist()
        speech = self._decision.decide(near, logits, levels, detector=detector)
        self._refused = self._refused + 1 if heard and not any(speech) else 0
        wait = OPEN if self._segments.open or any(speech) else BLOCK
        self._evaluate_at = self._now - self._now % GROUP + wait
        self._decided += zip(speech, music, levels, strict=True)

    def _process_decided(self) -> None:
        """Process decided frames up to the next transition: the core handles transitions one by one."""
        for number, (speech, music, smooth) in enumerate(self._decided, 1):
            self._done += 1
            if self._done % GROUP == 0 and self._music.feed(music, smooth, self._done - GROUP):
                self._music_has_changed()
            playing = self.line is LineState.MUSIC
            if speech and not playing:
                self._features.learn_level(smooth)
            if self._segments.feed(self._done, speech and not playing):
                self._open() if self._segments.open else self._close()
                del self._decided[:number]
                break
        else:
            self._decided.clear()
        if self._segments.open:
            self.end = self._segments.end
            if not self.sure and self._done >= self._sure_at:
                if self._is_tone(self.start):
                    self._withdraw()
                else:
                    self._accept()

    def _open(self) -> None:
        if self._is_tone(self._segments.start):
            self._segments.forget()
            return
        self._before = self.start, self.end
        self.start = max(self._segments.start, self.end)
        self.speaking = True
        self._sure_at = self._done + GROUP
        self._watch.line.wake(self.start)

    def _is_tone(self, start: int) -> bool:
        """The sound since that frame is a tone, or the rest of one."""
        tone = self._watch.tones.watch
        if not tone.playing or tone.ended <= start:
            self._watch.probe_tone(self._now)
        return tone.playing and tone.ended > start

    def _accept(self) -> None:
        self.sure = True
        self.utterances += 1
        self._watch.note_speech(self.start, self._now)

    def _close(self) -> None:
        if not self.sure:
            self._accept()
        self.end = max(self._segments.end, self.start + 1)
        self.speaking = self.sure = False
        self.segments_ended += 1

    def _withdraw(self) -> None:
        """The sound is not a voice: end an utterance, or discard a segment that is not one yet."""
        self._segments.forget()
        self._near = [0.0] * len(self._near)
        self._candidates = 0
        if self.sure:
            self._close()
        elif self.speaking:
            self.speaking = False
            self.start, self.end = self._before

    def _music_has_changed(self) -> None:
        line = self._watch.line
        if not self._music.playing:
            line.leave(LineState.MUSIC, self._music.ended)
        elif line.state in (LineState.LIVE, LineState.QUIET):
            since = self._music_since()
            if self._segments.open:
                self._withdraw()
            line.set(LineState.MUSIC, since)

    def _music_since(self) -> int:
        """The frame at which the detected music began: with its sound, or after the last word."""
        likely, sound = self._music.began, self._watch.sounding_since
        first = sound if likely - FIRST_NOTES <= sound <= likely else likely - MUSIC_LEAD
        if self.start >= first and self.end > first + FIRST_NOTES:  # that was a word
            return min(self.end, likely)
        return first

    # -- state for the core -----------------------------------------------------------------------

    @property
    def line(self) -> LineState | None:
        """What the line carries. None: no frame has come yet, and none has been missing for long."""
        return self._watch.line.state

    @property
    def since(self) -> int:
        """The frame at which the line entered this state."""
        return self._watch.line.since

    @property
    def gated(self) -> bool:
        """Speech has ended digital silence on this line before."""
        return self._watch.line.gated

    @property
    def progress(self) -> Progress | None:
        """The call-progress tone heard since the last speech. None: none, or not known yet."""
        return self._watch.tones.watch.progress

    @property
    def dual_mono(self) -> bool:
        """This channel carries the same sound as the other one."""
        return self._dual_mono is not None and self._dual_mono.same

    def doubtful(self) -> bool:
        """A sound has just begun that may turn out to be speech."""
        newest = self._near[-OF:]
        return (
            not self.speaking
            and not self._refused
            and sum(map(bool, newest)) >= HEARD
            and any(newest[-2:])
        )

    def lacks_frame(self) -> bool:
        """The last frame did not arrive, but not for long enough to count as no media."""
        return self._watch.line.missing > 0 and self.line not in (None, LineState.NO_MEDIA)

    def own_prompt(self, playing: bool) -> None:
        """A prompt starts or stops playing: expect its echo."""
        self._echo_until = ENDLESS if playing else self._now + ECHO_TAIL

    def expect_crosstalk_of(self, other: Endpointer) -> None:
        """Expect cross-talk of the other side, which is fed first."""
        self._other = other
        other._crosstalk_to = self
        self._dual_mono = DualMono()
        self._evaluate_at += STAGGER

    def hold_over(self) -> None:
        """Hold or ringing has ended: discard the music and tones detected so far."""
        self._music.drop()
        self._watch.line.leave(LineState.MUSIC, self._now)
        self._watch.forget_tones(self._now, self._now)
        self._changed_between_frames = True

    def finish(self) -> bool:
        """No more frames: close the open segment. True: an attribute has changed; call again until False."""
        self._decide()
        while self._decided:
            self._process_decided()
            if self._has_changed():
                return True
        self._segments.forget()
        if self.speaking:
            self._close()
        return self._has_changed()
