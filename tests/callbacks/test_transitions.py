"""Callbacks from the request to the end, each as a transcript; every rule's limits.

    12:00:30 no_answer  → waiting 12:01:30 #2

Time in Moscow and what came; the state then, when the attempt is due, its number. `try`: when it will be
tried, where that is not when it is due. `agreed`: a time of the clock on the wall. `again`: asked for anew
while ringing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from vad_agent.callbacks import next_attempt_time, transitions
from vad_agent.callbacks.model import ENDED, OPEN, Callback, Outcome, Policy, Request, State
from vad_agent.errors import RuleError

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
POLICY = Policy(MOSCOW)
NIGHT = replace(POLICY, quiet=(time(21), time(9)))
DAY = datetime(2026, 11, 24, tzinfo=MOSCOW)
NOON = DAY.replace(hour=12).astimezone(UTC)
PHONE = "+79123456789"
SECOND = timedelta(seconds=1)


def asked(now=NOON, **given):
    """A request for a callback at once, of a client whose number is known; `in`: seconds."""
    given = {"phone": PHONE, **given}
    due_in_s = given.pop("in", None if "at" in given else 0)
    if due_in_s is not None:
        due_in_s = float(due_in_s) if due_in_s != "?" else None
    for name in ("phone", "at"):
        given[name] = None if given.get(name) == "?" else given.get(name)
    return Request("r", given.pop("reason", "dropped"), now, due_in_s, **given)


def taken(now=NOON, policy=POLICY, **given):
    return transitions.take(asked(now, **given), "c1", policy, now)


def step(callback, what, now, policy):
    """The callback after one line of a transcript."""
    verb, *words = what.split()
    given = dict(word.split("=", 1) for word in words if "=" in word)
    match verb:
        case "take":
            return taken(now, policy, **given)
        case "merge":
            return transitions.merge(callback, asked(now, **given), policy)
        case "revise":
            return transitions.revise(callback, asked(now, **given), policy)
        case "begin":
            if not transitions.may_begin(callback, callback.key, now):
                raise RuleError("not yet")
            return transitions.begin(callback)
        case "by_hand":
            return transitions.done(callback, Outcome(words[0]), now, policy)
        case "number":
            return transitions.set_number(callback, words[0])
        case "time":
            return transitions.set_time(callback, words[0], policy)
        case "clock":
            return transitions.shift_clock(callback, timedelta(seconds=float(words[0])))
        case "client_called" | "call_ended" | "cancel" | "retry":
            return getattr(transitions, verb)(callback, now)
        case outcome:
            return transitions.end(callback, Outcome(outcome), now, policy)


def moment(words):
    """Of "12:00:00" or "+1 09:00:00"; and what follows it."""
    first, rest = words.split(maxsplit=1)
    days = 0
    if first.startswith("+"):
        days = int(first)
        first, rest = rest.split(maxsplit=1)
    return (datetime.combine(DAY + timedelta(days), time.fromisoformat(first), MOSCOW)), rest


def shown(when):
    if when is None:
        return "?"
    local = when.astimezone(MOSCOW)
    days = (local.date() - DAY.date()).days
    return f"+{days} {local:%H:%M:%S}" if days else f"{local:%H:%M:%S}"


def told(callback):
    words = [callback.state.value, shown(callback.due), f"#{callback.attempt}"]
    if callback.fixed:
        words.append("agreed")
    if callback.next not in (None, callback.due):
        words.append(f"try {shown(callback.next)}")
    if callback.again is not None:
        words.append(f"again {shown(callback.again)}")
    return " ".join(words)


def playbook(transcript, policy=POLICY):
    """Plays what stands left of the arrows; what comes of it must be what stands right of them."""
    callback: Callback | None = None
    lines = [line.strip() for line in transcript.strip().splitlines()]
    came = []
    for line in lines:
        left = line.partition("→")[0]
        now, what = moment(left)
        try:
            callback = step(callback, what.strip(), now.astimezone(UTC), policy)
        except RuleError:
            came.append(f"{left}→ refused")
        else:
            came.append(f"{left}→ {told(callback)}")
    assert came == lines
    return callback


# -- three attempts ----------------------------------------------------------------------------------


def test_reached_at_once():
    callback = playbook("""
        12:00:00 take     → waiting 12:00:00 #1
        12:00:01 begin    → ringing 12:00:00 #1
        12:00:40 reached  → reached 12:00:00 #1
    """)
    assert callback.ended == NOON + 40 * SECOND
    assert callback.next is None


def test_three_attempts_and_no_more():
    """The gaps, one and two minutes, count from the end of an attempt."""
    playbook("""
        12:00:00 take       → waiting 12:00:00 #1
        12:00:00 begin      → ringing 12:00:00 #1
        12:00:30 no_answer  → waiting 12:01:30 #2
        12:01:30 begin      → ringing 12:01:30 #2
        12:01:35 busy       → waiting 12:03:35 #3
        12:03:40 begin      → ringing 12:03:35 #3
        12:04:10 no_answer  → not_reached 12:03:35 #3
        12:04:10 reached    → refused
        12:04:20 begin      → refused
    """)


@pytest.mark.parametrize("outcome", ["no_answer", "busy", "machine", "lost"])
def test_a_machine_a_busy_line_and_a_lost_attempt_are_not_reached_and_use_one_up(outcome):
    playbook(f"""
        12:00:00 take       → waiting 12:00:00 #1
        12:00:00 begin      → ringing 12:00:00 #1
        12:00:30 {outcome}  → waiting 12:01:30 #2
    """)


@pytest.mark.parametrize(
    ("attempts", "gaps_s", "ends"),
    [
        (1, (), ["ended"]),
        (2, (180.0,), [180, "ended"]),
        (4, (60, 120, 180), [60, 120, 180, "ended"]),
    ],
)
def test_as_many_attempts_as_the_centre_wants_and_the_last_one_ends_it(attempts, gaps_s, ends):
    policy = replace(POLICY, attempts=attempts, gaps_s=gaps_s)
    callback, came = taken(), []
    for number in range(attempts):
        assert callback.attempt == number + 1
        callback = transitions.end(transitions.begin(callback), Outcome.BUSY, NOON, policy)
        came.append((callback.due - NOON) / SECOND if callback.open else "ended")
    assert came == ends
    assert callback.state is State.NOT_REACHED


def test_silence_in_the_dialogue_is_called_back_after_a_minute_and_a_half():
    playbook("""
        12:00:00 take in=90  → waiting 12:01:30 #1
        12:01:29 begin       → refused
        12:01:30 begin       → ringing 12:01:30 #1
    """)


def test_nothing_begins_twice_nor_ends_before_it_began():
    playbook("""
        12:00:00 take     → waiting 12:00:00 #1
        12:00:00 reached  → refused
        12:00:00 begin    → ringing 12:00:00 #1
        12:00:00 begin    → refused
    """)
    with pytest.raises(RuleError, match="expected a waiting callback, it is ringing"):
        transitions.begin(transitions.begin(taken()))


@pytest.mark.parametrize(("late_s", "may"), [(-1, False), (0, True), (1, True)])
def test_an_attempt_begins_at_its_time(late_s, may):
    callback = taken(**{"in": 90})
    assert transitions.may_begin(callback, callback.key, NOON + (90 + late_s) * SECOND) is may


def test_only_the_key_of_the_next_attempt_begins():
    callback = taken()
    assert callback.key == "c1.1.1"
    second = transitions.end(transitions.begin(callback), Outcome.BUSY, NOON, POLICY)
    assert second.key == "c1.2.2"
    assert not transitions.may_begin(second, callback.key, NOON + timedelta(hours=1))
    assert transitions.may_begin(second, second.key, NOON + timedelta(hours=1))
    assert not transitions.may_begin(
        transitions.begin(second), second.key, NOON + timedelta(hours=1)
    )


# -- failures ----------------------------------------------------------------------------------------


def test_what_dials_fails_until_a_person_is_needed_and_no_attempt_is_used_up():
    callback = playbook("""
        12:00:00 take      → waiting 12:00:00 #1
        12:00:00 begin     → ringing 12:00:00 #1
        12:00:00 failed    → waiting 12:00:00 #1 try 12:00:05
        12:00:04 begin     → refused
        12:00:05 begin     → ringing 12:00:00 #1 try 12:00:05
        12:00:05 failed    → waiting 12:00:00 #1 try 12:00:20
        12:00:20 begin     → ringing 12:00:00 #1 try 12:00:20
        12:00:20 failed    → waiting 12:00:00 #1 try 12:00:50
        12:00:50 begin     → ringing 12:00:00 #1 try 12:00:50
        12:00:50 failed    → waiting 12:00:00 #1 try 12:01:50
        12:01:50 begin     → ringing 12:00:00 #1 try 12:01:50
        12:01:50 failed    → waiting 12:00:00 #1 try 12:03:50
        12:03:50 begin     → ringing 12:00:00 #1 try 12:03:50
        12:03:50 failed    → needs_person 12:00:00 #1
        12:09:00 begin     → refused
    """)
    assert callback.open
    assert callback.next is None
    assert callback.key == "c1.7.1", "no attempt is under way, so none can end"
    assert next_attempt_time.overdue(callback, NOON + 61 * SECOND, POLICY)


@pytest.mark.parametrize(
    ("failures", "state"), [(4, State.WAITING), (5, State.WAITING), (6, State.NEEDS_PERSON)]
)
def test_after_the_sixth_failure_a_person_is_needed(failures, state):
    callback = taken()
    for _ in range(failures):
        callback = transitions.end(transitions.begin(callback), Outcome.FAILED, NOON, POLICY)
    assert callback.state is state
    assert callback.failures == failures


def test_a_call_that_rang_forgets_the_failures_before_it():
    playbook("""
        12:00:00 take       → waiting 12:00:00 #1
        12:00:00 begin      → ringing 12:00:00 #1
        12:00:00 failed     → waiting 12:00:00 #1 try 12:00:05
        12:00:05 begin      → ringing 12:00:00 #1 try 12:00:05
        12:00:30 no_answer  → waiting 12:01:30 #2
        12:01:30 begin      → ringing 12:01:30 #2
        12:01:30 failed     → waiting 12:01:30 #2 try 12:01:35
    """)


def test_who_is_needed_rings_by_hand_or_repairs_it_and_begins_anew():
    story = """
        12:00:00 take      → waiting 12:00:00 #1
        12:00:00 begin     → ringing 12:00:00 #1
        12:00:00 failed    → needs_person 12:00:00 #1
    """
    never = replace(POLICY, failed_pauses_s=())
    by_hand = "12:05:00 by_hand {}  → {}\n"
    playbook(story + by_hand.format("reached", "reached 12:00:00 #1"), never)
    playbook(story + by_hand.format("no_answer", "waiting 12:06:00 #2"), never)
    playbook(story + by_hand.format("failed", "needs_person 12:00:00 #1"), never)
    fresh = playbook(story + "12:05:00 retry  → waiting 12:05:00 #1", never)
    assert fresh.failures == 0


@pytest.mark.parametrize(
    "change", ["number +79161234567", "time 2026-11-24T15:00", "merge", "revise"]
)
def test_where_a_person_is_needed_nothing_but_a_retry_arms_it(change):
    callback = transitions.end(
        transitions.begin(taken()), Outcome.FAILED, NOON, replace(POLICY, failed_pauses_s=())
    )
    after = step(callback, change, NOON + 5 * SECOND, POLICY)
    assert (after.state, after.next) == (State.NEEDS_PERSON, None)


# -- operators ---------------------------------------------------------------------------------------

ASKED = replace(POLICY, stand_ins=("boris", "anna", "vera"))


def asked_in_turn(callback, times):
    who = []
    for _ in range(times):
        callback = transitions.end(
            transitions.begin(callback), Outcome.OPERATOR_UNAVAILABLE, NOON, ASKED
        )
        who.append(callback.operator)
    return callback, who


def test_stand_ins_are_asked_in_order_and_then_it_stays_anybody():
    callback, who = asked_in_turn(taken(operator="anna"), 5)
    assert who == ["boris", "vera", None, None, None]
    assert callback.asked_operators == ("anna", "boris", "vera")
    assert callback.attempt == 1
    second = transitions.end(transitions.begin(callback), Outcome.BUSY, NOON, ASKED)
    assert second.asked_operators == ()
    assert asked_in_turn(second, 2)[1] == [None, None]


def test_where_anybody_may_ring_nobody_in_particular_is_asked():
    assert asked_in_turn(taken(), 2)[1] == [None, None]


def test_the_next_operator_is_asked_after_15_s_and_the_promise_stands():
    playbook("""
        12:00:00 take operator=anna    → waiting 12:00:00 #1
        12:00:00 begin                 → ringing 12:00:00 #1
        12:00:10 operator_unavailable  → waiting 12:00:00 #1 try 12:00:25
        12:00:24 begin                 → refused
        12:00:25 begin                 → ringing 12:00:00 #1 try 12:00:25
    """)


# -- the client, and people --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "state"), [("client_called", "client_called"), ("cancel", "cancelled")]
)
def test_it_is_closed_while_an_attempt_is_under_way_and_its_outcome_opens_nothing(what, state):
    playbook(f"""
        12:00:00 take       → waiting 12:00:00 #1
        12:00:00 begin      → ringing 12:00:00 #1
        12:00:10 {what}     → {state} 12:00:00 #1
        12:00:30 no_answer  → refused
        12:00:30 reached    → refused
        12:00:30 {what}     → refused
    """)


@pytest.mark.parametrize("given", ["", " phone=?", " in=?", " at=2026-12-01T10:00:00Z"])
@pytest.mark.parametrize("close", [transitions.client_called, transitions.cancel])
def test_whatever_it_waits_for_it_can_be_closed(given, close):
    callback = step(None, "take call_on=yes" + given, NOON, POLICY)
    assert callback.open
    closed = close(replace(callback, again=NOON), NOON)
    assert not closed.open
    assert (closed.ended, closed.next, closed.early, closed.again) == (NOON, None, None, None)


@pytest.mark.parametrize("state", [s for s in State if s in ENDED], ids=str)
@pytest.mark.parametrize(
    "what",
    ["merge", "revise", "number +79161234567", "time 2026-11-24T15:00", "begin", "reached",
     "client_called", "cancel", "by_hand reached"],
)  # fmt: skip
def test_what_has_ended_is_not_changed(state, what):
    ended = replace(taken(), state=state, ended=NOON)
    with pytest.raises(RuleError):
        step(ended, what, NOON, POLICY)
    assert transitions.shift_clock(ended, timedelta(hours=1)) is ended


@pytest.mark.parametrize("state", [s for s in State if s in ENDED], ids=str)
def test_what_has_ended_can_be_retried_and_has_three_attempts_at_once(state):
    ended = replace(
        taken(), state=state, attempt=3, failures=2, asked_operators=("anna",), ended=NOON
    )
    fresh = transitions.retry(ended, NOON + 100 * SECOND)
    assert told(fresh) == "waiting 12:01:40 #1"
    assert (fresh.failures, fresh.asked_operators, fresh.ended) == (0, (), None)
    assert fresh.generation == ended.generation + 1


def test_nothing_is_retried_while_it_rings_or_without_a_number():
    playbook("""
        12:00:00 take   → waiting 12:00:00 #1
        12:00:00 begin  → ringing 12:00:00 #1
        12:00:00 retry  → refused
    """)
    playbook("""
        12:00:00 take phone=?  → needs_number 12:00:00 #1
        12:00:00 retry         → refused
    """)


def test_a_retry_of_an_agreed_callback_rings_now():
    playbook("""
        12:00:00 take at=2026-11-25T10:00:00  → waiting +1 10:00:00 #1 agreed
        12:00:00 retry                        → waiting 12:00:00 #1
    """)


def test_a_person_who_rings_by_hand_makes_an_attempt():
    playbook("""
        12:00:00 take               → waiting 12:00:00 #1
        12:00:05 by_hand no_answer  → waiting 12:01:05 #2
        12:00:30 by_hand busy       → waiting 12:02:30 #3
        12:01:00 by_hand machine    → not_reached 12:02:30 #3
    """)


@pytest.mark.parametrize("outcome", ["failed", "operator_unavailable"])
@pytest.mark.parametrize("given", ["", " phone=?", " in=?", " at=2026-12-01T10:00:00"])
def test_by_hand_nothing_changes_where_nothing_rang(outcome, given):
    callback = step(None, "take" + given, NOON, POLICY)
    assert step(callback, f"by_hand {outcome}", NOON, POLICY) == callback


@pytest.mark.parametrize(
    ("at", "then"),
    [
        ("14:59:59", "waiting 15:00:00 #1 agreed"),
        ("15:00:00", "waiting 15:01:00 #2"),
        ("15:00:01", "waiting 15:01:01 #2"),
    ],
)
def test_who_is_not_reached_before_the_agreed_time_is_rung_at_it(at, then):
    playbook(f"""
        12:00:00 take at=2026-11-24T15:00:00  → waiting 15:00:00 #1 agreed
        {at} by_hand no_answer  → {then}
    """)


def test_who_is_reached_before_the_agreed_time_is_not_rung_again():
    playbook("""
        12:00:00 take at=2026-11-24T15:00:00  → waiting 15:00:00 #1 agreed
        14:00:00 by_hand reached              → reached 15:00:00 #1 agreed
    """)


def test_a_person_says_what_became_of_an_attempt_that_nobody_reported():
    story = """
        12:00:00 take   → waiting 12:00:00 #1
        12:00:00 begin  → ringing 12:00:00 #1
    """
    playbook(story + "12:16:00 by_hand failed     → waiting 12:00:00 #1 try 12:16:05")
    playbook(story + "12:16:00 by_hand lost       → waiting 12:17:00 #2")
    playbook(story + "12:16:00 by_hand reached    → reached 12:00:00 #1")


# -- numbers and times that are missing --------------------------------------------------------------


def test_a_request_without_a_number_is_kept_and_rings_once_it_is_found():
    callback = playbook("""
        12:00:00 take phone=? phone_given=912  → needs_number 12:00:00 #1
        12:10:00 begin                         → refused
        12:10:00 number +79123456789           → waiting 12:00:00 #1
        12:10:00 begin                         → ringing 12:00:00 #1
    """)
    assert (callback.phone, callback.phone_given) == (PHONE, None)


def test_the_number_of_one_that_is_not_due_yet_leaves_its_time():
    playbook("""
        12:00:00 take phone=? in=90   → needs_number 12:01:30 #1
        12:00:10 number +79123456789  → waiting 12:01:30 #1
        12:01:29 begin                → refused
    """)
    playbook("""
        12:00:00 take phone=? at=2026-11-24T15:00:00  → needs_number 15:00:00 #1 agreed
        12:00:10 number +79123456789                  → waiting 15:00:00 #1 agreed
    """)


def test_agreed_without_a_time_waits_for_one():
    playbook("""
        12:00:00 take in=?                 → needs_time ? #1
        12:00:10 begin                     → refused
        12:00:10 time 2026-11-24T15:00:00  → waiting 15:00:00 #1 agreed
        12:00:20 time 2026-11-24T16:00:00  → waiting 16:00:00 #1 agreed
    """)


def test_neither_number_nor_time():
    playbook("""
        12:00:00 take in=? phone=?         → needs_number ? #1
        12:00:10 number +79123456789       → needs_time ? #1
        12:00:20 time 2026-11-24T15:00:00  → waiting 15:00:00 #1 agreed
    """)
    playbook("""
        12:00:00 take in=? phone=?         → needs_number ? #1
        12:00:10 time 2026-11-24T15:00:00  → needs_number 15:00:00 #1 agreed
        12:00:20 number +79123456789       → waiting 15:00:00 #1 agreed
    """)


def test_an_attempt_by_hand_does_not_make_up_a_number():
    playbook("""
        12:00:00 take phone=?        → needs_number 12:00:00 #1
        12:05:00 by_hand no_answer   → needs_number 12:06:00 #2
    """)


def test_number_and_time_are_not_changed_under_a_ringing_attempt():
    playbook("""
        12:00:00 take                      → waiting 12:00:00 #1
        12:00:00 begin                     → ringing 12:00:00 #1
        12:00:01 number +79161234567       → refused
        12:00:01 time 2026-11-24T15:00:00  → refused
    """)


def test_a_time_that_is_none_is_refused():
    playbook("""
        12:00:00 take              → waiting 12:00:00 #1
        12:00:00 time tomorrow     → refused
        12:00:00 merge at=at_noon  → refused
        12:00:00 revise at=at_six  → refused
    """)


# -- one client, several requests --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "then"),
    [
        ("in=58", "waiting 12:00:59 #1"),
        ("in=59", "waiting 12:01:00 #1"),
        ("in=60", "waiting 12:01:00 #1"),
        ("in=?", "waiting 12:01:00 #1"),
        ("at=2026-11-24T15:00:00", "waiting 12:01:00 #1"),
        ("at=2026-11-24T12:00:30", "waiting 12:00:30 #1 agreed"),
    ],
)
def test_two_requests_are_one_callback_at_the_earlier_time_for_both_reasons(second, then):
    callback = playbook(f"""
        12:00:00 take in=60  → waiting 12:01:00 #1
        12:00:01 merge reason=agreed {second}  → {then}
    """)
    assert callback.reasons == ("dropped", "agreed")
    assert callback.key == ("c1.1.1" if "12:01:00" in then else "c1.2.1")


def test_a_reason_stands_once():
    assert transitions.merge(taken(), asked(), POLICY).reasons == ("dropped",)


def test_a_certain_reason_replaces_an_unconfirmed_one():
    first = taken(reason="unconfirmed", **{"in": 120})
    later = NOON + 10 * SECOND
    for how in (transitions.merge, transitions.revise):
        after = how(first, asked(later, reason="dropped"), POLICY)
        assert (after.reasons, after.due) == (("dropped",), later)
    certain = transitions.merge(taken(), asked(later, reason="unconfirmed"), POLICY)
    assert certain.reasons == ("dropped",)
    back = transitions.revise(taken(), asked(later, reason="unconfirmed", **{"in": 120}), POLICY)
    assert (back.reasons[-1], back.due) == ("unconfirmed", later + 120 * SECOND)


def test_when_the_call_was_is_kept_and_is_the_last_calls():
    first, later = taken(NOON - 3600 * SECOND), NOON + 60 * SECOND
    assert first.asked == NOON - 3600 * SECOND  # not when the desk heard of it
    assert transitions.revise(first, asked(later), POLICY).asked == first.asked
    assert transitions.merge(first, asked(later), POLICY).asked == later


def test_a_merge_fills_in_what_was_not_known_and_replaces_nothing():
    first = taken(name="Анна", opening="one", phone=None, phone_given="912")
    second = asked(name="Вера", topic="счёт", opening="two", operator="boris", session="s2")
    merged = transitions.merge(first, second, POLICY)
    assert (merged.name, merged.opening) == ("Анна", "one")
    assert (merged.topic, merged.operator, merged.session) == ("счёт", "boris", "s2")
    assert (merged.phone, merged.phone_given, merged.state) == (PHONE, None, State.WAITING)


def test_a_merge_gives_a_time_to_one_that_needs_it():
    playbook("""
        12:00:00 take in=?      → needs_time ? #1
        12:05:00 merge in=60    → waiting 12:06:00 #1
    """)


@pytest.mark.parametrize(
    ("later", "then"),
    [
        ("in=90", "waiting 12:01:40 #1"),
        ("in=0", "waiting 12:00:10 #1"),
        ("in=?", "needs_time ? #1"),
        ("at=2026-11-25T15:00:00", "waiting +1 15:00:00 #1 agreed"),
    ],
)
def test_the_later_word_of_the_same_call_counts(later, then):
    callback = playbook(f"""
        12:00:00 take in=60  → waiting 12:01:00 #1
        12:00:10 revise reason=agreed name=Вера opening=two {later}  → {then}
    """)
    assert callback.reasons == ("dropped", "agreed")
    assert (callback.name, callback.opening) == ("Вера", "two")
    assert callback.key == "c1.2.1"


def test_the_later_number_of_the_same_call_counts():
    revised = transitions.revise(taken(), asked(phone="+79161234567"), POLICY)
    assert revised.phone == "+79161234567"
    assert revised.key == "c1.1.1", "the time is the same: it stays armed"
    unknown = taken(phone=None, phone_given="912")
    assert (
        transitions.revise(unknown, asked(phone=None, phone_given="495"), POLICY).phone_given
        == "495"
    )
    assert transitions.revise(unknown, asked(phone=None), POLICY).phone_given == "912"
    assert transitions.revise(taken(), asked(phone=None, phone_given="495"), POLICY).phone == PHONE


@pytest.mark.parametrize("what", ["merge", "revise"])
@pytest.mark.parametrize("outcome", ["reached", "no_answer"])
def test_asked_for_while_the_last_attempt_rings_begins_anew(what, outcome):
    one = replace(POLICY, attempts=1, gaps_s=())
    callback = playbook(
        f"""
        12:00:00 take                  → waiting 12:00:00 #1
        12:00:00 begin                 → ringing 12:00:00 #1
        12:00:10 {what} reason=agreed  → ringing 12:00:00 #1 again 12:00:10
        12:00:30 {outcome}             → waiting 12:00:30 #1
        12:00:30 begin                 → ringing 12:00:30 #1
        12:01:00 reached               → reached 12:00:30 #1
        """,
        one,
    )
    assert callback.reasons == ("dropped", "agreed")


@pytest.mark.parametrize("what", ["merge", "revise"])
def test_asked_for_while_ringing_without_a_time_is_asked_for_now(what):
    playbook(f"""
        12:00:00 take         → waiting 12:00:00 #1
        12:00:00 begin        → ringing 12:00:00 #1
        12:00:10 {what} in=?  → ringing 12:00:00 #1 again 12:00:10
    """)


def test_of_several_requests_while_ringing_the_earlier_counts_and_of_one_call_the_later():
    playbook("""
        12:00:00 take            → waiting 12:00:00 #1
        12:00:00 begin           → ringing 12:00:00 #1
        12:00:10 merge in=90     → ringing 12:00:00 #1 again 12:01:40
        12:00:11 merge in=100    → ringing 12:00:00 #1 again 12:01:40
        12:00:12 merge in=60     → ringing 12:00:00 #1 again 12:01:12
        12:00:13 merge in=?      → ringing 12:00:00 #1 again 12:01:12
        12:00:14 revise in=120   → ringing 12:00:00 #1 again 12:02:14
        12:00:30 reached         → waiting 12:02:14 #1
    """)


def test_an_attempt_that_begins_after_the_second_request_answers_it():
    """So that nobody who has just been reached is rung once more."""
    playbook("""
        12:00:00 take       → waiting 12:00:00 #1
        12:00:00 begin      → ringing 12:00:00 #1
        12:00:10 merge      → ringing 12:00:00 #1 again 12:00:10
        12:00:30 failed     → waiting 12:00:00 #1 try 12:00:35 again 12:00:10
        12:00:35 begin      → ringing 12:00:00 #1 try 12:00:35
        12:01:00 reached    → reached 12:00:00 #1
    """)


def test_a_time_agreed_while_ringing_is_kept_whatever_becomes_of_the_attempts():
    playbook("""
        12:00:00 take                            → waiting 12:00:00 #1
        12:00:00 begin                           → ringing 12:00:00 #1
        12:00:10 revise at=2026-11-24T15:00:00   → ringing 12:00:00 #1 again 15:00:00
        12:00:30 no_answer                       → waiting 12:01:30 #2 again 15:00:00
        12:01:30 begin                           → ringing 12:01:30 #2 again 15:00:00
        12:02:00 reached                         → waiting 15:00:00 #1
        15:00:00 begin                           → ringing 15:00:00 #1
        15:01:00 reached                         → reached 15:00:00 #1
    """)


@pytest.mark.parametrize(
    ("again", "begun"),
    [("15:00:00", ""), ("15:00:01", " again 15:00:01"), ("14:59:59", "")],
)
def test_what_is_asked_for_by_the_attempts_time_is_its_matter(again, begun):
    callback = taken(at="2026-11-24T15:00:00")
    callback = replace(callback, again=moment(f"{again} .")[0])
    assert told(transitions.begin(callback)) == f"ringing 15:00:00 #1 agreed{begun}"


def test_a_person_who_sets_the_time_or_rings_has_the_word():
    story = """
        12:00:00 take                            → waiting 12:00:00 #1
        12:00:00 begin                           → ringing 12:00:00 #1
        12:00:10 merge at=2026-11-24T15:00:00    → ringing 12:00:00 #1 again 15:00:00
        12:00:30 no_answer                       → waiting 12:01:30 #2 again 15:00:00
    """
    playbook(story + "12:00:40 time 2026-11-24T14:00:00  → waiting 14:00:00 #2 agreed")
    playbook(story + "12:00:40 by_hand reached  → waiting 15:00:00 #1")
    playbook(story + "15:00:00 by_hand reached  → reached 12:01:30 #2")
    playbook(story + "12:00:40 retry            → waiting 12:00:40 #1")


# -- agreed times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "zone", "utc"),
    [
        ("2026-11-24T15:00:00", MOSCOW, "2026-11-24T12:00:00"),
        ("2026-11-24T15:00", MOSCOW, "2026-11-24T12:00:00"),
        ("2026-11-24 15:00", MOSCOW, "2026-11-24T12:00:00"),
        ("2026-11-24T15:00:00Z", MOSCOW, "2026-11-24T15:00:00"),
        ("2026-11-24T15:00:00+07:00", MOSCOW, "2026-11-24T08:00:00"),
        ("2001-01-01T00:00:00", MOSCOW, "2000-12-31T21:00:00"),
        ("2026-01-15T15:00:00", BERLIN, "2026-01-15T14:00:00"),
        ("2026-07-15T15:00:00", BERLIN, "2026-07-15T13:00:00"),
        ("2026-10-25T02:30:00", BERLIN, "2026-10-25T00:30:00"),  # twice that night: the first
        ("2026-03-29T02:30:00", BERLIN, "2026-03-29T01:30:00"),  # not that night: 3:30 is
    ],
)
def test_an_agreed_time_without_a_zone_is_the_centres(at, zone, utc):
    agreed = next_attempt_time.agreed_time(at, Policy(zone))
    assert agreed.isoformat() == f"{utc}+00:00"


@pytest.mark.parametrize(
    "at",
    ["", "soon", "15:00", "2026-12-01", "20261201", "2026-W49-2", "2026-02-30T10:00",
     "2026-11-24T25:00", "24.11.2026 15:00",
     "0001-01-01T00:00:00+03:00", "9999-12-31T23:59:59-03:00"],
)  # fmt: skip
def test_an_agreed_time_that_is_none_is_refused(at):
    with pytest.raises(RuleError, match="at: expected an ISO 8601 time"):
        next_attempt_time.agreed_time(at, POLICY)
    with pytest.raises(RuleError):
        taken(at=at)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e12, -1e12])
def test_a_span_that_is_none_is_refused(seconds):
    with pytest.raises(RuleError, match="due_in_s: expected seconds"):
        taken(**{"in": seconds})


def test_an_agreed_time_that_has_passed_is_due_at_once():
    playbook("""
        12:00:00 take at=2026-11-24T11:00:00  → waiting 11:00:00 #1 agreed
        12:00:00 begin                        → ringing 11:00:00 #1 agreed
    """)


def test_the_agreed_time_counts_before_a_span():
    due, fixed = next_attempt_time.first_due(replace(asked(), at="2026-11-24T15:00:00"), POLICY)
    assert (shown(due), fixed) == ("15:00:00", True)
    assert next_attempt_time.first_due(asked(**{"in": "?"}), POLICY) == (None, False)
    assert next_attempt_time.first_due(asked(**{"in": 90}), POLICY) == (NOON + 90 * SECOND, False)


@pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.FAILED, Outcome.OPERATOR_UNAVAILABLE])
def test_pauses_are_as_long_as_ever_in_the_night_when_the_clocks_go_back(outcome):
    """02:59:30 and a minute is 02:00:30, once more."""
    now = datetime(2026, 10, 25, 2, 59, 30, tzinfo=BERLIN)
    policy = Policy(BERLIN, gaps_s=(60.0, 60.0), failed_pauses_s=(60.0,), operator_pause_s=60.0)
    callback = transitions.end(transitions.begin(taken(now, policy)), outcome, now, policy)
    assert callback.next - now.astimezone(UTC) == 60 * SECOND
    first = taken(now, policy, **{"in": 60})
    assert first.due - now.astimezone(UTC) == 60 * SECOND
    assert not next_attempt_time.overdue(first, first.due.astimezone(BERLIN) + 30 * SECOND, policy)
    no_time = taken(now, policy, **{"in": "?"})
    assert next_attempt_time.overdue(no_time, now.replace(minute=0, second=31, fold=1), policy)
    assert not next_attempt_time.overdue(no_time, now.replace(minute=0, second=30, fold=1), policy)
    an_hour_on = transitions.shift_clock(first, timedelta(hours=1))
    assert an_hour_on.due - now.astimezone(UTC) == 3660 * SECOND


# -- quiet hours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "then"),
    [
        ("20:59:59", "20:59:59"),
        ("21:00:00", "+1 09:00:00"),
        ("21:00:01", "+1 09:00:00"),
        ("+1 00:00:00", "+1 09:00:00"),
        ("+1 08:59:59", "+1 09:00:00"),
        ("+1 09:00:00", "+1 09:00:00"),
        ("+1 09:00:01", "+1 09:00:01"),
    ],
)
def test_what_falls_into_quiet_hours_over_midnight_waits_for_their_end(when, then):
    now = moment(f"{when} .")[0]
    assert shown(next_attempt_time.next_allowed(now, NIGHT)) == then
    assert shown(taken(now, NIGHT).due) == then


@pytest.mark.parametrize(
    ("when", "then"),
    [
        ("12:59:59", "12:59:59"),
        ("13:00:00", "14:00:00"),
        ("13:59:59", "14:00:00"),
        ("14:00:00", "14:00:00"),
    ],
)
def test_quiet_hours_within_a_day(when, then):
    lunch = replace(POLICY, quiet=(time(13), time(14)))
    assert shown(next_attempt_time.next_allowed(moment(f"{when} .")[0], lunch)) == then


@pytest.mark.parametrize("hour", [0, 8, 9, 10, 23])
def test_quiet_hours_that_end_as_they_begin_are_none(hour):
    when = DAY.replace(hour=hour)
    assert next_attempt_time.next_allowed(when, replace(POLICY, quiet=(time(9), time(9)))) == when
    assert next_attempt_time.next_allowed(when, POLICY) == when
    assert next_attempt_time.next_allowed(when, POLICY).tzinfo is UTC


@pytest.mark.parametrize(
    ("when", "quiet", "then"),
    [
        # Nights with one hour less and one more: nine by the clock either way.
        ("2026-03-28T20:30:00", (21, 9), "2026-03-29T07:00:00"),
        ("2026-10-24T20:30:00", (21, 9), "2026-10-25T08:00:00"),
        # Until half past two, which comes twice in the one night and never in the other.
        ("2026-10-25T00:15:00", (21, 2.5), "2026-10-25T00:30:00"),
        ("2026-10-25T00:30:00", (21, 2.5), "2026-10-25T00:30:00"),
        ("2026-10-25T01:15:00", (21, 2.5), "2026-10-25T01:30:00"),
        ("2026-10-25T01:30:00", (21, 2.5), "2026-10-25T01:30:00"),
        ("2026-03-29T00:59:59", (21, 2.5), "2026-03-29T01:30:00"),
    ],
)
def test_quiet_hours_go_by_the_clock_on_the_wall(when, quiet, then):
    begin, end = (time(int(hour), round(hour % 1 * 60)) for hour in quiet)
    loud = next_attempt_time.next_allowed(
        datetime.fromisoformat(f"{when}+00:00"), Policy(BERLIN, quiet=(begin, end))
    )
    assert loud.isoformat() == f"{then}+00:00"


def test_quiet_hours_are_the_centres_not_the_requests():
    when = datetime(2026, 11, 24, 19, 0, tzinfo=BERLIN)  # 21:00 in Moscow
    assert shown(next_attempt_time.next_allowed(when, NIGHT)) == "+1 09:00:00"


def test_nobody_is_rung_in_quiet_hours():
    """Whatever arms it: a gap, a failure, an operator, an agreed time, a second request."""
    playbook(
        """
        20:59:00 take       → waiting 20:59:00 #1
        20:59:00 begin      → ringing 20:59:00 #1
        20:59:59 no_answer  → waiting +1 09:00:00 #2
        """,
        NIGHT,
    )
    begun = """
        20:59:59 take   → waiting 20:59:59 #1
        20:59:59 begin  → ringing 20:59:59 #1
    """
    playbook(begun + "20:59:59 failed → waiting 20:59:59 #1 try +1 09:00:00", NIGHT)
    playbook(begun + "20:59:59 operator_unavailable → waiting 20:59:59 #1 try +1 09:00:00", NIGHT)
    playbook(
        begun
        + """20:59:59 merge    → ringing 20:59:59 #1 again 20:59:59
        21:00:30 reached  → waiting +1 09:00:00 #1""",
        NIGHT,
    )
    playbook("12:00:00 take at=2026-11-24T23:00:00 → waiting +1 09:00:00 #1 agreed", NIGHT)
    playbook(
        """
        12:00:00 take in=?                 → needs_time ? #1
        12:00:00 time 2026-11-24T23:00:00  → waiting +1 09:00:00 #1 agreed
        """,
        NIGHT,
    )


