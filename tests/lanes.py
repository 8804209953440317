"""The lanes of the suite: which tests one worker of pytest-xdist runs, one after the other.

    make test    pytest -m serial, alone on the machine, then
                 pytest -m "not serial" --numprocesses WORKERS --dist loadgroup

    gw0, gw1     lanes in real time, the longest first: sound, browsers; then whatever is left
    gw2, …       the others, as processes that give way (nice): they use all the processors they get

A file is a lane; the faults of callbacks are two, one for each database. An audio server, PostgreSQL, a
browser belong to a worker: fixtures make them, on free ports, in folders of their own. The rendered phrases
of the script are the run's: the first worker that needs them makes them.
"""

from __future__ import annotations

from typing import Final

FAULTS: Final = "tests/callbacks/faults/test_faults.py"

TIMED: Final = (
    "tests/cli/test_setup.py",
    "tests/telephony/test_asterisk.py",
    "tests/telephony/test_asterisk_ami.py",
    "tests/headset/test_end_to_end.py",
    "tests/headset/test_faults.py",
    "tests/web/test_browser.py",
    "tests/headset/test_moved_streams.py",
    "tests/web/test_whole_centre.py",
    "tests/headset/test_listen.py",
    "tests/headset/test_farewell.py",
    "tests/headset/test_suspended.py",
    "tests/web/test_supervisor_browser.py",
    "tests/headset/test_harness.py",
    "tests/audio/test_devices.py",
    "tests/cli/test_listen_desk.py",
    "tests/cli/test_listen_seen_at_desk.py",
    "tests/cli/test_listen_panel.py",
    "tests/web/test_desk_browser.py",
    "tests/web/test_widths.py",
    "tests/audio/test_pulse_server.py",
    "tests/audio/test_device_workers.py",
    "tests/cli/test_devices.py",
    "tests/cli/test_prompts.py",
    "tests/headset/test_underruns.py",
    "tests/telephony/test_asterisk_dialer.py",
    "tests/telephony/test_asterisk_websocket.py",
    "tests/telephony/test_streamdouble.py",
    "tests/telephony/test_asterisk_setup.py",
    "tests/telephony/test_siprec_server.py",
    "tests/telephony/test_siprec_process.py",
    "tests/telephony/test_process_pool.py",
    "tests/headset/test_prompt_device_lock.py",
)
"""Lanes in real time, in the order of their beginning."""

LONG: Final = (
    "faults-postgresql",
    "faults-sqlite",
    "tests/callbacks/test_dispatcher.py",
    "tests/web/test_supervisor.py",
    "tests/cli/test_callbacks.py",
)
"""Lanes that begin before all others that are not in real time."""

REAL: Final = (
    "tests/callbacks/faults/",
    "tests/callbacks/test_scheduler.py",
    "tests/archive/test_cluster.py",
    "tests/audio/test_device_workers.py",
    "tests/client/test_headset_link.py",
    "tests/headset/test_end_to_end.py",
    "tests/headset/test_farewell.py",
    "tests/headset/test_faults.py",
    "tests/headset/test_harness.py",
    "tests/headset/test_action_hooks.py",
    "tests/headset/test_keyboard.py",
    "tests/headset/test_listen.py",
    "tests/headset/test_moved_streams.py",
    "tests/headset/test_prompt_device_lock.py",
    "tests/headset/test_underruns.py",
    "tests/cli/test_prompts.py",
    "tests/cli/test_setup.py",
    "tests/cli/test_listen_desk.py",
    "tests/headset/test_suspended.py",
    "tests/web/test_browser.py",
    "tests/web/test_whole_centre.py",
    "tests/web/test_desk_browser.py",
    "tests/web/test_headset_ws.py",
    "tests/cli/test_listen_seen_at_desk.py",
    "tests/cli/test_listen_panel.py",
    "tests/web/test_supervisor_browser.py",
    "tests/web/test_widths.py",
    "tests/server/test_serve.py",
    "tests/telephony/test_asterisk.py",
    "tests/telephony/test_asterisk_ami.py",
    "tests/telephony/test_asterisk_dialer.py",
    "tests/telephony/test_asterisk_websocket.py",
    "tests/telephony/test_streamdouble.py",
    "tests/telephony/test_asterisk_setup.py",
    "tests/telephony/test_pbx_process.py",
    "tests/telephony/test_siprec_server.py",
    "tests/telephony/test_siprec_process.py",
    "tests/telephony/test_process_pool.py",
)
"""Files with real processes in real time: a test of theirs may fail once."""

PHRASES: Final = "VAD_AGENT_TESTS_PHRASES"
"""Environment variable: the folder of the phrases that all workers have in common."""
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
