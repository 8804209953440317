"""Who takes part in a recorded call, and whose stream is whose (RFC 7865). No I/O.

    <participant participant_id="P"> <nameID aor="sip:101@pbx"> <name>Anna</name>
    <participantstreamassoc participant_id="P"> <send>S</send>      the participant's voice is stream S
    <stream stream_id="S"> <label>1</label>                         S is the media line with a=label:1

Elements are known by their names without the namespace, since there are three of them in use. Older drafts,
still sent by BroadWorks and Oracle, write `id`, `<aor>`, and `<send>` inside of the participant.
"""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote
from xml.etree import ElementTree

from vad_agent.core.frames import Channel
from vad_agent.errors import MediaError
from vad_agent.telephony.sdp import MediaLine

SDP_TYPE, METADATA_TYPE = "application/sdp", "application/rs-metadata+xml"
MOST_TEXT = 100
MOST_NESTED = 4
"""Bodies inside of bodies: the parser takes long for many."""
_ROOTS = ("recording", "recording_metadata")

Sides = frozenset[Channel]
"""Whose voice a stream carries; both: a mix; nobody: it is not used."""
BOTH: Sides = frozenset(Channel)
NOBODY: Sides = frozenset()


@dataclass(frozen=True, slots=True)
class MessageBody:
    """The parts of a message that concern us."""

    sdp: bytes | None = None
    metadata: bytes | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """One party of the call."""

    user: str | None = None
    """The user part of the address: a telephone number or a login."""
    name: str | None = None
    sends: frozenset[str] = frozenset()
    """Ids of the streams that carry this party's voice."""
    hears: frozenset[str] = frozenset()
    calling: bool | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What one document says."""

    participants: Mapping[str, Participant] = field(default_factory=dict)
    """By id, in the order of the document."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Stream id → label of its media line."""
    mixed: frozenset[str] = frozenset()
    """Ids of the streams that carry more than one party."""
    partial: bool = False
    """Only what has changed."""

    def after(self, before: Metadata | None) -> Metadata:
        """What is known now, if `before` was known before."""
        if before is None or not self.partial:
            return self
        people = dict(before.participants)
        for id, new in self.participants.items():
            old = people.get(id, Participant())
            people[id] = Participant(
                new.user or old.user,
                new.name or old.name,
                new.sends or old.sends,
                new.hears or old.hears,
                old.calling if new.calling is None else new.calling,
            )
        return Metadata(people, {**before.labels, **self.labels}, before.mixed | self.mixed)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who in a call."""

    client: Participant
    operator: Participant
    of_lines: tuple[Sides, ...]
    """For each media line."""


# -- the body ---------------------------------------------------------------------------------------


def parse_body(content_type: str, body: bytes) -> MessageBody:
    """Take a message's body apart. Parts may come in any order; those of other types are ignored.

    Raises:
        MediaError: it is not what its type says.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not kind.startswith("multipart/"):
        return _sorted([(kind, body)])
    inside = body.lower()
    if inside.count(b"multipart/") + inside.count(b"message/") > MOST_NESTED:
        raise MediaError(f"multipart: expected at most {MOST_NESTED} nested bodies")
    try:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(head + body)
        parts = [
            (str(part.get("Content-Type", "")), part.get_payload(decode=True))
            for part in message.walk()
            if not part.is_multipart()
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise MediaError(f"multipart: cannot be read: {type(error).__name__}") from error
    if not message.is_multipart():
        raise MediaError("multipart: expected parts between boundaries")
    return _sorted((kind, data) for kind, data in parts if isinstance(data, bytes))


def _sorted(parts: Iterable[tuple[str, bytes]]) -> MessageBody:
    """Metadata is known by its root too: `application/ +xml` was seen."""
    sdp = metadata = None
    for kind, data in parts:
        if kind.partition(";")[0].strip().lower() == SDP_TYPE:
            sdp = sdp or data
        elif "rs-metadata" in kind.lower() or (b"<" in data[:8] and b"recording" in data[:1000]):
            metadata = metadata or data.strip()
    return MessageBody(sdp, metadata)


# -- the metadata -----------------------------------------------------------------------------------


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, *_: object) -> None:
        raise MediaError("metadata: a document type is not accepted")  # it may define entities


def parse_metadata(data: bytes) -> Metadata:
    """Parse a document of RFC 7865, or of a draft of it.

    Raises:
        MediaError: it is no such document.
    """
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(data)
        root = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"metadata: expected XML: {error}") from error
    if _tag(root) not in _ROOTS:
        raise MediaError(f"metadata: expected <recording>, got <{_tag(root)[:40]}>")
    people: dict[str, Participant] = {}
    labels: dict[str, str] = {}
    mixed = set()
    for one in _children(root, "participant"):
        if id := _id(one, "participant_id"):
            people[id] = _participant(one)
    for one in _children(root, "participantstreamassoc"):
        id = one.get("participant_id", "")
        if id in people:
            sends, hears = _streams(one)
            old = people[id]
            people[id] = replace(old, sends=old.sends | sends, hears=old.hears | hears)
    for one in _children(root, "stream"):
        id, label = _id(one, "stream_id"), _text(one, "label")
        if id and label:
            labels[id] = label
        if id and (_text(one, "mode") or "").lower() == "mixed":
            mixed.add(id)
    mode = _text(root, "datamode") or _text(root, "dataMode") or ""
    return Metadata(people, labels, frozenset(mixed), partial=mode.lower() == "partial")


