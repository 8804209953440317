"""The recording server's SIP: transcripts of messages, repeated, lost, wrong, cut off and mutated."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sipmessage.via import VIA_EXCEPTION

from tests.telephony.siprec import OFFERS, RFC_METADATA, Offer, invite, message, sdp
from vad_agent.errors import MediaError
from vad_agent.telephony.sdp import MediaLine, parse_offer
from vad_agent.telephony.sip_message import MOST_HEAD, MOST_LINE, SipStream, parse_message
from vad_agent.telephony.siprec_agent import SiprecAgent
from vad_agent.telephony.siprec_dialog import GIVEN_UP_S, OfferRefused, Peer
from vad_agent.telephony.siprec_metadata import Metadata

UDP = Peer("UDP", "192.0.2.9", 5070, "192.0.2.7")
TCP = Peer("TCP", "192.0.2.9", 41_000, "192.0.2.7", 1)
INACTIVE = Offer("hold", sdp(directions=("inactive", "inactive")), RFC_METADATA)


class Calls:
    """What the agent tells, as a list."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.refusal: OfferRefused | None = None
        self.metadata: Metadata | None = None

    def begin(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> list[int | None]:
        return self._take("begin", lines, metadata)

    def change(
        self, call: str, lines: Sequence[MediaLine], metadata: Metadata | None, now: float
    ) -> list[int | None]:
        return self._take("change", lines, metadata)

    def _take(
        self, what: str, lines: Sequence[MediaLine], metadata: Metadata | None
    ) -> list[int | None]:
        if self.refusal is not None:
            raise self.refusal
        self.metadata = metadata
        self.told.append(f"{what} {' '.join(line.direction for line in lines)}")
        return [20_000 + 2 * n if line.usable else None for n, line in enumerate(lines)]

    def established(self, call: str, now: float) -> None:
        self.told.append("established")

    def ended(self, call: str, cause: str, now: float) -> None:
        self.told.append(f"ended: {cause}")


class Client:
    """A recording client: what it sends, and the status lines that come back."""

    def __init__(self, peer: Peer = UDP) -> None:
        self.calls = Calls()
        tags = iter(range(1, 1_000_000))
        self.agent = SiprecAgent(self.calls, 5060, new_tag=lambda: f"our-{next(tags)}")
        self.peer = peer
        self.now = 10.0
        self.answers: list[bytes] = []
        self.tag = ""
        self.call = "call-1@src"

    def send(self, data: bytes) -> list[str]:
        sends = self.agent.receive(data, self.peer, self.now)
        self.answers = [one.data for one in sends]
        if self.answers and (
            found := re.search(rb"\r\nTo: [^\r]*;tag=(our-\d+)", self.answers[-1])
        ):
            self.tag = self.tag or found[1].decode()
        return [_status(data) for data in self.answers]

    def wait(self, seconds: float) -> list[str]:
        """In steps of 0.1 s."""
        found = []
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.answers = [one.data for one in self.agent.due(self.now)]
            found += [_status(data) for data in self.answers]
        return found

    def request(self, method: str, cseq: int, *more: str, offer: Offer | None = None) -> list[str]:
        """In the dialog."""
        body = offer.body if offer is not None else b""
        line = f"{method} sip:192.0.2.7:5060 SIP/2.0"
        return self.send(
            message(line, call=self.call, cseq=cseq, tag=self.tag, headers=more, body=body)
        )

    def establish(self, offer: Offer = OFFERS[0]) -> Client:
        self.tag = ""
        assert self.send(invite(offer, call=self.call)) == ["100", "200"]
        assert self.request("ACK", 1) == []
        return self

    @property
    def text(self) -> str:
        return self.answers[-1].decode()


def _status(data: bytes) -> str:
    first, second, *_ = data.decode().split()
    return second if first == "SIP/2.0" else first


# -- a call -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [UDP, TCP])
@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_each_vendors_call_is_answered_confirmed_and_ended(offer: Offer, peer: Peer) -> None:
    client = Client(peer)
    assert client.send(invite(offer)) == ["100", "200"]
    body = client.answers[-1].partition(b"\r\n\r\n")[2]
    lines = parse_offer(body)
    assert [line.port for line in lines] == [20_000 + 2 * n for n in range(len(lines))]
    assert len(lines) == len(offer.sides)
    assert f"Content-Length: {len(body)}\r\n" in client.text
    assert client.request("ACK", 1) == []
    assert client.request("BYE", 2, "Reason: Q.850;cause=16") == ["200"]
    assert client.calls.told[1:] == ["established", "ended: Q.850;cause=16"]
    assert len(client.agent) == 0


def test_the_answer_goes_the_way_of_the_request() -> None:
    client = Client()
    client.send(invite().replace(b"\r\nMax", b"\r\nVia: SIP/2.0/UDP other;branch=z9hG4bK2\r\nMax"))
    top, second = re.findall(r"Via: (.*)\r\n", client.text)
    assert top == "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-INVITE-1;rport=5070;received=192.0.2.9"
    assert second == "SIP/2.0/UDP other;branch=z9hG4bK2"
    assert "From: <sip:src@192.0.2.9>;tag=src-1\r\n" in client.text
    assert "To: <sip:record@127.0.0.1>;tag=our-1\r\n" in client.text
    assert "Contact: <sip:192.0.2.7:5060>;+sip.srs\r\n" in client.text
    client.peer = Peer("UDP", "192.0.2.9", 1_234, "192.0.2.7")
    no_rport = invite(call="c2").replace(b";rport", b"")
    assert client.agent.receive(no_rport, client.peer, 11.0)[-1].peer.port == 5070
    assert client.agent.receive(invite(call="c3"), client.peer, 11.0)[-1].peer.port == 1_234


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_hold_and_back(method: str) -> None:
    client = Client().establish()
    assert client.request(method, 2, offer=INACTIVE)[-1] == "200"
    assert client.text.count("a=inactive") == 2
    assert "o=vad-agent 1 2 " in client.text
    assert "tag=our-1" in client.text
    client.request("ACK", 2)
    assert client.request(method, 3, offer=OFFERS[0])[-1] == "200"
    client.request("ACK", 3)
    assert client.calls.told == [
        "begin sendonly sendonly", "established", "change inactive inactive", "change sendonly sendonly",
    ]  # fmt: skip
    assert client.wait(60) == []


def test_an_update_of_the_metadata_alone_has_no_sdp_in_its_answer() -> None:
    client = Client().establish()
    update = message(
        "UPDATE sip:192.0.2.7 SIP/2.0", cseq=2, tag=client.tag, kind="application/rs-metadata",
        body=RFC_METADATA.replace("sip:101", "sip:102").encode(),
    )  # fmt: skip
    assert client.send(update) == ["200"]
    assert "Content-Type" not in client.text
    assert client.calls.metadata is not None
    assert [one.user for one in client.calls.metadata.participants.values()][1] == "102"
    assert client.request("INVITE", 3)[-1] == "200"  # a refresh without an offer gets ours
    assert client.text.count("a=recvonly") == 2
    assert client.calls.told[2:] == ["change sendonly sendonly"]


def test_an_offer_that_is_not_taken_changes_nothing() -> None:
    client = Client().establish()
    video = Offer("no codec", sdp(formats="18"), None)
    assert client.request("INVITE", 2, offer=video) == ["100", "488"]
    assert client.request("UPDATE", 3, offer=Offer("broken", sdp(), "<recording>")) == ["400"]
    assert client.request("BYE", 4) == ["200"]
    assert client.calls.told[2:] == ["ended: BYE"]


# -- lost and repeated messages ---------------------------------------------------------------------


def test_a_request_that_comes_again_gets_the_same_answer_and_does_nothing() -> None:
    client = Client()
    first = client.send(invite()) and client.answers[-1]
    assert client.send(invite()) == ["200"]
    assert client.answers[-1] == first
    client.request("ACK", 1)
    client.request("BYE", 2)
    assert client.request("BYE", 2) == ["200"]
    assert client.calls.told == ["begin sendonly sendonly", "established", "ended: BYE"]


@pytest.mark.parametrize("peer", [UDP, TCP])
def test_the_200_is_repeated_until_its_ack_and_given_up_after_32_s(peer: Peer) -> None:
    client = Client(peer)
    client.send(invite())
    assert client.wait(31.9) == ["200"] * 10  # after 0.5, 1.5, 3.5, 7.5, 11.5 s …
    assert client.wait(0.2) == ["BYE"]
    assert client.calls.told[1:] == ["ended: no ACK"]
    assert client.agent.counters.not_confirmed == 1
    repeated = client.wait(31)
    assert repeated == (["BYE"] * 9 if peer is UDP else [])
    client.wait(2)
    assert len(client.agent) == 0
    assert client.request("ACK", 1) == []


def test_a_lost_ack_is_made_good_by_the_next_200() -> None:
    client = Client()
    client.send(invite())
    assert client.wait(0.6) == ["200"]
    client.request("ACK", 1)
    assert client.wait(40) == []
    assert client.calls.told == ["begin sendonly sendonly", "established"]


def test_a_refusal_is_repeated_until_its_ack() -> None:
    client = Client()
    offer = Offer("no codec", sdp(formats="18"), None)
    assert client.send(invite(offer)) == ["100", "488"]
    assert client.wait(1.8) == ["488", "488"]
    ack = message("ACK sip:record@127.0.0.1 SIP/2.0", branch="z9hG4bK-INVITE-1", tag=client.tag)
    assert client.send(ack) == []
    assert client.wait(40) == []
    assert Client(TCP).send(invite(offer)) == ["100", "488"]


def test_an_ack_of_another_invite_confirms_nothing() -> None:
    client = Client()
    client.send(invite())
    client.request("ACK", 7)
    assert client.calls.told == ["begin sendonly sendonly"]


def test_a_cancel_comes_too_late_since_every_invite_is_answered_at_once() -> None:
    client = Client()
    client.send(invite())
    cancel = message("CANCEL sip:record@127.0.0.1 SIP/2.0", branch="z9hG4bK-INVITE-1")
    assert client.send(cancel) == ["200"]
    assert client.request("ACK", 1) == []
    assert client.request("BYE", 2) == ["200"]
    assert client.calls.told[-1] == "ended: BYE"
    other = message("CANCEL sip:record@127.0.0.1 SIP/2.0", branch="z9hG4bK-other")
    assert client.send(other) == ["481"]


def test_our_bye_ends_with_its_answer() -> None:
    client = Client().establish()
    (send,) = client.agent.hang_up("call-1@src", client.now)
    text = send.data.decode()
    assert text.startswith("BYE sip:src@192.0.2.9:5070 SIP/2.0\r\n")
    assert "From: <sip:record@127.0.0.1>;tag=our-1\r\n" in text
    assert "To: <sip:src@192.0.2.9>;tag=src-1\r\n" in text
    assert client.agent.hang_up("call-1@src", client.now) == []
    via = re.search(r"Via: .*", text)
    assert via is not None
    answer = f"SIP/2.0 200 OK\r\n{via[0].strip()}\r\nCall-ID: call-1@src\r\nCSeq: 1 BYE\r\n\r\n"
    assert client.send(answer.encode()) == []
    assert len(client.agent) == 0
    assert client.calls.told == ["begin sendonly sendonly", "established"]


def test_a_bye_that_crosses_ours_is_answered() -> None:
    client = Client().establish()
    client.agent.hang_up("call-1@src", client.now)
    assert client.request("INVITE", 2, offer=INACTIVE)[-1] == "481"
    assert client.request("BYE", 3) == ["200"]
    assert len(client.agent) == 0


def test_our_bye_goes_by_the_recorded_route() -> None:
    client = Client()
    routed = invite().replace(b"\r\nMax", b"\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nMax")
    client.send(routed)
    assert "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n" in client.text
    (send,) = client.agent.hang_up("call-1@src", client.now)
    assert re.findall(r"Route: (.*)\r\n", send.data.decode()) == ["<sip:p1;lr>", "<sip:p2;lr>"]


def test_a_session_that_is_not_refreshed_ends() -> None:
    client = Client()
    timer = ("Require: siprec", "Supported: timer", "Session-Expires: 1800;refresher=uac")
    client.send(message(headers=timer, body=OFFERS[0].body))
    assert "Session-Expires: 1800;refresher=uac\r\n" in client.text
    client.request("ACK", 1)
    client.now += 1_700
    assert client.request("UPDATE", 2, *timer[1:]) == ["200"]
    client.now += 1_700
    assert client.agent.due(client.now) == []
    client.now += 101
    assert [_status(one.data) for one in client.agent.due(client.now)] == ["BYE"]
    assert client.calls.told[-1] == "ended: session expired"


# -- what is not taken ------------------------------------------------------------------------------

PLAIN = Offer("plain", sdp(), None)


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (invite(Offer("x", sdp(formats="18 101"), RFC_METADATA)), "488", "PCMA or PCMU"),
        (invite(Offer("x", sdp().replace("RTP/AVP", "RTP/SAVP"), RFC_METADATA)), "488", "RTP/AVP"),
        (message(headers=("Require: siprec",)), "488", "expected an SDP offer"),
        (message(headers=("Require: siprec",), body=b"hello", kind="text/plain"), "415",
         "Accept: application/sdp, application/rs-metadata+xml"),
        (message(headers=("Require: siprec", "Content-Encoding: gzip"), body=OFFERS[0].body), "415",
         "Accept-Encoding: identity"),
        (message(headers=("Require: siprec, 100rel",), body=OFFERS[0].body), "420",
         "Unsupported: 100rel"),
        (message(body=PLAIN.body), "421", "Require: siprec"),
        (invite(Offer("x", "v=7", RFC_METADATA)), "400", "v=0 first"),
        (invite(Offer("x", sdp(), "<recording>")), "400", "expected XML"),
        (invite().replace(b"Contact", b"X-Contact"), "400", "expected a Contact"),
        (invite(tag="unknown"), "481", "no such session"),
        (message("BYE sip:x SIP/2.0"), "481", "no such session"),
        (message("UPDATE sip:x SIP/2.0", tag="unknown"), "481", "no such session"),
        (message("REGISTER sip:x SIP/2.0"), "405", "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_refused_and_says_why(data: bytes, status: str, said: str) -> None:
    client = Client()
    assert client.send(data)[-1] == status
    assert said in client.text
    assert client.calls.told == []
    assert len(client.agent) == 0
    client.call = "next"
    assert client.establish()


@pytest.mark.parametrize("status", ["486 Busy Here", "503 Service Unavailable"])
def test_a_call_too_many_is_refused(status: str) -> None:
    client = Client()
    client.calls.refusal = OfferRefused(status, "as many calls as there may be", "Retry-After: 60")
    assert client.send(invite()) == ["100", status[:3]]
    assert "Retry-After: 60" in client.text
    assert client.agent.counters.statuses == {status: 1}
    client.calls.refusal = None
    assert client.send(invite(call="next")) == ["100", "200"]


def test_a_second_session_of_one_call_id_is_refused() -> None:
    client = Client().establish()
    assert client.send(invite(branch="z9hG4bK-fork")) == ["100", "482"]


def test_a_request_of_the_past_is_refused() -> None:
    client = Client().establish()
    client.request("UPDATE", 5)
    assert client.request("UPDATE", 4) == ["500"]
    assert client.request("BYE", 6) == ["200"]


def test_options_say_what_is_taken() -> None:
    client = Client()
    assert client.send(message("OPTIONS sip:record@127.0.0.1 SIP/2.0")) == ["200"]
    for said in ("Allow: INVITE", "Accept: application/sdp", "siprec"):
        assert said in client.text
    client.establish()
    assert client.request("OPTIONS", 2) == ["200"]


# -- bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["sip:record@srs_1:5060", "sip:192.0.2.7", "tel:" + "1" * 1_900 + "!"]
)
def test_the_address_in_the_first_line_is_not_looked_at(uri: str) -> None:
    assert Client().send(invite(line=f"INVITE {uri} SIP/2.0")) == ["100", "200"]


def test_headers_may_be_short_folded_and_spaced() -> None:
    client = Client()
    head, end, body = invite().partition(b"\r\n\r\n")
    head = (
        head.replace(b"Via:", b"v :").replace(b"Call-ID:", b"i:").replace(b"From: ", b"f:\r\n  ")
        .replace(b"Content-Type", b"c").replace(b"Content-Length", b"l")
    )  # fmt: skip
    assert client.send(head + end + body) == ["100", "200"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n\r\n", b"\r\n"),
        (b"SIP/2.0\r\n", b"HTTP/1.1\r\n"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE"),
        (b"CSeq: 1 INVITE", b"CSeq: 99999999999 INVITE"),
        (b"Call-ID: call-1@src\r\n", b""),
        (b"From: ", b"X: "),
        (b"To: ", b"X: "),
        (b"Via: ", b"X: "),
        (b"Via: SIP/2.0/UDP", b"Via: nonsense"),
        (b";rport", b";self=1"),
        (b"Max-Forwards: 70", b"no header"),
        (b"Max-Forwards: 70", b"Max-Forwards: 7\n0"),
        (b"Max-Forwards: 70", b"Max-Forwards: \xff"),
        (b"src-1", b"x" * (MOST_LINE + 1)),
        (b"Max-Forwards: 70", b"X: " + b"x" * MOST_HEAD),
        (b"Content-Length: ", b"Content-Length: 9"),
    ],
)
def test_what_cannot_be_answered_is_named(old: bytes, new: bytes) -> None:
    data = invite()
    assert old in data
    client = Client()
    with pytest.raises(MediaError, match="SIP: "):
        client.send(data.replace(old, new, 1) if old != b"\r\n\r\n" else data.replace(old, new))
    assert client.agent.counters.malformed == 1


DIALOG = (
    invite(transport="TCP")
    + b"\r\n\r\n"
    + message("ACK sip:x SIP/2.0", tag="our-1", transport="TCP")
    + message("BYE sip:x SIP/2.0", cseq=2, tag="our-1", transport="TCP")
)


def messages(*chunks: bytes) -> list[bytes]:
    stream = SipStream()
    return [one for chunk in chunks for one in stream.receive(chunk)]


@given(st.lists(st.integers(0, len(DIALOG)), max_size=20))
def test_the_chunks_of_a_connection_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(DIALOG)]
    found = messages(*(DIALOG[a:b] for a, b in pairwise(edges)))
    assert found == messages(DIALOG)
    assert [parse_message(one).call_id for one in found] == ["call-1@src"] * 3


