"""What `pbx check` says of a machine that is busy, without an Asterisk."""

from __future__ import annotations

import asyncio
import time

import pytest

from vad_agent.telephony.asterisk_check import level
from vad_agent.telephony.audiosocket import AudioSocketReceiver
from vad_agent.telephony.check_leg import CheckLeg, tone

BUSY_S = 0.3


@pytest.mark.parametrize(
    ("share", "late_s", "good", "said"),
    [
        (1.0, 0.0, True, "+0.0 dB"),
        (1.0, 0.5, True, "+0.0 dB"),
        (0.5, 0.01, None, "too quiet: -6.0 dB"),
        (0.5, 0.12, None, "not measured: frames were 120 ms late"),
        (0.2, 0.12, None, "not measured: frames were 120 ms late"),
        (0.0, 0.12, False, "nothing comes"),
    ],
)
def test_a_level_that_is_low_because_frames_were_late_does_not_blame_the_dialplan(
    share: float, late_s: float, good: bool | None, said: str
) -> None:
    finding = level("the client is heard", share, late_s, "ChanSpy's option D")
    assert (finding.good, finding.text) == (good, said)
    if said.startswith("not measured"):
        assert finding.fix == "this machine is busy: run the check again"


def test_a_leg_measures_how_late_its_frames_are() -> None:
    async def late(busy_s: float) -> float:
        leg = CheckLeg(tone(700))

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await leg.serve(AudioSocketReceiver(), reader, writer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.readexactly(323)
        time.sleep(busy_s)  # as a loop that does not get the processor
        await reader.readexactly(3 * 323)
        writer.close()
        server.close()
        return leg.late_s

    assert asyncio.run(late(BUSY_S)) > BUSY_S / 2
