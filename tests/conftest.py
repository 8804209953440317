"""One Hypothesis profile: no time limit for an example, since machines differ; in CI the same examples.

Tests with real processes and real time may fail once: a shared machine stands still now and then. What is
wrong with the product fails twice; the summary tells which were run twice.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

HERE = Path(__file__).parent
REAL = (
    HERE / "live",
    HERE / "callbacks" / "faults",
    HERE / "callbacks" / "test_engine.py",
    HERE / "panel",
    HERE / "server" / "test_serve.py",
    HERE / "test_replay_outbox.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path == place or place in item.path.parents for place in REAL):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Records that a test found to be worse than what is so now."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == "tighten":
                terminalreporter.write_line(f"TIGHTEN {report.nodeid}: {text}", yellow=True)
