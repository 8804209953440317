"""A real browser on a real server: Debian's Chromium through Playwright, the panel's app, a hub for the test.

No download: without Chromium the tests are skipped, in CI they fail.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from vad_agent.audio.device_recovery import DeviceState
from vad_agent.callbacks.model import Callback, Outcome, State
from vad_agent.client.backend import CallbackDetails
from vad_agent.client.headset_protocol import ControlMessage
from vad_agent.core.actions import Phase
from vad_agent.core.frames import Channel
from vad_agent.errors import RuleError
from vad_agent.headset.status import PhraseStatus, Status
from vad_agent.headset.status_publisher import Snapshot, snapshot
from vad_agent.web.authentication.operator_token_auth import TokenAuth
from vad_agent.web.origins import Origins
from vad_agent.web.panel_app import create_panel
from vad_agent.web.state_broker import StateBroker

CHROMIUM = "/usr/bin/chromium"
UNUSED = [  # what Chromium would draw about the page: two more pages for each window; a renderer to spare
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "SpareRendererForSitePerProcess",
    # As Playwright has it, whose list this one takes the place of:
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
]
FLAGS = [
    f"--disable-features={','.join(UNUSED)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OUT = Path(__file__).parents[2] / "out" / "panel"
OPERATOR = "Мария Орлова"
NOT_HEARD = "Анна, вас не слышно"
FAREWELL = "К сожалению, вас не слышно, я вам сейчас перезвоню"


# -- the server --------------------------------------------------------------------------------------


class FakeBackend:
    """Callbacks in a list; keeps what was done to them."""

    attempts = 3
    overdue_s = 60.0
    rings = True

    def __init__(self) -> None:
        self.open: list[Callback] = []
        self.done_so: list[tuple[str, Outcome]] = []
        self.cancelled: list[tuple[str, str]] = []

    def add(self, id: str, due_in_s: float, **more: Any) -> None:
        due = datetime.now(UTC) + timedelta(seconds=due_in_s)
        name = more.get("name", "Анна")
        told = {
            "state": State.WAITING,
            "reasons": ("silence_in_dialogue",),
            "phone": "+79123456789",
            "name": name,
            "opening": f"Здравствуйте, {name}, Интернет-магазин Haieronline. Меня зовут Мария",
            "operator": OPERATOR,
        }
        one = Callback(id=id, created=due, due=due, next=due, **(told | more))  # type: ignore[arg-type]
        self.open.append(one)

    def page(
        self, which: str | None, *, phone: str | None, operator: str | None, limit: int
    ) -> list[Callback]:
        return list(self.open)

    def find(self, id: str) -> Callback | None:
        return next((one for one in self.open if one.id == id), None)

    def one(self, id: str) -> Callback:
        return next(one for one in self.open if one.id == id)

    def get(self, id: str) -> CallbackDetails:
        raise AssertionError("the panel does not ask for it")

    def accept(self, id: str, operator: str) -> Callback:
        one = self.one(id)
        if one.state is not State.OFFERED:
            raise RuleError(f"{id}: it is not offered")
        self.open[self.open.index(one)] = new = replace(
            one, state=State.RINGING, operator=operator, since=datetime.now(UTC)
        )
        return new

    def done(self, id: str, outcome: Outcome, why: str, *, key: str | None = None) -> Callback:
        one = self.one(id)
        self.done_so.append((id, outcome))
        self.open.remove(one)
        return one

    def cancel(self, id: str, why: str) -> Callback:
        one = self.one(id)
        self.cancelled.append((id, why))
        self.open.remove(one)
        return one

    def set_number(self, id: str, phone: str) -> Callback:
        one = self.one(id)
        self.open[self.open.index(one)] = new = replace(one, phone=phone, state=State.WAITING)
        return new

    def client_called(self, phone: str, operator: str | None = None) -> Callback | None:
        found = [one for one in self.open if one.phone == phone]
        self.open = [one for one in self.open if one.phone != phone]
        return found[0] if found else None


@dataclass
class PanelServer:
    """A panel on loopback, which may be stopped and started on the same port."""

    folder: Path
    desk: FakeBackend | None = None
    broker: StateBroker = field(default_factory=StateBroker)
    sent: list[ControlMessage] = field(default_factory=list)
    port: int = 0
    beats: bool = True
    """A call's time goes on, as a headset that is alive tells."""
    operator: str = OPERATOR

    def start(self) -> None:
        if not self.port:
            with contextlib.closing(socket.socket()) as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.authenticator = TokenAuth(Origins(self.port), self.operator, folder=self.folder)
        self.broker.attach(self.operator, self.sent.append)
        callbacks_of = None if self.desk is None else lambda _: self.desk
        app = create_panel(
            self.broker, self.authenticator, callbacks_of=callbacks_of, heartbeat_s=1.0
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, port=self.port, log_config=None, access_log=False, lifespan="off", ws="none"
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.01)
        self._stopped = threading.Event()
        threading.Thread(target=self._beat, args=(self.broker, self._stopped), daemon=True).start()

    def _beat(self, broker: StateBroker, stopped: threading.Event) -> None:
        while not stopped.wait(0.5):
            if self.beats and broker.state(self.operator).get("phase"):
                broker.publish(self.operator, {"call_s": 222.4 + time.monotonic() % 0.5})

    def stop(self) -> None:
        self._stopped.set()
        self.broker.close()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def again(self) -> None:
        """Another process, so to say: nothing is known of the headset until it tells."""
        self.broker = StateBroker()
        self.start()

    def show(self, state: Snapshot) -> None:
        self.broker.publish(self.operator, state)

    @property
    def url(self) -> str:
        return self.authenticator.address.url


