"""The operator's callbacks over HTTP, on a real store without a desk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.panel_client import PanelClient, one_panel
from vad_agent.callbacks.model import Request, State
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.errors import StoreError
from vad_agent.server.desk_config import DeskConfig
from vad_agent.server.local_backend import LocalBackend
from vad_agent.web.operator_callbacks import OperatorCallbacks, Refused

PHONE = "+79123456789"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Ringing:
    """A panel over a store without a desk."""

    def __init__(self, folder: Path) -> None:
        config = DeskConfig.load(None, {"VAD_AGENT_DATABASE": str(folder / "callbacks.sqlite")})
        self.callbacks = LocalBackend(config, lambda _: None)

    @property
    def store(self) -> Store:
        return self.callbacks._store

    @property
    def desk(self) -> CallbackService:
        return self.callbacks._service

    def offer(self, key: str, **fields: Any) -> str:
        """As the manual dialer of a desk does it."""
        id = self.ask(key, **fields)
        by = Actor("desk", datetime.now(UTC))
        begun = self.store.begin(self.store.get(id).key, "desk", by)
        assert begun is not None
        self.store.offer(begun.attempt.key, "manual", by)
        return id

    def of(self, operator: str) -> OperatorCallbacks:
        """Another operator's."""
        return OperatorCallbacks(
            lambda: nullcontext(self.callbacks), operator, lambda: datetime.now(UTC)
        )

    def ask(self, key: str, **fields: Any) -> str:
        now = datetime.now(UTC)
        request = Request(key=key, reason="dropped", asked=now, due_in_s=0.0, **fields)
        return self.desk.take(request, "test").callback.id


@pytest.fixture
def ringing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ringing]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ringing = Ringing(tmp_path)
    yield ringing
    ringing.callbacks.close()


@pytest.fixture
def mine(tmp_path: Path, ringing: Ringing) -> Iterator[PanelClient]:
    with one_panel(tmp_path, callbacks=ringing.callbacks) as one:
        yield one.page()


def listed(page: PanelClient) -> list[dict[str, Any]]:
    answer = page.get("/panel/callbacks")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["callbacks"]
    return found


def test_without_callbacks_there_are_none(tmp_path: Path) -> None:
    with one_panel(tmp_path) as one:
        _has_none(one.page())


def _has_none(page: PanelClient) -> None:
    assert page.get("/panel/callbacks").status_code == 404
    assert page.post("/panel/client-called", {"phone": PHONE}).status_code == 404


def test_mine_and_anybodys_are_listed(mine: PanelClient, ringing: Ringing) -> None:
    own = ringing.ask("a", phone=PHONE, operator="Ivan", name="Ольга", opening="Это я")
    anybodys = ringing.ask("b", phone="+79123456780")
    ringing.ask("c", phone="+79123456781", operator="olga")
    found = {one["id"]: one for one in listed(mine)}
    assert found.keys() == {own, anybodys}
    assert (found[own]["mine"], found[anybodys]["mine"]) == (True, False)
    one = found[own]
    assert one["phone"] == PHONE
    assert one["name"] == "Ольга"
    assert one["opening"] == "Это я"
    assert one["reasons"] == ["dropped"]
    assert one["reasons_text"] == "звонок сорвался"
    assert one["state"] == "waiting"
    assert (one["attempt"], one["attempts"], one["overdue"]) == (1, 3, False)
    told = mine.get("/panel/callbacks").json()
    assert datetime.fromisoformat(one["due"]) <= datetime.fromisoformat(told["now"])
    assert told["rings"] is False


def test_an_overdue_one_comes_first(ringing: Ringing) -> None:
    ringing.ask("a", phone=PHONE)
    late = datetime.now(UTC) + timedelta(seconds=61)
    later = (late + timedelta(hours=1)).isoformat()
    ringing.desk.take(
        Request(key="b", reason="agreed", asked=late, at=later, phone="+79123456780"), "test"
    )
    mine = OperatorCallbacks(lambda: nullcontext(ringing.callbacks), "ivan", lambda: late)
    found = mine.all()["callbacks"]
    assert [one["overdue"] for one in found] == [True, False]
    # a page that asks seldom knows by itself
    from_, due = (datetime.fromisoformat(found[1][name]) for name in ("overdue_from", "due"))
    assert (from_ - due).total_seconds() == ringing.callbacks.overdue_s


