"""`vad-agent callbacks`: what it prints, what it changes, how it ends; both on the store and by a desk."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI

from tests.cli.callback_commands import CallbackCommands, Run, ago, own_store, runner
from tests.server.api_desk import TOKEN, api_desk, served
from vad_agent.callbacks import transitions
from vad_agent.callbacks.call_record import CallRecord
from vad_agent.callbacks.field_encryption import FieldEncryption
from vad_agent.callbacks.model import Outcome, Policy, State
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import OutboxMessage
from vad_agent.callbacks.store import Store
from vad_agent.callbacks.unit_of_work import Actor
from vad_agent.cli.callback_changes import Said
from vad_agent.cli.callback_tables import distance, text
from vad_agent.cli.callbacks import WhichOption, callbacks_app
from vad_agent.common.time_zones import machine_zone, zone_name
from vad_agent.server.app_state import set_app_state
from vad_agent.web.authentication.refusals import Refusals

ANNA = {"name": "Анна", "phone": "8 912 345-67-89", "operator": "olga"}
NUMBER = "+79123456789"
OPENING = {"opening": "Анна, это Haier", "topic": "доставка"}
POLICY = Policy(ZoneInfo("Europe/Moscow"))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("VAD_AGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "vad-agent").mkdir(mode=0o700)
    return tmp_path / "vad-agent"


@pytest.fixture
def run(state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


@pytest.fixture
def own(run: Run, state: Path) -> CallbackCommands:
    """No desk runs."""
    return CallbackCommands(run, False, own_store(state))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, str]]:
    """The API on a socket, for one desk after another."""
    with api_desk(tmp_path_factory.mktemp("door")) as one, served(one.app) as url:
        yield one.app, url


@pytest.fixture(params=["store", "desk"])
def centre(
    request: pytest.FixtureRequest,
    run: Run,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    door: tuple[FastAPI, str],
) -> Iterator[CallbackCommands]:
    if request.param == "store":
        yield CallbackCommands(run, False, own_store(state))
        return
    app, url = door
    with api_desk(state) as one:
        set_app_state(app, one.app_state, one.metrics, Refusals())
        monkeypatch.setenv("VAD_AGENT_DESK", url)
        monkeypatch.setenv("VAD_AGENT_TOKEN", TOKEN)
        yield CallbackCommands(run, True, lambda: contextlib.nullcontext(one))


def table(out: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(out.removeprefix("\ufeff"))))


def rows(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out.removeprefix("\ufeff"))))


# -- list ------------------------------------------------------------------------------------------


def test_the_list_is_of_open_ones_with_masked_numbers(centre):
    anna = centre.take(**ANNA, due_in_s=90.0)
    late = centre.take(asked=ago(600), due_in_s=0.0, phone=None)
    gone = centre.take()
    assert centre.run("cancel", gone.id).status == 0
    done = centre.run("list")
    assert (done.status, done.err) == (0, "")
    head, second, first = done.out.splitlines()
    names = ["id", "state", "due,", "ZONE", "attempt", "client", "reasons", "operator"]
    zone = "Europe/Moscow" if centre.by_http else zone_name(machine_zone())
    assert head.split() == [zone if name == "ZONE" else name for name in names]
    assert first.startswith(f"{anna.id}  → waiting")
    assert "Анна, +7…89" in first
    assert re.search(r"\d\d:\d\d:\d\d, in (1 min|8\d s|90 s)", first)
    assert first.endswith("olga")
    assert ("1/3" in first) != centre.by_http
    assert second.startswith(f"{late.id}  ! overdue, needs_number")
    assert "10 min ago" in second
    assert NUMBER not in done.out
    assert gone.id not in done.out
    assert NUMBER in centre.run("list", "--numbers").out


def test_which_are_listed(centre):
    anna, other = centre.take(**ANNA), centre.take(operator="petr", phone=None)
    ended = centre.take(**ANNA | {"phone": "+7 913 000-00-01"})
    centre.run("cancel", ended.id)

    def listed(*arguments: str) -> set[str]:
        done = centre.run("list", "--json", *arguments)
        assert (done.status, done.err) == (0, "")
        return {one["id"] for one in json.loads(done.out)}

    assert listed() == {anna.id, other.id}
    assert listed("--state", "all") == {anna.id, other.id, ended.id}
    assert listed("--state", "ended") == listed("--state", "cancelled") == {ended.id}
    assert listed("--state", "needs_number") == {other.id}
    assert listed("--phone", "+7 (912) 345 67 89") == {anna.id}
    assert listed("--operator", "olga") == {anna.id}
    assert listed("--state", "ringing") == set()


def test_the_list_as_json_is_the_apis_and_masked(centre):
    anna = centre.take(**ANNA, **OPENING)
    (one,) = json.loads(centre.run("list", "--json").out)
    assert (one["id"], one["state"], one["key"]) == (anna.id, "waiting", anna.key)
    assert (one["name"], one["phone"], one["open"]) == ("Анна", "+7…89", True)
    assert datetime.fromisoformat(one["due"]) == anna.due
    (one,) = json.loads(centre.run("list", "--json", "--numbers").out)
    assert one["phone"] == NUMBER


def test_the_list_as_csv(centre):
    anna = centre.take(**ANNA)
    done = centre.run("list", "--csv")
    assert done.out.startswith("\ufeffid,state,")
    (one,) = rows(done.out)
    assert (one["id"], one["phone"], one["open"]) == (anna.id, "'+7…89", "yes")
    zone = ZoneInfo("Europe/Moscow") if centre.by_http else machine_zone()
    assert one["due"] == f"{anna.due.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    assert one["zone"] == zone_name(zone)


def test_a_limit_is_told_where_there_are_more(centre):
    for _ in range(3):
        centre.take()
    done = centre.run("list", "--limit", 2)
    assert (done.status, len(done.out.splitlines())) == (0, 3)
    assert done.line == "only the first 2 are shown: --limit N shows more"
    assert centre.run("list", "--limit", 3).err == ""


def test_nothing_to_list(centre):
    with centre.opened():
        pass  # a database without callbacks
    assert centre.run("list").out == "no callbacks\n"
    assert json.loads(centre.run("list", "--json").out) == []
    assert len(table(centre.run("list", "--csv").out)) == 1


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_terminal_of_any_width(own, monkeypatch, columns):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns)}.items():
        monkeypatch.setenv(name, value)
    late = own.take(**ANNA | {"name": "Анна-Мария\x1b[2J фон Длиннофамильная"}, asked=ago(900))
    own.take(reason="client_cannot_hear", operator="operator.with.a.long.login")
    done = own.run("list")
    assert (done.status, done.err) == (0, "")
    assert "\x1b[2J" not in done.out
    assert "\x1b[1;31m!" in done.out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.out)
    assert max(map(len, plain.splitlines())) <= columns
    if columns >= 60:
        assert late.id in plain
    shown = own.run("show", late.id)
    assert (shown.status, shown.err) == (0, "")


# -- show ------------------------------------------------------------------------------------------


def rung(centre: CallbackCommands) -> str:
    """A callback with an attempt that was not answered; its id."""
    callback = centre.take(**ANNA, **OPENING, due_in_s=0.0, call="pbx/7", asked=ago(5))
    with centre.opened() as one:
        now = one.desk.clock.now()
        assert one.store.begin(callback.key, "desk-1", Actor("engine", now)) is not None
        one.store.dialled(callback.key, "ari-1", now)
        one.desk.report(callback.key, Outcome.NO_ANSWER, "dialer:asterisk", "cause 19")
    return callback.id


def test_show_tells_all_of_it(centre):
    id = rung(centre)
    done = centre.run("show", id)
    assert (done.status, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == id
    assert "client Анна, +7…89" in lines
    assert "opening «Анна, это Haier»" in lines
    assert "calls pbx/7" in lines
    assert any(re.fullmatch(r"attempt 2(/3)?", line) for line in lines)
    assert any("no_answer olga desk-1 cause 19" in line for line in lines)
    history = lines[lines.index("at who what why changed") + 1 :]
    assert [line.split()[1:3] for line in history] == [
        ["test", "taken"],
        ["engine", "begun"],
        ["dialer:asterisk", "no_answer"],
    ]
    assert "state: ringing → waiting; " in history[2]
    assert NUMBER not in done.out
    assert NUMBER in centre.run("show", id, "--numbers").out


def test_show_tells_what_was_merged_and_the_list_that_it_was(centre):
    phone = f"{NUMBER} доб. 100"
    about = {"name": "Анна", "phone": phone}
    first = centre.take(**about, topic="чек", operator="olga")
    again = centre.take(**about, topic="доставка", operator="ivan", due_in_s=0.0)
    assert again.id == first.id
    assert "dropped (+1 merged)" in centre.run("list").out
    told = centre.run("show", first.id).out
    table = told[told.index("asked ") :].splitlines()
    assert "olga" in table[1]
    assert table[1].split()[-1] == "чек"
    assert "ivan" in table[2]
    assert "in 0 s" in table[2]
    assert table[2].split()[-1] == "доставка"
    assert "100" not in "".join(told.splitlines()[:9])
    assert "ext. 100" in centre.run("show", first.id, "--numbers").out


def test_show_as_json(centre):
    id = rung(centre)
    told = json.loads(centre.run("show", id, "--json").out)
    assert told["callback"]["phone"] == "+7…89"
    assert told["callback"]["opening"] == "Анна, это Haier"
    assert [one["outcome"] for one in told["attempts"]] == ["no_answer"]
    assert [one["what"] for one in told["history"]] == ["taken", "begun", "no_answer"]
    assert told["calls"] == ["pbx/7"]


@pytest.mark.parametrize(
    "command",
    [["show"], ["accept"], ["done", "reached"], ["cancel"], ["retry"], ["number", NUMBER]],
    ids=lambda command: command[0],
)
def test_an_unknown_id(centre, command):
    centre.take()
    done = centre.run(command[0], "zzzzzzzzzzzz", *command[1:])
    assert (done.status, done.out) == (2, "")
    assert "ID: there is no callback 'zzzzzzzzzzzz': vad-agent callbacks list" in done.line


@pytest.mark.parametrize(
    "command",
    [["show"], ["accept"], ["done", "reached"], ["cancel"], ["retry"], ["number", NUMBER]],
    ids=lambda command: command[0],
)
def test_a_part_of_an_id_changes_and_shows_nothing(centre, command):
    """A typing error must not close another client's callback."""
    callback = centre.take()
    parts = (callback.id[:3], callback.id[:11], callback.id + "0", "zz%", "../promise", "я" * 12)
    for part in (*parts, "z" * 80, ""):
        done = centre.run(command[0], part, *command[1:])
        assert (done.status, done.out) == (2, "")
        assert "ID: expected a whole id, 12 letters and digits such as k3v9q0m2x7ha" in done.line
    assert centre.get(callback) == callback
    assert centre.run("show", f" {callback.id.upper()} ").out.startswith(callback.id)


