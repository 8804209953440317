"""The door: sessions that outlive the program, tries that are counted, a secret that is kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from vad_agent.panel.door import FILE, PAUSE_S, SESSION_S, TRIES, Door, TooMany


def test_a_session_outlives_the_program_but_not_its_end(tmp_path: Path) -> None:
    now, timer = [1_000_000.0], [0.0]

    def door(port: int = 8601) -> Door:
        return Door(port, folder=tmp_path, clock=lambda: now[0], timer=lambda: timer[0])

    first = door()
    cookie, left = first.open("ivan"), first.open("ivan")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    first.leave(first.session(left) or pytest.fail("it is none"))
    again = door()
    session = again.session(cookie)
    assert session is not None
    assert session.operator == "ivan"
    assert again.csrf(session) == first.csrf(session)
    assert again.token != first.token
    assert again.session(left) is None
    assert again.session(cookie[:-2]) is None
    assert again.session(None) is None
    now[0] += SESSION_S
    assert again.session(cookie) is None
    assert not again.is_on(session)


def test_wrong_tokens_are_forgotten_after_a_minute(tmp_path: Path) -> None:
    timer = [0.0]
    door = Door(8601, folder=tmp_path, timer=lambda: timer[0])
    for _ in range(TRIES):
        assert not door.try_token("wrong")
    with pytest.raises(TooMany) as pause:
        door.try_token(door.token)
    assert pause.value.wait_s == PAUSE_S
    timer[0] = PAUSE_S
    assert door.try_token(door.token)


def test_a_damaged_secret_is_made_anew(tmp_path: Path) -> None:
    for damaged in (b"", b"{}", b"\xff", b'{"secret": "short", "left": {}}'):
        (tmp_path / FILE).write_bytes(damaged)
        door = Door(8601, folder=tmp_path)
        assert door.session(door.open("ivan")) is not None
        assert len(json.loads((tmp_path / FILE).read_bytes())["secret"]) >= 32
