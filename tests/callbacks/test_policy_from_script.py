"""The script's table of callbacks becomes the rules' policy, field by field."""

from __future__ import annotations

import time as time_module
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.next_attempt_time import agreed_time, next_allowed
from vad_agent.callbacks.policy_from_script import policy_of
from vad_agent.common import time_zones
from vad_agent.common.time_zones import machine_zone, zone_name
from vad_agent.script.settings import Settings


def settings(tmp_path, text=""):
    script = tmp_path / "script.toml"
    script.write_text(f"[callbacks]\n{text}\n", encoding="utf-8")
    return Settings.load(script)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('zone = "Asia/Vladivostok"', "zone", ZoneInfo("Asia/Vladivostok")),
        ("attempts = 2\ngaps_s = [7.0]", "attempts", 2),
        ("attempts = 2\ngaps_s = [7.0]", "gaps_s", (7.0,)),
        ("failed_pauses_s = [1.0, 2.0]", "failed_pauses_s", (1.0, 2.0)),
        ("operator_pause_s = 3.5", "operator_pause_s", 3.5),
        ("offer_s = 12.5", "offer_s", 12.5),
        ('stand_ins = ["ivanova", "petrov"]', "stand_ins", ("ivanova", "petrov")),
        ('quiet_hours = ["22:00", "08:30"]', "quiet", (time(22), time(8, 30))),
        ("quiet_hours = []", "quiet", None),
        ("overdue_s = 30.0", "overdue_s", 30.0),
        ("farewell_s = 4.0", "farewell_s", 4.0),
        ("unreported_s = 100.0", "answer_limit_s", 100.0),
        ('region = "KZ"', "region", "KZ"),
    ],
)
def test_each_line_of_the_script_is_one_rule(tmp_path, line, field, value):
    policy = policy_of(settings(tmp_path, line))
    assert getattr(policy, field) == value
    assert value != getattr(Policy(ZoneInfo("Europe/Moscow")), field) or value is None


def test_without_a_script_the_rules_are_those_of_their_own_defaults():
    policy = policy_of(Settings())
    assert policy == Policy(policy.zone, zone_is_machines=True)


@pytest.mark.parametrize("machine", ["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"])
def test_the_machines_zone_has_its_rules_not_the_offset_of_the_programs_start(machine, monkeypatch):
    """By its name, or as the C library has it: half a year later the offset is another one."""
    monkeypatch.setenv("TZ", machine)
    time_module.tzset()
    try:
        policy = policy_of(Settings())
        assert policy.zone_is_machines
        summer = agreed_time("2027-07-01T15:30", policy)
        winter = agreed_time("2027-01-15T15:30", policy)
        assert (summer, winter) == (
            datetime(2027, 7, 1, 13, 30, tzinfo=UTC),
            datetime(2027, 1, 15, 14, 30, tzinfo=UTC),
        )
        for when in (summer, winter):
            assert when.astimezone(policy.zone).strftime("%H:%M") == "15:30"
        night = replace(policy, quiet=(time(21), time(9)))
        assert next_allowed(datetime(2027, 7, 1, 22, tzinfo=UTC), night) == datetime(
            2027, 7, 2, 7, tzinfo=UTC
        )
        assert zone_name(policy.zone) in ("Europe/Berlin", "CET", "CEST")
    finally:
        monkeypatch.undo()
        time_module.tzset()


def test_the_machines_zone_has_its_name_where_a_link_says_it(tmp_path, monkeypatch):
    monkeypatch.delenv("TZ", raising=False)
    link = tmp_path / "localtime"
    monkeypatch.setattr(time_zones, "LINK", link)
    monkeypatch.setattr(time_zones, "NAME", tmp_path / "none")
    here = datetime.now().astimezone().utcoffset()
    same = next(
        name
        for name in ("Etc/UTC", "Europe/Moscow", "Europe/Berlin", "America/New_York")
        if datetime.now(ZoneInfo(name)).utcoffset() == here
    )
    link.symlink_to(f"/usr/share/zoneinfo/{same}")
    assert zone_name(machine_zone()) == same
    link.unlink()
    link.symlink_to("/usr/share/zoneinfo/Pacific/Kiritimati")  # not what the clock shows
    assert zone_name(machine_zone()) != "Pacific/Kiritimati"


def test_without_a_zone_it_is_the_machines():
    zone = policy_of(Settings()).zone
    now = datetime.now(UTC)
    assert now.astimezone(zone).utcoffset() == now.astimezone().utcoffset()
    assert now.astimezone(zone) - now == timedelta()
