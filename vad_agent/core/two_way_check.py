"""Are there two sides, and is each of them heard? Where not, no verdict may rest on a side's silence.

    operator  ██████▁▁▁▁████▁▁▁███████▁▁▁
    client    ██████▁▁▁▁████▁▁▁███████▁▁▁     dual mono: one sound on both sides; whose it is nobody knows
    client    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁     never heard, though the operator talks on and on: not recorded

A client who is not heard after the greeting is the script's first scenario, so a side is missed only when
the other one has talked for far longer than a greeting.
"""

from __future__ import annotations

from vad_agent.core import actions as act
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import Channel
from vad_agent.core.silence_clock import SilenceClock, Suspension


class TwoWayCheck:
    """Watches both sides of one call. Appends alerts to its actions, suspends its clock.

    `most_alone`: frames for which one side may speak before the other is heard for the first time.
    """

    def __init__(
        self,
        client: EndpointerPort,
        *,
        clock: SilenceClock,
        actions: list[act.Action],
        most_alone: int,
    ) -> None:
        self._client = client
        self._clock = clock
        self._actions = actions
        self._most_alone = most_alone
        self._spoken = dict.fromkeys(Channel, 0)  # frames
        self._missed: Channel | None = None
        self._dual_mono = False

    def read(self, now: int) -> bool:
        """Do both sides carry the same sound? True: they do from now on, and nothing can be told."""
        before, self._dual_mono = self._dual_mono, self._client.dual_mono
        if self._dual_mono and not before:
            self._suspend(Suspension.SIDES_ALIKE, "both_sides_alike", now)
        elif before and not self._dual_mono:
            self._clock.resume(Suspension.SIDES_ALIKE, now)
        return self._dual_mono and not before

    def heard(self, channel: Channel, frames: int, now: int) -> bool:
        """This side was known to speak for so many frames more. True: the other one is missed from now on."""
        if self._dual_mono:
            return False  # it was not heard apart from the other one
        self._spoken[channel] += frames
        if self._missed is channel:
            self._missed = None
            self._clock.resume(Suspension.SIDE_NEVER_HEARD, now)
        other = Channel.CLIENT if channel is Channel.OPERATOR else Channel.OPERATOR
        alone = not self._spoken[other] and self._spoken[channel] >= self._most_alone
        missed = alone and self._missed is None
        if missed:
            self._missed = other
            self._suspend(Suspension.SIDE_NEVER_HEARD, f"{other.value}_never_heard", now)
        return missed

    def _suspend(self, cause: Suspension, alert: str, now: int) -> None:
        self._actions.append(act.Alert(now, alert))
        self._clock.suspend(cause)
