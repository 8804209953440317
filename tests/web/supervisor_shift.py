"""A shift of a centre: a day's calls and callbacks in a store, headsets on the line, a clock set by hand."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.web.desk_client import PASSWORDS, DeskPages
from vad_agent.audio.device_recovery import DeviceState
from vad_agent.callbacks import model, transitions
from vad_agent.callbacks.alerts import AlertBoard
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.call_store import CallStore
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Callback, Outcome, Request
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.core.actions import LineState, Phase
from vad_agent.core.frames import Channel
from vad_agent.headset.status import PhraseStatus, Status
from vad_agent.headset.status_publisher import snapshot
from vad_agent.server.app_state import AppState
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.users import Users
from vad_agent.web.dashboard import Dashboard
from vad_agent.web.routes_supervisor import router
from vad_agent.web.state_broker import StateBroker

NOW = datetime(2026, 3, 11, 11, 30, tzinfo=UTC)
"""14:30 in Moscow."""
BOSS, OPERATOR, PASSWORD = "Irina", "Olga", "correct horse"
OPERATORS = (
    "Мария Орлова", "Анна Белова", "Сергей Климов", "Ольга Дёмина", "Иван Панин", "Дарья Ким",
    "Павел Громов", "Елена Сухова", "Никита Рощин", "Юлия Ткач",
)  # fmt: skip
CLIENTS = (
    "Анна Львовна", "Пётр Ильич", "Гульнара", "Сергей", "Марина Юрьевна", "Тимур", "Вера", "Олег",
    "Наталья", "Константин Сергеевич",
)  # fmt: skip
TOPICS = ("возврат холодильника", "срок доставки", "не пришёл чек", "замена по гарантии")
NOT_HEARD = "Вас не слышно"
FAREWELL = "К сожалению, вас не слышно, я вам сейчас перезвоню"
OPENING = "Здравствуйте, {}, Интернет-магазин Haieronline. Меня зовут {}"


class ManualClock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


class Shift:
    """One centre's store and desk, at `NOW` until `hand` is moved."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.hand = ManualClock()
        self._numbers = itertools.count(1)
        self.failing: list[str] = []
        self.alarms = AlertBoard("desk-1")
        self.app_state = AppState(
            service=CallbackService(store, Clock(lambda: NOW, self.hand)),
            queries=CallbackQueries(store),
            alerts=self.alarms,
            node="desk-1",
            report=lambda _: None,
            not_ready=lambda: self.failing,
        )
        self.calls = CallStore(store)

    # -- calls that are over -----------------------------------------------------------------------------

    def call(
        self,
        name: str,
        at: datetime = NOW,
        *silences: float,
        operator: str | None = OPERATORS[0],
        more: Sequence[dict[str, Any]] = (),
    ) -> str:
        """With a phrase after each of the silences, whose window is 2–3 s."""
        lines = trace(silences, list(more))
        record = CallRecord(name, operator, "auto", at, lines)
        assert self.calls.take(record, at), name
        return name

    # -- callbacks ---------------------------------------------------------------------------------------

    def ask(self, when: datetime = NOW, due_s: float | None = 0.0, **more: Any) -> Callback:
        """Of another client each time, `due_s` after `when`; or at the agreed time, `at`."""
        number = next(self._numbers)
        told = {
            "key": f"request {number}",
            "reason": "silence_in_dialogue",
            "phone": f"+7912{number:07}",
            "name": CLIENTS[number % len(CLIENTS)],
            "operator": OPERATORS[0],
        } | more
        request = Request(asked=when, due_in_s=due_s, **told)
        return self.store.take(request, Actor("headset", when)).callback

    def ring(
        self, callback: Callback, at: datetime, *outcomes: Outcome | None, detail: str = ""
    ) -> None:
        """An attempt each, when it is due; None: it is under way still."""
        for outcome in outcomes:
            callback = self.store.get(callback.id)
            assert callback.next is not None, callback
            at = max(at, callback.next)
            assert self.store.begin(callback.key, "desk-1", Actor("desk-1", at)), callback
            if outcome is None:
                return
            at += timedelta(seconds=25)
            self.store.end(callback.key, outcome, detail, Actor("dialer", at))

    def offer(self, callback: Callback, at: datetime) -> None:
        """The manual dialer has told a person."""
        begun = self.store.begin(callback.key, "desk-1", Actor("desk-1", at))
        assert begun, callback
        self.store.offer(begun.attempt.key, "manual", Actor("desk-1", at))

    def end(self, callback: Callback, what: str, at: datetime) -> None:
        how = {"client_called": transitions.client_called, "cancelled": transitions.cancel}[what]
        self.store.change(callback.id, what, Actor("cli:irina", at), lambda one: how(one, at))


