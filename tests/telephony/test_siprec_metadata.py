"""Offers as the vendors write them: their parts, their media lines, and who is who."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telephony.siprec import (
    CLIENT,
    OFFERS,
    OPERATOR,
    ORACLE_METADATA,
    PREFIXED_METADATA,
    RFC_METADATA,
    Offer,
    broadworks_metadata,
    sdp,
)
from vad_agent.core.frames import Channel
from vad_agent.errors import MediaError
from vad_agent.telephony.rtp_stream import Codec
from vad_agent.telephony.sdp import Direction, build_answer, parse_offer
from vad_agent.telephony.siprec_metadata import (
    BOTH,
    NOBODY,
    Roles,
    Sides,
    find_roles,
    parse_body,
    parse_metadata,
)

SIDES = {
    "client": frozenset((Channel.CLIENT,)),
    "operator": frozenset((Channel.OPERATOR,)),
    "both": BOTH,
    "nobody": NOBODY,
}
MULTIPART = "multipart/mixed;boundary=OSS-unique-boundary-42"
by_name = pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)


def roles(offer: Offer, telephones: tuple[str, ...] = ()) -> Roles:
    body = parse_body(MULTIPART, offer.body)
    assert body.sdp is not None
    metadata = parse_metadata(body.metadata) if body.metadata is not None else None
    return find_roles(parse_offer(body.sdp), metadata, telephones)


@by_name
def test_each_vendors_offer_is_understood(offer: Offer) -> None:
    found = roles(offer)
    assert found.of_lines == tuple(SIDES[side] for side in offer.sides)
    assert found.operator.user == offer.operator
    if offer.metadata is not None:
        assert found.client.user == CLIENT
        assert (found.client.name or CLIENT) == (offer.client_name or CLIENT)


@by_name
def test_the_operator_is_the_one_whose_telephone_is_known_also_when_they_call(offer: Offer) -> None:
    if offer.metadata is None:
        return
    found = roles(offer, (CLIENT, "102"))  # a call back: the first participant is the operator
    swapped = {"client": "operator", "operator": "client"}
    assert found.of_lines == tuple(SIDES[swapped.get(side, side)] for side in offer.sides)
    assert (found.client.user, found.operator.user) == (OPERATOR, CLIENT)


def test_if_both_telephones_are_known_the_caller_is_the_client() -> None:
    assert roles(OFFERS[0], (CLIENT, OPERATOR)).client.user == CLIENT


def test_a_stream_is_known_only_by_its_association_else_by_the_order() -> None:
    """Cisco offers inactive streams first, with empty associations."""
    empty = RFC_METADATA.replace("<send>", "<x>").replace("</send>", "</x>")
    held = Offer("held", sdp(directions=("inactive", "inactive")), empty)
    assert roles(held).of_lines == (SIDES["client"], SIDES["operator"])
    assert roles(held, (CLIENT,)).of_lines == (SIDES["operator"], SIDES["client"])
    half = RFC_METADATA.replace("c3RyZWFtMg==</send>", "other</send>")
    assert roles(Offer("half", sdp(), half)).of_lines == (SIDES["client"], SIDES["operator"])


def test_one_stream_of_one_party_is_that_party_and_one_that_they_hear_is_a_mix() -> None:
    alone = Offer("alone", sdp(("2",)), RFC_METADATA)
    assert roles(alone).of_lines == (SIDES["operator"],)
    heard = RFC_METADATA.replace("<recv>c3RyZWFtMQ==</recv>", "<recv>c3RyZWFtMg==</recv>")
    assert roles(Offer("mix", sdp(("2",)), heard)).of_lines == (BOTH,)


def test_a_third_party_is_neither_client_nor_operator() -> None:
    third = RFC_METADATA.replace(
        "</recording>",
        '<participant participant_id="cDM="><nameID aor="sip:900@x"/></participant>'
        '<stream stream_id="czM="><label>3</label></stream>'
        '<participantstreamassoc participant_id="cDM="><send>czM=</send></participantstreamassoc>'
        "</recording>",
    )
    offer = Offer("conference", sdp(("3", "1", "2"), directions=("sendonly",) * 3), third)
    assert roles(offer).of_lines == (NOBODY, SIDES["client"], SIDES["operator"])


def test_partial_metadata_is_added_to_what_is_known() -> None:
    before = parse_metadata(RFC_METADATA.encode())
    update = parse_metadata(
        b'<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode>'
        b'<participant participant_id="cGFydHky"><nameID aor="sip:102@x"/></participant></recording>'
    ).after(before)
    found = find_roles(parse_offer(sdp().encode()), update, ())
    assert (found.client.user, found.operator.user) == (CLIENT, "102")
    assert found.of_lines == (SIDES["client"], SIDES["operator"])
    complete = parse_metadata(b"<recording><datamode>complete</datamode></recording>")
    assert complete.after(before) == complete


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("sip:101@pbx:5060;transport=udp", "101"),
        ("sips:anna%40home@pbx", "anna@home"),
        ("tel:+74950000000;phone-context=x", "+74950000000"),
        ("101@pbx", "101"),
        ("Extension-016190619@example.org", "Extension-016190619"),
        ("sip:+7916;isub=1@pbx", "+7916"),
        ("", None),
    ],
)
def test_the_user_part_of_an_address_is_the_telephone(address: str, user: str | None) -> None:
    text = RFC_METADATA.replace(f"sip:{OPERATOR}@192.0.2.2", address)
    assert list(parse_metadata(text.encode()).participants.values())[1].user == user


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected XML"),
        (b"no xml", "expected XML"),
        (RFC_METADATA[:-5].encode(), "expected XML"),
        (b"<html/>", "expected <recording>, got <html>"),
        (b'<?xml version="1.0" encoding="klingon"?><recording/>', "expected XML"),
        (b'<!DOCTYPE r [<!ENTITY a "aaaa">]><recording>&a;</recording>', "document type"),
        ("<!DOCTYPE r><recording/>".encode("utf-16"), "document type"),
    ],
)
def test_what_is_no_metadata_is_named(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        parse_metadata(data)


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", "multipart/mixed;boundary=other", "multipart/"]
)
def test_a_body_without_its_boundaries_is_named(kind: str) -> None:
    with pytest.raises(MediaError, match="multipart"):
        parse_body(kind, OFFERS[0].body)


def test_bodies_inside_of_bodies_without_end_are_named() -> None:
    part = "--b{}\r\nContent-Type: multipart/mixed;boundary=b{}\r\n\r\n"
    deep = "".join(part.format(n, n + 1) for n in range(1_000)).encode()
    with pytest.raises(MediaError, match="nested"):
        parse_body("multipart/mixed;boundary=b0", deep)
    with pytest.raises(MediaError, match="nested"):
        parse_body(
            "multipart/mixed;boundary=b",
            b"--b\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 1_900,
        )
    inner = b"--b0\r\nContent-Type: multipart/mixed;boundary=b1\r\n\r\n--b1\r\n"
    inner += b"Content-Type: application/sdp\r\n\r\nv=0\r\n--b1--\r\n--b0--\r\n"
    assert parse_body("multipart/mixed;boundary=b0", inner).sdp == b"v=0"


def test_a_body_without_parts_is_one_part() -> None:
    assert parse_body("Application/SDP; charset=utf-8", b"v=0").sdp == b"v=0"
    assert parse_body("application/rs-metadata", b" <recording/>").metadata == b"<recording/>"
    assert parse_body("text/plain", b"hello") == parse_body(
        "multipart/mixed; boundary=b", b"--b\r\n\r\nx"
    )


# -- SDP --------------------------------------------------------------------------------------------


def test_an_offer_is_parsed() -> None:
    text = sdp(
        formats="97 8 0 13 101",
        extra="a=rtpmap:97 PCMU/8000/1\r\na=rtpmap:9 G722/8000\r\na=rtcp-mux",
    )
    one, two = parse_offer(text.encode())
    assert one.codecs == {97: Codec.PCMU, 8: Codec.PCMA, 0: Codec.PCMU}
    assert (one.label, two.label) == ("1", "2")
    assert one.usable
    assert one.rtcp_mux
    assert one.direction is Direction.SENDONLY


@pytest.mark.parametrize(
    ("old", "new", "usable"),
    [
        ("m=audio 40000 RTP/AVP 8", "m=audio 40000 RTP/SAVP 8", False),
        ("m=audio 40000 RTP/AVP 8", "m=audio 0 RTP/AVP 8", False),
        ("m=audio 40000 RTP/AVP 8", "m=video 40000 RTP/AVP 8", False),
        ("m=audio 40000 RTP/AVP 8 0 101", "m=audio 40000 RTP/AVP 18 101", False),
        ("a=rtpmap:8 PCMA/8000", "a=rtpmap:8 PCMA/16000", True),
        ("m=audio 40000 RTP/AVP 8", "m=audio 40000/2 RTP/AVPF 8", True),
    ],
)
def test_only_audio_that_can_be_decoded_is_used(old: str, new: str, usable: bool) -> None:
    first, *_ = parse_offer(sdp().replace(old, new, 1).encode())
    assert first.usable is usable


def test_the_directions_of_the_session_hold_for_lines_without_one() -> None:
    text = sdp(("1",)).replace("a=sendonly\r\n", "").replace("t=0 0", "t=0 0\r\na=inactive")
    assert parse_offer(text.encode())[0].direction is Direction.INACTIVE
    plain = sdp(("1",)).replace("a=sendonly\r\n", "").replace("\r\n", "\n")
    assert parse_offer(plain.encode())[0].sends


def test_the_answer_has_a_line_for_each_one_offered() -> None:
    lines = parse_offer(
        sdp(("1", "2", "3"), directions=("sendonly", "inactive", "sendonly")).encode()
    )
    text = build_answer("192.0.2.7", 3, lines, (20_000, 20_002, None)).decode()
    assert "o=vad-agent 1 3 IN IP4 192.0.2.7\r\n" in text
    one, two, three = text.split("m=audio ")[1:]
    assert one.startswith("20000 RTP/AVP 8 0\r\n")
    assert "a=recvonly" in one
    assert "a=label:1" in one
    assert "101" not in one
    assert "a=inactive" in two
    assert three.startswith("0 RTP/AVP 8 0 101\r\n")
    again = parse_offer(text.encode())
    assert [line.port for line in again] == [20_000, 20_002, 0]
    assert "IN IP6 ::1" in build_answer("::1", 1, (), ()).decode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "v=0 first"),
        (b"v=1\r\n", "v=0 first"),
        (b"v=0\r\nhello\r\n", "name=value, got 'hello'"),
        (b"v=0\r\nm=audio\r\n", "m=audio PORT"),
        (b"v=0\r\nm=audio x RTP/AVP 8\r\n", "m=audio PORT"),
        (b"v=0\r\nm=audio 99999 RTP/AVP 8\r\n", "m=audio PORT"),
        (b"v=0\r\ns=\xff\r\n", "UTF-8"),
        (b"v=0\r\n" + b"m=audio 1 RTP/AVP 8\r\n" * 17, "at most 16"),
    ],
)
def test_what_is_no_sdp_is_named(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        parse_offer(data)


# -- anything ---------------------------------------------------------------------------------------


@by_name
def test_every_truncation_is_understood_or_named(offer: Offer) -> None:
    for length in range(len(offer.body)):
        _take(offer.body[:length])


def _take(data: bytes) -> None:
    try:
        body = parse_body(MULTIPART, data)
        lines = parse_offer(body.sdp) if body.sdp is not None else ()
        metadata = parse_metadata(body.metadata) if body.metadata is not None else None
    except MediaError:
        return
    _check(find_roles(lines, metadata, ("101",)), len(lines))


def _check(found: Roles, count: int) -> None:
    """No side is heard twice."""
    assert len(found.of_lines) == count
    used: list[Sides] = [sides for sides in found.of_lines if sides]
    assert sum(map(len, used)) == len(frozenset().union(*used))


def test_20000_mutated_bodies_are_understood_or_named() -> None:
    random_ = random.Random(20)
    texts = [RFC_METADATA, PREFIXED_METADATA, ORACLE_METADATA, broadworks_metadata("mixed")]
    pieces = [
        b"<",
        b">",
        b"\r\n",
        b"--OSS-unique-boundary-42",
        b"m=audio 1 RTP/AVP 8\r\n",
        b"&#0;",
        b"\xff",
    ]
    pieces += [text.encode()[at : at + 60] for text in texts for at in range(200, 1_000, 200)]
    for number in range(20_000):
        data = bytearray(OFFERS[number % len(OFFERS)].body)
        for _ in range(random_.randint(1, 6)):
            how, at = random_.randrange(4), random_.randrange(len(data))
            if how == 0:
                data[at] = random_.randrange(256)
            elif how == 1:
                del data[at : at + random_.randint(1, 60)]
            elif how == 2:
                data[at:at] = random_.choice(pieces)
            else:
                other = random_.randrange(len(data))
                data[at:at] = data[other : other + random_.randint(1, 200)]
        _take(bytes(data))


@given(
    st.lists(
        st.tuples(st.sampled_from("1239"), st.sampled_from(["sendonly", "inactive"])), max_size=5
    ),
    st.sampled_from([None, RFC_METADATA, PREFIXED_METADATA, broadworks_metadata("mixed")]),
    st.sets(st.sampled_from([CLIENT, OPERATOR])),
)
def test_no_side_is_ever_heard_twice(
    lines: list[tuple[str, str]], metadata: str | None, telephones: set[str]
) -> None:
    labels, directions = tuple(one for one, _ in lines), tuple(one for _, one in lines)
    offer = Offer("any", sdp(labels, directions=directions), metadata)
    _check(roles(offer, tuple(telephones)), len(lines))
