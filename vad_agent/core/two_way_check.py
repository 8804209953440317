"""Checks that both sides exist and are heard. If not, the silence of a side decides nothing.

    operator  ██████▁▁▁▁████▁▁▁███████▁▁▁
    client    ██████▁▁▁▁████▁▁▁███████▁▁▁     dual mono: one sound on both sides
    client    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁     never heard, the operator talks for long: not recorded

A client who is not heard after the greeting is the script's first scenario. A side therefore counts
as missing only when the other one has talked for much longer than a greeting.
"""

from __future__ import annotations

from vad_agent.core import actions as act
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import Channel
from vad_agent.core.silence_clock import SilenceClock, Suspension


class TwoWayCheck:
    """Monitors both sides of one call. Appends alerts to its actions and suspends its clock.

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
        """Check whether both sides carry the same sound.

        True: they do from now on, so no decision is possible.
        """
        before, self._dual_mono = self._dual_mono, self._client.dual_mono
        if self._dual_mono and not before:
            self._suspend(Suspension.SIDES_ALIKE, "both_sides_alike", now)
        elif before and not self._dual_mono:
            self._clock.resume(Suspension.SIDES_ALIKE, now)
        return self._dual_mono and not before

    def heard(self, channel: Channel, frames: int, now: int) -> bool:
        """Add `frames` of known speech on this channel.

        True: the other side counts as missing from now on.
        """
        if self._dual_mono:
            return False  # it was not distinguishable from the other side
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
