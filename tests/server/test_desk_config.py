"""The desk's settings: what a file may say, what is wrong with it, and where secrets come from."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from vad_agent.callbacks.dialers.ari_call import AsteriskConfig
from vad_agent.errors import SettingsError
from vad_agent.server.desk_config import PORT, Api, DeskConfig, PanelPages
from vad_agent.server.dialer_factory import make_dialer

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@pytest.fixture
def load(folder):
    def load(text="", environment=None, **given):
        file = folder / "desk.toml"
        file.write_text(text, encoding="utf-8")
        return DeskConfig.load(file, environment or {}, **given)

    return load


def problems(load, text, environment=None):
    with pytest.raises(SettingsError) as told:
        load(text, environment)
    assert told.value.source.endswith("desk.toml")
    return list(told.value.problems)


# -- what it says ----------------------------------------------------------------------------------


def test_without_a_file_all_are_defaults(tmp_path):
    config = DeskConfig.load(None, {})
    state = tmp_path / "state" / "vad-agent"
    assert config == DeskConfig(
        database=str(state / "callbacks.sqlite"),
        node=socket.gethostname(),
        script=None,
        dialer="manual",
        alarm_url=None,
        encryption_key=None,
        inbox=state / "outbox",
        api=Api("127.0.0.1", PORT),
        panel=PanelPages(on=True, origins=[]),
        dialer_table={},
        folder=Path.cwd(),
    )


def test_an_empty_file_is_all_defaults_too(load, folder):
    assert load() == dataclasses.replace(DeskConfig.load(None, {}), folder=folder)


def test_paths_in_the_file_go_from_its_folder(load, folder):
    config = load(
        'database = "c.sqlite"\nscript = "s.toml"\ninbox = "letters"\n'
        '[api]\ncert_file = "tls/c.pem"\nkey_file = "/k.pem"\ntokens = {crm = "tokens/crm"}\n'
    )
    assert config.database == str(folder / "c.sqlite")
    assert config.script == folder / "s.toml"
    assert config.inbox == folder / "letters"
    assert config.api.cert_file == str(folder / "tls" / "c.pem")
    assert config.api.key_file == "/k.pem"
    assert config.api.tokens == {"crm": str(folder / "tokens" / "crm")}


def test_paths_in_a_file_that_is_named_from_here_are_whole(folder, monkeypatch):
    (folder / "desk.toml").write_text('database = "c.sqlite"', encoding="utf-8")
    monkeypatch.chdir(folder)
    config = DeskConfig.load(Path("desk.toml"), {})
    monkeypatch.chdir("/")
    assert config.database == str(folder / "c.sqlite")


@pytest.mark.parametrize(
    "url", ["postgresql://desk@db/callbacks", "postgres://db/x", "sqlite:////tmp/c.sqlite"]
)
def test_a_url_is_no_path(load, url):
    assert load(f'database = "{url}"').database == url
    assert load("", {"VAD_AGENT_DATABASE": url}).database == url
    assert load(database=url).database == url


def test_paths_on_the_command_line_go_from_where_it_runs(load, tmp_path):
    here = tmp_path / "here"
    text = 'database = "c.sqlite"\nscript = "s.toml"\ninbox = "letters"'
    config = load(text, database="d.sqlite", script="t.toml", inbox="box")
    assert config.database == str(here / "d.sqlite")
    assert (config.script, config.inbox) == (here / "t.toml", here / "box")
    assert load(text, {"VAD_AGENT_DATABASE": "e.sqlite"}).database == str(here / "e.sqlite")


@pytest.mark.parametrize(
    ("environment", "given", "database"),
    [
        ({}, {}, "file"),
        ({"VAD_AGENT_DATABASE": ""}, {}, "file"),
        ({"VAD_AGENT_DATABASE": "postgres://environment"}, {}, "environment"),
        ({"VAD_AGENT_DATABASE": "postgres://environment"}, {"database": None}, "environment"),
        ({}, {"database": "postgres://line"}, "line"),
        ({"VAD_AGENT_DATABASE": "postgres://environment"}, {"database": "postgres://line"}, "line"),
    ],
)
def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    load, environment, given, database
):
    config = load('database = "postgres://file"', environment, **given)
    assert config.database == f"postgres://{database}"


def test_the_command_line_wins(load):
    text = 'node = "file"\n[api]\nhost = "0.0.0.0"\nport = 1\nmetrics_open = true\n'
    config = load(text, node="line", api={"port": 0, "host": None})
    assert config.node == "line"
    assert config.api == Api("0.0.0.0", 0, metrics_open=True)


# -- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("node = 5", "node: expected text, got 5"),
        ("database = true", "database: expected text, got True"),
        ("script = []", "script: expected text, got []"),
        ("inbox = 1.5", "inbox: expected text, got 1.5"),
        ("alarm_url = 1", "alarm_url: expected text, got 1"),
        ('alarm_url = "chat/hook"', "alarm_url: expected http://… or https://…"),
        (
            'dialer = "pigeon"',
            "dialer: expected one of manual, asterisk, naumen, webhook, mango, got 'pigeon'",
        ),
        ("colour = 1", "colour: unknown key"),
        ("[pigeon]\nurl = 1", "pigeon: unknown key"),
        ("api = 5", "api: expected a table"),
        ("asterisk = 5", "asterisk: expected a table"),
        ("[api]\nprot = 1", "prot: unknown key"),
        ("[api]\nhost = 5", "host: input should be a valid string, got 5"),
        (
            '[api]\nport = "x"',
            "port: input should be a valid integer, unable to parse string as an integer, got 'x'",
        ),
        ("[api]\nmetrics_open = 7", None),
        ("panel = 5", "panel: expected a table"),
        ("[panel]\norigin = 1", "origin: unknown key"),
        (
            '[panel]\norigins = ["desk.example.ru"]',
            "origins: expected https://name without a path, got 'desk.example.ru'",
        ),
        (
            '[panel]\norigins = ["https://desk.example.ru/panel"]',
            "origins: expected https://name without a path, got 'https://desk.example.ru/panel'",
        ),
        ("[api]\ntokens = 7", "tokens: input should be a valid dictionary, got 7"),
        (
            f'encryption_key = "{SECRET}"',
            "encryption_key: a secret does not stand here: name a file in encryption_key_file, "
            "or set VAD_AGENT_ENCRYPTION_KEY",
        ),
        (
            'encryption_key_file = "none"',
            "encryption_key_file: none: No such file or directory",
        ),
        ('encryption_key_file = "."', "encryption_key_file: .: Is a directory"),
    ],
)
def test_each_thing_that_is_wrong_is_one_line(load, text, problem):
    (line,) = problems(load, text)
    if problem is None:
        assert line.startswith("metrics_open: input should be a valid boolean")
    else:
        assert line == problem
    assert SECRET not in line


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("node =", "line 1, column 7: expected TOML"),
        ("a = 1\na = 2", "line 2, column 6: expected TOML"),
        ("[api", "line 1, column 5: expected TOML"),
    ],
)
def test_what_is_no_toml_is_one_line_with_its_place(load, text, begin):
    (line,) = problems(load, text)
    assert line.startswith(begin)


def test_all_that_is_wrong_is_told_at_once(load):
    text = (
        'node = 5\ndialer = "x"\nmore = 1\nmango = 1\nencryption_key = "k"\n[api]\nport = []\nx = 1'
    )
    found = {line.partition(":")[0] for line in problems(load, text)}
    assert found == {"node", "dialer", "more", "mango", "encryption_key", "port", "x"}


def test_a_file_that_is_not_there_is_one_line(folder):
    with pytest.raises(SettingsError, match="no such file") as told:
        DeskConfig.load(folder / "none.toml", {})
    assert len(told.value.problems) == 1


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "environment", "key"),
    [
        (None, {}, None),
        (None, {"VAD_AGENT_ENCRYPTION_KEY": ""}, None),
        ("from the file\n", {}, "from the file"),
        ("from the file\n", {"VAD_AGENT_ENCRYPTION_KEY": ""}, "from the file"),
        ("from the file\n", {"VAD_AGENT_ENCRYPTION_KEY": "outside"}, "outside"),
        (None, {"VAD_AGENT_ENCRYPTION_KEY": "outside"}, "outside"),
    ],
)
def test_a_secret_is_the_environments_or_a_files(load, folder, content, environment, key):
    text = ""
    if content is not None:
        (folder / "key").write_text(content, encoding="utf-8")
        text = 'encryption_key_file = "key"'
    assert load(text, environment).encryption_key == key


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "it is empty"), (b" \n\n", "it is empty"), (b"\xff", "not a text")]
)
def test_a_secrets_file_with_none_in_it_is_refused(load, folder, content, why):
    """Without a key names would be stored as they are, though one was meant to be set."""
    (folder / "key").write_bytes(content)
    (line,) = problems(load, 'encryption_key_file = "key"')
    assert line == f"encryption_key_file: key: {why}"


def test_no_secret_is_in_a_repr(load):
    outside = {
        "VAD_AGENT_ENCRYPTION_KEY": SECRET,
        "VAD_AGENT_ASTERISK_PASSWORD": SECRET,
        "VAD_AGENT_DATABASE": f"postgresql://desk:{SECRET}@db/callbacks",
    }
    text = 'dialer = "asterisk"\n[asterisk]\nurl = "http://pbx:8088"\nuser = "desk"\n'
    config = load(text, outside)
    assert (config.encryption_key, SECRET in config.database) == (SECRET, True)
    assert SECRET not in repr(config)
    dialer = config.dialer_config(AsteriskConfig, outside)
    assert dialer.password == SECRET
    assert SECRET not in repr(dialer)


# -- the dialer's table ----------------------------------------------------------------------------

ASTERISK = 'dialer = "asterisk"\n[asterisk]\nurl = "http://pbx:8088"\nuser = "desk"\n'
MISSING = "password: missing (password_file, or VAD_AGENT_ASTERISK_PASSWORD)"
STANDS = (
    "password: a secret does not stand here: name a file in password_file, or set "
    "VAD_AGENT_ASTERISK_PASSWORD"
)


def test_a_dialers_secret_file_goes_from_the_folder_of_the_settings(load, folder):
    (folder / "ari").write_text(f"{SECRET}\n", encoding="utf-8")
    config = load(ASTERISK + 'password_file = "ari"')
    assert config.dialer_config(AsteriskConfig, {}).password == SECRET
    dialer = config.dialer_config(AsteriskConfig, {"VAD_AGENT_ASTERISK_PASSWORD": "outside"})
    assert dialer.password == "outside"
    assert dialer.url == "http://pbx:8088"


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ("", [MISSING]),
        (f'password = "{SECRET}"', [STANDS]),
        ('password_file = "none"', ["password_file: none: No such file or directory"]),
        ("talk_s = []\ncheck = 1", ["talk_s", "check: unknown key", MISSING]),
        ('ring_client_s = "long"', ["ring_client_s", MISSING]),
    ],
)
def test_each_thing_that_is_wrong_in_a_dialers_table_is_one_line(load, more, wrong):
    config = load(ASTERISK + more)
    with pytest.raises(SettingsError) as told:
        config.dialer_config(AsteriskConfig, {})
    assert told.value.source == "[asterisk]"
    lines = sorted(told.value.problems)
    assert len(lines) == len(wrong)
    for line, expected in zip(lines, sorted(wrong), strict=True):
        assert line.startswith(expected)
        assert SECRET not in line


def test_a_dialer_without_its_table_lacks_what_it_needs(load):
    with pytest.raises(SettingsError) as told:
        load('dialer = "asterisk"').dialer_config(AsteriskConfig, {})
    assert told.value.problems == ("url: missing", "user: missing", MISSING)


@pytest.mark.parametrize("name", ["asterisk", "naumen", "webhook", "mango"])
def test_every_dialer_without_settings_says_what_is_missing(load, name):
    with pytest.raises(SettingsError) as told:
        make_dialer(load(f'dialer = "{name}"'), lambda _: None)
    assert all("missing" in line for line in told.value.problems)


def test_a_table_of_a_dialer_that_is_not_used_is_let_be(load):
    config = load('[asterisk]\nurl = "http://pbx:8088"')
    assert make_dialer(config, lambda _: None).name == "manual"
