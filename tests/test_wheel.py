"""The wheel has all that the product needs: it works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE_DATA = (".toml", ".npz", ".html", ".css", ".js", ".mako", ".typed", ".svg", ".ini")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked as pip does it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_it(site: Path) -> None:
    listed = [path for path in (ROOT / "vad_agent").rglob("*") if path.is_file()]
    data = [path.relative_to(ROOT) for path in listed if "__pycache__" not in path.parts]
    assert [str(path) for path in data if not (site / path).is_file()] == []
    assert any(path.suffix in PACKAGE_DATA for path in data)


def test_the_command_runs_away_from_the_checkout(site: Path) -> None:
    where = run(site, "-c", "import vad_agent; print(vad_agent.__file__)")
    assert Path(where.strip()).is_relative_to(site)
    assert "vad-agent setup" in run(site, "-m", "vad_agent.cli.main", "--help")
    recording = ROOT / "audio_fixtures" / "greeting_silence.flac"
    timeline = run(site, "-m", "vad_agent.cli.main", "replay", str(recording))
    assert "greeting_again" in timeline or "Здравствуйте" in timeline
    scripts = next(site.glob("*.dist-info")) / "entry_points.txt"
    assert "vad-agent = vad_agent.cli.main:main" in scripts.read_text()
