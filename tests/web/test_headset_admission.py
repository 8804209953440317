"""Who is let in as whose headset: the token's operator alone; of two of one operator, the first decides."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.client.test_headset_link import linked
from tests.web.desk_client import GOOD, PASSWORDS, POLICY
from tests.web.link_desk import TOKEN, Headset, LinkDesk, headset, link_desk, until
from vad_agent.callbacks.store import Store
from vad_agent.client.discovery import DeskEndpoint
from vad_agent.client.headset_link import ASKING, ELSEWHERE, ONLY_BY_A_PERSON, SEEN
from vad_agent.client.headset_protocol import LOCAL_ONLY, NOT_YOURS, STAYS, UNKNOWN_LOGIN
from vad_agent.core.events import Event, EventKind
from vad_agent.headset.headset_admission import HeadsetAdmission
from vad_agent.headset.status import Status
from vad_agent.server.bearer_auth import Tokens
from vad_agent.web.authentication.access_tokens import AGAIN_S, AccessTokens, Scope
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.users import Users

CRM = "a-long-enough-crm-token"
ELSEWHERE_ADDRESS = "10.0.0.7"


@dataclass
class Centre:
    desk: LinkDesk
    people: Users
    tokens: AccessTokens
    of: dict[str, str]
    """The token of each operator."""


SOON = pytest.mark.parametrize("centre", [0.5], indirect=True)
"""A headset has so many seconds to answer, instead of 10."""


@pytest.fixture
def centre(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Centre]:
    ask_s = getattr(request, "param", 10.0)
    with contextlib.closing(Store(str(tmp_path / "callbacks.sqlite"), POLICY)) as store:
        people, tokens = Users(store, PASSWORDS), AccessTokens(store, user=lambda: "root")
        for login in ("anna", "Ольга"):
            people.add(login, Role.OPERATOR, GOOD)
        of = {login: tokens.make(Scope.HEADSET, login, "test")[1] for login in ("anna", "Ольга")}
        tokens.refresh()
        accepted = Tokens({"own": TOKEN}, {"crm": CRM}, tokens)
        checks = {
            "is_known": tokens.is_known,
            "knows": tokens.knows,
            "is_valid": tokens.is_valid,
        }
        with link_desk(tokens=accepted, **checks, ask_s=ask_s) as desk:
            yield Centre(desk, people, tokens, of)


def refused(
    centre: Centre, operator: str, token: str, address: str = ELSEWHERE_ADDRESS
) -> tuple[int, str]:
    """How its link ended."""
    with headset(centre.desk, None, token, address) as one:
        one.send({"hello": 1, "operator": operator})
        return one.end()


def test_a_headset_is_let_in_for_the_operator_of_its_token(centre: Centre) -> None:
    with headset(centre.desk, "ОЛЬГА", centre.of["Ольга"], ELSEWHERE_ADDRESS) as one:
        one.send({"state": {"operator": "anna", "a": 1}})
        centre.desk.until("Ольга", a=1)
        assert centre.desk.state("Ольга")["operator"] == "ОЛЬГА"


def test_no_token_poses_as_another_operator(centre: Centre) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as anna:
        anna.send({"state": {"a": 1}})
        centre.desk.until(a=1)
        ended = refused(centre, "anna", centre.of["Ольга"])
        assert ended == (NOT_YOURS, "the token is another operator's")
        with pytest.raises(InvalidStatus), headset(centre.desk, "anna", CRM):
            pass
        assert centre.desk.state() == {"a": 1, "gone": False}


def test_a_pbx_is_let_in_for_all_operators_and_for_nobody_else(centre: Centre) -> None:
    _, token = centre.tokens.make(Scope.PBX, "pbx", "test")
    centre.tokens.refresh()
    for login in ("anna", "Ольга"):
        with headset(centre.desk, login, token, ELSEWHERE_ADDRESS):
            pass
    assert refused(centre, "nobody", token)[0] == UNKNOWN_LOGIN


def test_the_desks_own_token_is_for_headsets_of_its_machine(centre: Centre) -> None:
    with headset(centre.desk, "anna", TOKEN), headset(centre.desk, "root", TOKEN):
        pass
    assert refused(centre, "anna", TOKEN)[0] == LOCAL_ONLY
    ended = refused(centre, "nobody", TOKEN, "127.0.0.1")
    assert ended == (UNKNOWN_LOGIN, "nobody has this login")


def test_a_user_who_was_added_a_moment_ago_is_known(centre: Centre) -> None:
    time.sleep(AGAIN_S)
    centre.people.add("vera", Role.OPERATOR, GOOD)
    with headset(centre.desk, "vera", TOKEN):
        pass


@pytest.mark.parametrize("how", ["bar", "revoke", "another"])
def test_a_token_that_is_no_longer_valid_ends_the_link(centre: Centre, how: str) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as one:
        if how == "bar":
            centre.people.disable("anna")
        elif how == "revoke":
            assert centre.tokens.revoke(Scope.HEADSET, "ANNA")
        else:
            centre.tokens.make(Scope.HEADSET, "anna", "test")
        centre.tokens.refresh()
        one.send({})
        assert one.end() == (NOT_YOURS, "the token is no longer valid")


# -- two headsets of one operator ----------------------------------------------------------------------


@contextlib.contextmanager
def second(centre: Centre, **hello: Any) -> Iterator[Headset]:
    with headset(centre.desk, None, centre.of["anna"], ELSEWHERE_ADDRESS) as one:
        one.send({"hello": 1, "operator": "anna"} | hello)
        yield one


def test_the_first_one_is_asked_and_says_yes(centre: Centre) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as first, second(centre) as later:
        ask = first.hear()["ask"]
        assert ask == {"id": ask["id"], "address": ELSEWHERE_ADDRESS, "for_s": 10}
        assert later.hear() == {"wait": 10}
        first.send({"answer": {"id": ask["id"], "yes": True}})
        assert later.hear() == {"hello": 1}
        assert first.end() == (4001, "another headset of this operator")
        later.send({"state": {"a": 2}})
        centre.desk.until(a=2, gone=False)
        assert centre.desk.broker.send("anna", Event(EventKind.PAUSE))
        assert later.hear() == {"send": {"kind": "pause"}}


@SOON
@pytest.mark.parametrize("answer", [False, None, "another question", "not a word"])
def test_without_a_yes_the_second_one_is_refused(centre: Centre, answer: object) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as first:
        first.send({"state": {"a": 1}})
        with second(centre, instance="2") as later:
            ask = first.hear()["ask"]
            if answer == "another question":
                first.send({"answer": {"id": "x", "yes": True}})
            elif answer == "not a word":
                first.send({"answer": "yes"})
            elif answer is not None:
                first.send({"answer": {"id": ask["id"], "yes": answer}})
            assert later.end() == (STAYS, "the operator's other headset stays")
            assert first.hear() == {"asked": ask["id"]}
        with second(centre, instance="2") as again:  # it is not asked about again
            assert again.end()[0] == STAYS
        first.send({"state": {"a": 2}})
        centre.desk.until(a=2, gone=False)


def test_while_one_is_asked_about_a_third_one_is_refused_at_once(centre: Centre) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as first, second(centre) as later:
        assert "ask" in first.hear()
        with second(centre) as third:
            assert third.end()[0] == STAYS
        assert later.hear() == {"wait": 10}


def test_the_place_of_one_that_is_gone_is_free(centre: Centre) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as first, second(centre) as later:
        assert "ask" in first.hear()
        first.connection.close()
        assert later.hear() == {"wait": 10}
        assert later.hear() == {"hello": 1}


def test_a_second_one_that_gives_up_ends_the_question(centre: Centre) -> None:
    with headset(centre.desk, "anna", centre.of["anna"]) as first:
        with second(centre) as later:
            ask = first.hear()["ask"]
            later.connection.close()
        assert first.hear() == {"asked": ask["id"]}
        first.send({"answer": {"id": ask["id"], "yes": True}})
        first.send({"state": {"a": 1}})
        centre.desk.until(a=1, gone=False)


def test_one_that_reconnects_takes_its_own_place_without_a_question(centre: Centre) -> None:
    token = centre.of["anna"]
    with (
        headset(centre.desk, "anna", token, instance="1") as before,
        headset(centre.desk, "anna", token, instance="1") as again,
    ):
        assert before.end()[0] == 4001
        again.send({"state": {"a": 1}})
        centre.desk.until(a=1, gone=False)


def test_the_operator_is_asked_where_he_looks_and_his_answer_decides(centre: Centre) -> None:
    where = DeskEndpoint(centre.desk.url, centre.of["anna"])
    status = Status()
    admission = HeadsetAdmission(status)
    with linked(lambda: where, operator=admission) as first:
        first.publish(a=1)
        centre.desk.until(a=1)
        with linked(lambda: where) as later:
            later.publish(a=2)
            until(lambda: status.headset_question)
            assert status.headset_question is not None
            assert status.headset_question.address == "127.0.0.1"
            until(lambda: later.reports == [ASKING])
            admission.answer(True)
            assert status.headset_question is None
            centre.desk.until(a=2, gone=False)
            assert later.reports == [ASKING, SEEN]
            until(lambda: first.reports == [ELSEWHERE])
        centre.desk.until(a=1, gone=False)  # it takes its place again, and nobody is asked
        until(lambda: first.reports == [ELSEWHERE, SEEN])


@SOON
def test_without_an_answer_the_question_goes_and_the_second_one_is_told_why(centre: Centre) -> None:
    where = DeskEndpoint(centre.desk.url, centre.of["anna"])
    status = Status()
    with linked(lambda: where, operator=HeadsetAdmission(status)) as first:
        first.publish(a=1)
        centre.desk.until(a=1)
        with linked(lambda: where) as later:
            until(lambda: status.headset_question)
            until(lambda: status.headset_question is None)
            until(lambda: later.reports == [ASKING, ONLY_BY_A_PERSON[STAYS]])
        assert first.reports == []
        assert centre.desk.state() == {"a": 1, "gone": False}
