"""FreeSWITCH's forks of a call (mod_audio_fork, mod_audio_stream). No I/O.

    uuid_audio_fork <uuid> start ws://…/?call=<uuid> stereo 8000 {"phone": "…"}
    text    once: the metadata, as the engineer wrote them; not at all if there are none
    binary  L16, little-endian: stereo, left the channel's party, right what it hears; or mono

One way: what the open modules play back are files.
"""

from __future__ import annotations

from collections.abc import Sequence

from vad_agent.audio.pcm import split_stereo
from vad_agent.core.frames import SAMPLE_BYTES, Channel
from vad_agent.errors import MediaError
from vad_agent.speech.mixer import Mark
from vad_agent.telephony.media_dialect import (
    MediaEvent,
    Message,
    SampleCodec,
    SamplesReceived,
    StreamParameters,
    cut,
    one_side,
    parse_object,
    whole_number,
)

WHAT = "FreeSWITCH fork"
_RATES = {"8k": 8_000, "16k": 16_000}


class FreeSwitchFork:
    """One connection of a fork. `parameters`: of the request's URI."""

    paces = False
    marks_begin = False
    lag_s = 0.0

    def __init__(self, parameters: StreamParameters) -> None:
        self._parameters = parameters
        self._codecs: list[SampleCodec] = []
        self._mono: Channel | None = None

    def receive(self, message: Message) -> Sequence[MediaEvent]:
        """What this message means.

        Raises:
            MediaError: it is no fork's. The connection cannot be used any more.
        """
        found: list[MediaEvent] = []
        if not self._codecs:
            found.append(self._start(message if isinstance(message, str) else ""))
        if isinstance(message, bytes):
            found += self._audio(message)
        return found

    def _start(self, metadata: str) -> MediaEvent:
        found = parse_object(metadata, WHAT) if metadata.startswith("{") else None
        parameters = self._parameters.updated(found)
        rate = parameters.rate or "8000"
        hz = _RATES.get(rate.lower()) or whole_number(rate, f"{WHAT}: rate")
        if parameters.mix not in (None, "stereo", "mono"):
            raise MediaError(f"{WHAT}: mix: expected stereo or mono, got {cut(parameters.mix)}")
        if parameters.mix == "mono":
            self._mono = parameters.leg or Channel.CLIENT
        self._parameters = parameters
        self._codecs = [SampleCodec("l16", hz, WHAT) for _ in Channel]
        return parameters.started(None, side=self._mono, two_way=False, what=WHAT)

    def _audio(self, samples: bytes) -> Sequence[MediaEvent]:
        if self._mono is not None:
            return one_side(self._mono, self._codecs[0].decode(samples))
        if len(samples) % (2 * SAMPLE_BYTES):
            raise MediaError(f"{WHAT}: expected L16 in stereo, got {len(samples)} bytes")
        party, heard = (
            codec.decode(side)
            for codec, side in zip(self._codecs, split_stereo(samples), strict=True)
        )
        if not samples:
            return []
        if self._parameters.leg is Channel.OPERATOR:
            party, heard = heard, party
        return [SamplesReceived(party, heard)]

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Nothing: one way."""
        return []

    def mark(self, number: int, mark: Mark) -> Sequence[Message]:
        """Nothing: one way."""
        return []

    def clear(self) -> Sequence[Message]:
        """Nothing: one way."""
        return []
