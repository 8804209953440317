"""What the documents say is so: links, commands, the diagram; and what no file may name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from vad_agent.script.diagram import mermaid
from vad_agent.script.settings import Settings

ROOT = Path(__file__).parent.parent
READABLE = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"\bvad-agent ((?:[a-z-]+ ?)+)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)\b")
MODULE = re.compile(r"python -m ([\w.]+)")
# In pieces, so that this file does not name them either.
FORBIDDEN = [
    "/".join(("work", "shared")),
    "/".join(("shared", "docs")),
    *(".".join(host) for host in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))),
    *(".".join(host) for host in (("npmjs", "com"), ("deb", "debian", "org"))),
]

document = pytest.mark.parametrize("path", READABLE, ids=lambda path: str(path.relative_to(ROOT)))


def code(text: str) -> str:
    """Indented lines, fences and `spans` of a document."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    .*$", text, re.MULTILINE)
    return "\n".join([*fenced, *indented, *re.findall(r"`([^`\n]+)`", text)])


def committed() -> Iterator[Path]:
    """Files that git has or would take; without git, those of the source tree."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True, timeout=60,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        folders = ("vad_agent", "tests", "benchmarks", "audio_fixtures", "docs", "scripts")
        yield from (path for folder in folders for path in (ROOT / folder).rglob("*"))
        yield from ROOT.glob("*.*")
        return
    yield from (ROOT / name for name in listed.decode().split("\0") if name)


def test_there_is_something_to_read() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {path.name for path in READABLE}


@document
def test_links_to_files_lead_to_files(path: Path) -> None:
    links = [link.split("#")[0] for link in LINK.findall(path.read_text(encoding="utf-8"))]
    broken = [
        link
        for link in links
        if link and "://" not in link and not (path.parent / link).resolve().exists()
    ]
    assert broken == []


@document
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(TARGET.findall(code(path.read_text(encoding="utf-8"))))
    assert named <= targets


@document
def test_modules_to_run_exist(path: Path) -> None:
    for name in MODULE.findall(code(path.read_text(encoding="utf-8"))):
        place = ROOT.joinpath(*name.split("."))
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name


def commands() -> list[tuple[str, ...]]:
    """Commands and subcommands that the documents show."""
    shown = set()
    for path in READABLE:
        for words in COMMAND.findall(code(path.read_text(encoding="utf-8"))):
            command = words.split()
            shown.add(tuple(command[:2] if command[0] == "script" else command[:1]))
    return sorted(shown)


@cache
def help_of(command: tuple[str, ...]) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "vad_agent.cli.main", *command, "--help"],
        capture_output=True, text=True, timeout=60, encoding="utf-8", check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_that_is_shown_exists(command: tuple[str, ...]) -> None:
    assert f" {' '.join(command)} " in help_of(command)


def test_options_that_are_shown_exist() -> None:
    lines = code((ROOT / "README.md").read_text(encoding="utf-8")).splitlines()
    for line in lines:
        if not (found := COMMAND.search(line)):
            continue
        options = set(re.findall(r" (--[a-z-]+)", line))
        words = found[1].split()
        command = tuple(words[:2] if words[0] == "script" else words[:1])
        assert options <= set(re.findall(r"--[a-z-]+", help_of(command))), line


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    assert "PhaseChanged" in capsys.readouterr().out
    assert "dropped" in str(names["actions"])


def test_the_diagram_is_that_of_the_rows() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = text.split("<!-- diagram:begin -->\n")[1].split("<!-- diagram:end -->")[0]
    assert drawn == f"```mermaid\n{mermaid(Settings().script)}```\n"


def test_decisions_are_numbered_and_say_why() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(page.name[:4])}. ")
        for part in ("**Context.**", "**Decision.**", "**Consequence.**"):
            assert part in text, (page.name, part)


def test_no_file_names_private_documents_or_a_registry() -> None:
    found = []
    for path in committed():
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a recording, a picture
        found += [(str(path.relative_to(ROOT)), name) for name in FORBIDDEN if name in text]
    assert found == []


def test_trace_and_events_pages_name_everything() -> None:
    from vad_agent.core.actions import LineState, Phase, PromptOutcome, Reason
    from vad_agent.core.events import EventKind

    trace = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    for name in (*LineState, *PromptOutcome, *Phase, *Reason, *Settings().prompts):
        assert re.search(rf"\b{name}\b", trace), name
    events = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    for kind in EventKind:
        assert f"`{kind}`" in events, kind


def test_the_trace_page_names_every_key() -> None:
    from vad_agent.trace import trace_format as trace

    source = Path(trace.__file__).read_text(encoding="utf-8")
    page = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    keys = set(re.findall(r'"(\w+)":', source))  # of the objects that it builds
    assert len(keys) > 15
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
