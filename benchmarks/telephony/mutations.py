"""Mutated messages through each media protocol, SIP and RTP: an error that no document names ends the run.

    python -m benchmarks.telephony.mutations --count 1000000

Each round feeds a conversation up to a message that is changed: bytes set, cut out, put in; or, in JSON, a
value replaced. SIP's goes through one agent whose sessions begin, change, end and time out, and RTP's through
one stream: what they keep must not grow. Prints one line a protocol: the rounds, those refused by name, and
the growth of memory from a tenth of the rounds to the last.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, overload

import psutil  # type: ignore[import-untyped]

from benchmarks.telephony.wire_samples import AUDIOSOCKET, CALL, WEBSOCKET
from tests.telephony.siprec import OFFERS, goodbye, invite, rtp
from tests.telephony.siprec import message as sip_message
from vad_agent.audio.stream_resampler import StreamResampler
from vad_agent.errors import MediaError
from vad_agent.telephony.audiosocket import AudioSocketReceiver, identity_message
from vad_agent.telephony.dialect_recognition import parse_target, recognize_dialect
from vad_agent.telephony.media_dialect import MediaDialect, Message, StreamEnded
from vad_agent.telephony.rtp import is_rtcp, parse_goodbyes, parse_rtp
from vad_agent.telephony.rtp_stream import FRAME_BYTES, MOST_WAITING, Codec, RtpStream
from vad_agent.telephony.sdp import MediaLine
from vad_agent.telephony.siprec_agent import SiprecAgent
from vad_agent.telephony.siprec_dialog import GIVEN_UP_S, Peer
from vad_agent.telephony.siprec_metadata import Metadata

ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, 10**30, float("nan"), float("inf"), "", "0", "-1"),
    *("inbound", "call", "в", "\x00", "\ud800", "A" * 5_000, "9" * 5_000, [], {}, [[]], [0]),
    *(
        {"": 0},
        {"event": "start"},
        ["inbound", "outbound"],
        8_000,
        "8000",
        44_100,
        "slin16",
        "opus",
    ),
)
TAG = re.compile(rb"(?m)^To: [^\r\n]*;tag=([0-9a-f]+)")
RANDOM_MOST = 40
GROWTH_KB = 4_096
"""More is a leak: the allocator's own steps are smaller."""


@overload
def mutated(random_: random.Random, message: bytes) -> bytes: ...
@overload
def mutated(random_: random.Random, message: Message) -> Message: ...
def mutated(random_: random.Random, message: Message) -> Message:
    """This message, changed somewhere."""
    if isinstance(message, str) and random_.random() < 0.6:
        return _with_odd_value(random_, message)
    data = bytearray(message.encode() if isinstance(message, str) else message)
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(data) + 1)
        how = random_.randrange(4)
        if how == 0 and at < len(data):
            data[at] = random_.randrange(256)
        elif how == 1:
            del data[at : at + random_.randint(1, RANDOM_MOST)]
        elif how == 2:
            data[at:at] = random_.randbytes(random_.randint(1, RANDOM_MOST))
        else:
            del data[at:]
    if isinstance(message, str):
        return bytes(data).decode("utf-8", "replace")
    return bytes(data)


def _with_odd_value(random_: random.Random, message: str) -> str:
    found = json.loads(message)
    at: Any = found
    while True:
        key = random_.choice(list(at))
        if isinstance(at[key], dict) and at[key] and random_.random() < 0.8:
            at = at[key]
            continue
        if random_.random() < 0.2:
            del at[key]
        else:
            at[key] = random_.choice(ODD)
        if random_.random() < 0.02:
            return "[" * random_.randrange(20_000) + json.dumps(found)
        return json.dumps(found)


def audiosocket(random_: random.Random) -> bool:
    """One round of AudioSocket. Return whether it was refused."""
    data = mutated(random_, AUDIOSOCKET)
    if random_.random() < 0.5:
        data = identity_message(CALL) + data[19:]
    receiver = AudioSocketReceiver()
    cut = random_.randrange(len(data) + 1)
    try:
        for part in (data[:cut], data[cut:]):
            for _ in receiver.receive(part):
                pass
    except MediaError:
        return True
    assert len(receiver._rest) <= 3 + 0xFFFF
    return False


def websocket(name: str) -> Callable[[random.Random], bool]:
    """Rounds of this dialect."""
    target, messages = WEBSOCKET[name]

    def play(random_: random.Random) -> bool:
        last = random_.randrange(len(messages))
        changed = mutated(random_, messages[last])
        address = target
        if random_.random() < 0.05:
            address = str(mutated(random_, b"/t?call=a&leg=in&prompts=no"), "latin-1")
        try:
            _, parameters = parse_target(address)
            dialect: MediaDialect | None = None
            for message in (*messages[:last], changed, *messages[last + 1 : last + 2]):
                dialect = dialect or recognize_dialect(parameters, message)
                if any(isinstance(event, StreamEnded) for event in dialect.receive(message)):
                    break
            assert dialect is not None
            for sent in (*dialect.audio(bytes(320)), *dialect.clear()):
                assert sent
        except MediaError as error:
            said = str(error)
        else:
            return False
        assert "\n" not in said
        assert len(said) < 400
        return True

    return play


