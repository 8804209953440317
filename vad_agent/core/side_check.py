"""Are there two sides, and is each of them heard? Where not, no verdict may rest on a side's silence.

    operator  ██████▁▁▁▁████▁▁▁███████▁▁▁
    client    ██████▁▁▁▁████▁▁▁███████▁▁▁     dual mono: one sound on both sides; whose it is nobody knows
    client    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁     never heard, though the operator talks on and on: not recorded

A client who is not heard after the greeting is the script's first scenario, so a side is missed only when
the other one has talked for far longer than a greeting.
"""

from __future__ import annotations

from vad_agent.core import actions as act
from vad_agent.core.ear import Ear
from vad_agent.core.frames import Channel
from vad_agent.core.silence import SilenceClock, Suspension


class SideCheck:
    """Watches both sides of one call. Appends alerts to its actions, suspends its clock.

    `most_alone`: frames for which one side may speak before the other is heard for the first time.
    """

    def __init__(
        self, client: Ear, *, clock: SilenceClock, actions: list[act.Action], most_alone: int
    ) -> None:
        self._client = client
        self._clock = clock
        self._actions = actions
        self._most_alone = most_alone
        self._spoken = dict.fromkeys(Channel, 0)  # frames
        self._missed: Channel | None = None
        self._dual_mono = False

    def read(self, now: int) -> None:
        """Do both sides carry the same sound?"""
        if self._client.dual_mono == self._dual_mono:
            return
        self._dual_mono = self._client.dual_mono
        if self._dual_mono:
            self._actions.append(act.Alert(now, "both_sides_alike"))
            self._clock.suspend(Suspension.SIDES_ALIKE)
        else:
            self._clock.resume(Suspension.SIDES_ALIKE, now)

    def heard(self, channel: Channel, frames: int, now: int) -> None:
        """This side was known to speak for so many frames more."""
        if self._dual_mono:
            return  # it was not heard apart from the other one
        self._spoken[channel] += frames
        if self._missed is channel:
            self._missed = None
            self._clock.resume(Suspension.SIDE_NEVER_HEARD, now)
        other = Channel.CLIENT if channel is Channel.OPERATOR else Channel.OPERATOR
        alone = not self._spoken[other] and self._spoken[channel] >= self._most_alone
        if alone and self._missed is None:
            self._missed = other
            self._actions.append(act.Alert(now, f"{other.value}_never_heard"))
            self._clock.suspend(Suspension.SIDE_NEVER_HEARD)
