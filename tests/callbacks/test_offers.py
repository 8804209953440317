"""Offers of the manual dialer: told is not ringing. Who sees one, who accepts it, when it is overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.callbacks.scripted_desk import ScriptedDesk
from tests.callbacks.store_requests import asks, at_once, by, rows, seconds, take, whats
from vad_agent.callbacks import dispatcher, transitions
from vad_agent.callbacks.dialers.base import Offered, Ringing
from vad_agent.callbacks.dialers.manual import ManualDialer
from vad_agent.callbacks.dispatcher import Dispatcher
from vad_agent.callbacks.model import Callback, Outcome, Policy, State
from vad_agent.callbacks.offers import Audience, audience, is_offered_to
from vad_agent.callbacks.queries import CallbackQueries, Which
from vad_agent.errors import RuleError

ONE = pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # no matter of the database


class Manual(ScriptedDesk):
    """A desk whose people call by hand. `told`: whom the terminal was told to call; `here`: panels."""

    def __init__(self, store, clock, node="north"):
        super().__init__(store, clock, node)
        self.told = []
        self.here = set()
        self.dialer = ManualDialer(self.told.append)
        self.dispatcher = Dispatcher(self.desk, self.dialer, node)
        self.watch._dispatcher = self.dispatcher
        self.desk.has_panel = self.here.__contains__
        self.queries = CallbackQueries(store)

    def offered(self, **about):
        return self.ringing(**({"operator": "anna"} | about))

    def sees(self, operator):
        """Ids of the open callbacks that this operator's panel is told."""
        found = self.queries.page(
            operator=operator, offered=lambda one: self.desk.is_offered_to(operator, one)
        )
        return [one.id for one in found if one.open]


@pytest.fixture
def at(store, clock):
    return Manual(store, clock)


# -- told is not ringing ---------------------------------------------------------------------------


def test_what_a_person_was_told_is_offered_since_then(at):
    callback = at.offered()
    assert [order.key for order in at.told] == [callback.key]
    assert (callback.state, callback.since, callback.operator) == (State.OFFERED, at.now, "anna")
    (attempt,) = at.store.attempts_of(callback.id)
    assert (attempt.dialled, attempt.accepted, attempt.ended) == (at.now, None, None)
    assert whats(at.store, callback.id) == ["taken", "begun", "offered"]


@pytest.mark.parametrize(("after_s", "overdue"), [(60, False), (61, True)])
def test_an_offer_is_overdue_a_minute_after_its_time(at, after_s, overdue):
    callback = at.offered()
    at.hand.move(after_s)
    at.watch.look_for_overdue()
    assert at.on() == ([("overdue", callback.id)] if overdue else [])
    found = at.queries.of_day(at.now - timedelta(days=1), at.now, at.now, Which.OVERDUE)
    assert [one.id for one in found] == ([callback.id] if overdue else [])
    assert at.queries.numbers(at.now).overdue == int(overdue)
    assert at.queries.numbers(at.now).oldest_due_s == after_s


def test_what_somebody_calls_is_not_overdue(at):
    callback = at.offered()
    at.hand.move(61)
    at.watch.look_for_overdue()
    at.desk.accept(callback.id, "anna", "panel:anna")
    at.watch.look_for_overdue()
    assert at.on() == []


def test_an_offer_that_waits_is_never_called_an_outcome_that_nobody_reported(at, policy):
    callback = at.offered()
    at.hand.move(policy.answer_limit_s + 3600)
    at.watch._look_after()
    assert ("unreported", callback.id) not in at.on()
    assert at.store.get(callback.id).state is State.OFFERED


@pytest.mark.parametrize(("more_s", "unreported"), [(-1, False), (1, True)])
def test_who_accepts_and_does_nothing_has_the_answer_limit_from_then(
    at, policy, more_s, unreported
):
    callback = at.offered()
    at.hand.move(500)
    at.desk.accept(callback.id, "anna", "panel:anna")
    at.hand.move(policy.answer_limit_s + more_s)
    at.watch._look_after()
    assert (("unreported", callback.id) in at.on()) is unreported


@ONE
def test_another_dialer_rings_as_before(store, clock):
    at = ScriptedDesk(store, clock)
    at.dialer.dials = [Ringing("r-1")]
    callback = at.ringing(operator="anna")
    assert (callback.state, callback.since) == (State.RINGING, None)
    with pytest.raises(RuleError, match="not offered: ringing"):
        at.desk.accept(callback.id, "boris", "panel:boris")
    at.hand.move(120)
    at.watch.look_for_overdue()
    assert at.on() == []


# -- accepted --------------------------------------------------------------------------------------


def test_who_accepts_has_it_and_history_says_who_and_since_when(at):
    callback = at.offered()
    at.hand.move(40)
    after = at.desk.accept(callback.id, "boris", "panel:boris")
    assert (after.state, after.operator, after.since) == (State.RINGING, "boris", at.now)
    assert after == at.store.get(callback.id)
    assert after.key == callback.key
    (attempt,) = at.store.attempts_of(callback.id)
    assert (attempt.operator, attempt.accepted) == ("boris", at.now)
    last = at.queries.history(callback.id)[-1]
    assert (last.what, last.who, last.at) == ("accepted", "panel:boris", at.now)
    assert last.change["operator"] == ["anna", "boris"]