def test_an_outcome_in_one_key(mine: PanelClient, ringing: Ringing) -> None:
    id = ringing.ask("a", phone=PHONE, operator="ivan")
    (one,) = listed(mine)
    said = mine.post(f"/panel/callbacks/{id}/outcome", {"outcome": "no_answer", "key": one["key"]})
    assert said.status_code == 204, said.text
    (after,) = listed(mine)
    assert after["attempt"] == 2
    twice = mine.post(f"/panel/callbacks/{id}/outcome", {"outcome": "no_answer", "key": one["key"]})
    assert twice.status_code == 409
    assert mine.post(f"/panel/callbacks/{id}/outcome", {"outcome": "reached"}).status_code == 204
    assert listed(mine) == []
    assert ringing.store.get(id).state is State.REACHED


def test_what_is_offered_to_me_is_called_in_one_key_and_its_outcome_said(
    mine: PanelClient, ringing: Ringing
) -> None:
    id = ringing.offer("a", phone=PHONE, operator="Ivan")
    (one,) = listed(mine)
    assert (one["state"], one["state_text"], one["mine"]) == ("offered", "позвоните", True)
    late = datetime.fromisoformat(one["overdue_from"]) - datetime.fromisoformat(one["due"])
    assert late.total_seconds() == ringing.callbacks.overdue_s
    for _ in range(2):  # a second press, or an answer that was lost
        assert mine.post(f"/panel/callbacks/{id}/accept", {}).status_code == 204
    (one,) = listed(mine)
    assert (one["state"], one["overdue_from"], one["operator"]) == ("ringing", None, "ivan")
    said = mine.post(f"/panel/callbacks/{id}/outcome", {"outcome": "reached", "key": one["key"]})
    assert said.status_code == 204
    assert ringing.store.get(id).state is State.REACHED


def test_a_colleagues_offer_comes_to_me_and_the_first_who_calls_has_it(
    mine: PanelClient, ringing: Ringing
) -> None:
    id = ringing.offer("a", phone=PHONE, operator="olga")  # whose panel is closed
    (one,) = listed(mine)
    assert (one["id"], one["mine"], one["operator"]) == (id, False, "olga")
    for path, body in (
        ("outcome", {"outcome": "reached"}),
        ("not-needed", {"why": "x"}),
        ("number", {"phone": PHONE}),
    ):  # what is a colleague's is theirs until I call
        assert mine.post(f"/panel/callbacks/{id}/{path}", body).status_code == 404
    ringing.of("boris").accept(id)
    assert listed(mine) == []
    late = mine.post(f"/panel/callbacks/{id}/accept", {})
    assert (late.status_code, late.json()) == (409, {"error": "Уже звонит boris"})
    with pytest.raises(Refused, match="Уже звонит boris"):
        ringing.of("olga").accept(id)
    (theirs,) = ringing.of("boris").all()["callbacks"]
    assert (theirs["id"], theirs["mine"], theirs["state"]) == (id, True, "ringing")


def test_a_colleagues_offer_is_not_shown_while_it_is_theirs_alone(
    mine: PanelClient, ringing: Ringing
) -> None:
    ringing.offer("a", phone=PHONE, operator="olga")
    ringing.desk.has_panel = {"olga"}.__contains__
    assert listed(mine) == []
    assert len(ringing.of("olga").all()["callbacks"]) == 1


def test_of_two_who_press_at_once_one_calls_and_the_other_is_told_who(ringing: Ringing) -> None:
    id = ringing.offer("a", phone=PHONE, operator="anna")

    def press(operator: str) -> str:
        try:
            ringing.of(operator).accept(id)
        except Refused as refused:
            return refused.text
        return operator

    with ThreadPoolExecutor(2) as pool:
        told = set(pool.map(press, ("anna", "boris")))
    winner = ringing.store.get(id).operator
    assert told == {winner, f"Уже звонит {winner}"}


def test_a_number_makes_it_ring(mine: PanelClient, ringing: Ringing) -> None:
    id = ringing.ask("a", operator="ivan")
    (one,) = listed(mine)
    assert (one["state"], one["state_text"]) == ("needs_number", "нужен номер")
    wrong = mine.post(f"/panel/callbacks/{id}/number", {"phone": "12"})
    assert wrong.status_code == 400
    assert "номер" in wrong.json()["error"]
    assert (
        mine.post(f"/panel/callbacks/{id}/number", {"phone": "8 912 345-67-89"}).status_code == 204
    )
    (one,) = listed(mine)
    assert (one["state"], one["phone"]) == ("waiting", PHONE)