def trace(silences: Sequence[float], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Greeting, a client who speaks and falls silent, phrases."""
    lines: list[dict[str, Any]] = [
        {"t": 0.02, "kind": "phase", "phase": "greeting"},
        {"t": 3.2, "kind": "speech", "channel": "operator", "start_s": 0.4, "end_s": 3.2},
        {"t": 5.0, "kind": "phase", "phase": "dialogue"},
        {"t": 11.5, "kind": "speech", "channel": "client", "start_s": 4.9, "end_s": 11.5},
    ]
    at = 11.5
    for number, silence in enumerate(silences):
        if number == 1:
            lines.append(
                {"t": at, "kind": "line", "channel": "client", "state": "no_media", "since_s": at}
            )
        started = round(at + silence, 2)
        at = round(started + 1.8, 2)
        last = number == len(silences) - 1 and number > 0
        lines.append(
            {
                "t": at, "kind": "prompt", "window_s": [2.0, 3.0], "silence_s": silence,
                "id": "farewell_in_dialogue" if last else "not_heard_in_dialogue",
                "text": FAREWELL if last else NOT_HEARD,
                "started_s": started, "ended_s": at, "outcome": "said",
            }
        )  # fmt: skip
    end = round(at + 20, 2)
    lines += [*more, {"t": end, "kind": "phase", "phase": "ended"}]
    return sorted(lines, key=lambda line: float(line["t"]))


def fill(shift: Shift) -> None:
    """60 calls of ten operators since 9:00, 27 callbacks in all states."""
    begin = NOW - timedelta(hours=5, minutes=20)
    silences = ((), (2.5,), (2.4, 2.6), (2.2,), (3.4,), (), (2.8, 2.1), (1.7,), (2.5, 4.15), ())
    for number in range(60):
        at = begin + timedelta(minutes=5 * number + number % 4)
        operator = OPERATORS[number * 7 % 10]
        shift.call(
            f"гарнитура-{number % 10}:{number:04}", at, *silences[number % 10], operator=operator
        )
    ends: list[tuple[Outcome | None, ...]] = [(Outcome.REACHED,)] * 11
    ends += [(Outcome.NO_ANSWER, Outcome.REACHED)] * 3
    ends += [(Outcome.NO_ANSWER, Outcome.BUSY, Outcome.NO_ANSWER)] * 2
    reasons = ("silence_in_dialogue", "dropped", "silence_after_greeting", "client_hold")
    for number, outcomes in enumerate(ends):
        at = begin + timedelta(minutes=17 * number)
        operator, name = OPERATORS[number % 10], CLIENTS[(number + 1) % len(CLIENTS)]
        one = shift.ask(
            at, operator=operator, name=name, reason=reasons[number % 4],
            call=f"гарнитура-{number % 10}:{number:04}", opening=OPENING.format(name, operator),
        )  # fmt: skip
        shift.ring(one, at + timedelta(seconds=5), *outcomes)
    for number in range(3):
        shift.end(shift.ask(begin, operator=OPERATORS[number]), "client_called", begin)
    shift.end(shift.ask(begin, operator=OPERATORS[4]), "cancelled", begin)
    for minutes in (35, 90):
        at = NOW + timedelta(minutes=minutes)
        shift.ask(
            NOW - timedelta(minutes=8), None, at=at.isoformat(), reason="agreed",
            topic=TOPICS[minutes % 4], operator=OPERATORS[minutes % 10],
        )  # fmt: skip
    shift.ask(NOW, 60.0, operator=OPERATORS[6], reason="client_hold")
    shift.ring(shift.ask(NOW - timedelta(seconds=40), operator=OPERATORS[7]), NOW, None)
    shift.ask(
        NOW - timedelta(minutes=7), operator=OPERATORS[2], phone="+79261112233", name="Сергей Ильич",
        call="гарнитура-3:0053",
    )  # fmt: skip
    shift.ask(
        NOW - timedelta(minutes=3), operator=OPERATORS[5], phone=None, phone_given="доб. 12",
        reason="dropped",
    )  # fmt: skip


# -- headsets on the line ------------------------------------------------------------------------------


CLIENT = "Анна Львовна"


def status(phase: Phase | None = Phase.DIALOGUE, **more: Any) -> Status:
    told = Status(phase=phase, call_s=222.4, client_name=CLIENT if phase else None)
    for side in told.sides.values():
        side.state, side.level_db = DeviceState.OPEN, -100.0
    for name, value in more.items():
        assert hasattr(told, name), name
        setattr(told, name, value)
    return told


def silent(seconds: float, state: str = "next", client: str = CLIENT) -> Status:
    """The client is not heard; the phrase's window is 2–3 s."""
    phrase = PhraseStatus(f"{client}, {NOT_HEARD.lower()}", state, 2 - seconds, 3 - seconds)
    told = status(silence_s=seconds, window_s=(2.0, 3.0), mode="cue", client_name=client)
    told.upcoming, told.phrase = (phrase, None) if state == "next" else (None, phrase)
    told.messages.append((0.0, "звонок начался"))
    return told


def speaking(channel: Channel, **more: Any) -> Status:
    told = status(**more)
    told.sides[channel].speaking = True
    told.messages.append((95.2, "сказана после 2,51 с: «Добрый день, слушаю вас»"))
    return told


def dead(client: str = CLIENT) -> Status:
    told = silent(1.1, client=client)
    told.sides[Channel.CLIENT].line = LineState.NO_MEDIA
    return told


def unplugged(client: str = CLIENT) -> Status:
    told = status(suspended=("client_device_lost",), client_name=client)
    told.sides[Channel.CLIENT].state = DeviceState.LOST
    return told


LINE: dict[str, Status] = {
    "Мария Орлова": speaking(Channel.CLIENT, client_name="Пётр Ильич"),
    "Анна Белова": silent(2.3, "cue"),
    "Сергей Климов": silent(3.6, "cue", "Гульнара"),
    "Ольга Дёмина": speaking(Channel.OPERATOR, call_s=1042.0, client_name="Тимур"),
    "Иван Панин": dead("Олег"),
    "Дарья Ким": unplugged("Марина Юрьевна"),
    "Павел Громов": status(
        Phase.ON_HOLD, held=True, silence_s=42.0, window_s=(60.0, 70.0), client_name="Сергей"
    ),
    "Елена Сухова": status(None),
    "Никита Рощин": status(None),
    "Юлия Ткач": status(suspended=("paused",), client_name="Вера"),
}


class SupervisorSite(DeskPages):
    """A shift's pages."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, more=(router,))
        self.shift = Shift(store)
        self.kept.refresh()
        self.app.state.panel.dashboard = Dashboard(
            self.shift.app_state, self.shift.calls, self.broker
        )
        self.app.state.panel.heartbeat_s = 1.0

    @property
    def dashboard(self) -> Dashboard:
        dashboard = self.app.state.panel.dashboard
        assert isinstance(dashboard, Dashboard)
        return dashboard

    def show(self, operator: str, told: Status) -> None:
        """His headset is on."""
        self.broker.attach(operator, lambda _: None)
        self.broker.publish(operator, snapshot(told, operator))

    def line(self) -> None:
        """Everybody's."""
        for operator, told in LINE.items():
            self.show(operator, told)

    def reopen(self) -> None:
        """Another process, so to say: nothing is known of the headsets until they tell."""
        self.broker = StateBroker()
        panel = self.app.state.panel
        panel.broker, panel.dashboard = (
            self.broker,
            Dashboard(self.shift.app_state, self.shift.calls, self.broker),
        )

    def supervisor(self) -> httpx.Client:
        return self.come_in(BOSS, PASSWORD)


@contextlib.contextmanager
def served(store: Store) -> Iterator[SupervisorSite]:
    people = Users(store, PASSWORDS)
    people.add(OPERATOR, Role.OPERATOR, PASSWORD)
    people.add(BOSS, Role.SUPERVISOR, PASSWORD)
    one = SupervisorSite(store)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def shift_at(folder: Path, zone: Any) -> Iterator[SupervisorSite]:
    """An empty shift of a centre in that zone, on SQLite."""
    store = Store(str(folder / "callbacks.sqlite"), model.Policy(zone))
    with contextlib.closing(store), served(store) as one:
        yield one
