"""The desk's own settings, `desk.toml`: the database, the dialer, the API's address.

    database = "postgresql://desk@db/callbacks"     # default: an SQLite file in the user's state folder
    node = "desk-1"                                 # default: the machine's name
    script = "script.toml"                          # attempts, gaps, prompts; default: the built-in script
    dialer = "asterisk"                             # manual (default), asterisk, naumen, webhook, mango
    alarm_url = "https://chat/hook"                 # each alert is posted there as JSON

    database_wait_s = 60.0                          # at the start, for a server that does not answer yet

    [api]
    host = "127.0.0.1"
    port = 8600

    [panel]                                         # pages for operators and supervisors, on the same port
    origins = ["https://desk.example.ru"]           # what browsers show, if a proxy stands in front

    [asterisk]                                      # the table of the dialer: see `vad-agent serve --help`
    url = "http://pbx:8088"
    user = "desk"
    password_file = "/etc/vad-agent/ari-password"   # or the environment: VAD_AGENT_ASTERISK_PASSWORD

The file contains no secrets: each comes from the environment, or from the file that `…_file` names.
Paths are relative to its folder. All errors are reported at once, one line each.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vad_agent.callbacks.outbox import outbox_folder
from vad_agent.common.private_files import state_folder
from vad_agent.common.toml_file import Toml, read
from vad_agent.errors import SettingsError

DIALERS = ("manual", "asterisk", "naumen", "webhook", "mango")
PORT = 8600
WAIT_S = 60.0
ENVIRONMENT = "VAD_AGENT_"
ORIGIN = re.compile(r"https?://[^/\s?#@]+")


@dataclass(frozen=True, slots=True)
class Api:
    """The API's address and tokens."""

    host: str = "127.0.0.1"
    port: int = PORT
    """0: any free port."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Name → the file that contains the token, of the scope `crm`; history records `api:NAME`."""
    cert_file: str = ""
    """TLS: a PEM file with the certificate and its key; "": no TLS, as behind a proxy."""
    key_file: str = ""
    without_tls: bool = False
    """Listen without TLS on an address that other machines reach."""
    metrics_open: bool = False
    """Metrics need no token."""


@dataclass(frozen=True, slots=True)
class PanelPages:
    """Settings of the desk's pages."""

    on: bool = True
    origins: list[str] = field(default_factory=list)
    """Their further addresses besides `api.host`: https://name, without a path."""