def test_a_truncated_connection_gives_its_whole_messages() -> None:
    whole = messages(DIALOG)
    for length in range(len(DIALOG)):
        found = messages(DIALOG[:length])
        assert found == whole[: len(found)]


@pytest.mark.parametrize(
    "data",
    [b"x" * (MOST_HEAD + 1), b"BYE x SIP/2.0\r\n\r\n", b"BYE x SIP/2.0\r\nl: 99999999\r\n\r\n"],
)
def test_a_connection_without_lengths_is_no_sip(data: bytes) -> None:
    with pytest.raises(MediaError, match="SIP: "):
        messages(data)


def test_every_truncated_datagram_is_answered_or_named() -> None:
    data = invite()
    for length in range(len(data)):
        client = Client()
        try:
            assert client.send(data[:length]) == []  # only empty lines would be
        except MediaError as error:
            assert str(error).startswith("SIP: ")  # noqa: PT017
        assert len(client.agent) == 0


def test_20000_mutated_messages_are_answered_or_named_and_leave_nothing() -> None:
    random_ = random.Random(20)
    heads = invite().partition(b"\r\n\r\n")[0].split(b"\r\n")
    methods = ("INVITE", "ACK", "UPDATE", "OPTIONS", "CANCEL", "BYE")
    client = Client()
    answered = 0
    for number in range(20_000):
        call, method = f"call-{number // 6}", methods[number % 6]
        if method == "INVITE":
            client.tag = ""
            data = bytearray(invite(OFFERS[number // 6 % len(OFFERS)], call=call))
        else:
            line = f"{method} sip:x SIP/2.0"
            data = bytearray(message(line, call=call, cseq=number, tag=client.tag))
        for _ in range(random_.randint(0, 4)):
            how, at = random_.randrange(4), random_.randrange(len(data))
            if how == 0:
                data[at] = random_.randrange(256)
            elif how == 1:
                del data[at : at + random_.randint(1, 30)]
            elif how == 2:
                data[at:at] = random_.randbytes(random_.randint(1, 10))
            else:
                data[at:at] = random_.choice(heads) + b"\r\n"
        client.now += 0.05
        try:
            answered += bool(client.send(bytes(data)))
        except MediaError as error:
            assert str(error).startswith("SIP: ")  # noqa: PT017
        if number % 20 == 0:
            client.agent.due(client.now)
    assert answered > 2_000
    client.now += GIVEN_UP_S + 1
    client.agent.due(client.now)
    client.now += GIVEN_UP_S + 1
    client.agent.due(client.now)
    assert not client.agent._transactions
    begun = sum(told.startswith("begin") for told in client.calls.told)
    ended = sum(told.startswith("ended") for told in client.calls.told)
    assert begun - ended == len(client.agent)
    assert begun > 500


def test_a_message_that_is_refused_is_not_kept_by_the_parsers_own_error() -> None:
    """sipmessage raises one and the same object, whose traceback would grow with each message."""
    with pytest.raises(MediaError, match="SIP: Via is not valid"):
        parse_message(invite().replace(b"Via: SIP/2.0/UDP", b"Via: SIP/2.0"))
    assert VIA_EXCEPTION.__traceback__ is None
    assert VIA_EXCEPTION.__context__ is None