def test_of_sixteen_who_accept_at_once_one_has_it_and_the_others_are_told_who(at):
    callback = at.offered()

    def accept(n):
        try:
            return at.desk.accept(callback.id, f"o{n}", f"panel:o{n}").operator
        except RuleError as error:
            return error

    told = at_once(accept, 16)
    (winner,) = [one for one in told if isinstance(one, str)]
    assert at.store.get(callback.id).operator == winner
    refused = [str(one) for one in told if not isinstance(one, str)]
    assert refused == [f"{callback.id}: it is not offered: ringing, {winner} has it"] * 15
    assert whats(at.store, callback.id).count("accepted") == 1
    assert len(rows(at.store, "SELECT * FROM attempts WHERE accepted IS NOT NULL")) == 1


def test_to_accept_ones_own_again_changes_nothing(at):
    callback = at.offered()
    first = at.desk.accept(callback.id, "anna", "panel:anna")
    at.hand.move(5)
    assert at.desk.accept(callback.id, "Anna", "panel:anna") == first
    assert whats(at.store, callback.id).count("accepted") == 1


@pytest.mark.parametrize("accepted", [False, True])
def test_its_outcome_is_that_of_the_attempt(at, accepted):
    callback = at.offered()
    if accepted:
        at.desk.accept(callback.id, "boris", "panel:boris")
    at.hand.move(30)
    after = at.desk.done(callback.id, Outcome.NO_ANSWER, "panel:boris")
    assert (after.state, after.attempt, after.since) == (State.WAITING, 2, None)
    assert seconds(after.next, at.now) == 60
    (attempt,) = at.store.attempts_of(callback.id)
    assert attempt.outcome is Outcome.NO_ANSWER
    with pytest.raises(RuleError, match="not offered"):
        at.desk.accept(callback.id, "anna", "panel:anna")


@pytest.mark.parametrize("close", ["cancel", "client_called"])
def test_an_offer_that_is_closed_cannot_be_accepted(at, close):
    callback = at.offered()
    if close == "cancel":
        at.desk.cancel(callback.id, "x")
    else:
        at.desk.client_called(callback.phone, "x")
    with pytest.raises(RuleError, match="not offered"):
        at.desk.accept(callback.id, "anna", "panel:anna")
    after = at.store.get(callback.id)
    assert not after.open
    assert after.since is None


@ONE
def test_there_is_none_to_accept(at):
    with pytest.raises(RuleError, match="no such callback"):
        at.desk.accept("000000000000", "anna", "panel:anna")


@ONE
@pytest.mark.parametrize(("agreed_s", "again"), [(None, False), (3600, True)])
def test_the_call_answers_what_was_asked_before_it(at, agreed_s, again):
    """A client who asks anew while nobody calls is called once."""
    callback = at.offered()
    at.hand.move(10)
    when = {} if agreed_s is None else {"at": (at.now + timedelta(seconds=agreed_s)).isoformat()}
    at.desk.take(asks(at.now, phone=callback.phone, **when), "a test")
    assert at.store.get(callback.id).again is not None
    at.hand.move(10)
    at.desk.accept(callback.id, "anna", "panel:anna")
    after = at.desk.done(callback.id, Outcome.REACHED, "panel:anna")
    assert after.open is again


@ONE
@pytest.mark.parametrize(
    "change",
    [
        lambda desk, id: desk.set_number(id, "+79120000000", "x"),
        lambda desk, id: desk.set_time(id, "2030-01-01T10:00+03:00", "x"),
        lambda desk, id: desk.retry(id, "x"),
    ],
)
def test_what_is_refused_while_it_rings_is_refused_while_it_is_offered(at, change):
    callback = at.offered()
    with pytest.raises(RuleError, match="it is offered"):
        change(at.desk, callback.id)


@ONE
@pytest.mark.parametrize("fixed", [False, True])
def test_a_jump_of_the_clock_does_not_age_an_offer(at, fixed):
    when = {"at": at.now.isoformat()} if fixed else {}
    callback = at.offered(**when)
    step = timedelta(hours=-1)
    moved = transitions.shift_clock(callback, step)
    assert moved.since == callback.since + step
    assert moved.key == callback.key


# -- desks that die --------------------------------------------------------------------------------


def test_a_desk_that_starts_again_neither_tells_twice_nor_ages_anew(at, store, clock):
    callback = at.offered()
    clock.move(20)
    again = Manual(store, clock)
    again.dispatcher.make(callback.key)
    again.watch._look_after()
    assert again.told == []
    assert store.get(callback.id) == callback


def test_an_offer_that_was_accepted_stays_so_when_its_desk_starts_again(at, store, clock, policy):
    callback = at.offered()
    accepted = at.desk.accept(callback.id, "boris", "panel:boris")
    again = Manual(store, clock)
    again.dispatcher.make(callback.key)
    clock.move(dispatcher.ADOPT_S + 1)
    again.watch._look_after()
    store.offer(callback.key, "manual", by(clock.now))
    assert store.get(callback.id) == accepted


