"""The RTP packets of a call as they go over 127.0.0.1: what really was sent, and when.

It reads the loopback interface (Linux, CAP_NET_RAW: root or a container as usual has it).
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

from audio_fixtures import g711
from tests.headset.source_recording import Int16s

RATE = 8_000
_ETH_P_ALL = 3
_OUTGOING = 4  # on the loopback each packet is seen going out and coming in


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet of PCMA or PCMU."""

    at: float
    """When it was seen, time.perf_counter(), seconds."""
    port: int
    """The UDP port it goes to."""
    payload_type: int
    timestamp: int
    payload: bytes


class Wire:
    """Every RTP packet, of any call, from now until `close`.

    Raises PermissionError where one may not look.
    """

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.1)
        self._open = True
        self._reader = threading.Thread(target=self._read, name="wire", daemon=True)
        self._reader.start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _read(self) -> None:
        while self._open:
            with contextlib.suppress(TimeoutError):
                data, address = self._socket.recvfrom(65_536)
                now = time.perf_counter()
                packet = _rtp(data, now) if address[2] != _OUTGOING else None
                if packet is not None:
                    self.packets.append(packet)

    def to(self, port: int) -> list[Packet]:
        """The packets to one UDP port."""
        return [packet for packet in self.packets if packet.port == port]

    def port(self, among: set[int]) -> int:
        """That of the UDP ports (a phone's) to which RTP goes; raises LookupError if there is none."""
        seen = {packet.port for packet in self.packets} & among
        if len(seen) != 1:
            raise LookupError(f"RTP goes to {sorted(seen)} of the ports {sorted(among)}")
        return seen.pop()

    def silences(self, port: int, longer_s: float = 0.1) -> list[tuple[float, float]]:
        """Between which moments no packet went to the port, each longer than `longer_s`."""
        moments = [packet.at for packet in self.to(port)]
        pairs = itertools.pairwise(moments)
        return [(a, b) for a, b in pairs if b - a > longer_s]

    def audio(self, port: int) -> tuple[Int16s, float]:
        """What was sent to a port, 8 kHz with its gaps as zeros; the first sample's moment.

        Within a run of packets samples follow each other exactly; after a gap they are placed by
        the packet's arrival.
        """
        packets = self.to(port)
        if not packets:
            return np.zeros(0, np.int16), float("nan")
        start, parts, length = packets[0].at, [], 0
        for packet in packets:
            missing = round((packet.at - start) * RATE) - length
            if missing > RATE // 10:
                parts.append(np.zeros(missing, np.int16))
                length += missing
            law: g711.Law = "alaw" if packet.payload_type == 8 else "ulaw"
            parts.append(g711.decode(np.frombuffer(packet.payload, np.uint8), law))
            length += len(parts[-1])
        return np.concatenate(parts), start

    def close(self) -> None:
        """Look no longer."""
        self._open = False
        self._reader.join(3.0)
        self._socket.close()


def _rtp(data: bytes, now: float) -> Packet | None:
    """The RTP packet of PCMU (0) or PCMA (8) in an IPv4 datagram; None for anything else."""
    if len(data) < 20 or data[0] >> 4 != 4 or data[9] != socket.IPPROTO_UDP:
        return None
    udp = data[(data[0] & 15) * 4 :]
    rtp = udp[8 : int.from_bytes(udp[4:6], "big")]
    if len(rtp) <= 12 or rtp[0] != 0x80 or rtp[1] & 127 not in (0, 8):
        return None
    port, timestamp = int.from_bytes(udp[2:4], "big"), int.from_bytes(rtp[4:8], "big")
    return Packet(now, port, rtp[1] & 127, timestamp, rtp[12:])
