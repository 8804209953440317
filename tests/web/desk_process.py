"""A desk as a process of its own with people in it, headsets in real time, and browsers that look at it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.server.serve_process import ServeProcess
from tests.web.realtime_headset import Streaming
from vad_agent.callbacks.outbox import Outbox
from vad_agent.client.discovery import DeskEndpoint
from vad_agent.client.headset_link import HeadsetLink
from vad_agent.headset.call_reporter import CallReporter, CallWriter
from vad_agent.headset.callback_publisher import CallbackPublisher
from vad_agent.headset.callback_write_ahead import OutboxWriter

PASSWORD = "a long enough one"


class DeskProcess:
    """`vad-agent serve` in `folder`; it may be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = ServeProcess(self.folder, "--port", self.port)
        self.process.ready()
        self.token = self.process.bearer()["Authorization"].partition(" ")[2]

    def kill(self) -> None:
        self.process.end(9)

    def end(self) -> None:
        if self.process.process.poll() is None:
            self.process.end(2)

    def add(self, login: str, *more: str) -> None:
        """Somebody new, as an engineer adds him while the desk runs."""
        subprocess.run(
            [
                *(sys.executable, "-m", "vad_agent.cli.main", "people", "add", login, *more),
                *("--password-stdin", f"--database={self.process.database}"),
            ],
            input=PASSWORD + "\n",
            text=True,
            check=True,
            capture_output=True,
            timeout=30,
        )

    def link(self) -> HeadsetLink:
        """A headset's."""
        return HeadsetLink(lambda: DeskEndpoint(self.url, self.token), lambda text: None)

    def headset(self, recording: str, operator: str, mode: str = "cue") -> Streaming:
        """A headset whose callbacks and calls go to the desk, too."""
        outbox = Outbox(self.folder / "vad-agent" / "outbox")
        letters = OutboxWriter(outbox, print)
        callbacks = CallbackPublisher(letters.post, operator=operator)
        writer = CallWriter(letters, outbox, print, takes_calls=lambda: True)
        calls = CallReporter(callbacks, writer, mode=mode, operator=operator)
        return Streaming(recording, self.link(), operator, mode=mode, more=(callbacks, calls))


class Browsers:
    """One for each person; what their pages' scripts complain of is kept."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def enter(self, desk: DeskProcess, login: str, width: int = 1280, height: int = 800) -> Page:
        """Somebody comes in by the form."""
        page = self.new(width, height)
        page.goto(desk.url)
        page.get_by_label("Логин").fill(login)
        page.get_by_label("Пароль").fill(PASSWORD)
        page.get_by_role("button", name="Войти").click()
        return page

    def new(self, width: int = 1280, height: int = 800) -> Page:
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, locale="ru-RU"
        )
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def watch(page: Page, selector: str, attributes: Sequence[str] = (), part: str = "*") -> None:
    """From now on keep when the element changed, and what it, or a part of it, said: see `seen`.

    A change counts when the next picture after it has been drawn: a frame's callback, and one more task.
    """
    page.evaluate(
        """([selector, attributes, part]) => {
          const element = document.querySelector(selector);
          const told = (window.seen ??= {})[selector] = [];
          const channel = new MessageChannel();
          const waiting = [];
          channel.port1.onmessage = () => {
            const at = performance.timeOrigin + performance.now();
            for (const one of waiting.splice(0)) told.push({ at: at / 1000, ...one });
          };
          const look = () => {
            const said = part === "*" ? element : element.querySelector(part);
            const one = { text: said.textContent, hidden: element.hidden };
            for (const name of attributes) one[name] = element.getAttribute(name);
            requestAnimationFrame(() => { waiting.push(one); channel.port2.postMessage(0); });
          };
          const all = { subtree: true, childList: true, characterData: true, attributes: true };
          new MutationObserver(look).observe(element, all);
          look();
        }""",
        [selector, list(attributes), part],
    )


def seen(page: Page, selector: str) -> list[dict[str, Any]]:
    """What `watch` has kept: {at: Unix time, text, hidden, …}, in order."""
    told: list[dict[str, Any]] = page.evaluate("selector => window.seen[selector]", selector)
    return told