# -- changes ---------------------------------------------------------------------------------------


def test_done_by_hand(centre):
    anna, other = centre.take(**ANNA, due_in_s=0.0), centre.take()
    done = centre.run("done", anna.id, "reached")
    assert (done.status, done.out) == (1, "")
    assert "no attempt is under way: " in done.line
    done = centre.run("done", anna.id, "reached", "--by-hand", "--why", "со своего")
    assert (done.status, done.out, done.err) == (0, f"{anna.id}: reached\n", "")
    done = centre.run("done", other.id, "no_answer", "--by-hand")
    assert done.status == 0
    again = centre.run("done", other.id, "no_answer", "--by-hand")
    assert again.out == f"{other.id}: unchanged, it was reported already: waiting\n"
    assert re.match(rf"{other.id}: waiting, attempt 2(/3)?, \d\d:\d\d:\d\d, in ", done.out)
    with centre.opened() as one:
        last = one.app_state.queries.history(anna.id)[-1]
    assert last.who.startswith(centre.who())
    assert (last.what, last.why) == ("reached", "со своего")


def test_who_calls_says_so_and_who_is_second_is_told_who_was_first(centre):
    anna = centre.take(**ANNA, due_in_s=0.0)
    early = centre.run("accept", anna.id)
    assert (early.status, early.out) == (1, "")
    assert "it is not offered: waiting" in early.line
    with centre.opened() as one:
        by = Actor("desk", one.app_state.service.clock.now())
        begun = one.store.begin(anna.key, "desk", by)
        one.store.offer(begun.attempt.key, "manual", by)
    assert f"{anna.id}  → offered" in centre.run("list", "--operator", "boris").out
    done = centre.run("accept", anna.id, "--operator", "boris")
    assert (done.status, done.out, done.err) == (0, f"{anna.id}: ringing\n", "")
    assert centre.get(anna).operator == "boris"
    late = centre.run("accept", anna.id, "--operator", "vera")
    assert (late.status, late.out) == (1, "")
    assert "boris has it" in late.line
    assert centre.run("done", anna.id, "reached").out == f"{anna.id}: reached\n"


