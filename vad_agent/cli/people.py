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
    from vad_agent.callbacks.store import Store
    from vad_agent.web.authentication.users import User, Users

people_app = typer.Typer(
    name="people",
    help="Users of the desk's pages: operators, and supervisors who see everybody's.\n\n"
    "It changes the desk's database itself; a running desk sees the change 2 s later. A LOGIN must "
    "equal the headset's (vad-agent listen --operator); it is compared without case.\n\n"
    "\b\n"
    "A new operator, with a generated password:\n"
    "  vad-agent people add olga --generate\n"
    "A user who sees the whole shift:\n"
    "  vad-agent people add irina --supervisor\n"
    "Her headset on another machine:\n"
    "  vad-agent people token olga\n"
    "She has left the company:\n"
    "  vad-agent people bar olga",
    short_help="Users of the desk's pages: add, list, password, role, token, bar, let, history.",
    no_args_is_help=True,
)


MOST_CHANGES = 10_000


class RoleName(StrEnum):
    """The role of a user."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"


class TokenScope(StrEnum):
    """What a token is for."""

    HEADSET = "headset"
    PBX = "pbx"
    CRM = "crm"
    METRICS = "metrics"


Login = Annotated[str, typer.Argument(metavar="LOGIN", help="The headset's login.")]
Generate = Annotated[
    bool, typer.Option("--generate", help="Generate a password, and print it once.")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from a line of stdin.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="DESK.toml",
        help="The desk's settings with the database. Default: the user's own desk.",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(metavar="FILE|URL", help="The database itself: a file, or postgresql://…"),
]


@people_app.command(short_help="Add a user.")
def add(
    login: Login,
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="Sees everybody's calls. Default: an operator.")
    ] = False,
    generate: Generate = False,
    password_stdin: FromStdin = False,
    config: Config = None,
    database: DatabaseOption = None,
) -> None:
    """Add a user with a password of at least 8 characters, which is asked for twice.

    \b
    An operator; a password is generated and printed:
      vad-agent people add olga --generate
    By a script:
      pass show desk/olga | vad-agent people add olga --password-stdin
    """
    from vad_agent.web.authentication.login_sessions import Role

    role = Role.SUPERVISOR if supervisor else Role.OPERATOR
    password = _password(login, generate, password_stdin)
    with _people(config, database, make=True) as people:
        person = people.add(login, role, password)
    _tell(person, password if generate else None)


@people_app.command("list", short_help="List users.")
def list_(config: Config = None, database: DatabaseOption = None) -> None:
    """List all users: login, role, creation time, since when a barred user is barred, and since when
    their headset has its token. Then the tokens of programs.

    \b
    Who can log in?
      vad-agent people list
    """
    from datetime import datetime

    from vad_agent.cli.callback_tables import local, print_line, text
    from vad_agent.cli.terminal import plain_console, print_table
    from vad_agent.common.time_zones import zone_name
    from vad_agent.web.authentication.access_tokens import AccessTokens, Scope
    from vad_agent.web.authentication.users import Users

    with _store(config, database) as store:
        users, tokens = Users(store), AccessTokens(store).all()
        everybody, zone = users.all(), users.zone
    made = {one.name: one.made for one in tokens if one.scope is Scope.HEADSET}
    programs = [one for one in tokens if one.scope is not Scope.HEADSET]
    if not everybody:
        print_line(plain_console(), "nobody: vad-agent people add LOGIN")
    now = datetime.now(zone)
    rows = [
        [
            text(one.login),
            one.role.value,
            local(one.made, now),
            "" if one.barred is None else local(one.barred, now),
            "" if one.login not in made else local(made[one.login], now),
        ]
        for one in everybody
    ]
    rows += [[text(one.name), one.scope.value, local(one.made, now), "", ""] for one in programs]
    head = ("login", "role", f"made, {zone_name(zone)}", "barred", "token")
    if rows:
        print_table(plain_console(), head, rows)


@people_app.command(short_help="Set another password; the user must log in again.")
def password(
    login: Login,
    generate: Generate = False,
    password_stdin: FromStdin = False,
    config: Config = None,
    database: DatabaseOption = None,
) -> None:
    """Set another password, which is asked for twice. The user's sessions end.

    \b
    She has forgotten it; another one is generated and printed:
      vad-agent people password olga --generate
    """
    new = _password(login, generate, password_stdin)
    with _people(config, database) as people:
        person = people.set_password(login, new)
    _tell(person, new if generate else None)


@people_app.command(short_help="Set the role: operator or supervisor.")
def role(
    login: Login,
    role: Annotated[RoleName, typer.Argument(metavar="operator|supervisor")],
    config: Config = None,
    database: DatabaseOption = None,
) -> None:
    """Set a user's role; the user must log in again.

    \b
    She leads the shift from now on:
      vad-agent people role olga supervisor
    """
    from vad_agent.web.authentication.login_sessions import Role

    with _people(config, database) as people:
        _tell(people.set_role(login, Role(role.value)))


@people_app.command(short_help="Disable a user and log them out at once.")
def bar(login: Login, config: Config = None, database: DatabaseOption = None) -> None:
    """Bar a user: their sessions end at once, and they cannot log in.

    \b
    She has left the company:
      vad-agent people bar olga
    """
    with _people(config, database) as people:
        _tell(people.disable(login))


@people_app.command(short_help="Enable a user again.")
def let(login: Login, config: Config = None, database: DatabaseOption = None) -> None:
    """Let a barred user log in again, with their old password.

    \b
    She is back:
      vad-agent people let olga
    """
    with _people(config, database) as people:
        _tell(people.enable(login))


@people_app.command(short_help="Who changed which user, and when.")
def history(
    login: Annotated[
        str | None, typer.Argument(metavar="LOGIN", help="Of this user alone.")
    ] = None,
    config: Config = None,
    database: DatabaseOption = None,
) -> None:
    """List changes of users, the newest first: added, password_set, password_reset, password_renewed,
    role_set, disabled, enabled.

    \b
    Who barred her?
      vad-agent people history olga
    """
    from datetime import datetime

    from vad_agent.cli.callback_tables import local, print_line, text
    from vad_agent.cli.terminal import plain_console, print_table
    from vad_agent.common.time_zones import zone_name

    with _people(config, database) as people:
        changes, zone = people.history(MOST_CHANGES, login), people.zone
    if not changes:
        print_line(plain_console(), "nothing was changed")
        return
    now = datetime.now(zone)
    rows = [
        [local(one.at, now), text(one.login), one.what, one.role.value, text(one.who)]
        for one in changes
    ]
    head = (f"at, {zone_name(zone)}", "login", "what", "role", "who")
    print_table(plain_console(), head, rows)


@people_app.command(short_help="Make the token of an operator's headset, or of a program.")
def token(
    login: Annotated[
        str, typer.Argument(metavar="LOGIN", help="The operator's, or a program's name (--scope).")
    ],
    scope: Annotated[
        TokenScope,
        typer.Option(
            help="headset: what the operator's listen needs; pbx: the same for all operators; crm: "
            "callbacks, for another program; metrics: the metrics alone."
        ),
    ] = TokenScope.HEADSET,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Make the token invalid, and make no other one.")
    ] = False,
    config: Config = None,
    database: DatabaseOption = None,
) -> None:
    """Make a token for the API, printed once; it replaces the earlier one of the same owner.

    A headset's token is let in for its operator alone. A headset on the desk's own machine needs none.

    \b
    For Olga's headset on another machine, and there:
      vad-agent people token olga
      VAD_AGENT_TOKEN=… vad-agent listen --operator olga --desk https://desk:8600
    For the CRM:
      vad-agent people token crm --scope crm
    Her laptop was stolen:
      vad-agent people token olga --revoke
    """
    from vad_agent.common.identity import login as user
    from vad_agent.web.authentication.access_tokens import AccessTokens, Scope

    with _store(config, database) as store:
        tokens, wanted = AccessTokens(store), Scope(scope.value)
        if revoke:
            was = tokens.revoke(wanted, login)
            print(f"{login}: {scope.value}: {'revoked' if was else 'there was no token'}")
            return
        made, text = tokens.make(wanted, login, f"cli:{user()}")
    print(f"{made.name}: {made.scope.value}")
    print(f"token: {text}")


@contextmanager
def _people(config: Path | None, database: str | None, *, make: bool = False) -> Iterator[Users]:
    """The users of the store; `make`: a missing one is created."""
    from vad_agent.web.authentication.users import Users

    with _store(config, database, make=make) as store:
        yield Users(store)


@contextmanager
def _store(config: Path | None, database: str | None, *, make: bool = False) -> Iterator[Store]:
    """The store, which a desk may also have open; `make`: a missing one is created."""
    from contextlib import closing

    from vad_agent.server.container import open_store
    from vad_agent.server.desk_config import DeskConfig

    settings = DeskConfig.load(config, database=database)
    with closing(open_store(settings, alone=False, make=make)) as store:
        yield store


def _password(login: str, generate: bool, from_stdin: bool) -> str:
    """Generate, read or ask for a password; never an argument, which other users of the machine
    could see.

    Raises:
        BadParameter: it is not valid, nobody could be asked, or the two entries differ.
    """
    from vad_agent.web.authentication.password_hashing import new_password, problem

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