# -- a call that is still on --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        ("12:00:00", "12:00:00"),
        ("12:00:14", "12:00:14"),
        ("12:00:15", "12:00:15"),
        ("12:00:16", "12:00:15"),
    ],
)
def test_nobody_is_rung_while_he_hears_the_farewell(ended, due):
    """15 s at most: what tells of the call's end may fail."""
    callback = playbook(f"""
        12:00:00 take call_on=yes  → waiting 12:00:15 #1
        {ended} call_ended  → waiting {due} #1
    """)
    assert callback.early is None
    assert callback.key == ("c1.2.1" if due < "12:00:15" else "c1.1.1")


@pytest.mark.parametrize(("span_s", "due"), [(14, "12:00:14"), (15, "12:00:15"), (16, "12:00:16")])
def test_a_span_is_not_prolonged_by_the_farewell_nor_cut_by_the_calls_end(span_s, due):
    playbook(f"""
        12:00:00 take in={span_s} call_on=yes  → waiting {max(due, "12:00:15")} #1
        12:00:02 call_ended  → waiting {due} #1
    """)


@pytest.mark.parametrize("given", ["at=2026-11-24T12:00:05", "in=?", "in=0"])
def test_the_calls_end_changes_nothing_where_nothing_waits_for_it(given):
    call_on = "" if given == "in=0" else " call_on=yes"
    callback = step(None, f"take {given}{call_on}", NOON, POLICY)
    assert callback.early is None
    assert transitions.call_ended(callback, NOON) is callback