def test_where_nothing_rang_nothing_changes(centre):
    anna = centre.take(**ANNA)
    agreed = centre.take(reason="agreed", due_in_s=None, at="2031-01-01T10:00+03:00")
    done = centre.run("done", anna.id, "failed", "--by-hand")
    assert done.out == f"{anna.id}: unchanged, nothing rang: waiting\n"
    done = centre.run("done", agreed.id, "busy", "--by-hand")
    assert done.out == f"{agreed.id}: unchanged, the agreed time is still to come: waiting\n"


def test_an_outcome_that_is_none(centre):
    anna = centre.take(**ANNA)
    for wrong in ("lost", "answered"):
        done = centre.run("done", anna.id, wrong)
        assert (done.status, done.out) == (2, "")
        assert wrong in done.line
        assert "reached" in done.line
    assert centre.get(anna).state is State.WAITING


def test_an_ended_one_cannot_be_cancelled_again_and_can_be_retried(centre):
    anna = centre.take(**ANNA)
    assert centre.run("cancel", anna.id, "--why", "settled by mail").status == 0
    again = centre.run("cancel", anna.id)
    assert (again.status, again.out) == (1, "")
    assert anna.id in again.line
    assert centre.run("done", anna.id, "reached").status == 1
    retried = centre.run("retry", anna.id, "--why", "he waits")
    assert retried.status == 0
    assert retried.out.startswith(f"{anna.id}: waiting, attempt 1")
    told = (
        [] if centre.by_http else ["no desk runs here: it is rung once one does: vad-agent serve"]
    )
    assert retried.errors == told


