"""Finds every silence of one channel that reaches a threshold; causal, as in a live call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vad_agent.core.actions import LineState
from vad_agent.core.endpointer_port import EndpointerPort
from vad_agent.core.frames import ENDLESS, Channel, seconds

DEFER = 10
"""Most frames that a silence waits until a sound that begins is known to be speech or not."""
PATIENCE = 600
"""Frames of silence after which a sound that is not known to be speech no longer delays it."""


@dataclass(frozen=True, slots=True)
class DeadAir:
    """A silence that reached the threshold. Frames of the recording."""

    fired: int
    started: int
    """The end of the last speech before it; 0: nobody had spoken."""
    cause: LineState
    channel: Channel

    def record(self) -> dict[str, object]:
        """As the JSON object of `vad-agent dead-air`."""
        return {
            "fired_s": seconds(self.fired),
            "silence_started_s": seconds(self.started),
            "cause": self.cause.value,
            "channel": self.channel.value,
        }


def dead_air(
    stream: Iterable[bytes | None],
    endpointer: EndpointerPort,
    channel: Channel,
    threshold: int,
    *,
    defer: int = DEFER,
    patience: int = PATIENCE,
) -> Iterator[DeadAir]:
    """Silences of `threshold` frames and more, each once, at the frame at which it is known.

    voice     ████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                      |<- threshold ->|fired; a little later where a sound has just begun

    `stream`: 20 ms frames of the channel, at the endpointer's rate; None: a missing frame.
    """
    now = 0
    reported = -1  # the start of the silence that was reported last
    due = threshold
    hear = endpointer.feed
    for frame in stream:
        changed = hear(frame)
        now += 1
        if not changed and now < due:
            continue
        started = endpointer.end
        silence = now - started
        known = silence >= max(patience, threshold) or not endpointer.speaking
        if (endpointer.speaking and endpointer.sure) or started == reported:
            due = ENDLESS  # until the endpointer reports a change
        elif silence < threshold:
            due = started + threshold
        elif not known or (silence < threshold + defer and endpointer.doubtful()):
            due = now + 1
        else:
            reported, due = started, ENDLESS
            yield DeadAir(now, started, endpointer.line or LineState.NO_MEDIA, channel)


def beside(
    operator: EndpointerPort,
    client: EndpointerPort,
    pairs: Iterable[tuple[bytes | None, bytes | None]],
) -> Iterator[bytes | None]:
    """The client's frames of a call, for `dead_air`, with the operator's, whose voice may cross over."""
    client.expect_crosstalk_of(operator)
    for operator_frame, client_frame in pairs:
        operator.feed(operator_frame)
        yield client_frame
