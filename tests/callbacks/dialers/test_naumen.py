from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG, CentreServer, limit_s
from vad_agent.callbacks.dialers.base import (
    DialRefused,
    DialRequest,
    DialUncertain,
    Ended,
    Hooked,
    OutcomeReport,
    Ringing,
    Unknown,
)
from vad_agent.callbacks.dialers.naumen import NaumenConfig, NaumenDialer
from vad_agent.callbacks.dialers.naumen_config import OUTCOMES
from vad_agent.callbacks.model import Outcome
from vad_agent.errors import SettingsError

PASSWORD = "correct-horse-battery"
DUE = datetime.fromisoformat("2026-01-01T12:00:00+03:00")
NOW = DUE.timestamp() + 30
KEY = "5f0c.1.2"
FIRST = "5f0c.1.1"
ORDER = DialRequest(
    key=KEY,
    number="+79123456789",
    due=DUE,
    attempt=2,
    operator="petrova",
    name="Анна",
    opening="Вы просили перезвонить",
    topic="доставка",
    session="s/77",
)
FROM_CALL = replace(ORDER, key=FIRST, attempt=1)
CASES = "/api/v2/projects/p1/cases"
STATE = f"{CASES}/{KEY}/state"
FIRST_STATE = f"{CASES}/{FIRST}/state"
CALL = "/api/v2/project/p1/interaction/s%2F77"
LIST = "/api/v2/projects/p1/phonenumbers-batch/list"
LONG_S = 5.0  # nothing here takes so long, unless it is broken


def config(url: str, **more: Any) -> NaumenConfig:
    quick: dict[str, Any] = {"poll_s": 0.01, "limit_s": 5.0, "pause_s": 0.005}
    return NaumenConfig(url, "p1", "robot", **{"password": PASSWORD} | quick | more)


@pytest.fixture
def server() -> Iterator[CentreServer]:
    with CentreServer().serving() as server:
        yield server


@pytest.fixture
def dialer(server: CentreServer, request: pytest.FixtureRequest) -> Iterator[NaumenDialer]:
    dialer = NaumenDialer(config(server.url, limit_s=limit_s(request)), now=lambda: NOW)
    yield dialer
    dialer.close()


class Desk:
    """Stores what it is told; the first `broken` times it cannot."""

    def __init__(self, broken: int = 0) -> None:
        self.told: queue.Queue[OutcomeReport] = queue.Queue()
        self.failed: queue.Queue[OutcomeReport] = queue.Queue()
        self._broken = broken

    def __call__(self, told: OutcomeReport) -> None:
        if self._broken:
            self._broken -= 1
            self.failed.put(told)
            raise RuntimeError("the database is away")
        self.told.put(told)


def created(server: CentreServer, *states: object, path: str = STATE) -> None:
    server.answers("POST", CASES, 201, {"id": KEY})
    for state in states:
        server.answers("GET", path, 200, {"state": state})


# -- a case ----------------------------------------------------------------------------------------


def test_a_case_says_all_that_naumen_needs(server: CentreServer, dialer: NaumenDialer) -> None:
    created(server, "adjourned")
    assert dialer.dial(ORDER) == Ringing(f"case:{KEY}")
    [taken] = server.requests("POST", CASES)
    assert taken.json == {
        "id": KEY,
        "title": "Обратный звонок",
        "operator": "petrova",
        "state": "adjourned",
        "phoneNumbers": [{"number": "+79123456789", "timezone": "GMT+03:00"}],
        "comment": "Вы просили перезвонить\nдоставка",
        "timeZone": "GMT+03:00",
        "scheduledTime": "2026-01-01T12:00:30+03:00",
    }
    assert server.requests("PUT", STATE) == []