def test_a_number_is_given(centre):
    first = centre.take(phone=None)
    done = centre.run("number", first.id, "12-34")
    assert (done.status, done.out) == (2, "")
    assert done.line == "phone: expected a telephone number: too short"
    done = centre.run("number", first.id, "8 (912) 345-67-89")
    assert done.status == 0
    assert centre.get(first).phone == NUMBER
    second = centre.take(phone=None)
    done = centre.run("number", second.id, NUMBER)
    head, told = done.out.splitlines()
    assert head == f"{second.id}: the same client as {first.id}, they are one now"
    assert told.startswith(f"{first.id}: waiting")


def test_a_time_is_set(centre):
    anna = centre.take(**ANNA)
    assert centre.run("time", anna.id, "2031-03-01T15:30+03:00").status == 0
    assert centre.get(anna).due == datetime(2031, 3, 1, 12, 30, tzinfo=UTC)
    for wrong, why in (
        ("tomorrow", "ISO 8601"),
        ("2031-03-01", "not a date alone; got '2031-03-01'"),
        ("1999-01-01T10:00", "a year from 2000 to 2099"),
    ):
        done = centre.run("time", anna.id, wrong)
        assert (done.status, done.out) == (2, "")
        assert why in done.line


def test_a_callback_is_handed_over(centre):
    one = centre.take(operator="anna", due_in_s=600.0)
    assert centre.run("operator", one.id, "boris", "--why", "she is ill").status == 0
    assert centre.get(one).operator == "boris"
    assert centre.run("operator", one.id).status == 0
    assert centre.get(one).operator is None


