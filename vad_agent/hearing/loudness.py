"""Two levels that decide how loud is loud enough: the line's noise floor and the speaker's own level.

Levels are RMS of int16 samples of one frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from vad_agent.hearing.level import from_dbfs

GATE_MIN = from_dbfs(-66)
FLAT_MAX = 8
"""Frames up to this level do not count for the floor: dead air between words would hide the noise."""
OVER_FLOOR = 2.2
OVER_NEW_FLOOR = 2.0
"""In the first second: a first word may still be taken for the floor."""
UNDER_SPEECH = 1 / 16
"""24 dB: cheap and effective against echo and voices in the background."""
FLOOR_BLOCKS = 3
FLOOR_UNKNOWN = 32_768.0
FLOOR_TRUST = from_dbfs(-50)
"""A louder floor is believed only after two blocks of it: a word after nothing is no noise."""

ECHO = from_dbfs(-40)
"""An echo of a prompt of -18 dBFS comes back 25 dB weaker or more."""
ECHO_OF_QUIET = 0.5
"""Where the client's own level is known to be lower than an echo, this share of it."""

SPEECH_TARGET = from_dbfs(-21)
GAINS = (1, 2, 4, 8, 16)
GAIN_UNKNOWN = 4
"""Before anyone spoke: a quiet voice is heard, a loud one saturates, which does not disturb."""
ATTACK = 0.5
DECAY_PER_BLOCK = 0.89
"""1 dB in a block of a second: a speaker who moves away from the telephone is found again."""


class Loudness:
    """Tracks both levels, block by block, and gives the gate and the gain that follow from them."""

    __slots__ = (
        "_before",
        "_floors",
        "echo",
        "floor",
        "gain",
        "gate",
        "loudest",
        "lowest",
        "music",
        "speech",
    )

    def __init__(self) -> None:
        self.lowest = FLOOR_UNKNOWN
        """Lowest level in this block; kept by the caller on every frame."""
        self.floor = FLOOR_UNKNOWN
        self.speech = 0.0
        """The speaker's own level; 0: nobody spoke yet."""
        self.gate = GATE_MIN
        """Frames below this are not speech, whatever they sound like."""
        self.gain = GAIN_UNKNOWN
        """Brings speech to the level that the detector knows: it loses voices below -40 dBFS."""
        self._floors: list[float] = []
        self._before = 0.0
        """Lowest level in the block before; 0: it had none."""
        self.echo = False
        """An echo of the product's own prompt may come back now."""
        self.music = 0.0
        """Music plays this loud: what is not louder is it; 0: none."""
        self.loudest = 0.0
        """The speaker's own level, not decayed."""

    def settle(self) -> None:
        """Follow `lowest` down at once."""
        if self.lowest <= FLOOR_TRUST or self.floor < FLOOR_UNKNOWN:
            self.floor = min(self.floor, self.lowest)
            self._set_gate()

    def end_block(self) -> None:
        """A block is over: the floor is the lowest of the last blocks, so it may also rise."""
        if self.lowest < FLOOR_UNKNOWN:
            known = self.floor if self.floor < FLOOR_UNKNOWN else 0.0
            self._floors.append(min(self.lowest, max(self._before, known, FLOOR_TRUST)))
            self._before = self.lowest
            del self._floors[:-FLOOR_BLOCKS]
            self.floor = min(self._floors)
            self.lowest = FLOOR_UNKNOWN
        else:
            self._before = 0.0
        if self.speech:
            self.speech *= DECAY_PER_BLOCK
            self._set_gain()
        self._set_gate()

    def forget_floor(self) -> None:
        """What was measured so far was not the line's noise."""
        self._floors = []
        self.floor = self.lowest = FLOOR_UNKNOWN
        self._before = 0.0
        self._set_gate()

    def raise_floor(self, level: float) -> None:
        """The line's noise is known to be this loud."""
        self._floors = [level, level]
        self.floor = self.lowest = self._before = level
        self._set_gate()

    def hear_speech(self, levels: Sequence[int]) -> None:
        """Levels of frames of speech: the speaker's level is what the louder fifth reaches."""
        heard = sorted(levels)[len(levels) * 4 // 5]
        if heard > self.speech:
            self.speech += (heard - self.speech) * (ATTACK if self.speech else 1.0)
        self.loudest = max(self.loudest, self.speech)
        self._set_gate()
        self._set_gain()

    def _set_gain(self) -> None:
        wanted = SPEECH_TARGET / self.speech
        # Steps of 6 dB, and only when it is off by more: each change disturbs the detector's model.
        if not 0.5 <= wanted / self.gain <= 2.0:
            self.gain = max((g for g in GAINS if g <= wanted), default=GAINS[0])

    def expect_echo(self, expected: bool) -> None:
        """The product's own prompt may come back on this line."""
        self.echo = expected
        self._set_gate()

    def expect_music(self, level: float) -> None:
        """Music plays on this line at this level; 0: it is over."""
        self.music = level
        self._set_gate()

    def _set_gate(self) -> None:
        over = OVER_FLOOR if len(self._floors) > 1 else OVER_NEW_FLOOR
        over_floor = self.floor * over if self.floor < FLOOR_UNKNOWN else 0.0
        echo = 0.0
        if self.echo:
            echo = min(ECHO, self.loudest * ECHO_OF_QUIET) if self.speech else ECHO
        self.gate = max(GATE_MIN, over_floor, self.speech * UNDER_SPEECH, echo, self.music)