def test_a_comment_has_its_limit_and_a_case_without_an_operator_is_anybodys(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    created(server, "adjourned")
    dialer.dial(replace(ORDER, opening="о" * 3000, operator=None))
    case = server.requests("POST", CASES)[0].json
    assert case["comment"] == "о" * 2000
    assert "operator" not in case


def test_a_case_in_another_state_is_put_right_once(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    created(server, "new", "adjourned")
    server.answers("PUT", STATE, 200)
    assert dialer.dial(ORDER) == Ringing(f"case:{KEY}")
    assert [one.json for one in server.requests("PUT", STATE)] == [{"state": "adjourned"}]


@pytest.mark.parametrize("put", [200, 400, 500])
def test_a_case_that_stays_in_another_state_rings_nobody_and_is_cancelled(
    server: CentreServer, dialer: NaumenDialer, put: int
) -> None:
    created(server, "new")
    server.answers("PUT", STATE, put)
    with pytest.raises(DialRefused, match=r"in state new, expected adjourned: check that the pro"):
        dialer.dial(ORDER)
    assert server.requests("PUT", STATE)[-1].json == {"state": "cancelled"}


def test_a_case_that_the_dialler_has_taken_already_is_left_alone(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    created(server, "in_progress")
    assert dialer.dial(ORDER) == Ringing(f"case:{KEY}")
    assert server.requests("PUT", STATE) == []


@pytest.mark.parametrize("answer", [200, 400, 409, 422])
def test_a_duplicate_is_the_case_that_is_there(
    server: CentreServer, dialer: NaumenDialer, answer: int
) -> None:
    server.answers("POST", CASES, answer)
    server.answers("GET", STATE, 200, "adjourned")
    assert dialer.dial(ORDER) == dialer.dial(ORDER) == Ringing(f"case:{KEY}")


def test_a_duplicate_that_has_ended_is_not_rung_again(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    created(server, "busy")
    assert dialer.dial(ORDER) == Ended(Outcome.BUSY, "case is busy")
    assert server.requests("PUT", STATE) == []


@pytest.mark.parametrize("fault", [HANG, CUT, DROP, 500])
def test_an_order_whose_answer_never_comes_may_ring(
    server: CentreServer, dialer: NaumenDialer, fault: int | str
) -> None:
    server.answers("POST", CASES, fault)
    with pytest.raises(DialUncertain):
        dialer.dial(ORDER)
    assert len({one.body for one in server.requests("POST", CASES)}) == 1


@pytest.mark.parametrize("order", [ORDER, replace(FROM_CALL, session=None)])
def test_an_order_that_was_lost_on_its_way_is_dialled_again(
    server: CentreServer, dialer: NaumenDialer, order: DialRequest
) -> None:
    server.answers("POST", CASES, CUT)
    with pytest.raises(DialUncertain):
        dialer.dial(order)
    assert dialer.status(order.key, "") == Unknown()


@pytest.mark.parametrize("first", [HANG, CUT, DROP, 500])
def test_without_an_answer_the_same_case_is_ordered_again(
    server: CentreServer, dialer: NaumenDialer, first: int | str
) -> None:
    server.answers("POST", CASES, first)
    created(server, "adjourned")
    assert dialer.dial(ORDER) == Ringing(f"case:{KEY}")
    assert [one.json["id"] for one in server.requests("POST", CASES)] == [KEY, KEY]


@pytest.mark.parametrize("fault", [HANG, CUT, DROP, GARBAGE, 500, 403, 404])
def test_a_case_that_cannot_be_read_back_may_ring(
    server: CentreServer, dialer: NaumenDialer, fault: int | str
) -> None:
    server.answers("POST", CASES, 201)
    server.answers("GET", STATE, fault)
    with pytest.raises(DialUncertain):
        dialer.dial(ORDER)


@pytest.mark.parametrize("answer", [None, 7, [], {}, {"state": None}, {"state": ""}, ""])
def test_a_state_that_is_none_may_ring(
    server: CentreServer, dialer: NaumenDialer, answer: object
) -> None:
    server.answers("POST", CASES, 201)
    server.answers("GET", STATE, 200, answer)
    with pytest.raises(DialUncertain, match="expected a case's state"):
        dialer.dial(ORDER)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 302])
def test_a_refused_case_rings_nobody(
    server: CentreServer, dialer: NaumenDialer, status: int
) -> None:
    server.answers("POST", CASES, status)
    with pytest.raises(DialRefused):
        dialer.dial(ORDER)
    assert len(server.requests("POST", CASES)) == 1


def test_where_nobody_listens_nobody_is_rung_and_nothing_is_known() -> None:
    dialer = NaumenDialer(config("http://127.0.0.1:9"))
    for order in (ORDER, FROM_CALL):
        with pytest.raises(DialRefused):
            dialer.dial(order)
        with pytest.raises(DialUncertain):
            dialer.status(order.key, "")
    dialer.hang_up(KEY, "")
    dialer.close()


# -- the call itself -------------------------------------------------------------------------------


def test_a_first_attempt_adjourns_the_call(server: CentreServer, dialer: NaumenDialer) -> None:
    server.answers("POST", CALL, 201)
    assert dialer.dial(FROM_CALL) == Ringing("interaction:s/77")
    assert dialer.dial(FROM_CALL) == Ringing("interaction:s/77")  # once is enough
    [taken] = server.taken
    assert taken.json == {
        "adjournAction": {
            "adjournDate": "2026-01-01T12:00:30+03:00",
            "agentComment": "Вы просили перезвонить\nдоставка",
            "agentLogin": "petrova",
            "phone": "+79123456789",
            "timezone": "GMT+03:00",
        }
    }


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 422])
def test_a_call_that_cannot_be_adjourned_becomes_a_case(
    server: CentreServer, dialer: NaumenDialer, status: int
) -> None:
    server.answers("POST", CALL, status)
    created(server, "adjourned", path=FIRST_STATE)
    assert dialer.dial(FROM_CALL) == Ringing(f"case:{FIRST}")
    assert dialer.status(FIRST, f"case:{FIRST}") == Ringing(f"case:{FIRST}")


