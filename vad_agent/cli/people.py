"""`vad-agent people`: the users of a desk's pages. It accesses the store itself, beside a running desk."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vad_agent.web.users import User, Users

people_app = typer.Typer(
    name="people",
    help="Who may come in to the desk's pages: operators, and supervisors who see everybody's.\n\n"
    "It works on the desk's database itself, while the desk runs too, which knows it 2 s later. A LOGIN is "
    "the operator's as his headset has it (vad-agent listen --operator); capital letters do not matter.\n\n"
    "\b\n"
    "A new operator, who is told a password:\n"
    "  vad-agent people add olga --generate\n"
    "Who sees all of the shift:\n"
    "  vad-agent people add irina --supervisor\n"
    "She has left the company:\n"
    "  vad-agent people bar olga",
    short_help="Who may come in to the desk's pages: add, list, password, role, bar, let.",
    no_args_is_help=True,
)


class RoleName(StrEnum):
    """The role of a user."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"


Login = Annotated[str, typer.Argument(metavar="LOGIN", help="As his headset has it.")]
Generate = Annotated[
    bool, typer.Option("--generate", help="Make a password, and print it this once.")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="The password is a line of stdin; it is not asked.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="DESK.toml",
        help="The desk's settings, which name the database. Default: the user's own desk.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(metavar="FILE|URL", help="The database itself: a file, or postgresql://…"),
]


@people_app.command(short_help="Somebody new.")
def add(
    login: Login,
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="Sees everybody's. Default: an operator.")
    ] = False,
    generate: Generate = False,
    password_stdin: FromStdin = False,
    config: Config = None,
    database: Database = None,
) -> None:
    """Add somebody, with a password of 8 characters at least, asked for twice.

    \b
    An operator; a password is made and printed:
      vad-agent people add olga --generate
    By a script:
      pass show desk/olga | vad-agent people add olga --password-stdin
    """
    from vad_agent.web.sessions import Role

    role = Role.SUPERVISOR if supervisor else Role.OPERATOR
    password = _password(login, generate, password_stdin)
    with _people(config, database) as people:
        person = people.add(login, role, password)
    _tell(person, password if generate else None)


@people_app.command("list", short_help="Who there is.")
def list_(config: Config = None, database: Database = None) -> None:
    """List everybody: the login, the role, when it was made, and since when who is barred is.

    \b
    Who may come in?
      vad-agent people list
    """
    from datetime import UTC, datetime

    from vad_agent.cli.callback_tables import local, print_line, print_table, text
    from vad_agent.cli.terminal import plain_console

    with _people(config, database) as people:
        everybody = people.all()
    if not everybody:
        print_line(plain_console(), "nobody: vad-agent people add LOGIN")
        return
    now = datetime.now(UTC)
    rows = [
        [
            text(one.login),
            one.role.value,
            local(one.made, now),
            "" if one.barred is None else local(one.barred, now),
        ]
        for one in everybody
    ]
    print_table(plain_console(), ("login", "role", "made", "barred"), rows)


@people_app.command(short_help="Another password; he has to come in anew.")
def password(
    login: Login,
    generate: Generate = False,
    password_stdin: FromStdin = False,
    config: Config = None,
    database: Database = None,
) -> None:
    """Set another password, asked for twice. Whoever has come in with the old one is out.

    \b
    She has forgotten it; another one is made and printed:
      vad-agent people password olga --generate
    """
    new = _password(login, generate, password_stdin)
    with _people(config, database) as people:
        person = people.set_password(login, new)
    _tell(person, new if generate else None)


@people_app.command(short_help="Operator or supervisor.")
def role(
    login: Login,
    role: Annotated[RoleName, typer.Argument(metavar="operator|supervisor")],
    config: Config = None,
    database: Database = None,
) -> None:
    """Give somebody another role; he has to come in anew.

    \b
    She leads the shift from now on:
      vad-agent people role olga supervisor
    """
    from vad_agent.web.sessions import Role

    with _people(config, database) as people:
        _tell(people.set_role(login, Role(role.value)))


@people_app.command(short_help="He may not come in, and is out at once.")
def bar(login: Login, config: Config = None, database: Database = None) -> None:
    """Bar somebody: he is out at once, and may not come in.

    \b
    She has left the company:
      vad-agent people bar olga
    """
    with _people(config, database) as people:
        _tell(people.disable(login))


@people_app.command(short_help="He may come in again.")
def let(login: Login, config: Config = None, database: Database = None) -> None:
    """Let somebody in again, who was barred; his password is as it was.

    \b
    She is back:
      vad-agent people let olga
    """
    with _people(config, database) as people:
        _tell(people.enable(login))


@contextmanager
def _people(config: Path | None, database: str | None) -> Iterator[Users]:
    """The users of the store, which a desk may also have open."""
    from contextlib import closing

    from vad_agent.server.container import open_store
    from vad_agent.server.desk_config import DeskConfig
    from vad_agent.web.users import Users

    with closing(open_store(DeskConfig.load(config, database=database), alone=False)) as store:
        yield Users(store)


def _password(login: str, generate: bool, from_stdin: bool) -> str:
    """Generate, read or ask for a password; never an argument, which other users of the machine
    could see.

    Raises:
        BadParameter: it is not valid, nobody could be asked, or the two entries differ.
    """
    from vad_agent.web.passwords import new_password, problem

    if generate and from_stdin:
        raise typer.BadParameter("expected one of --generate and --password-stdin")
    if generate:
        return new_password()
    if from_stdin:
        given = _line()
    elif sys.stdin is not None and sys.stdin.isatty():
        given = getpass.getpass("password: ")
        if problem(given, login) is None and getpass.getpass("once more: ") != given:
            raise typer.BadParameter("the two differ: nothing was changed", param_hint="password")
    else:
        raise typer.BadParameter(
            "nobody is there to be asked: expected --password-stdin or --generate",
            param_hint="password",
        )
    if (wrong := problem(given, login)) is not None:
        raise typer.BadParameter(wrong, param_hint="password")
    return given


def _line() -> str:
    try:
        told = sys.stdin.readline() if sys.stdin is not None else ""
    except UnicodeDecodeError:
        raise typer.BadParameter("expected UTF-8", param_hint="password") from None
    return told.rstrip("\r\n")


def _tell(person: User, password: str | None = None) -> None:
    """Print the user's new state."""
    barred = ", barred" if person.barred is not None else ""
    print(f"{person.login}: {person.role.value}{barred}")
    if password is not None:
        print(f"password: {password}")