@dataclass(frozen=True, slots=True)
class DeskConfig:
    """The settings of a desk."""

    database: str = field(repr=False)
    """A URL may contain a password."""
    node: str
    script: Path | None
    dialer: str
    alarm_url: str | None
    encryption_key: str | None = field(repr=False)
    inbox: Path
    """The outbox folder of this machine's headsets."""
    api: Api
    panel: PanelPages
    dialer_table: Toml = field(repr=False)
    database_wait_s: float = WAIT_S
    """Seconds that a start waits for a database server that does not answer."""
    folder: Path = Path()
    """The folder for relative paths of the dialer's files."""

    @classmethod
    def load(
        cls,
        path: Path | None,
        environment: Mapping[str, str] | None = None,
        *,
        api: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> DeskConfig:
        """Load the file at `path`, or the defaults. `given` and `api`: command-line values, which
        take precedence.

        Raises:
            SettingsError: all problems of the file.
        """
        environment = os.environ if environment is None else environment
        source = "defaults" if path is None else os.fspath(path)
        table = {} if path is None else read(path)
        said_here = {"database": environment.get(f"{ENVIRONMENT}DATABASE") or None} | {
            name: value for name, value in given.items() if value is not None
        }
        table |= {name: _from_here(name, value) for name, value in said_here.items() if value}
        if said := {name: value for name, value in (api or {}).items() if value is not None}:
            table["api"] = (table["api"] if isinstance(table.get("api"), dict) else {}) | said
        folder = Path.cwd() if path is None else path.absolute().parent
        return _Reading(source, folder, environment).desk(table)

    def dialer_config(self, kind: type[Any], environment: Mapping[str, str] | None = None) -> Any:
        """The dialer's table as its dataclass. Secrets (fields not in its repr) come from outside
        the file.

        Raises:
            SettingsError: all problems of the table.
        """
        environment = os.environ if environment is None else environment
        reading = _Reading(f"[{self.dialer}]", self.folder, environment)
        return reading.dataclass(kind, dict(self.dialer_table), self.dialer)


class _Reading:
    """Reads one file and collects its problems."""

    def __init__(self, source: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._source = source
        self._folder = folder
        self._environment = environment
        self._problems: list[str] = []

    def desk(self, table: Toml) -> DeskConfig:
        table = dict(table)
        dialers = {name: self._table(table, name) for name in DIALERS if name in table}
        api = self.dataclass(Api, self._table(table, "api"), "api", check=False)
        panel = self.dataclass(PanelPages, self._table(table, "panel"), "panel", check=False)
        for origin in panel.origins:
            if not ORIGIN.fullmatch(origin):
                self._problems.append(
                    f"origins: expected https://name without a path, got {origin!r}"
                )
        script = self._take(table, "script", str, "")
        dialer = self._take(table, "dialer", str, "manual")
        if dialer not in DIALERS:
            self._problems.append(f"dialer: expected one of {', '.join(DIALERS)}, got {dialer!r}")
        inbox = self._take(table, "inbox", str, "")
        alarm_url = self._take(table, "alarm_url", str, "")
        if alarm_url and not alarm_url.startswith(("http://", "https://")):
            self._problems.append("alarm_url: expected http://… or https://…")
        config = DeskConfig(
            database=self._database(self._take(table, "database", str, "")),
            node=self._take(table, "node", str, "") or socket.gethostname(),
            script=self._folder / script if script else None,
            dialer=dialer,
            alarm_url=alarm_url or None,
            encryption_key=self._secret(table, "encryption_key", "encryption_key"),
            inbox=self._folder / inbox if inbox else outbox_folder(),
            api=dataclasses.replace(
                api,
                cert_file=self._path(api.cert_file),
                key_file=self._path(api.key_file),
                tokens={name: self._path(file) for name, file in api.tokens.items()},
            ),
            panel=panel,
            dialer_table=dialers.get(dialer, {}),
            database_wait_s=self._seconds(table, "database_wait_s", WAIT_S),
            folder=self._folder,
        )
        self._problems += [f"{name}: unknown key" for name in table]
        self._raise()
        return config

    def _path(self, text: str) -> str:
        return str(self._folder / text) if text else ""

    def _database(self, text: str) -> str:
        if not text:
            return default_database()
        return text if "://" in text else str(self._folder / text)

    def dataclass(self, kind: type[Any], table: Toml, name: str, *, check: bool = True) -> Any:
        """Build a dataclass from a table; fields that its repr leaves out are secrets."""
        values: dict[str, Any] = {}
        hints = typing.get_type_hints(kind)
        for one in dataclasses.fields(kind):
            before = len(self._problems)
            if not one.repr:
                secret = self._secret(table, one.name, f"{name}_{one.name}")
                if secret is not None:
                    values[one.name] = secret
            elif one.name in table:
                value = table.pop(one.name)
                problem, value = _checked(hints[one.name], value)
                if problem:
                    self._problems.append(f"{one.name}: {problem}")
                else:
                    values[one.name] = value
            told = len(self._problems) > before
            if one.name not in values and _is_required(one) and not told:
                where = "" if one.repr else f" ({one.name}_file, or {_variable(name, one.name)})"
                self._problems.append(f"{one.name}: missing{where}")
        self._problems += [f"{key}: unknown key" for key in table]
        if check:
            self._raise()
        return kind(**values)

    def _secret(self, table: Toml, key: str, variable: str) -> str | None:
        if key in table:
            table.pop(key)
            self._problems.append(
                f"{key}: a secret does not stand here: name a file in {key}_file, or set "
                f"{ENVIRONMENT}{variable.upper()}"
            )
            return None
        file = table.pop(f"{key}_file", None)
        if found := self._environment.get(f"{ENVIRONMENT}{variable.upper()}"):
            return found
        if file is None:
            return None
        try:
            found = (self._folder / str(file)).read_text(encoding="utf-8").strip()
            if not found:
                self._problems.append(f"{key}_file: {file}: it is empty")
            return found or None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a text"
            self._problems.append(f"{key}_file: {file}: {why}")
            return None

    def _take(self, table: Toml, key: str, kind: type, default: Any) -> Any:
        value = table.pop(key, default)
        if not isinstance(value, kind):
            self._problems.append(f"{key}: expected text, got {value!r}")
            return default
        return value

    def _seconds(self, table: Toml, key: str, default: float) -> float:
        value = table.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
            self._problems.append(f"{key}: expected seconds, got {value!r}")
            return default
        return float(value)

    def _table(self, table: Toml, key: str) -> Toml:
        value = table.pop(key, {})
        if isinstance(value, dict):
            return dict(value)
        self._problems.append(f"{key}: expected a table")
        return {}

    def _raise(self) -> None:
        if self._problems:
            raise SettingsError(self._source, self._problems)


def default_database() -> str:
    """The file of this user's callbacks."""
    return str(state_folder() / "callbacks.sqlite")


def _from_here(name: str, value: Any) -> Any:
    """A value not given in the file: relative paths refer to the current folder."""
    if name not in ("database", "script", "inbox") or "://" in str(value):
        return value
    return str(Path(value).absolute())


def _is_required(one: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return one.default is missing and one.default_factory is missing


def _variable(name: str, field_name: str) -> str:
    return f"{ENVIRONMENT}{name}_{field_name}".upper()


def _checked(hint: Any, value: Any) -> tuple[str | None, Any]:
    try:
        return None, TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{first['msg'].lower()}, got {value!r}", None