class _Sessions:
    """Takes every session, as the server does."""

    def __init__(self) -> None:
        self.on: set[str] = set()

    def begin(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> list[int | None]:
        self.on.add(call)
        return [20_000 + 2 * number for number in range(len(lines))]

    def change(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> list[int | None]:
        assert call in self.on
        return [20_000 + 2 * number for number in range(len(lines))]

    def established(self, call: str, now: float) -> None:
        assert call in self.on

    def ended(self, call: str, cause: str, now: float) -> None:
        self.on.remove(call)


class _SipRounds:
    """One agent, and a recording client whose messages are changed. Six messages are a session."""

    METHODS = ("INVITE", "ACK", "UPDATE", "OPTIONS", "CANCEL", "BYE")
    STEP_S = 0.1
    TURN = 60

    def __init__(self) -> None:
        self.sessions = _Sessions()
        self.agent = SiprecAgent(self.sessions, 5060)
        self.number, self.now, self.tag = 0, 0.0, ""
        self.heads = invite().partition(b"\r\n\r\n")[0].split(b"\r\n")

    def __call__(self, random_: random.Random) -> bool:
        """One round of SIP. Return whether it was refused."""
        number, self.number = self.number, self.number + 1
        session, method = number // len(self.METHODS), self.METHODS[number % len(self.METHODS)]
        call = f"call-{session}"
        if method == "INVITE":
            self.tag = ""
            data = invite(OFFERS[session % len(OFFERS)], call=call)
        else:
            line = f"{method} sip:x SIP/2.0"
            data = sip_message(line, call=call, cseq=number, tag=self.tag)
        if random_.random() < 0.7:
            data = mutated(random_, data)
        elif random_.random() < 0.3:
            at = random_.randrange(len(data))
            data = data[:at] + random_.choice(self.heads) + b"\r\n" + data[at:]
        self.now += self.STEP_S
        if number % self.TURN == 0:
            self.agent.due(self.now)
            assert len(self.agent) >= len(self.sessions.on)  # some wait for the answer to our BYE
            if number % (10 * self.TURN) == 0:
                self._end_all()
        try:
            sent = self.agent.receive(data, Peer("UDP", "192.0.2.9", 5070, "127.0.0.1"), self.now)
        except MediaError as error:
            said = str(error)
            assert said.startswith("SIP: ")
            assert "\n" not in said
            return True
        for one in sent:
            found = TAG.search(one.data)
            self.tag = found[1].decode() if found else self.tag
        return any(one.data.startswith((b"SIP/2.0 4", b"SIP/2.0 5")) for one in sent)

    def _end_all(self) -> None:
        for call in tuple(self.sessions.on):
            self.agent.hang_up(call, self.now)
            self.sessions.on.discard(call)
        for _ in range(2):
            self.now += GIVEN_UP_S + 1
            self.agent.due(self.now)
        assert not len(self.agent)


class _RtpRounds:
    """One stream of RTP and RTCP, whose packets are changed."""

    def __init__(self) -> None:
        self.stream = RtpStream({8: Codec.PCMA, 0: Codec.PCMU})
        self.number, self.now = 0, 0.0

    def __call__(self, random_: random.Random) -> bool:
        """One round of RTP. Return whether it was refused."""
        self.number += 1
        self.now += 0.02
        data = rtp(self.number, 160 * self.number, random_.randbytes(160))
        if self.number % 50 == 0:
            data = goodbye(7)
        if random_.random() < 0.7:
            data = mutated(random_, data)
        try:
            if is_rtcp(data):
                parse_goodbyes(data)
                return False
            for run in (*self.stream.push(parse_rtp(data), self.now), *self.stream.due(self.now)):
                assert run > 0 if isinstance(run, int) else len(run) == FRAME_BYTES
        except MediaError as error:
            said = str(error)
        else:
            assert len(self.stream._waiting) <= MOST_WAITING
            return False
        assert said.startswith("RT")
        return True


ROUNDS: dict[str, Callable[[random.Random], bool]] = {
    "audiosocket": audiosocket,
    **{name: websocket(name) for name in WEBSOCKET},
    "sip": _SipRounds(),
    "rtp": _RtpRounds(),
}


def run(name: str, count: int, seed: int = 1) -> tuple[int, int]:
    """`count` rounds of a protocol. Return how many were refused, and the growth of memory, kB.

    Raises:
        Exception: the fault of the product that a round found, with a note that repeats it.
    """
    StreamResampler(16_000, 8_000).push(bytes(640))  # loads what it needs
    process = psutil.Process()
    play = ROUNDS[name]
    refused, before = 0, 0
    for number in range(count):
        if number == count // 10:
            before = process.memory_info().rss
        state = random.Random(f"{name} {seed} {number}")
        try:
            refused += play(state)
        except Exception as error:
            error.add_note(f"run({name!r}, {number + 1}, {seed})")
            raise
    return refused, (process.memory_info().rss - before) // 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Return 1 if memory grows."""
    command = argparse.ArgumentParser(prog="benchmarks.telephony.mutations", description=__doc__)
    command.add_argument("--count", type=int, default=1_000_000, help="rounds a protocol")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--only", choices=tuple(ROUNDS), nargs="*", default=tuple(ROUNDS))
    options = command.parse_args(arguments)
    leaks = False
    print(f"{'protocol':16} {'mutated':>9} {'refused':>9} {'growth, kB':>11} {'s':>6}")
    for name in options.only:
        began = time.perf_counter()
        refused, growth = run(name, options.count, options.seed)
        leaks |= growth > GROWTH_KB
        took = time.perf_counter() - began
        print(f"{name:16} {options.count:9} {refused:9} {growth:11} {took:6.0f}", flush=True)
    return int(leaks)


if __name__ == "__main__":
    sys.exit(main())
