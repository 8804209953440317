"""Several processes of `vad-agent pbx`: each has its calls, and one that ends is started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.headset.source_recording import until
from vad_agent.telephony.process_pool import Share

LIMIT_S = 20.0


def test_each_tap_has_one_process() -> None:
    shares = [Share(index, 3) for index in range(3)]
    for tap in [*(str(uuid4()) for _ in range(50)), "call-x", ""]:
        assert sum(share.has(tap) for share in shares) == 1
    assert [share.has("39574c51-c534-4da9-a7c0-68e815678f32") for share in shares] == [
        False,
        False,
        True,
    ]


@pytest.fixture
def ports() -> int:
    """Two ports, one after the other, that nobody has: below those that connections are given."""
    for port in random.SystemRandom().sample(range(12_000, 20_000), 1000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        return port
    raise AssertionError("no ports")


class Pool:
    """`vad-agent pbx` with two processes."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        env = os.environ | {"XDG_STATE_HOME": str(folder), "HOME": str(folder)}
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "vad_agent.cli.main", "pbx", "--processes", "2"),
                    *("--mode", "cue", "--listen", f"127.0.0.1:{port}"),
                ],
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def listening(self) -> bool:
        """Both ports are open."""
        for port in (self.port, self.port + 1):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    return False
        return True

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def pool(tmp_path: Path, ports: int) -> Iterator[Pool]:
    made = Pool(tmp_path, ports)
    children: list[psutil.Process] = []
    try:
        until(made.listening, LIMIT_S, "both processes")
        children = made.children()
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        for child in children:
            if child.is_running():
                child.kill()


def test_a_process_that_is_killed_is_started_again_and_both_end_in_order(pool: Pool) -> None:
    first, second = pool.children()
    first.kill()
    until(lambda: first not in pool.children() and pool.listening(), LIMIT_S, "another process")
    assert len(pool.children()) == 2
    assert second in pool.children()
    assert "it is started again" in pool.log
    pool.process.send_signal(signal.SIGTERM)
    assert pool.process.wait(LIMIT_S) == 0
    assert not second.is_running()


def test_ctrl_c_ends_both_and_is_told_by_the_status(pool: Pool) -> None:
    pool.process.send_signal(signal.SIGINT)
    assert pool.process.wait(LIMIT_S) == 130
    assert not pool.listening()


def test_when_the_pool_is_killed_its_processes_leave_the_ports(pool: Pool) -> None:
    children = pool.children()
    pool.process.kill()
    until(lambda: not any(child.is_running() for child in children), LIMIT_S, "their end")


def test_a_port_that_is_taken_ends_all(tmp_path: Path, ports: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports + 1))
        taken.listen()
        pool = Pool(tmp_path, ports)
        assert pool.process.wait(LIMIT_S) == 1
    assert f"127.0.0.1:{ports + 1}: cannot listen there" in pool.log
    assert "Traceback" not in pool.log
