"""The lanes of the suite: which tests one worker of pytest-xdist runs, one after the other.

    make test    pytest -m serial, alone on the machine, then
                 pytest -m "not serial" --numprocesses WORKERS --dist loadgroup

    gw0, gw1     lanes in real time, the longest first: sound, browsers; then whatever is left
    gw2, …       the others, as processes that give way (nice): they use all the processors they get

A file is a lane; the faults of callbacks are two, one for each database. An audio server, PostgreSQL, a
browser, a cache of phrases belong to a worker: fixtures make them, on free ports, in folders of their own.
"""

from __future__ import annotations

from typing import Final

FAULTS: Final = "tests/callbacks/faults/test_faults.py"

TIMED: Final = (
    "tests/live/test_faults.py",
    "tests/live/test_end_to_end.py",
    "tests/panel/test_browser.py",
    "tests/panel/test_centre.py",
    "tests/live/test_listen.py",
    "tests/live/test_farewell.py",
    "tests/live/test_suspended.py",
    "tests/panel/test_supervisor_browser.py",
    "tests/live/test_harness.py",
    "tests/sources/test_devices.py",
    "tests/live/test_listen_desk.py",
    "tests/panel/test_listen_desk.py",
    "tests/panel/test_listen_panel.py",
    "tests/panel/test_desk_browser.py",
    "tests/panel/test_widths.py",
    "tests/sources/test_pulse.py",
    "tests/live/test_audio_children.py",
    "tests/test_devices_command.py",
    "tests/voice/test_prompts_command.py",
)
"""Lanes in real time, in the order of their beginning."""

LONG: Final = (
    "faults-postgresql",
    "faults-sqlite",
    "tests/callbacks/test_ringing.py",
    "tests/panel/test_supervisor.py",
    "tests/server/test_callbacks_command.py",
)
"""Lanes that begin before all others that are not in real time."""

REAL: Final = (
    "tests/callbacks/faults/",
    "tests/callbacks/test_engine.py",
    "tests/live/test_audio_children.py",
    "tests/live/test_desk_link.py",
    "tests/live/test_end_to_end.py",
    "tests/live/test_farewell.py",
    "tests/live/test_faults.py",
    "tests/live/test_harness.py",
    "tests/live/test_hooks.py",
    "tests/live/test_keyboard.py",
    "tests/live/test_listen.py",
    "tests/live/test_listen_desk.py",
    "tests/live/test_suspended.py",
    "tests/panel/test_browser.py",
    "tests/panel/test_centre.py",
    "tests/panel/test_desk_browser.py",
    "tests/panel/test_headsets.py",
    "tests/panel/test_listen_desk.py",
    "tests/panel/test_listen_panel.py",
    "tests/panel/test_supervisor_browser.py",
    "tests/panel/test_widths.py",
    "tests/server/test_serve.py",
)
"""Files with real processes in real time: a test of theirs may fail once."""

TIMED_WORKERS: Final = 2
NICE: Final = 5
_PLACES: Final = {name: place for place, name in enumerate((*TIMED, *LONG))}


def lane(nodeid: str) -> str:
    """The lane of a test."""
    file, _, test = nodeid.partition("::")
    if file != FAULTS:
        return file
    on_server = any(word in test for word in ("postgresql", "nodes", "the_servers"))
    return "faults-postgresql" if on_server else "faults-sqlite"


def place(nodeid: str) -> int:
    """Where its lane stands in the order of beginning."""
    return _PLACES.get(lane(nodeid), len(_PLACES))


def timed(name: str) -> bool:
    """Whether a lane is in real time."""
    return name in TIMED


def gives_way(worker: str) -> bool:
    """Whether a worker (`gw2`) has the lanes that are not in real time."""
    return int(worker.removeprefix("gw")) >= TIMED_WORKERS


def real(nodeid: str) -> bool:
    """Whether a test may fail once."""
    return nodeid.startswith(REAL)
