"""What scripts and people rely on is as it was: the help of every command, the API's description."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens import INTERFACES


@pytest.mark.parametrize("file", INTERFACES, ids=lambda file: file.name)
def test_an_interface_is_the_stored_one(file: Path) -> None:
    """After a wanted change: `make goldens`, then read the diff."""
    assert INTERFACES[file]().splitlines() == file.read_text(encoding="utf-8").splitlines()