@pytest.mark.parametrize("order", [ORDER, replace(FROM_CALL, session=None)])
def test_a_later_attempt_and_a_call_without_a_session_are_cases(
    server: CentreServer, dialer: NaumenDialer, order: DialRequest
) -> None:
    created(server, "adjourned", path=f"{CASES}/{order.key}/state")
    assert dialer.dial(order) == Ringing(f"case:{order.key}")
    assert server.requests("POST", CALL) == []


def test_calls_are_not_adjourned_where_the_settings_say_so(server: CentreServer) -> None:
    dialer = NaumenDialer(config(server.url, adjourn_calls=False))
    created(server, "adjourned", path=FIRST_STATE)
    assert dialer.dial(FROM_CALL) == Ringing(f"case:{FIRST}")
    assert dialer.status("other.1.1", "") == Unknown()
    dialer.close()


@pytest.mark.parametrize("first", [HANG, CUT, DROP, 500])
def test_a_call_that_was_perhaps_adjourned_is_not_ordered_again(
    server: CentreServer, dialer: NaumenDialer, first: int | str
) -> None:
    server.answers("POST", CALL, first)
    server.answers("POST", LIST, 200, [{"caseId": 7, "state": "talking"}])
    server.answers("POST", LIST, 200, [{"caseId": 7, "state": "adjourned"}])
    server.answers("POST", LIST, 200, [{"caseId": 7, "state": "ringing"}])
    server.answers("POST", LIST, 200, [{"caseId": 7, "state": "reached"}])
    for _ in range(2):
        with pytest.raises(DialUncertain):
            dialer.dial(FROM_CALL)
    assert len(server.requests("POST", CALL)) == 1
    with pytest.raises(DialUncertain, match="cannot be told"):
        dialer.status(FIRST, "")  # the call itself is in the list, not adjourned
    assert dialer.status(FIRST, "") == dialer.status(FIRST, "") == Ringing("interaction:")
    assert dialer.status(FIRST, "") == Ended(Outcome.REACHED, "case is reached")
    assert server.requests("POST", CASES) == []