def test_the_offer_of_a_dead_desk_belongs_to_another_one(at, store, clock):
    callback = at.offered()
    other = Manual(store, clock, "south")
    clock.move(10)
    other.dispatcher.look_after({"south"}, clock.now)
    assert store.held_by("south") == [callback.key]
    assert store.get(callback.id) == callback
    assert other.told == []


def test_a_desk_killed_before_the_offer_was_stored_tells_again(at, store, clock):
    callback = at.take(operator="anna")
    store.begin(callback.key, "north", by(clock.now))  # and the process is gone
    at.dispatcher.make(callback.key)
    assert store.get(callback.id).state is State.OFFERED
    assert [order.key for order in at.told] == [callback.key]


@ONE
def test_what_was_closed_while_it_was_told_is_not_offered(at, store, clock):
    callback = at.take(operator="anna")
    begun = store.begin(callback.key, "north", by(clock.now))
    at.desk.cancel(callback.id, "x")
    store.offer(begun.attempt.key, "manual", by(clock.now))
    assert store.get(callback.id).state is State.CANCELLED


# -- who sees it -----------------------------------------------------------------------------------

START = datetime(2026, 11, 24, 9, tzinfo=UTC)
OFFER = Callback(
    "k3v", State.OFFERED, ("dropped",), START, START, START, operator="anna", since=START
)


@pytest.mark.parametrize(
    ("here", "stand_ins", "after_s", "whom"),
    [
        ({"anna"}, (), 0, Audience.OPERATOR),
        ({"anna"}, (), 29.9, Audience.OPERATOR),
        ({"anna"}, (), 30, Audience.EVERYBODY),
        ({"anna"}, ("boris",), 29.9, Audience.OPERATOR),
        ({"anna"}, ("boris",), 30, Audience.EVERYBODY),  # the stand-in's panel is closed
        ({"anna", "boris"}, ("vera", "boris"), 29.9, Audience.OPERATOR),
        ({"anna", "boris"}, ("vera", "boris"), 30, Audience.STAND_INS),
        ({"anna", "boris"}, ("vera", "boris"), 59.9, Audience.STAND_INS),
        ({"anna", "boris"}, ("vera", "boris"), 60, Audience.EVERYBODY),
        (set(), (), 0, Audience.EVERYBODY),  # at once, where the operator's panel is closed
        ({"boris"}, ("boris",), 0, Audience.STAND_INS),
        ({"boris"}, ("boris",), 30, Audience.EVERYBODY),
        ({"vera"}, ("boris",), 0, Audience.EVERYBODY),
    ],
)
def test_an_offer_is_its_operators_then_the_stand_ins_then_everybodys(
    here, stand_ins, after_s, whom
):
    policy = Policy(ZoneInfo("Europe/Moscow"), stand_ins=stand_ins)
    now = START + timedelta(seconds=after_s)
    assert audience(OFFER, now, policy, here.__contains__) is whom
    sees = {
        one
        for one in ("Anna", "boris", "vera", "gleb")
        if is_offered_to(one, OFFER, now, policy, here.__contains__)
    }
    assert (
        sees
        == {
            Audience.OPERATOR: {"Anna"},
            Audience.STAND_INS: {"Anna", *stand_ins},
            Audience.EVERYBODY: {"Anna", "boris", "vera", "gleb"},
        }[whom]
    )


def test_the_script_sets_how_long_an_offer_is_one_persons():
    policy = Policy(ZoneInfo("Europe/Moscow"), offer_s=5.0)
    for after_s, whom in ((4.9, Audience.OPERATOR), (5, Audience.EVERYBODY)):
        now = START + timedelta(seconds=after_s)
        assert audience(OFFER, now, policy, {"anna"}.__contains__) is whom


def test_the_pages_of_others_get_it_when_it_is_their_turn_and_lose_it_to_who_accepts(at):
    callback = at.offered()
    own = take(at.store, at.now, operator="boris", phone="+79120000001", due=600.0)
    at.here |= {"anna", "boris"}
    assert (at.sees("anna"), at.sees("Anna")) == ([callback.id], [callback.id])
    assert at.sees("boris") == [own.id]
    at.hand.move(30)
    assert at.sees("boris") == [callback.id, own.id]
    assert at.sees("vera") == [callback.id]
    at.desk.accept(callback.id, "vera", "panel:vera")
    assert (at.sees("anna"), at.sees("boris")) == ([], [own.id])
    assert at.sees("vera") == [callback.id]


def test_where_its_operator_has_no_panel_open_everybody_sees_it_at_once(at):
    callback = at.offered()
    assert at.sees("boris") == [callback.id]
    at.here.add("anna")
    assert at.sees("boris") == []


def test_the_dialer_offers_what_it_was_told() -> None:
    assert ManualDialer().status("5f0c.1.1", "manual") == Offered("manual")
