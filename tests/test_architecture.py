"""The packages in `docs/architecture.md` are those of the imports, and of the layers that hold them."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vad_agent"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)


def table() -> dict[str, set[str]]:
    """What each package imports, as the document says; from the ground up."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    part = text.split("\n## Modules\n")[1].split("\n## ")[0]
    return {name: set(re.findall(r"\w+", imports)) for name, imports in ROW.findall(part)}


def packages() -> set[str]:
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }


def files(package: str) -> Iterator[Path]:
    folder = PACKAGE / package
    return folder.rglob("*.py") if folder.is_dir() else iter([folder.with_suffix(".py")])


def imported(package: str) -> set[str]:
    """The other packages of ours that it imports, anywhere in its files."""
    found = set()
    for path in files(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found |= {name.split(".")[1] for name in names if name.startswith("vad_agent.")}
    return (found & packages()) - {package}


def test_every_package_has_its_row_and_no_other() -> None:
    assert set(table()) == packages()


def test_a_row_names_what_the_package_imports() -> None:
    assert table() == {package: imported(package) for package in table()}


def test_a_package_imports_only_what_stands_above_it() -> None:
    rows = list(table())
    for place, package in enumerate(rows):
        assert imported(package) <= set(rows[:place]), package


def test_the_contract_has_the_same_order() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert layers[::-1] == list(table())


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_file_of_over_400_lines_says_why() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 400:
            assert "Over 400 lines: " in text.split('"""')[1], path
