"""A device of ours is lost in the call: it is no silence of the client's, and no drop.

What was due is stale, the clock stands still, the operator is told; the call goes on when it is back.
"""

from __future__ import annotations

import pytest

from tests.tape import TapePlan, play, tape, told, transcript
from vad_agent import CallSession
from vad_agent.core.actions import Alert, PromptDone
from vad_agent.core.events import Event, EventKind
from vad_agent.errors import EventError

BEFORE = ("S*50 .*50", "S*30 .*70")  # 100 frames; both have spoken; silence since 50


def lost(party):
    return {"kind": "device_lost", "party": party}


def back(party):
    return {"kind": "device_back", "party": party}


@pytest.mark.parametrize("party", ["operator", "client"])
def test_the_clock_stands_still_and_begins_anew(party):
    events = {100: lost(party), 900: back(party)}
    actions = play(f"{BEFORE[0]} .*1200", f"{BEFORE[1]} .*1200", events)
    assert transcript(actions)[2:6] == [
        f"100 alert {party}_device_lost",
        f"900 alert {party}_device_back",
        "1075 play not_heard_in_dialogue",  # 175 frames after it was back
        "1175 not_heard_in_dialogue said after 175",
    ]


def test_frames_of_the_client_that_do_not_come_meanwhile_are_no_drop():
    events = {130: lost("client"), 1200: back("client")}
    actions = play(f"{BEFORE[0]} .*1250", f"{BEFORE[1]} -*1100 .*150", events)
    assert not any("dropped" in line for line in transcript(actions))


def test_the_client_who_was_gone_when_the_device_is_back_is_dropped_then():
    events = {130: lost("client"), 700: back("client")}
    actions = play(f"{BEFORE[0]} .*1300", f"{BEFORE[1]} -*1300", events)
    assert "1200 hangup dropped" in transcript(actions)  # 500 frames after it was back


def test_without_the_event_the_same_frames_are_a_drop():
    actions = play(f"{BEFORE[0]} .*1250", f"{BEFORE[1]} -*1100 .*150")
    assert "600 hangup dropped" in transcript(actions)


def test_a_phrase_in_the_air_goes_on_when_a_microphone_is_lost():
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300", {250: lost("operator")})
    assert "325 not_heard_in_dialogue said after 175" in transcript(actions)
    assert not any("farewell" in line for line in transcript(actions))


def test_what_was_climbed_is_stale():
    events = {350: lost("operator"), 400: back("operator")}
    actions = play(f"{BEFORE[0]} .*500", f"{BEFORE[1]} .*500", events)
    assert "575 play not_heard_in_dialogue" in transcript(actions)  # not the farewell


def test_on_hold_the_minute_counts_on():
    events = {100: "hold", 200: lost("client"), 1500: back("client")}
    actions = play(f"{BEFORE[0]} .*3100", f"{BEFORE[1]} .*100 -*1400 .*1600", events)
    assert "3125 play hold_farewell" in transcript(actions)


def test_a_hold_that_was_heard_as_music_goes_on_while_the_client_cannot_be_heard():
    events = {300: lost("client")}
    actions = play(f"{BEFORE[0]} .*3200", f"{BEFORE[1]} m*200 -*3000", events)
    assert "3125 play hold_farewell" in transcript(actions)  # 3025 frames after the music began
    assert transcript(actions).count("350 phase dialogue") == 0


def test_such_a_hold_is_over_when_the_clients_device_is_back_until_music_is_heard_again():
    events = {300: lost("client"), 900: back("client")}
    actions = play(f"{BEFORE[0]} .*1000", f"{BEFORE[1]} m*200 -*600 .*20 m*180", events)
    phases = [line for line in transcript(actions) if " phase " in line]
    assert phases[2:5] == ["105 phase on_hold", "900 phase dialogue", "925 phase on_hold"]


def test_a_greeting_that_may_have_been_said_unheard_is_awaited_anew():
    events = {100: lost("operator"), 600: back("operator")}
    actions = play(".*100 -*500 .*400", ".*1000", events)
    assert "850 alert no_greeting" in transcript(actions)


def test_twice_lost_is_once_and_back_without_a_loss_is_nothing():
    events = {100: back("client"), 110: [lost("client"), lost("client")], 120: back("client")}
    actions = play(f"{BEFORE[0]} .*100", f"{BEFORE[1]} .*100", events)
    alerts = [f"{a.frame} {told(a)}" for a in actions if isinstance(a, Alert)]
    assert alerts == ["110 alert client_device_lost", "120 alert client_device_back"]


# -- the player's device -----------------------------------------------------------------------------


def test_without_a_player_the_operator_is_cued_as_in_the_cue_mode():
    events = {60: lost("prompt")}
    actions = play(f"{BEFORE[0]} .*200", f"{BEFORE[1]} .*200", events)
    cued = play(f"{BEFORE[0]} .*200", f"{BEFORE[1]} .*200", mode="cue")
    assert transcript(actions)[2:] == ["60 alert prompt_device_lost", *transcript(cued)[2:]]