def test_the_calls_end_is_no_matter_of_what_rings_or_has_ended():
    callback = taken(call_on=True)
    assert callback.early == NOON
    for state in (State.RINGING, *ENDED):
        it = replace(callback, state=state)
        assert transitions.call_ended(it, NOON) is it


def test_the_calls_end_stays_known_when_the_number_is_found_and_the_clock_is_set():
    playbook("""
        12:00:00 take phone=? call_on=yes  → needs_number 12:00:15 #1
        12:00:02 number +79123456789       → waiting 12:00:15 #1
        12:00:03 clock -3600               → waiting 11:00:15 #1
        11:00:05 call_ended                → waiting 11:00:05 #1
    """)
    playbook("""
        12:00:00 take phone=? call_on=yes  → needs_number 12:00:15 #1
        12:00:05 call_ended                → needs_number 12:00:05 #1
    """)


def test_a_second_request_and_a_revision_in_a_call_that_is_on():
    playbook("""
        12:00:00 take in=90          → waiting 12:01:30 #1
        12:00:10 merge call_on=yes   → waiting 12:00:25 #1
        12:00:12 call_ended          → waiting 12:00:12 #1
    """)
    playbook("""
        12:00:00 take in=90          → waiting 12:01:30 #1
        12:00:10 revise call_on=yes  → waiting 12:00:25 #1
        12:00:12 call_ended          → waiting 12:00:12 #1
    """)
    callback = playbook("""
        12:00:00 take call_on=yes                      → waiting 12:00:15 #1
        12:00:10 revise at=2026-11-24T15:00 call_on=y  → waiting 15:00:00 #1 agreed
        12:00:12 call_ended                            → waiting 15:00:00 #1 agreed
    """)
    assert callback.early is None


