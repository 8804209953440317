"""A small archive: shipped calls under the names of a PBX, a mono mix, silence, and what is no audio."""

from __future__ import annotations

import shutil
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vad_agent.archive.audit_runner import AuditProgress, AuditRun
from vad_agent.archive.call_audit import AuditPlan
from vad_agent.archive.file_listing import listing
from vad_agent.archive.file_names import ASTERISK, NamePattern

FIXTURES = Path(__file__).parents[2] / "audio_fixtures"
CALLS = ("answer_before_not_heard", "answer_in_farewell", "answer_in_not_heard")


def name(number: int) -> str:
    """As Asterisk's monitor writes it."""
    return f"out-{101 + number % 3}-7916000{number:04}-20261130-{9 + number % 8:02}1500-17{number:08}.1"


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """12 readable files and one that is not."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(9):
        shutil.copy(FIXTURES / f"{CALLS[number % 3]}.flac", folder / f"{name(number)}.flac")
    for number in range(9, 11):
        zeros = np.zeros((8000, 2), np.int16)
        soundfile.write(folder / f"{name(number)}.wav", zeros, 8000)
    samples, rate = soundfile.read(FIXTURES / f"{CALLS[0]}.flac", dtype="int16")
    (folder / "mono").mkdir()
    soundfile.write(folder / "mono" / "mix.wav", samples.mean(axis=1).astype(np.int16), rate)
    (folder / "broken.wav").write_bytes(b"no audio")
    return folder


@pytest.fixture
def run_audit(tmp_path):
    """Run an audit with an engine: returns its folder."""

    def run(engine, *paths, out=None, batch_size=3, report=None, plan=None):
        folder = out or tmp_path / "out"
        folder.mkdir(exist_ok=True)
        told: list[AuditProgress] = []
        runner = AuditRun(
            folder,
            plan or AuditPlan(""),
            engine,
            batch_size=batch_size,
            report=report or told.append,
        )
        runner.run(listing(map(str, paths)), NamePattern(ASTERISK, UTC))
        return folder

    return run


@pytest.fixture
def here():
    """An engine that runs in this process."""
    from concurrent.futures import ThreadPoolExecutor

    from vad_agent.archive.engines import AuditEngine

    with ThreadPoolExecutor(1) as pool:
        yield AuditEngine(pool, 1)