def test_times_are_those_of_the_centre_and_name_its_zone(centre, state, tmp_path, monkeypatch):
    """Not of the machine on which somebody looks."""
    (tmp_path / "script.toml").write_text('[callbacks]\nzone = "Europe/Moscow"\n')
    config = tmp_path / "desk.toml"
    config.write_text(f'database = "{state / "callbacks.sqlite"}"\nscript = "script.toml"\n')
    more = () if centre.by_http else ("--config", config)  # a desk says which zone it has
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        anna = centre.take(**ANNA, at="2031-03-01T15:30", reason="agreed", due_in_s=None)
        head, line = centre.run("list", *more).out.splitlines()
        assert "due, Europe/Moscow" in head
        assert "2031-03-01 15:30, in " in line
        shown = centre.run("show", anna.id, *more).out
        assert re.search(r"^  due +2031-03-01 15:30, ", shown, re.MULTILINE)
        assert re.search(r"^  zone +Europe/Moscow$", shown, re.MULTILINE)
        changed = centre.run("time", anna.id, "2031-03-02T10:00", *more).out
        assert "2031-03-02 10:00, in " in changed
        assert changed.endswith("(Europe/Moscow)\n")
        (row,) = rows(centre.run("export", *more).out)
        assert (row["due"], row["zone"]) == ("2031-03-02 10:00:00", "Europe/Moscow")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_client_has_called(centre):
    anna = centre.take(**ANNA)
    assert centre.run("called", "89123456789").out == f"{anna.id}: client_called\n"
    assert centre.run("called", "89123456789").out == "no callback is open for this number\n"
    done = centre.run("called", "Анна")
    assert (done.status, done.out) == (2, "")
    assert done.line.startswith("phone: expected a telephone number")
    assert centre.run("list", "--phone", "Анна").status == 2


@pytest.mark.parametrize("why", ["two\nlines", "\x1b[2J", "x" * 501])
def test_a_reason_is_one_line(centre, why):
    anna = centre.take(**ANNA)
    assert centre.run("cancel", anna.id, "--why", why).status == 2
    assert centre.get(anna).state is State.WAITING


# -- the promise -----------------------------------------------------------------------------------


def test_the_promise(centre):
    centre.take(**ANNA)
    centre.take(**ANNA)
    centre.run("cancel", centre.take().id)
    done = centre.run("promise")
    assert (done.status, done.err) == (0, "")
    first, _, *counts = done.out.splitlines()
    assert first == (
        "taken 3 = reached 0 + not reached 0 + client called 0 + cancelled 1 + open 2: "
        "nothing is missing"
    )
    assert [line.split()[-1] for line in counts] == ["count", *"30001200"]
    told = json.loads(centre.run("promise", "--json").out)
    assert (told["taken"], told["open"], told["missing"]) == (3, 2, 0)


def test_a_request_that_is_missing(centre):
    centre.take(**ANNA)
    with centre.opened() as one, one.store.database.writing() as c:
        c.exec_driver_sql("DELETE FROM requests")
    done = centre.run("promise")
    assert done.status == 1
    assert done.out.splitlines()[0].endswith("open 0: 1 MISSING")
    assert done.line == "1 requests are not accounted for: keep the database as it is"
    assert centre.run("promise", "--json").status == 1


def test_a_callback_that_was_never_requested_is_missing_until_it_is_made(centre):
    lines = [
        {"t": 3.0, "kind": "callback", "reason": "dropped", "phone": NUMBER, "due_in_s": 600.0}
    ]
    with centre.opened() as one:
        one.desk.take_call(CallRecord("pc-1 call", "anna", "auto", ago(600), lines))
    done = centre.run("promise")
    assert done.status == 1
    assert done.out.splitlines()[0].endswith("open 0: 1 MISSING")
    assert "lost: the call of anna, ended " in done.out
    assert done.out.splitlines()[-1] == "  vad-agent callbacks make 'pc-1 call'"
    assert done.line == "1 callbacks were never requested: vad-agent callbacks make CALL"
    made = centre.run("make", "pc-1 call")
    assert made.status == 0
    assert " waiting, attempt 1" in made.out
    assert centre.run("promise").status == 0
    again = centre.run("make", "pc-1 call")  # the same one; the seconds until it is due run on
    assert again.out.split()[0] == made.out.split()[0]
    assert centre.run("list").out.count("\n") == 2


def test_a_call_that_asks_for_no_callback_makes_none(centre):
    with centre.opened():
        pass  # the command makes no database
    done = centre.run("make", "nothing")
    assert (done.status, done.line) == (
        1,
        "call: there is no such call, or its trace was erased",
    )


# -- export ----------------------------------------------------------------------------------------


def test_an_export_has_no_formula(centre, tmp_path):
    out, end = tmp_path / "out.csv", 'HYPERLINK("http://x";"Анна")'
    signs = ["=", "+", "-", "@", " =", "\t=", "＝"]
    for sign in signs:
        centre.take(name=f"{sign}{end}", operator=f"{sign}{end}")
    assert centre.run("export", "--numbers", "--output", out).status == 0
    exported = rows(out.read_text(encoding="utf-8"))
    assert len(exported) == len(signs)
    for one in exported:
        for cell in (one["name"], one["operator"]):
            assert cell.startswith("'")
            assert cell.endswith(end)
        assert one["phone"].startswith("'+7912345")