# -- overdue -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_s", "alarm"), [(-1, False), (59, False), (60, False), (61, True)])
@pytest.mark.parametrize("given", [{}, {"phone": None}, {"in": "?"}])
def test_what_has_not_begun_a_minute_after_its_time_is_an_alarm(given, late_s, alarm):
    """Without a time: a minute after it was taken."""
    assert next_attempt_time.overdue(taken(**given), NOON + late_s * SECOND, POLICY) is alarm


@pytest.mark.parametrize(("late_s", "alarm"), [(59, False), (60, False), (61, True)])
def test_failures_move_the_next_try_but_not_the_alarm(late_s, alarm):
    callback = transitions.end(
        transitions.begin(taken()), Outcome.FAILED, NOON + 50 * SECOND, POLICY
    )
    assert next_attempt_time.overdue(callback, NOON + late_s * SECOND, POLICY) is alarm


def test_an_alarm_is_about_what_is_open_and_does_not_ring():
    late = NOON + timedelta(days=1)
    for state in State:
        alarm = next_attempt_time.overdue(replace(taken(), state=state), late, POLICY)
        assert alarm is (state in OPEN and state is not State.RINGING), state


# -- the clock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step_s", "due"), [("3600", "13:01:30"), ("-3600", "11:01:30")])
def test_a_step_of_the_clock_leaves_a_span_as_long_as_it_was(step_s, due):
    callback = playbook(f"""
        12:00:00 take in=90      → waiting 12:01:30 #1
        12:00:00 clock {step_s}  → waiting {due} #1
    """)
    assert callback.key == "c1.2.1"


