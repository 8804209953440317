"""ARI's events as they were captured from Asterisk 22, and made-up variants of them."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from vad_agent.core.events import Event, EventKind
from vad_agent.telephony.asterisk_calls import AsteriskCalls, TapEvent

CAPTURED = Path(__file__).parent / "captured" / "asterisk_22_hold_and_hangup.jsonl"
EVENTS: list[dict[str, Any]] = [json.loads(line) for line in CAPTURED.read_text().splitlines()]
TAP = "39574c51-c534-4da9-a7c0-68e815678f3f"
CLIENT, OPERATOR = "1796067448.0", "1796067448.3"


def told(events: list[dict[str, Any]]) -> list[TapEvent]:
    calls = AsteriskCalls()
    return [found for event in events for found in calls.take(event)]


def kinds(found: list[TapEvent]) -> list[tuple[str, str | None]]:
    return [(one.event.kind.value, one.event.party) for one in found]


def until_answered() -> list[dict[str, Any]]:
    answer = next(
        n
        for n, event in enumerate(EVENTS)
        if event.get("dialstatus") == "ANSWER" and event.get("caller")
    )
    return copy.deepcopy(EVENTS[: answer + 1])


def of(kind: str, channel: str, **more: object) -> dict[str, Any]:
    return {"type": kind, "channel": {"id": channel, "name": "PJSIP/x-0000"}, **more}


def test_a_captured_call_is_followed_from_answer_to_hangup() -> None:
    found = told(EVENTS)
    assert kinds(found) == [
        ("answered", None),
        ("hold", "client"),
        ("unhold", "client"),
        ("hold", "operator"),
        ("unhold", "operator"),
        ("hangup", "client"),
    ]
    assert {one.tap for one in found} == {TAP}
    assert {one.operator for one in found} == {"operator"}
    assert {one.event.call_id for one in found} == {CLIENT}
    assert found[-1].event.cause == "16"


def test_nothing_is_kept_of_a_call_that_is_over() -> None:
    calls = AsteriskCalls()
    for event in EVENTS:
        calls.take(event)
    assert len(calls) == 0
    assert not calls._channels
    assert calls.client_channel(TAP) is None


def test_the_callers_number_is_told_and_a_name_is_none() -> None:
    events = until_answered()
    for event in events:
        if event["type"] == "ChannelVarset":
            event["channel"]["caller"]["number"] = "+79161234567"
    assert told(events)[0].event.phone == "+79161234567"
    assert told(until_answered())[0].event.phone is None  # `client` is no number


@pytest.mark.parametrize(
    ("first", "party"), [(CLIENT, "client"), (OPERATOR, "operator"), (None, "network")]
)
def test_who_hung_up_is_the_side_that_asked_first(first: str | None, party: str) -> None:
    events = until_answered()
    if first is not None:
        events.append(of("ChannelHangupRequest", first, cause=16))
    other = OPERATOR if first == CLIENT else CLIENT
    events.append(of("ChannelHangupRequest", other, cause=16, soft=True))
    events += [of("ChannelDestroyed", OPERATOR, cause=16), of("ChannelDestroyed", CLIENT, cause=16)]
    assert kinds(told(events))[-1] == ("hangup", party)
    assert kinds(told(events)).count(("hangup", party)) == 1


def test_a_transfer_is_the_next_operators_call() -> None:
    events = until_answered()
    peer = {"id": "next.1", "name": "PJSIP/102-00000009"}
    events.append({"type": "Dial", "dialstatus": "ANSWER", "caller": {"id": CLIENT}, "peer": peer})
    events.append(of("ChannelDestroyed", OPERATOR, cause=16))  # late: he talks no more already
    found = told(events)
    assert [(one.event.kind.value, one.operator) for one in found] == [
        ("answered", "operator"),
        ("hangup", "operator"),
        ("answered", "102"),
    ]
    assert found[2].event.call_id == f"{CLIENT}-2"


def test_after_a_reconnect_the_calls_are_those_that_the_pbx_has() -> None:
    calls = AsteriskCalls()
    client = {"id": CLIENT, "name": "PJSIP/t-01", "caller": {"number": "79161234567"}}
    client |= {"dialplan": {"app_name": "Dial"}}
    operator = {"id": OPERATOR, "name": "PJSIP/101-02", "dialplan": {"app_name": "AppDial"}}
    channels = [(operator, str(TAP)), (client, str(TAP))]
    bridge = {"id": "b", "channels": [OPERATOR, CLIENT]}
    (found,) = calls.restore(channels, [bridge])
    assert found == TapEvent(
        TAP, Event(EventKind.ANSWERED, phone="79161234567", call_id=CLIENT), "101", resumed=True
    )
    assert calls.restore(channels, [bridge]) == []  # nothing is told twice
    (gone,) = calls.restore([], [])
    assert (gone.event.kind, gone.event.party) == (EventKind.HANGUP, "network")
    assert len(calls) == 0


def test_behind_a_local_channel_the_telephone_holds_and_names_the_operator() -> None:
    """As FreePBX's queues dial: client ─> Local/operator@from-queue;1, ;2 ─> PJSIP/operator."""
    path = CAPTURED.with_name("asterisk_22_local_channel.jsonl")
    calls = AsteriskCalls()
    found = [one for line in path.read_text().splitlines() for one in calls.take(json.loads(line))]
    assert kinds(found) == [
        ("answered", None),
        ("hold", "operator"),
        ("unhold", "operator"),
        ("hold", "client"),
        ("unhold", "client"),
        ("hangup", "operator"),
    ]
    assert {one.operator for one in found} == {"operator"}
    assert (len(calls), calls._channels, calls._behind) == (0, {}, {})


