"""Hypothesis' profile, the lanes of the suite, reruns, and the signals that children hear.

Hypothesis has no time limit for an example, since machines differ; in CI the examples are the same.

A test with real processes in real time (mark `real`, given by `tests/lanes.py`) may fail once: a shared
machine stands still now and then. What is wrong with the product fails twice. The summary tells why each was
run again; a rerun of any other test fails the run.

What is known to be wrong stands in `known_faults.txt`, and must fail: who mends it takes its line out.
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import lanes

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

KNOWN_FAULTS = frozenset(
    line
    for line in Path(__file__).with_name("known_faults.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
)
"""Node ids of what the product should do and does not do yet."""

PHRASES = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
reruns: list[pytest.TestReport] = []


def pytest_configure(config: pytest.Config) -> None:
    """What is ignored here, as in a background job, is ignored in each child too; what is caught is not."""
    if config.getoption("dist", "no") != "no":  # it starts no tests, but the workers
        phrases = config.stash[PHRASES] = tempfile.TemporaryDirectory(prefix="vad-phrases-")
        os.environ[lanes.PHRASES] = phrases.name
        return
    if lanes.gives_way(os.environ.get("PYTEST_XDIST_WORKER", "gw0")):
        os.nice(lanes.NICE)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (phrases := config.stash.get(PHRASES, None)) is not None:
        phrases.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid in KNOWN_FAULTS:
            item.add_marker(pytest.mark.xfail(reason="known: tests/known_faults.txt", strict=True))
        if item.get_closest_marker("flaky"):
            raise pytest.UsageError(f"{item.nodeid}: expected no mark flaky: see tests/lanes.py")
        if lanes.real(item.nodeid):
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=lambda item: lanes.place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadgroup`, which itself groups nothing with pytest 9.2 (pytest-xdist 3.8, issue 1386)."""
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Lanes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lanes.lane(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            for name in self.workqueue:
                if lanes.timed(name) is not lanes.gives_way(node.gateway.id):
                    self.workqueue.move_to_end(name, last=False)
                    break
            super()._assign_work_unit(node)

        def _reschedule(self, node: Any) -> None:
            if lanes.gives_way(node.gateway.id) and all(map(lanes.timed, self.workqueue)):
                node.shutdown()  # once it has run what it was given
            else:
                super()._reschedule(node)

    config.option.loadscopereorder = False  # the lanes have their order
    return Lanes(config, log)


# -- reruns -------------------------------------------------------------------------------------------


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome == "rerun":
        reruns.append(report)


def not_allowed() -> list[str]:
    """The tests that were run again though their processes and time are not real."""
    return [report.nodeid for report in reruns if "real" not in report.keywords]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not_allowed() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if reruns:
        terminalreporter.section("run again, and why")
    for report in reruns:
        cause = getattr(report.longrepr, "reprcrash", None)
        why = cause.message if cause else str(report.longrepr)
        terminalreporter.line(f"{report.nodeid} ({report.when}): {' '.join(why.split())[:500]}")
    for nodeid in not_allowed():
        terminalreporter.line(f"FAILED {nodeid}: run again though it is not marked real", red=True)
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == "tighten":  # a record that a test found to be worse than what is so now
                terminalreporter.line(f"TIGHTEN {report.nodeid}: {text}", yellow=True)
