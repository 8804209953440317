"""Latency from an event at a headset to the pixel: a desk, a headset in real time, a browser, on
this machine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import Figure, Table
from tests.web.browser import CHROMIUM, FLAGS
from tests.web.desk_process import Browsers, DeskProcess, seen, watch
from tests.web.realtime_headset import Streaming
from vad_agent.core.events import Event, EventKind

PAINTED_S = 0.5
WEIGHT_KB = 150
IDLE_SHARE = 0.02


def measure(folder: Path, changes: int, idle_s: float) -> Table:
    """`changes`: keys pressed at the headset; `idle_s`: how long a page without a call is monitored."""
    desk = DeskProcess(folder)
    try:
        desk.add("anna")
        desk.add("olga", "--supervisor")
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            browsers = Browsers(started)
            try:
                return _measure(desk, browsers, changes, idle_s)
            finally:
                browsers.close()
                started.close()
    finally:
        desk.end()


def _measure(desk: DeskProcess, browsers: Browsers, changes: int, idle_s: float) -> Table:
    page = browsers.enter(desk, "anna")
    page.wait_for_selector("#operator")
    with desk.headset("long_dialogue", "anna") as headset:
        page.wait_for_selector("body:not(.offline)")
        bare = _asked(page, changes)
        watch(page, "#clock", [])
        pressed = _press(headset, changes)
        late = _late(pressed, seen(page, "#clock"))
    figures = [
        Figure("a question to /health from the page, p50", _part(bare, 0.5), "ms"),
        *_figures("a key at the headset → the pixel", late, _part(bare, 0.5), (60, 150)),
    ]
    for login, path, name in (("anna", "/panel", "panel"), ("olga", "/supervisor", "supervisor")):
        other = browsers.enter(desk, login)
        other.wait_for_url("**/supervisor" if login == "olga" else f"{desk.url}/")
        figures += _page(other, desk.url + path, name)
    page.bring_to_front()
    busy = _busy(idle_s)
    figures.append(
        Figure(
            "browser, panel open and no call",
            100 * busy,
            "% of a core",
            target=f"≤ {IDLE_SHARE:.0%}",
            met=busy <= IDLE_SHARE,
        )
    )
    notes = (
        f"{changes} keys, each to the picture drawn after its change; Chromium without a screen",
        "a picture is drawn each 17 ms, a page gets changes each 20 ms",
    )
    return Table("From the headset to the pixel", figures, notes)


def _press(headset: Streaming, count: int) -> list[tuple[float, bool]]:
    """(Unix time, paused) of each key."""
    pressed = []
    dice = random.Random(6)
    for number in range(count):
        paused = number % 2 == 0
        pressed.append((time.time(), paused))
        headset.send(Event(EventKind.PAUSE if paused else EventKind.RESUME))
        time.sleep(dice.uniform(0.15, 0.25))
    return pressed


def _late(pressed: Sequence[tuple[float, bool]], shown: Sequence[dict[str, Any]]) -> list[float]:
    """Milliseconds until each key was visible."""
    late = []
    for at, paused in pressed:
        later = (one for one in shown if one["at"] >= at)
        first = next((one for one in later if ("ПАУЗА" in one["text"].upper()) is paused), None)
        if first is not None:
            late.append(1000 * (first["at"] - at))
    assert len(late) >= 0.98 * len(pressed), (len(late), len(pressed))
    return late


def _asked(page: Page, count: int) -> list[float]:
    """Milliseconds of each of `count` queries."""
    told: list[float] = page.evaluate(
        """async (count) => {
          const took = [];
          for (let number = 0; number < count; number++) {
            const began = performance.now();
            await (await fetch("/health", { cache: "no-store" })).text();
            took.push(performance.now() - began);
          }
          return took;
        }""",
        count,
    )
    return told


def _figures(
    what: str, late: Sequence[float], bare: float, targets: tuple[float, float]
) -> list[Figure]:
    parts = ((0.5, "p50", targets[0]), (0.99, "p99", targets[1]))
    return [
        Figure(
            f"{what}, {name}",
            value := _part(late, part),
            "ms",
            ratio=value / bare,
            than="a question",
            target=f"≤ {limit:.0f} ms",
            met=value <= limit,
        )
        for part, name, limit in parts
    ]


def _page(page: Page, url: str, name: str) -> list[Figure]:
    """The page's size, and the time until it is visible without a cache."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    painted, weight = [], 0.0
    for _ in range(5):
        page.goto(url, wait_until="load")
        page.wait_for_timeout(500)
        told = page.evaluate(
            """() => [
              performance.getEntriesByName('first-contentful-paint')[0].startTime,
              [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                .filter((one) => !one.name.includes('stream'))
                .reduce((sum, one) => sum + one.transferSize, 0)]"""
        )
        painted.append(told[0])
        weight = max(weight, told[1] / 1000)
    first = _part(painted, 0.5) / 1000
    return [
        Figure(
            f"{name}: first paint, median", first, "s", target="≤ 0.5 s", met=first <= PAINTED_S
        ),
        Figure(f"{name}: weight", weight, "kB", target="≤ 150 kB", met=weight <= WEIGHT_KB),
    ]


def _busy(seconds: float) -> float:
    """Share of a core that Chromium's processes take."""
    processes = [
        one for one in psutil.process_iter(["exe"]) if "chromium" in (one.info["exe"] or "")
    ]

    def used() -> float:
        total = 0.0
        for one in processes:
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    time.sleep(2)
    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


def _part(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