def test_after_a_reconnect_the_telephone_behind_a_local_channel_is_found() -> None:
    calls = AsteriskCalls()
    names = {
        "1": "PJSIP/t-01",
        "3": "Local/101@q-01;1",
        "4": "Local/101@q-01;2",
        "5": "PJSIP/55-02",
    }
    channels = [
        ({"id": id, "name": name, "creationtime": id}, TAP if id != "5" else "")
        for id, name in reversed(names.items())
    ]
    bridges = [{"channels": ["1", "3"]}, {"channels": ["5", "4"]}]
    (found,) = calls.restore(channels, bridges)
    assert (found.operator, found.resumed) == ("55", True)
    (hold,) = calls.take(of("ChannelHold", "5"))
    assert (hold.event.party, hold.tap) == ("operator", TAP)


def test_events_of_other_channels_mean_nothing() -> None:
    assert told([event for event in EVENTS if event["type"] != "ChannelVarset"]) == []
    assert told([{"type": "ChannelHold"}, {"type": 5}, {}, {"type": "Dial", "caller": None}]) == []


def test_mutated_events_never_raise() -> None:
    random_ = random.Random(3)
    values: list[Any] = [None, 5, "", "x", [], {}, True, {"id": 5}, {"id": CLIENT}]

    def mutate(value: Any) -> Any:
        if random_.random() < 0.1:
            return random_.choice(values)
        if isinstance(value, dict):
            return {key: mutate(one) for key, one in value.items() if random_.random() > 0.05}
        return value

    for _ in range(2_000):
        calls = AsteriskCalls()
        for event in EVENTS:
            changed = mutate(event)
            for found in calls.take(changed if isinstance(changed, dict) else {}):
                assert isinstance(found, TapEvent)
        channels = [(mutate(event.get("channel") or {}), str(TAP)) for event in EVENTS]
        calls.restore(
            [(one, tap) for one, tap in channels if isinstance(one, dict)],
            [{"channels": random_.choice([None, [CLIENT, OPERATOR], [5], "xy"])}],
        )