# -- states ------------------------------------------------------------------------------------------


def status(phase: Phase | None = Phase.DIALOGUE, **more: Any) -> Status:
    """A call of Anna's: both sides are open and quiet."""
    told = Status(
        phase=phase,
        call_s=222.4,
        client_name="Анна" if phase else None,
        messages=_messages() if phase else Status().messages,
    )
    for channel, device in ((Channel.OPERATOR, "USB-микрофон"), (Channel.CLIENT, "client.monitor")):
        side = told.sides[channel]
        side.state, side.level_db, side.device = DeviceState.OPEN, -100.0, device
    for name, value in more.items():
        assert hasattr(told, name), name
        setattr(told, name, value)
    return told


def _messages() -> Any:
    messages = Status().messages
    messages.append((0.0, "звонок начался"))
    messages.append((95.2, "сказана после 2,51 с: «Добрый день, слушаю вас»"))
    return messages


def shown(told: Status, operator: str = OPERATOR) -> Snapshot:
    return snapshot(told, operator)


def silent(
    seconds: float, state: str = "next", lo: float = 2.0, hi: float = 3.0, **more: Any
) -> Status:
    """The client is not heard for so long; the phrase of this window is in that state."""
    phrase = PhraseStatus(NOT_HEARD, state, lo - seconds, hi - seconds)
    told = {"silence_s": seconds, "window_s": (lo, hi), "mode": "cue"}
    told |= {"upcoming": phrase} if state == "next" else {"phrase": phrase, "after": FAREWELL}
    return status(**(told | more))


# -- the browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """For one module: its event loop would be in the way of others' tests."""
    if shutil.which(CHROMIUM) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
        pytest.skip(f"no {CHROMIUM}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[PanelServer]:
    one = PanelServer(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def with_desk(tmp_path: Path) -> Iterator[PanelServer]:
    one = PanelServer(tmp_path, FakeBackend())
    one.start()
    yield one
    one.stop()


def picture(page: Page, name: str, *, full_page: bool = False) -> None:
    """Write a picture of the page, where `make pictures` asks for pictures."""
    if os.environ.get("PICTURES"):
        OUT.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=OUT / f"{name}.png", full_page=full_page)


class OpenedPages:
    """Pages of a browser; what their scripts complain of fails the test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def page(
        self, served: PanelServer, width: int = 1280, height: int = 800, dark: bool = False
    ) -> Page:
        """The panel, after the door."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="ru-RU",
        )
        context.set_default_timeout(5000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        page.goto(served.authenticator.link)
        page.wait_for_selector("#keys button, body.offline")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[OpenedPages]:
    one = OpenedPages(browser)
    yield one
    one.close()
    assert one.complaints == []
