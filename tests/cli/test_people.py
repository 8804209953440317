"""`vad-agent people`: what it prints, how it ends, and that a running desk need not be stopped for it."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from tests.callbacks.conftest import postgres, url
from tests.cli.callback_commands import CommandResult
from tests.web.desk_client import CHEAP
from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.tables import facts
from vad_agent.cli import main
from vad_agent.cli.people import RoleName, people_app
from vad_agent.common.identity import login as login_of_this_process
from vad_agent.common.time_zones import machine_zone, zone_name
from vad_agent.web.authentication import password_hashing
from vad_agent.web.authentication.access_tokens import AccessTokens
from vad_agent.web.authentication.login_sessions import Role
from vad_agent.web.authentication.users import User, Users

__all__ = ["postgres", "url"]

GOOD = "correct horse"
COMMAND = [sys.executable, "-m", "vad_agent.cli.main", "people"]
POLICY = Policy(ZoneInfo("Europe/Moscow"))

Run = Callable[..., CommandResult]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("VAD_AGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(password_hashing, "PasswordHasher", lambda: CHEAP)
    return tmp_path / "vad-agent"


@pytest.fixture
def run(state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`run("add", "olga", typed="…")`, without a terminal."""

    def run(*arguments: object, typed: bytes | str = "") -> CommandResult:
        typed = typed.encode() if isinstance(typed, str) else typed
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), "utf-8"))
        monkeypatch.setattr(sys, "argv", ["vad-agent", "people", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, *capfd.readouterr())

    return run


def people_of(place: object) -> list[User]:
    with closing(Store(str(place), POLICY, alone=False)) as store:
        return Users(store).all()


def comes_in(place: object, login: str, password: str) -> bool:
    with closing(Store(str(place), POLICY, alone=False)) as store:
        return Users(store).check(login, password) is not None


def test_the_whole_way_of_somebody(run: Run, state: Path) -> None:
    place = state / "callbacks.sqlite"
    Store(str(place), POLICY).close()
    assert run("list").out == "nobody: vad-agent people add LOGIN\n"
    added = run("add", "Ольга", "--password-stdin", typed=f"{GOOD}\n\n")
    assert (added.status, added.out, added.err) == (0, "Ольга: operator\n", "")
    assert comes_in(place, "ольга", GOOD)
    assert run("role", "ольга", "supervisor").out == "Ольга: supervisor\n"
    assert run("bar", "ОЛЬГА").out == "Ольга: supervisor, barred\n"
    assert not comes_in(place, "ольга", GOOD)
    assert run("let", "Ольга").out == "Ольга: supervisor\n"
    assert run("password", "Ольга", "--password-stdin", typed="battery staple").status == 0
    assert not comes_in(place, "ольга", GOOD)
    assert comes_in(place, "ольга", "battery staple")
    assert people_of(place)[0].role is Role.SUPERVISOR


def test_they_are_listed_a_line_each(run: Run) -> None:
    for login, more in (("olga", ()), ("Irina", ("--supervisor",)), ("anna", ())):
        assert run("add", login, "--generate", *more).status == 0
    run("bar", "anna")
    head, *lines = run("list").out.splitlines()
    zone = zone_name(machine_zone())
    assert head.split() == ["login", "role", "made,", zone, "barred", "token"]
    assert [line.split()[:2] for line in lines] == [
        ["anna", "operator"],
        ["Irina", "supervisor"],
        ["olga", "operator"],
    ]
    assert [len(line.split()) for line in lines] == [4, 3, 3]


def test_a_token_is_printed_once_and_is_the_operators(run: Run, state: Path) -> None:
    run("add", "olga", "--generate")
    told = run("token", "OLGA")
    found = re.fullmatch(r"olga: headset\ntoken: (\S{40,})\n", told.out)
    assert found is not None
    again = run("token", "crm", "--scope", "crm").out
    assert again.startswith("crm: crm\ntoken: ")
    listed = run("list").out
    assert found[1] not in listed
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [
        ["olga", "operator"],
        ["crm", "crm"],
    ]
    with closing(Store(str(state / "callbacks.sqlite"), POLICY, alone=False)) as store:
        tokens = AccessTokens(store)
        tokens.refresh()
        assert tokens.find(found[1]) is not None
        assert run("token", "olga", "--revoke").out == "olga: headset: revoked\n"
        tokens.refresh()
        assert tokens.find(found[1]) is None
    assert run("token", "olga", "--revoke").out == "olga: headset: there was no token\n"
    refused = run("token", "vera")
    assert (refused.status, refused.out) == (2, "")
    why = "vad-agent: nobody has the login 'vera': vad-agent people add LOGIN"
    assert refused.err.splitlines() == [why]


def test_a_password_that_is_made_is_printed_once(run: Run, state: Path) -> None:
    told = run("add", "olga", "--generate")
    found = re.fullmatch(r"olga: operator\npassword: (\S{19})\n", told.out)
    assert found is not None
    assert comes_in(state / "callbacks.sqlite", "olga", found[1])
    again = run("password", "olga", "--generate").out
    assert found[1] not in again
    assert found[1] not in run("list").out


@pytest.mark.parametrize(
    ("arguments", "typed", "told"),
    [
        (
            ["add", "anna"],
            "",
            "nobody is there to be asked: expected --password-stdin or --generate",
        ),
        (["add", "anna", "--password-stdin"], "", "password: expected 8 characters at least"),
        (
            ["add", "anna", "--password-stdin"],
            "short\n",
            "password: expected 8 characters at least",
        ),
        (["add", "anna", "--password-stdin"], b"\xff\xfe\n", "password: expected UTF-8"),
        (["add", "anna orlova", "--password-stdin"], "Anna Orlova", "another one than the login"),
        (
            ["add", "anna", "--password-stdin", "--generate"],
            GOOD,
            "one of --generate and --password-",
        ),
        (["add", "a\nb", "--generate"], "", "login: expected 1 to 100 letters, digits and signs"),
        (["add", "OLGA", "--generate"], "", "somebody has the login 'olga'"),
        (
            ["password", "anna", "--generate"],
            "",
            "nobody has the login 'anna': vad-agent people list",
        ),
        (["role", "olga", "boss"], "", "'boss' is not one of 'operator', 'supervisor'"),
        (["role", "a\nb", "operator"], "", r"nobody has the login 'a\nb'"),
        (["bar"], "", "Missing argument 'LOGIN'"),
        (["bar", "olga", "--config", "/none.toml"], "", "/none.toml: "),
        (["add", "anna", GOOD], "", "unexpected extra argument"),
    ],
)
def test_what_is_wrong_is_one_line(
    run: Run, state: Path, arguments: list[str], typed: bytes | str, told: str
) -> None:
    run("add", "olga", "--generate")
    before = people_of(state / "callbacks.sqlite")
    done = run(*arguments, typed=typed)
    assert (done.status, done.out) == (2, "")
    assert told in done.line
    assert people_of(state / "callbacks.sqlite") == before


def test_a_database_that_cannot_be_used_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "torn").write_text("not a database, but long enough to be one")
    done = run("list", "--database", tmp_path / "torn")
    assert done.status == 1
    assert "the database is damaged" in done.line
    done = run("list", "--database", "postgresql://nobody@127.0.0.1:1/none")
    assert done.status == 1
    assert done.line