def test_an_export_masks_what_is_personal(centre):
    anna, nobody = centre.take(**ANNA, **OPENING), centre.take(phone="12", name=None)
    done = centre.run("export")
    assert (done.status, done.err) == (0, "")
    first, second = rows(done.out)
    assert (first["id"], second["id"]) == (anna.id, nobody.id)
    personal = ("phone", "name", "topic", "opening")
    assert [first[name] for name in personal] == ["'+7…89", "…", "…", "…"]
    assert [second[name] for name in (*personal, "phone_given")] == ["", "", "", "", "…"]
    assert "Анна" not in done.out
    (one, _) = map(json.loads, centre.run("export", "--json", "--numbers").out.splitlines())
    assert [one[name] for name in personal] == [NUMBER, "Анна", "доставка", "Анна, это Haier"]


def test_an_export_into_a_file(centre, tmp_path):
    centre.take(**ANNA)
    out = tmp_path / "перезвоны.csv"
    out.write_text("old")
    done = centre.run("export", "--csv", "--separator", ";", "--output", out)
    assert (done.status, done.out, done.err) == (0, f"{out}: 1 callbacks\n", "")
    assert out.read_bytes().startswith(b"\xef\xbb\xbfid;state;")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name != "vad-agent"] == [out.name]


def test_an_export_since(centre):
    centre.take(**ANNA)
    soon, before = (f"{datetime.now() + timedelta(days=d):%Y-%m-%d}" for d in (2, -2))
    assert centre.run("export", "--json", "--since", soon).out == ""
    assert len(centre.run("export", "--json", "--since", before).out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["--json", "--csv"], 2, "expected one of --json and --csv"),
        (["--since", "yesterday"], 2, "expected an ISO 8601 date or time"),
        (["--separator", ";;"], 2, "expected one of , ; |"),
        (["--output", "/nowhere/at/all.csv"], 1, "there is no folder /nowhere/at"),
        (["--output", "/"], 1, "it is a folder"),
        (["--output", "/dev/null"], 1, "it is a device"),
    ],
)
def test_a_wrong_export(own, arguments, status, why):
    done = own.run("export", *arguments)
    assert (done.status, done.out) == (status, "")
    assert why in done.line


# -- the store itself ------------------------------------------------------------------------------


def old_one(own: CallbackCommands) -> str:
    """A callback that ended 100 days ago; its id."""
    callback = own.take(**ANNA, **OPENING, asked=ago(101 * 86_400))
    with own.opened() as one:
        at = datetime.now(UTC) - timedelta(days=100)
        by = Actor("test", at)
        one.store.change(callback.id, "cancelled", by, lambda c: transitions.cancel(c, at))
    return callback.id


def test_erase_asks(own, monkeypatch):
    id = old_one(own)
    for answer, status, told in (("n\n", 1, "nothing was erased"), ("", 2, "or --yes")):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        done = own.run("erase", "--older-than", 90)
        assert (done.status, done.out) == (status, "")
        assert "ended 90 days ago and more? [y/N]" in done.err
        assert told in done.err.splitlines()[-1]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert own.run("erase", "--older-than", 90).out == "erased: 1\n"
    (one,) = map(json.loads, own.run("export", "--json", "--numbers").out.splitlines())
    assert (one["id"], one["phone"], one["name"], one["opening"]) == (id, None, None, "")


def test_erase_without_a_question(own):
    old_one(own)
    own.take()
    assert own.run("erase", "--older-than", 101, "--yes").out == "erased: 0\n"
    done = own.run("erase", "--older-than", 90, "--yes")
    assert (done.status, done.out, done.err) == (0, "erased: 1\n", "")
    assert own.run("erase", "--older-than", -1, "--yes").status == 2
    assert own.run("erase", "--yes").status == 2