def test_an_adjourned_call_ends_when_its_case_does_not_an_older_one(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    old = {"caseId": 3, "state": "reached"}
    server.answers("POST", CALL, 201)
    server.answers("POST", LIST, 200, [old])
    server.answers("POST", LIST, 200, [old, {"caseId": 7, "state": "adjourned"}])
    server.answers("POST", LIST, 200, [old, {"caseId": 7, "state": "no_answer"}])
    reference = "interaction:s/77"
    assert dialer.dial(FROM_CALL) == Ringing(reference)
    with pytest.raises(DialUncertain):
        dialer.status(FIRST, reference)
    assert dialer.status(FIRST, reference) == Ringing(reference)
    assert dialer.status(FIRST, reference) == Ended(Outcome.NO_ANSWER, "case is no_answer")
    assert server.requests("POST", LIST)[0].json == {"phoneNumbers": [{"number": ORDER.number}]}


@pytest.mark.parametrize(
    "answer",
    [None, {}, "busy", ["busy"], [{"state": "busy"}], [{"caseId": 7}], []],
)
def test_a_list_that_says_nothing_is_uncertain(
    server: CentreServer, dialer: NaumenDialer, answer: object
) -> None:
    server.answers("POST", CALL, 201)
    server.answers("POST", LIST, 200, answer)
    dialer.dial(FROM_CALL)
    with pytest.raises(DialUncertain):
        dialer.status(FIRST, "interaction:s/77")


# -- status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "outcome"), OUTCOMES.items())
def test_each_final_state_has_its_outcome(
    server: CentreServer, dialer: NaumenDialer, state: str, outcome: Outcome
) -> None:
    server.answers("GET", STATE, 200, {"state": state})
    assert dialer.status(KEY, f"case:{KEY}") == Ended(outcome, f"case is {state}")


def test_the_states_names_are_settings(server: CentreServer) -> None:
    own = config(server.url, adjourned_state="Отложен", outcomes={"Дозвон": Outcome.REACHED})
    dialer = NaumenDialer(own)
    created(server, "Отложен", "Дозвон")
    assert dialer.dial(ORDER) == Ringing(f"case:{KEY}")
    assert dialer.status(KEY, "") == Ended(Outcome.REACHED, "case is Дозвон")
    dialer.close()


def test_a_state_that_the_settings_do_not_know_is_under_way_and_logged_once(
    server: CentreServer, dialer: NaumenDialer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers("GET", STATE, 200, {"state": "closed"})
    for _ in range(3):
        assert dialer.status(KEY, f"case:{KEY}") == Ringing(f"case:{KEY}")
    [line] = caplog.records
    assert vars(line)["state"] == "closed"


@pytest.mark.parametrize("reference", ["", f"case:{KEY}"])
def test_a_case_that_is_not_there_was_never_heard_of(dialer: NaumenDialer, reference: str) -> None:
    assert dialer.status(KEY, reference) == Unknown()


@pytest.mark.parametrize("fault", [HANG, CUT, DROP, GARBAGE, 500, 400, 401, 403, 429])
def test_a_status_that_cannot_be_had_is_never_unknown(
    server: CentreServer, dialer: NaumenDialer, fault: int | str
) -> None:
    server.answers("GET", STATE, fault)
    with pytest.raises(DialUncertain):
        dialer.status(KEY, "")


def test_a_case_whose_dial_was_cut_off_is_seen_to(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    """The process died between the case and its state."""
    for state in ("new", "adjourned"):
        server.answers("GET", STATE, 200, state)
    server.answers("PUT", STATE, 200)
    assert dialer.status(KEY, "") == Ringing(f"case:{KEY}")
    assert len(server.requests("PUT", STATE)) == 1


def test_one_that_cannot_be_put_right_has_failed(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    server.answers("GET", STATE, 200, "new")
    ended = dialer.status(KEY, "")
    assert isinstance(ended, Ended)
    assert ended.outcome is Outcome.FAILED


def test_after_a_restart_nobody_is_rung_for_what_may_have_been_adjourned(
    dialer: NaumenDialer,
) -> None:
    for reference in ("interaction:s/77", "", "manual"):
        with pytest.raises(DialUncertain):
            dialer.status(FIRST, reference)


# -- hanging up ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [200, 404, 409, 500, CUT])
def test_hanging_up_cancels_the_case_and_its_failure_is_nobodys(
    server: CentreServer, dialer: NaumenDialer, answer: int | str
) -> None:
    server.answers("PUT", STATE, answer)
    dialer.hang_up(KEY, f"case:{KEY}")
    assert server.requests("PUT", STATE)[0].json == {"state": "cancelled"}


def test_an_adjourned_call_cannot_be_taken_back(server: CentreServer, dialer: NaumenDialer) -> None:
    server.answers("POST", CALL, 201)
    dialer.dial(FROM_CALL)
    dialer.hang_up(FIRST, "interaction:s/77")
    dialer.hang_up("other.1.1", "interaction:8")
    assert len(server.taken) == 1


# -- polling ---------------------------------------------------------------------------------------


def test_outcomes_come_by_polling_and_once(server: CentreServer, dialer: NaumenDialer) -> None:
    desk = Desk()
    created(server, "adjourned", "adjourned", "ringing", "no_answer")
    dialer.open(desk)
    dialer.dial(ORDER)
    assert desk.told.get(timeout=LONG_S) == OutcomeReport(
        KEY, Outcome.NO_ANSWER, "case is no_answer"
    )
    other = replace(ORDER, key="other.1.2")
    for state in ("adjourned", "adjourned", "reached"):
        server.answers("GET", f"{CASES}/other.1.2/state", 200, state)
    dialer.dial(other)  # two rounds later
    assert desk.told.get(timeout=LONG_S) == OutcomeReport(
        other.key, Outcome.REACHED, "case is reached"
    )
    dialer.close()
    assert desk.told.empty()


def test_the_outcome_of_an_adjourned_call_comes_by_polling(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    desk = Desk()
    server.answers("POST", CALL, 201)
    server.answers("POST", LIST, 200, [])
    server.answers("POST", LIST, 200, [{"caseId": "7", "state": "adjourned"}])
    server.answers("POST", LIST, 200, [{"caseId": "7", "state": "answering_machine"}])
    dialer.dial(FROM_CALL)
    dialer.open(desk)
    assert desk.told.get(timeout=LONG_S).outcome is Outcome.MACHINE


def test_what_could_not_be_stored_is_told_again(
    server: CentreServer, dialer: NaumenDialer, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(broken=2)
    created(server, "adjourned", "busy")
    dialer.dial(ORDER)
    dialer.open(desk)
    assert desk.told.get(timeout=LONG_S).outcome is Outcome.BUSY
    assert desk.failed.qsize() == 2
    [line] = caplog.records  # not one for each round
    assert vars(line)["why"] == "RuntimeError"


def test_after_a_restart_what_the_desk_asks_for_is_polled(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    desk = Desk()
    server.answers("GET", STATE, 200, "adjourned")
    server.answers("GET", STATE, 200, "reached")
    dialer.open(desk)
    assert dialer.status(KEY, f"case:{KEY}") == Ringing(f"case:{KEY}")
    assert desk.told.get(timeout=LONG_S).outcome is Outcome.REACHED


def test_an_order_without_an_answer_is_polled_too(
    server: CentreServer, dialer: NaumenDialer
) -> None:
    desk = Desk()
    server.answers("POST", CASES, CUT)
    server.answers("GET", STATE, 404)
    server.answers("GET", STATE, 200, "reached")
    with pytest.raises(DialUncertain):
        dialer.dial(ORDER)
    dialer.open(desk)
    assert desk.told.get(timeout=LONG_S).outcome is Outcome.REACHED


@pytest.mark.parametrize("first", [HANG, CUT, DROP, GARBAGE, 500, 401, 404])
def test_one_that_cannot_be_asked_for_holds_up_no_other(
    server: CentreServer, dialer: NaumenDialer, first: int | str
) -> None:
    desk = Desk()
    created(server, "adjourned")
    server.answers("GET", STATE, first)
    dialer.dial(ORDER)
    other = replace(ORDER, key="other.1.2")
    for state in ("adjourned", "reached"):
        server.answers("GET", f"{CASES}/other.1.2/state", 200, state)
    dialer.dial(other)
    dialer.open(desk)
    assert desk.told.get(timeout=LONG_S).key == "other.1.2"


def test_what_was_hung_up_is_not_polled(server: CentreServer, dialer: NaumenDialer) -> None:
    desk = Desk()
    created(server, "adjourned", "busy")
    dialer.dial(ORDER)
    dialer.hang_up(KEY, f"case:{KEY}")
    other = replace(ORDER, key="other.1.2")
    for state in ("adjourned", "reached"):
        server.answers("GET", f"{CASES}/other.1.2/state", 200, state)
    dialer.dial(other)
    dialer.open(desk)
    assert desk.told.get(timeout=LONG_S).key == "other.1.2"
    assert len(server.requests("GET", STATE)) == 1


def test_what_nobody_waits_for_any_more_is_not_asked_for(
    server: CentreServer, dialer: NaumenDialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(server, "adjourned")
    server.answers("POST", CALL, 201)
    server.answers("POST", LIST, 200, [])
    dialer.dial(ORDER)
    dialer.dial(FROM_CALL)
    dialer._round(Desk())
    assert len(server.taken) == 5
    monkeypatch.setattr("vad_agent.callbacks.dialers.naumen.ASKED_S", -1.0)
    dialer._round(Desk())
    dialer._round(Desk())
    assert len(server.taken) == 7


def test_after_closing_nothing_is_told_and_nothing_is_sent(server: CentreServer) -> None:
    dialer = NaumenDialer(config(server.url))
    desk = Desk(broken=1_000_000)
    created(server, "adjourned", "busy")
    dialer.dial(ORDER)
    dialer.open(desk)
    desk.failed.get(timeout=LONG_S)
    dialer.close()
    assert not [one for one in threading.enumerate() if one.name == "naumen"]
    told, sent = desk.failed.qsize(), len(server.taken)
    with pytest.raises(DialRefused, match="closed"):
        dialer.dial(ORDER)
    assert (desk.failed.qsize(), len(server.taken)) == (told, sent)


# -- who signs in ----------------------------------------------------------------------------------


def test_a_password_is_basic_and_a_superuser_acts_for_another(server: CentreServer) -> None:
    dialer = NaumenDialer(config(server.url, run_as="boss"))
    dialer.status(KEY, "")
    dialer.close()
    headers = server.taken[0].headers
    assert headers["authorization"].startswith("Basic ")
    assert headers["x-ncc-run-as-user"] == "boss"


def test_a_key_of_the_api_goes_into_its_headers(server: CentreServer) -> None:
    dialer = NaumenDialer(config(server.url, password=None, api_key="k-9f86"))
    dialer.status(KEY, "")
    dialer.close()
    headers = server.taken[0].headers
    assert (headers["username"], headers["x-api-key"]) == ("robot", "k-9f86")
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"password": None}, "password, api_key: expected one"),
        ({"api_key": "k"}, "password, api_key: expected one"),
        ({"password": None, "api_key": "ключ"}, "api_key: expected letters"),
        ({"password": None, "api_key": "k\n"}, "api_key: expected letters"),
        ({"run_as": "начальник"}, "run_as: expected letters"),
        ({"timezone": "Europe/Moscow"}, "timezone: expected GMT"),
        ({"adjourned_state": "busy"}, "outcomes: a state of a case under way"),
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=f"naumen: {problem}"):
        config("https://naumen", **wrong)


@pytest.mark.parametrize("fault", [HANG, CUT, GARBAGE, 400, 401, 500])
def test_neither_credentials_nor_the_client_are_shown(
    server: CentreServer, caplog: pytest.LogCaptureFixture, fault: int | str
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = config(server.url, limit_s=0.1)
    dialer = NaumenDialer(secret)
    shown = repr(secret) + str(secret) + repr(dialer)
    server.answers("POST", CALL, fault, {"echo": ORDER.number})
    server.answers("POST", CASES, fault, {"echo": ORDER.number})
    server.answers("POST", LIST, fault, {"echo": ORDER.number})
    for order in (ORDER, FROM_CALL):
        try:
            shown += repr(dialer.dial(order))
        except (DialRefused, DialUncertain) as error:
            shown += f"{error!r} {error.__cause__!r}"
    shown += repr(dialer._ways) + caplog.text
    dialer.close()
    for hidden in (PASSWORD, "cm9ib3Q6", ORDER.number, "Анна", "перезвонить"):
        assert hidden not in shown


def test_an_api_key_is_not_shown() -> None:
    assert "k-9f86" not in repr(config("https://naumen", password=None, api_key="k-9f86"))


def test_it_is_told_nothing_by_http(dialer: NaumenDialer) -> None:
    assert not isinstance(dialer, Hooked)
