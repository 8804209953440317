from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.api_desk import ApiDesk, api_desk


@pytest.fixture
def one(tmp_path: Path) -> Iterator[ApiDesk]:
    with api_desk(tmp_path) as desk:
        yield desk