def test_letters_of_a_killed_headset_are_in_the_list(own, state):
    outbox = Outbox(state / "outbox")
    letter = OutboxMessage(
        "requested", "k", "here/1", ago(3).isoformat(), reason="dropped", due_in_s=0.0
    )
    outbox.post(letter)
    (outbox.folder / "00-wrong.json").write_text("{}")
    done = own.run("list")
    assert done.status == 0
    assert "needs_number" in done.out.splitlines()[1]
    assert done.line.endswith("1 of the headset's requests cannot be understood, kept there")
    assert outbox.waiting() == []
    assert own.run("list").err == ""


def test_a_store_that_another_process_has(own):
    with own.opened():
        done = own.run("list")
    assert (done.status, done.out) == (1, "")
    assert "another process has the callbacks" in done.line


@pytest.mark.parametrize("umask", [0o022, 0, 0o777])
def test_a_key_is_written_into_a_file_of_its_owners_alone_and_none_is_replaced(
    own, tmp_path, umask
):
    file = tmp_path / "callbacks.key"
    before = os.umask(umask)
    try:
        done = own.run("key", file)
    finally:
        os.umask(before)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{file}: a new key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert text.strip() not in done.out
    assert FieldEncryption(text).encrypts
    again = own.run("key", file)
    assert (again.status, again.out) == (1, "")
    assert again.line == f"{file}: it exists: a key that is in use must not be replaced"
    assert file.read_text() == text


def test_settings_name_the_database_and_the_key(own, tmp_path, monkeypatch):
    key = own.run("key")
    assert key.status == 0
    assert "VAD_AGENT_ENCRYPTION_KEY" in key.line
    (tmp_path / "key").write_text(key.out)
    config = tmp_path / "desk.toml"
    config.write_text('database = "other.sqlite"\nencryption_key_file = "key"\n')
    Store(str(tmp_path / "other.sqlite"), POLICY, FieldEncryption(key.out.strip())).close()
    assert own.run("list", "--config", config).out == "no callbacks\n"
    config.write_text('database = "other.sqlite"\n')
    done = own.run("list", "--config", config)
    assert (done.status, done.line) == (
        1,
        "names and numbers in the database are encrypted: set the key",
    )
    config.write_text("databse = 1\n")
    done = own.run("list", "--config", config)
    assert (done.status, done.line) == (2, f"{config}: databse: unknown key")


# -- words and parts -------------------------------------------------------------------------------


def test_the_commands_words_are_the_rules_words():
    assert {which.value for which in WhichOption} == {"open", "ended", "all", *State}
    assert {said.value for said in Said} == set(Outcome) - {"lost"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "now"),
        (0.4, "now"),
        (59, "in 59 s"),
        (60, "in 1 min"),
        (90, "in 90 s"),
        (-119, "119 s ago"),
        (-120, "2 min ago"),
        (7200, "in 2 h"),
        (-200_000, "2 d ago"),
    ],
)
def test_how_far_it_is(seconds, told):
    assert distance(timedelta(seconds=seconds)) == told


def test_no_text_that_a_terminal_obeys():
    assert text("a\x1b[2J\r\n\u202eb\x9b") == "a [2J   b "
    assert text(None) == ""


IMPORTS = """
import sys
{first}
sys.argv = ["vad-agent", *{arguments}]
from vad_agent.cli.main import main
try:
    main()
finally:
    heavy = sorted({{"sqlalchemy", "httpx", "fastapi"}} & set(sys.modules))
    print("loaded:", heavy, file=sys.stderr)
"""


def started(first: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = IMPORTS.format(first=first, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [["--help"], ["callbacks", "done", "--help"]])
def test_help_loads_no_database(state, arguments):
    done = started("", *arguments)
    assert (done.returncode, done.stderr) == (0, "loaded: []\n")


def test_without_the_extra_one_line_says_what_to_install(state):
    done = started("sys.modules['sqlalchemy'] = None", "callbacks", "list")
    told, _ = done.stderr.splitlines()
    assert done.returncode == 2
    assert told == (
        "vad-agent: the store of callbacks needs sqlalchemy: "
        f'{sys.executable} -m pip install ".[callbacks]" in the checkout'
    )


@pytest.mark.parametrize(
    "command",
    [command.name or command.callback.__name__ for command in callbacks_app.registered_commands],
)
def test_every_help_has_examples(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    done = run(command, "--help")
    assert (done.status, done.err) == (0, "")
    lines = [line.strip() for line in done.out.splitlines()]
    assert any(line.startswith(f"vad-agent callbacks {command}") for line in lines)