def test_the_settings_name_the_database(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "desk.toml"
    config.write_text('database = "centre.sqlite"\n', encoding="utf-8")
    assert run("add", "olga", "--generate", "--config", config).status == 0
    assert [one.login for one in people_of(tmp_path / "centre.sqlite")] == ["olga"]
    other = tmp_path / "other.sqlite"
    assert run("add", "anna", "--generate", "--config", config, "--database", other).status == 0
    assert [one.login for one in people_of(other)] == ["anna"]


def test_on_a_server_as_in_a_file(run: Run, url: str) -> None:
    assert run("add", "olga", "--generate", "--database", url).status == 0
    assert run("bar", "Olga", "--database", url).out == "olga: operator, barred\n"
    assert people_of(url)[0].barred is not None


def started(*arguments: object, **how: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,  # type: ignore[call-overload]
    )


def test_a_running_desk_and_the_command_write_by_turns(state: Path) -> None:
    place = state / "callbacks.sqlite"
    with closing(Store(str(place), POLICY)) as desk:  # alone, as a desk has it
        processes = [started("add", f"name {n}", "--generate") for n in range(3)]
        for number in range(200):
            value = {"name": f"n{number}", "value": "x"}
            desk.transaction(lambda c, value=value: c.execute(sa.insert(facts).values(**value)))
        ended = [process.communicate(timeout=60) for process in processes]
        assert [process.returncode for process in processes] == [0] * 3, ended
        assert len(Users(desk).all()) == 3


# -- on a terminal ---------------------------------------------------------------------------------


def until(stream: IO[bytes], text: bytes) -> bytes:
    """What was said up to this."""
    said = b""
    while not said.endswith(text):
        one = os.read(stream.fileno(), 1)
        assert one, said
        said += one
    return said


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
@pytest.mark.parametrize(
    ("second", "status", "told"),
    [(GOOD, 0, b""), (GOOD + "!", 2, b"the two differ: nothing was changed")],
)
def test_a_person_is_asked_twice_and_sees_nothing(
    state: Path, second: str, status: int, told: bytes
) -> None:
    ours, theirs = pty.openpty()
    process = started("add", "olga", stdin=theirs, start_new_session=True)
    assert process.stderr is not None
    for question, answer in ((b"password: ", GOOD), (b"once more: ", second)):
        until(process.stderr, question)
        os.write(ours, f"{answer}\n".encode())
    out, err = process.communicate(timeout=30)
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        echoed = os.read(ours, 4096)
    except OSError:
        echoed = b""
    os.close(ours)
    assert process.returncode == status
    assert told in err
    assert GOOD.encode() not in out + err + echoed
    place = state / "callbacks.sqlite"
    assert (place.exists() and comes_in(place, "olga", GOOD)) is (status == 0)


def test_a_weak_one_is_not_asked_for_again(state: Path) -> None:
    ours, theirs = pty.openpty()
    process = started("add", "olga", stdin=theirs, start_new_session=True)
    assert process.stderr is not None
    until(process.stderr, b"password: ")
    os.write(ours, b"short\n")
    _, err = process.communicate(timeout=30)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 2
    assert b"expected 8 characters at least" in err


# -- what it teaches -------------------------------------------------------------------------------


def test_every_help_has_an_example() -> None:
    names = [
        command.name or command.callback.__name__ for command in people_app.registered_commands
    ]  # type: ignore[union-attr]
    assert names == ["add", "list", "password", "role", "bar", "let", "history", "token"]
    for name in [[], *[[name] for name in names]]:
        shown = CliRunner().invoke(people_app, [*name, "--help"])
        assert shown.exit_code == 0
        assert f"vad-agent people {name[0] if name else 'add'}" in shown.output


def test_the_roles_are_those_of_the_panel() -> None:
    assert [one.value for one in RoleName] == [one.value for one in Role]


def test_who_changed_whom_is_listed(run: Run, state: Path) -> None:
    Store(str(state / "callbacks.sqlite"), POLICY).close()
    assert run("history").out == "nothing was changed\n"
    for login in ("olga", "anna"):
        run("add", login, "--generate")
    run("role", "olga", "supervisor")
    run("bar", "OLGA")
    run("let", "olga")
    run("password", "olga", "--generate")
    head, *lines = run("history").out.splitlines()
    assert head.split() == ["at,", zone_name(machine_zone()), "login", "what", "role", "who"]
    told = [line.split()[-4:-1] for line in lines]
    assert told == [
        ["olga", "password_set", "supervisor"],
        ["olga", "enabled", "supervisor"],
        ["olga", "disabled", "supervisor"],
        ["olga", "role_set", "supervisor"],
        ["anna", "added", "operator"],
        ["olga", "added", "operator"],
    ]
    assert {line.split()[-1] for line in lines} == {f"cli:{login_of_this_process()}"}
    assert len(run("history", "Anna").out.splitlines()) == 2
