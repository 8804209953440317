"""`vad-agent replay --outbox`: the callbacks that a recorded call asks for, as letters that a desk takes."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from audio_fixtures.recipe import FOLDER, Recipe, load_all
from tests.cli.test_main import Run, run  # noqa: F401 - a fixture
from tests.goldens import golden
from vad_agent.callbacks import outbox as letters
from vad_agent.callbacks.clock import Clock
from vad_agent.callbacks.model import Policy, State
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_consumer import OutboxConsumer
from vad_agent.callbacks.outbox_message import ENDED, REQUESTED, WITHDRAWN, OutboxMessage
from vad_agent.callbacks.queries import CallbackQueries
from vad_agent.callbacks.service import CallbackService
from vad_agent.callbacks.store import Store

RECIPES = {recipe.name: recipe for recipe in load_all()}
KINDS = {"callback": REQUESTED, "callback_revised": REQUESTED, "callback_withdrawn": WITHDRAWN}


def asks(recipe: Recipe) -> bool:
    return any(line.startswith("callback ") for line in recipe.expect)


def first(*expected: str, without: str = "callback_withdrawn") -> str:
    """The shortest recording of which all this is expected."""
    found = [
        recipe
        for recipe in RECIPES.values()
        if all(any(line.startswith(one) for line in recipe.expect) for one in expected)
        and not (without and any(line.startswith(without) for line in recipe.expect))
    ]
    return min(found, key=lambda recipe: recipe.frames).name


ENDINGS = {
    "a farewell after the greeting": first("prompt farewell_after_greeting said", "callback"),
    "a farewell in the dialogue": first("prompt farewell_in_dialogue said", "callback"),
    "a farewell of the operator's own": first("prompt hold_farewell said_by_operator", "callback"),
    "a drop": first("callback dropped"),
    "a hold": first("callback client_hold"),
    "an agreement": first("callback agreed"),
    "a client who cannot hear": first("callback client_cannot_hear"),
    "a client who came back": first("callback_withdrawn", without=""),
    "nothing": next(name for name, recipe in RECIPES.items() if not asks(recipe)),
}


def arguments(name: str, outbox: Path | None, trace: Path) -> list[str]:
    recipe = RECIPES[name]
    recording = next(iter(recipe.recordings)).name
    asked = [] if outbox is None else ["--outbox", str(outbox)]
    return ["replay", recording, *recipe.replay, "--trace", str(trace), *asked]


@pytest.fixture(autouse=True)
def beside_the_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(FOLDER)
    for variable in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))


def in_trace(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["kind"] in KINDS]


def posted(folder: Path) -> list[OutboxMessage]:
    outbox = Outbox(folder)
    return [outbox.read(path) for path in outbox.waiting()]


def as_traced(letter: OutboxMessage) -> dict[str, Any]:
    """What a trace's line says of it."""
    told = {"reason": letter.reason, "due_in_s": letter.due_in_s, "opening": letter.opening}
    return told | ({"at": letter.at} if letter.at else {})


@pytest.mark.parametrize("name", ENDINGS.values(), ids=ENDINGS)
def test_the_letters_are_the_traces_callbacks(name: str, run: Run, tmp_path: Path):  # noqa: F811
    outbox, trace = tmp_path / "outbox", tmp_path / "trace.jsonl"
    assert run(*arguments(name, outbox, trace)).status == 0
    assert trace.read_text(encoding="utf-8") == golden(RECIPES[name]).read_text(encoding="utf-8")
    lines, found = in_trace(trace), posted(outbox)
    kinds = [KINDS[line["kind"]] for line in lines]
    assert [letter.kind for letter in found] == kinds + ([ENDED] if kinds else [])
    for line, letter in zip(lines, found, strict=False):
        if letter.kind == REQUESTED:
            assert as_traced(letter) == {k: v for k, v in line.items() if k not in ("t", "kind")}
    assert len({letter.call for letter in found}) == min(len(found), 1)
    assert all(name in letter.call for letter in found)


def test_what_the_trace_leaves_out_is_in_the_letter(run: Run, tmp_path: Path):  # noqa: F811
    run(*arguments("callback_agreed", tmp_path / "outbox", tmp_path / "trace.jsonl"))
    letter = posted(tmp_path / "outbox")[0]
    told = (letter.name, letter.phone, letter.topic)
    assert told == ("Анна", "+7 000 000-00-01", "доставка холодильника")
    assert letter.phone not in (tmp_path / "trace.jsonl").read_text(encoding="utf-8")


