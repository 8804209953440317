"""How the suite is run: lanes, reruns, and a run in the background."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.lanes import FAULTS, LONG, REAL, TIMED, lane

ROOT = Path(__file__).parents[1]


def run(folder: Path, *arguments: str, ignored: bool = False) -> tuple[int, str]:
    """Status and output of a pytest of its own, with our conftest, on the tests of a folder."""

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    inner = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--rootdir={folder}", "-c", os.devnull, "-v", "-rA",
         "-p", "tests.conftest", "-p", "no:cacheprovider", *arguments, str(folder)],
        cwd=ROOT, env=inner, capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=ignore if ignored else None,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def write(folder: Path, text: str, *names: str) -> None:
    for name in names:
        (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")


@pytest.mark.parametrize("file", [FAULTS, *TIMED, *REAL])
def test_what_is_named_is_there(file: str) -> None:
    assert (ROOT / file).exists()


def test_a_file_is_one_lane_and_the_storms_are_two() -> None:
    assert lane("tests/core/test_frames.py::test_a[b/c]") == "tests/core/test_frames.py"
    storms = [lane(f"{FAULTS}::test_a[{database}-armed]") for database in ("postgresql", "sqlite")]
    assert tuple(storms) == LONG[:2]


def test_the_tests_of_a_file_are_run_by_one_worker(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
        import pytest, time

        @pytest.mark.parametrize("n", range(6))
        def test_it(n):
            time.sleep(0.01)
        """,
        "test_a.py",
        "test_b.py",
    )
    status, out = run(tmp_path, "--numprocesses=2", "--dist=loadgroup")
    assert status == 0, out
    ran = re.findall(r"\[(gw\d)\].*PASSED \S*(test_.)\.py", out)
    assert len(ran) == 12
    assert len(set(ran)) == 2, out


ONCE = """
    times = []

    def test_it():
        times.append(1)
        assert len(times) > 1, "the first time"
"""


def test_a_rerun_of_what_is_not_marked_real_fails_the_run_and_its_cause_is_told(
    tmp_path: Path,
) -> None:
    write(tmp_path, ONCE, "test_a.py")
    status, out = run(tmp_path, "--reruns=1")
    assert status == 1, out
    assert "test_a.py::test_it (call): AssertionError: the first time" in out
    assert "FAILED test_a.py::test_it: run again though it is not marked real" in out
    write(
        tmp_path, ONCE.replace("def", "import pytest\n    @pytest.mark.real\n    def"), "test_a.py"
    )
    status, out = run(tmp_path, "--reruns=1")
    assert status == 0, out
    assert "test_a.py::test_it (call): AssertionError: the first time" in out


def test_no_test_marks_itself_as_flaky(tmp_path: Path) -> None:
    write(tmp_path, "import pytest\n\n@pytest.mark.flaky\ndef test_it(): pass\n", "test_a.py")
    status, out = run(tmp_path)
    assert status == 4, out
    assert "expected no mark flaky" in out


@pytest.mark.skipif(os.name != "posix", reason="SIGHUP")
@pytest.mark.parametrize(
    "workers", [(), ("--numprocesses=1", "--dist=loadgroup")], ids=["one", "lanes"]
)
def test_children_hear_the_signals_that_a_background_job_ignores(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    write(
        tmp_path,
        """
        import signal, subprocess, sys

        def test_it():
            code = "from signal import *; print(SIG_IGN in (getsignal(SIGINT), getsignal(SIGHUP)))"
            assert subprocess.check_output([sys.executable, "-c", code]) == b"False\\n"
        """,
        "test_a.py",
    )
    status, out = run(tmp_path, *workers, ignored=True)
    assert status == 0, out