def test_a_step_of_the_clock_moves_the_promise_and_the_next_try():
    playbook("""
        12:00:00 take        → waiting 12:00:00 #1
        12:00:00 begin       → ringing 12:00:00 #1
        12:00:00 failed      → waiting 12:00:00 #1 try 12:00:05
        12:00:01 clock 3600  → waiting 13:00:00 #1 try 13:00:05
    """)


def test_an_agreed_time_stays_where_it_is_on_the_wall():
    playbook("""
        12:00:00 take at=2026-11-24T15:00:00  → waiting 15:00:00 #1 agreed
        12:00:00 clock 3600                   → waiting 15:00:00 #1 agreed
    """)


def test_what_needs_a_number_or_a_person_keeps_its_promise_too():
    """Else it would be rung an hour late, or be an alarm an hour late."""
    playbook("""
        12:00:00 take phone=?         → needs_number 12:00:00 #1
        12:00:05 clock -3600          → needs_number 11:00:00 #1
        11:00:10 number +79123456789  → waiting 11:00:00 #1
        11:00:10 begin                → ringing 11:00:00 #1
    """)
    callback = playbook(
        """
        12:00:00 take         → waiting 12:00:00 #1
        12:00:00 begin        → ringing 12:00:00 #1
        12:00:00 failed       → needs_person 12:00:00 #1
        12:00:05 clock -3600  → needs_person 11:00:00 #1
        """,
        replace(POLICY, failed_pauses_s=()),
    )
    assert callback.next is None
    assert (
        told(transitions.shift_clock(taken(**{"in": "?"}), timedelta(hours=1))) == "needs_time ? #1"
    )


