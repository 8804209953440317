"""The script's table of callbacks becomes the rules' policy, field by field."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from vad_agent.callbacks.model import Policy
from vad_agent.callbacks.policy_from_script import policy_of
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
    assert policy == Policy(policy.zone)


def test_without_a_zone_it_is_the_machines():
    zone = policy_of(Settings()).zone
    now = datetime.now(UTC)
    assert now.astimezone(zone).utcoffset() == now.astimezone().utcoffset()
    assert now.astimezone(zone) - now == timedelta()
