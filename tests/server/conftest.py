from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.asked import OneDesk, one_desk


@pytest.fixture
def one(tmp_path: Path) -> Iterator[OneDesk]:
    with one_desk(tmp_path) as desk:
        yield desk
