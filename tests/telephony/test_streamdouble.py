"""Streams of a Twilio that is not ours: streamdouble, in real time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from streamdouble.api import call
from streamdouble.chaos import Impairments
from streamdouble.session import SessionConfig

from tests.telephony.test_audiosocket_server import Heard
from tests.telephony.test_call_router import ALO, GREETING, ROOM, Pbx
from tests.telephony.test_websocket_server import serving, until
from vad_agent.audio.pcm import from_ulaw, to_ulaw
from vad_agent.core.frames import Channel


def frames(*parts: bytes | float) -> list[bytes]:
    """20 ms of u-law each: sounds (int16), and seconds of a room's silence."""
    pcm = b"".join(
        ROOM[: round(one * 8_000) * 2] if isinstance(one, float) else one for one in parts
    )
    sound = to_ulaw(pcm, 2)
    return [sound[at : at + 160] for at in range(0, len(sound) // 160 * 160, 160)]


def test_a_fork_of_both_tracks_arrives_whole_and_nothing_is_sent_back(tmp_path: Path) -> None:
    client, operator = frames(ALO.tobytes()), frames(GREETING.tobytes())

    async def run() -> None:
        pbx = Pbx(tmp_path)
        pbx.router = router = Heard(pbx)
        config = SessionConfig(
            fork=True, tracks=["inbound", "outbound"], agent_frames=operator, strict_fork=True
        )
        async with serving(pbx) as (server, url):
            report = await call(url, frames=client, config=config)
            assert report.violations == []
            await until(lambda: not server.connections)
            assert not server.failed
        for side, sent in ((Channel.CLIENT, client), (Channel.OPERATOR, operator)):
            sound = from_ulaw(b"".join(sent), 2)
            assert router.sides[side][: len(sound)] == sound[: len(router.sides[side])]
            assert len(router.sides[side]) >= 0.9 * len(sound)

    asyncio.run(run())


def test_two_legs_are_one_call_the_phrase_is_played_and_cleared_when_the_client_speaks(
    tmp_path: Path,
) -> None:
    """Each leg is a bidirectional stream of its own, with loss and jitter; `call` joins them."""
    quiet_s = len(GREETING) / 8_000 + 2.9
    client = frames(quiet_s, ALO.tobytes(), 2.0)
    operator = frames(GREETING.tobytes(), quiet_s + 2.0)

    def leg(name: str) -> SessionConfig:
        return SessionConfig(
            custom_parameters={"call": "one", "leg": name, "operator": "anna"},
            impairments=Impairments(loss=0.01, jitter_ms=20),
            response_timeout_s=0.5,
            max_drain_s=1.0,
        )

    async def run() -> None:
        pbx = Pbx(tmp_path, control=None)
        async with serving(pbx) as (server, url):
            to_client, to_operator = await asyncio.gather(
                call(url, frames=client, config=leg("client")),
                call(url, frames=operator, config=leg("operator")),
            )
            assert not server.failed
        assert to_client.violations == to_operator.violations == []
        assert "va1b" in to_client.result.marks_echoed
        assert to_client.result.clears_received == 1
        heard = np.frombuffer(from_ulaw(to_client.audio_received, 2), "<i2")
        assert np.abs(heard).max() > 1_000
        assert not to_operator.spoke
        assert pbx.router.counters.calls == 1
        assert [line.operator for line in pbx.lines] == ["anna"]

    asyncio.run(run())