def test_a_phrase_in_the_air_has_failed_and_is_the_operators_to_say():
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300", {250: lost("prompt")})
    assert transcript(actions)[2:6] == [
        "225 play not_heard_in_dialogue",
        "250 alert prompt_device_lost",
        "250 not_heard_in_dialogue failed after 175",
        "250 cue not_heard_in_dialogue",
    ]


def test_the_player_is_back_for_the_next_step():
    events = {60: lost("prompt"), 300: back("prompt")}
    operator = f"{BEFORE[0]} .*125 S*40 .*400"  # he says the first one himself, 225 to 265
    actions = play(operator, f"{BEFORE[1]} .*565", events)
    assert "390 play farewell_in_dialogue" in transcript(actions)


def test_a_phrase_that_the_operator_has_not_said_is_the_players_again():
    """At once, as its aim has passed: late is better than never."""
    events = {60: lost("prompt"), 230: back("prompt")}
    actions = play(f"{BEFORE[0]} .*300", f"{BEFORE[1]} .*300", events)
    assert transcript(actions)[3:7] == [
        "190 cue not_heard_in_dialogue",
        "230 alert prompt_device_back",
        "230 dismiss not_heard_in_dialogue",
        "230 play not_heard_in_dialogue",
    ]


# -- how long the player's way is ---------------------------------------------------------------------


def live(events_by_frame, *, way=0, operator=f"{BEFORE[0]} .*300", client=f"{BEFORE[1]} .*300"):
    """A player whose phrases begin `way` frames after they are asked for."""
    session = CallSession(TapePlan(), 8000)
    actions, due = [], {}

    def take(new):
        for action in new:
            actions.append(action)
            if (told(action) or "").startswith("play"):
                due[session.now + way] = Event.parse({"kind": "prompt_started"})

    for frame, (left, right) in enumerate(zip(tape(operator), tape(client), strict=True)):
        for event in events_by_frame.get(frame, []):
            take(session.signal(event))
        if event := due.pop(frame, None):
            take(session.signal(event))
        take(session.feed(left, right))
    return session, actions


@pytest.mark.parametrize(("latency", "lead"), [(0.0, 0), (0.06, 3), (0.07, 4), (0.2, 10)])
def test_a_phrase_is_asked_for_so_early_that_its_sound_falls_on_the_aim(latency, lead):
    ready = {"kind": "player_ready", "latency_s": latency}
    session, actions = live({0: [ready]}, way=lead)
    assert f"{225 - lead} play not_heard_in_dialogue" in transcript(actions)
    assert session.watch.prompt_state == "playing"


def test_what_was_really_said_is_in_the_trace():
    named = {0: [{"kind": "client_name", "name": "Анна"}]}
    operator, client = f"{BEFORE[0]} .*126", f"{BEFORE[1]} .*126"
    session, actions = live(named, way=400, operator=operator, client=client)
    assert actions[-1].text == "Анна, вас не слышно"
    session.signal({"kind": "prompt_started", "text": "Вас не слышно"})
    assert session.watch.prompt_text == "Вас не слышно"
    (done,) = session.signal("prompt_ended")
    assert isinstance(done, PromptDone)
    assert done.text == "Вас не слышно"


# -- doors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "device_lost"},
        {"kind": "device_back", "party": "nobody"},
        {"kind": "player_ready"},
        {"kind": "player_ready", "latency_s": -0.1},
        {"kind": "player_ready", "latency_s": 1.5},
        {"kind": "player_ready", "latency_s": float("nan")},
        {"kind": "player_ready", "latency_s": True},
        {"kind": "player_ready", "latency_s": "0.1"},
    ],
)
def test_a_wrong_one_is_refused(event):
    with pytest.raises(EventError, match=r"party: expected|latency_s: expected"):
        Event.parse(event)


@pytest.mark.parametrize(
    "event",
    [
        Event(EventKind.DEVICE_LOST),
        Event(EventKind.DEVICE_BACK, party="network"),
        Event(EventKind.PLAYER_READY),
        Event(EventKind.PLAYER_READY, latency_s=5.0),
        Event(EventKind.PLAYER_READY, latency_s=float("nan")),
    ],
)
def test_one_made_by_hand_is_refused_too_and_changes_nothing(event):
    session = CallSession(TapePlan(), 8000)
    with pytest.raises(EventError):
        session.signal(event)
    assert session.phase is None


def test_the_watch_tells_why_the_clock_stands_still():
    session, _ = live({100: [lost("client")]})
    assert session.watch.suspended == ("client_device_lost",)
    assert session.watch.silence is None
    session.signal(back("client"))
    assert session.watch.suspended == ()
    assert (session.watch.silence, session.watch.lo, session.watch.hi) == (0, 150, 200)