@pytest.mark.parametrize("phone", [PHONE, None])
def test_one_that_is_not_needed_is_closed_and_history_says_who_and_why(
    phone: str | None, mine: PanelClient, ringing: Ringing
) -> None:
    id = ringing.ask("a", phone=phone)
    told = mine.post(f"/panel/callbacks/{id}/not-needed", {"why": "  попрощались,\nрешено "})
    assert told.status_code == 204, told.text
    assert listed(mine) == []
    details = ringing.callbacks.get(id)
    assert details.callback.state is State.CANCELLED
    assert details.history[-1].why == "ivan: попрощались, решено"
    again = mine.post(f"/panel/callbacks/{id}/not-needed", {"why": "попрощались"})
    assert again.status_code == 409


def test_a_card_says_when_the_call_was_not_when_the_desk_heard_of_it(
    mine: PanelClient, ringing: Ringing
) -> None:
    then = datetime.now(UTC) - timedelta(hours=3)  # no desk ran since
    request = Request(key="a", reason="unconfirmed", asked=then, due_in_s=120.0, phone=PHONE)
    ringing.desk.take(request, "test")
    (one,) = listed(mine)
    assert abs(datetime.fromisoformat(one["asked"]) - then) < timedelta(seconds=1)
    assert one["unconfirmed"] is True


def test_the_client_has_rung_himself(mine: PanelClient, ringing: Ringing) -> None:
    ringing.ask("a", phone=PHONE)
    for closed in (True, False):
        answer = mine.post("/panel/client-called", {"phone": PHONE})
        assert (answer.status_code, answer.json()) == (200, {"closed": closed})
    assert listed(mine) == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("{olgas}/outcome", {"outcome": "reached"}, 404),
        ("{olgas}/number", {"phone": PHONE}, 404),
        ("000000000000/outcome", {"outcome": "reached"}, 404),
        ("000000000000/accept", {}, 404),
        ("{olgas}/accept", {}, 404),
        ("{own}/accept", {}, 409),
        ("x/outcome", {"outcome": "reached"}, 404),
        ("{own}/outcome", {"outcome": "happy"}, 400),
        ("{own}/outcome", {}, 400),
        ("{own}/outcome", [], 400),
        ("{own}/outcome", {"outcome": "reached", "key": 3}, 400),
        ("{own}/outcome", {"outcome": "reached", "key": "x.1.1"}, 409),
        ("{own}/number", {"phone": " "}, 400),
        ("{olgas}/not-needed", {"why": "x"}, 404),
        ("{own}/not-needed", {"why": " "}, 400),
        ("{own}/not-needed", {}, 400),
    ],
)
def test_what_is_not_mine_or_wrong_changes_nothing(
    mine: PanelClient, ringing: Ringing, path: str, body: Any, status: int
) -> None:
    ids = {
        "own": ringing.ask("a", phone=PHONE, operator="ivan"),
        "olgas": ringing.ask("b", phone="+79123456781", operator="olga"),
    }
    before = [ringing.store.get(id) for id in ids.values()]
    answer = mine.post(f"/panel/callbacks/{path.format(**ids)}", body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"]), answer.text
    assert [ringing.store.get(id) for id in ids.values()] == before


def test_callbacks_that_cannot_be_had_now(tmp_path: Path) -> None:
    def reach() -> Any:
        raise StoreError("callbacks.sqlite: another process has it")

    with one_panel(tmp_path, callbacks=reach) as one:
        answer = one.page().get("/panel/callbacks")
    assert answer.status_code == 503
    assert "попробуйте" in answer.json()["error"]


def test_they_need_a_session_and_its_own_page(mine: PanelClient, ringing: Ringing) -> None:
    id = ringing.ask("a", phone=PHONE)
    stranger = httpx.Client(base_url=mine.url, headers={"Origin": mine.url})
    with stranger:
        _asked_by(stranger, mine, id)
    assert ringing.store.get(id).open


def _asked_by(stranger: httpx.Client, mine: PanelClient, id: str) -> None:
    for path, body in (
        (f"/panel/callbacks/{id}/outcome", {"outcome": "reached"}),
        (f"/panel/callbacks/{id}/number", {"phone": PHONE}),
        (f"/panel/callbacks/{id}/accept", {}),
        (f"/panel/callbacks/{id}/not-needed", {"why": "попрощались"}),
        ("/panel/client-called", {"phone": PHONE}),
    ):
        assert stranger.post(path, json=body).status_code == 401
        assert mine.post(path, body, **{"X-CSRF-Token": "x"}).status_code == 403
    assert stranger.get("/panel/callbacks").status_code == 401