def test_an_attempt_under_way_keeps_its_key_when_the_clock_is_set():
    ringing = transitions.begin(taken())
    later = transitions.shift_clock(ringing, timedelta(hours=-1))
    assert later.key == ringing.key
    assert shown(later.due) == "11:00:00"
    failed = transitions.end(later, Outcome.FAILED, NOON - timedelta(hours=1), POLICY)
    assert next_attempt_time.overdue(failed, NOON - timedelta(hours=1) + 61 * SECOND, POLICY)


# -- what a request becomes --------------------------------------------------------------------------


def test_nothing_of_a_request_is_lost():
    request = asked(
        name="Анна", topic="счёт", opening="Это снова мы.", operator="anna", session="s1"
    )
    callback = transitions.take(request, "c1", POLICY, NOON + SECOND)
    for field in ("phone", "name", "topic", "opening", "operator", "session"):
        assert getattr(callback, field) == getattr(request, field)
    assert callback.created == NOON + SECOND
    assert callback.due == NOON
    assert (callback.attempt, callback.generation, callback.failures) == (1, 1, 0)


def test_a_number_as_it_was_given_is_kept_only_where_it_cannot_be_rung():
    assert taken(phone=None, phone_given="912").phone_given == "912"
    assert taken(phone_given="8 912 345-67-89").phone_given is None


def test_every_state_is_open_or_has_ended():
    assert frozenset(State) == OPEN | ENDED
    assert not OPEN & ENDED
