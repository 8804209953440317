"""An event told and taken again is the same event."""

from __future__ import annotations

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from vad_agent.core.events import DEVICES, LONGEST_LATENCY_S, Event, EventKind

TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
WHOLE = st.none() | st.integers(-(10**19), 10**19)


@given(st.data(), st.sampled_from(EventKind))
def test_told_and_taken_again_it_is_the_same(data: st.DataObject, kind: EventKind) -> None:
    texts = {
        field.name: data.draw(TEXT)
        for field in fields(Event)
        if field.name not in ("kind", "party", "seq", "latency_s")
    }
    event = Event(
        kind=kind,
        party=data.draw(st.sampled_from(DEVICES)),
        seq=data.draw(WHOLE),
        latency_s=data.draw(st.floats(0, LONGEST_LATENCY_S)),
        **texts,
    )
    assert Event.parse(json.loads(json.dumps(event.to_dict()))) == event


def test_what_is_not_told_is_not_there() -> None:
    assert Event(EventKind.PAUSE).to_dict() == {"kind": "pause"}
    assert list(Event(EventKind.HANGUP, party="client", seq=0).to_dict()) == [
        "kind",
        "party",
        "seq",
    ]