def _participant(one: ElementTree.Element) -> Participant:
    address = next(iter(_children(one, "nameID")), one)
    sends, hears = _streams(one)
    calling = None
    for said in one.iter():  # extensions of Oracle and Intrado
        if _tag(said) == "callingParty":
            calling = (said.text or "").strip().lower() == "true"
        elif _tag(said) == "role":
            calling = (said.text or "").strip().lower() == "calling"
    name = _text(address, "name")
    return Participant(
        user=_user(address.get("aor") or _text(one, "aor") or ""),
        name=name[:MOST_TEXT] if name else None,
        sends=sends,
        hears=hears,
        calling=calling,
    )


def _streams(one: ElementTree.Element) -> tuple[frozenset[str], frozenset[str]]:
    """The ids in <send> and <recv>: as text, or in an <id>."""
    found = []
    for name in ("send", "recv"):
        texts = ("".join(child.itertext()).strip() for child in _children(one, name))
        found.append(frozenset(text for text in texts if text))
    return found[0], found[1]


def _user(address: str) -> str | None:
    """`101` of sip:101@pbx:5060;user=phone, of tel:101 and of 101@pbx."""
    text = address.strip()
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in ("sip", "sips", "tel"):
        text = rest
    user = unquote(text.partition("@")[0].partition(";")[0]).strip()
    return user[:MOST_TEXT] or None


def _tag(one: ElementTree.Element) -> str:
    return one.tag.rpartition("}")[2]


def _children(one: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in one if _tag(child) == name)


def _id(one: ElementTree.Element, name: str) -> str:
    return one.get(name) or one.get("id") or ""


def _text(one: ElementTree.Element, name: str) -> str | None:
    for child in _children(one, name):
        if text := (child.text or "").strip():
            return text
    return None


# -- who is who -------------------------------------------------------------------------------------


def find_roles(
    lines: Sequence[MediaLine], metadata: Metadata | None, telephones: Container[str]
) -> Roles:
    """Who the client and the operator are, and whose voice each media line carries.

    The operator is the one whose telephone is known (`telephones`). If that is none of them, or all,
    the caller is the client: the one who is called so, else the first participant.
    """
    metadata = metadata or Metadata()
    people = list(metadata.participants.values())
    client, operator = _parties(people, telephones)
    sides = [_sides(line, metadata, client, operator) if line.usable else NOBODY for line in lines]
    if None in sides:
        _guess(sides, first_is_client=not people or people[0] is client)
    heard = [side for side in sides if side and len(side) == 1]
    of_lines = []
    for number, side in enumerate(sides):
        assert side is not None
        spare = (side == BOTH and bool(heard)) or side in sides[:number]
        of_lines.append(NOBODY if spare else side)
    return Roles(client or Participant(), operator or Participant(), tuple(of_lines))


def _parties(
    people: Sequence[Participant], telephones: Container[str]
) -> tuple[Participant | None, Participant | None]:
    known = [one for one in people if one.user is not None and one.user in telephones]
    others = [one for one in people if one not in known]
    if known and others:
        return others[0], known[-1]
    callers = [one for one in people if one.calling]
    client = callers[0] if callers else next((p for p in people if p.calling is None), None)
    return client, next((one for one in people if one is not client), None)


def _sides(
    line: MediaLine, metadata: Metadata, client: Participant | None, operator: Participant | None
) -> Sides | None:
    """Whose voice it is. None: the metadata does not say."""
    ids = {id for id, label in metadata.labels.items() if label == line.label}
    senders = [one for one in metadata.participants.values() if one.sends & ids]
    if not senders:
        return BOTH if ids & metadata.mixed else None
    if len(senders) > 1 or ids & metadata.mixed or senders[0].hears & ids:
        return BOTH  # who hears a stream with their own voice in it hears a mix
    if senders[0] is client:
        return frozenset((Channel.CLIENT,))
    return frozenset((Channel.OPERATOR,)) if senders[0] is operator else NOBODY


def _guess(sides: list[Sides | None], *, first_is_client: bool) -> None:
    """The metadata does not say it: the lines have the order of the participants."""
    taken = {channel for side in sides if side is not None for channel in side}
    order = [Channel.CLIENT, Channel.OPERATOR]
    free = [one for one in (order if first_is_client else order[::-1]) if one not in taken]
    unknown = [number for number, side in enumerate(sides) if side is None]
    if len(unknown) == 1 and len(free) == len(order):
        sides[unknown[0]] = BOTH  # the only stream
        return
    for number in unknown:
        sides[number] = frozenset((free.pop(0),)) if free else NOBODY