def test_without_outbox_no_folder_is_made_and_nobody_is_asked(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(letters, "private_folder", lambda folder: pytest.fail(f"made: {folder}"))
    trace = tmp_path / "trace.jsonl"
    assert run(*arguments(ENDINGS["a drop"], None, trace)).status == 0
    assert in_trace(trace)
    assert list(tmp_path.iterdir()) == [trace]


def test_the_folder_and_its_letters_are_their_owners_alone(run: Run, tmp_path: Path):  # noqa: F811
    before = os.umask(0)
    try:
        run(*arguments(ENDINGS["a drop"], tmp_path / "a" / "outbox", tmp_path / "trace.jsonl"))
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*.json")}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "a" / "outbox").stat().st_mode) == 0o700


def test_a_recording_that_is_replayed_twice_is_two_calls(run: Run, tmp_path: Path):  # noqa: F811
    for number in (1, 2):
        run(*arguments(ENDINGS["a drop"], tmp_path / "outbox", tmp_path / f"{number}.jsonl"))
    found = posted(tmp_path / "outbox")
    assert [letter.kind for letter in found] == [REQUESTED, ENDED] * 2
    assert len({letter.call for letter in found}) == 2


def test_an_outbox_that_cannot_be_made_is_said_in_a_line(run: Run, tmp_path: Path):  # noqa: F811
    (tmp_path / "file").touch()
    arguments_ = arguments(ENDINGS["a drop"], tmp_path / "file" / "x", tmp_path / "trace.jsonl")
    done = run(*arguments_)
    assert done.status != 0
    [line] = done.errors
    assert "cannot make the folder" in line


def test_a_callback_that_cannot_be_written_ends_the_replay_and_is_promised_by_no_trace(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(letters.os, "replace", full)
    done = run(*arguments(ENDINGS["a drop"], tmp_path / "outbox", tmp_path / "trace.jsonl"))
    assert done.status != 0
    [line] = done.errors
    assert "No space left on device" in line
    assert in_trace(tmp_path / "trace.jsonl") == []
    assert list((tmp_path / "outbox").iterdir()) == []


# -- as the desk takes them -------------------------------------------------------------------------


def taken(folder: Path, tmp_path: Path) -> tuple[int, list[Any]]:
    """How many letters a desk has read, and its callbacks."""
    store = Store(str(tmp_path / "callbacks.sqlite"), Policy(ZoneInfo("Europe/Moscow")))
    try:
        count = OutboxConsumer(folder, CallbackService(store, Clock())).read_all()
        return count, list(CallbackQueries(store).all())
    finally:
        store.close()


STATES = {
    "a farewell after the greeting": State.NEEDS_NUMBER,
    "a farewell in the dialogue": State.NEEDS_NUMBER,
    "a drop": State.NEEDS_NUMBER,
    "a hold": State.NEEDS_NUMBER,
    "an agreement": State.NEEDS_NUMBER,  # Anna's number is none that can be rung
    "a client who came back": State.CANCELLED,
}


@pytest.mark.parametrize(("ending", "state"), STATES.items())
def test_a_desk_takes_the_callback_with_what_the_operator_says_first(
    ending: str,
    state: State,
    run: Run,  # noqa: F811
    tmp_path: Path,
):
    trace = tmp_path / "trace.jsonl"
    run(*arguments(ENDINGS[ending], tmp_path / "outbox", trace))
    count, [callback] = taken(tmp_path / "outbox", tmp_path)
    line = in_trace(trace)[0]
    assert count >= 2
    assert callback.state is state
    assert callback.reasons == (line["reason"],)
    assert callback.opening == line["opening"]
    assert callback.opening.startswith("Здравствуйте")
    assert list((tmp_path / "outbox").glob("*.json")) == []


# -- a kill right after -----------------------------------------------------------------------------

KILLED = """
    import os, signal, sys
    from vad_agent.cli.main import main
    from vad_agent.core.actions import CallbackRequested
    from vad_agent.trace.trace_format import Trace

    write = Trace.write

    def write_and_die(self, actions):
        for action in actions:
            if {before} and isinstance(action, CallbackRequested):
                os.kill(os.getpid(), signal.SIGKILL)
            write(self, [action])
            if isinstance(action, CallbackRequested):
                self._out.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    Trace.write = write_and_die
    main()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("ending", ["a farewell after the greeting", "a drop", "a hold"])
def test_the_letter_is_there_though_the_replay_is_killed_right_at_its_line(
    ending: str, before: bool, tmp_path: Path
):
    trace, outbox = tmp_path / "trace.jsonl", tmp_path / "outbox"
    code = textwrap.dedent(KILLED).format(before=before)
    command = [sys.executable, "-c", code, *arguments(ENDINGS[ending], outbox, trace)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(in_trace(trace)) == (0 if before else 1)
    [letter] = posted(outbox)
    line = next(line for line in in_trace(golden(RECIPES[ENDINGS[ending]])))
    assert (letter.kind, letter.reason, letter.opening) == (
        REQUESTED,
        line["reason"],
        line["opening"],
    )
    count, [callback] = taken(outbox, tmp_path)
    assert count == 1
    assert callback.opening == line["opening"]
    assert callback.open


def test_the_recordings_are_what_their_names_say():
    assert RECIPES[ENDINGS["a drop"]].expect[-3:] == (
        "callback dropped",
        "hangup dropped",
        "phase ended",
    )
    assert "prompt hold_farewell" in " ".join(RECIPES[ENDINGS["a hold"]].expect)
    assert len(set(ENDINGS.values())) >= 7
