"""What the name of a recording tells."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from vad_agent.archive.file_names import ASTERISK, NameFacts, NamePattern
from vad_agent.errors import SettingsError

MOSCOW = ZoneInfo("Europe/Moscow")


def test_asterisks_own_names_are_read_without_a_setting():
    facts = NamePattern(ASTERISK, MOSCOW).read(
        "/var/spool/asterisk/monitor/out-101-79161234567-20261130-101500-1700000000.1.wav"
    )
    assert facts == NameFacts("101", "79161234567", datetime(2026, 11, 30, 7, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("pattern", "path", "operator", "began"),
    [
        ("{operator}_{number}", "s3://calls/anna_79161234567.mp3", "anna", None),
        ("{time:%Y/%m/%d}/{operator}-{x}", "/a/2026/11/30/7-x.wav", "7", "2026-11-29T21:00:00+00:00"),
        ("{operator}/{time:%s}.{x}", "c:\\boris\\1700000000.5.ogg", "boris", "2023-11-14T22:13:20+00:00"),
        ("{operator}", "anna.1.wav", "anna.1", None),
    ],
)  # fmt: skip
def test_patterns_name_folders_and_times(pattern, path, operator, began):
    facts = NamePattern(pattern, MOSCOW).read(path)
    assert (facts.operator, facts.began and facts.began.isoformat()) == (operator, began)


@pytest.mark.parametrize("path", ["out-101.wav", "out-101-79-20261340-101500-1.wav", ""])
def test_what_is_not_in_the_name_is_unknown(path):
    assert NamePattern(ASTERISK, MOSCOW).read(path).began is None


@pytest.mark.parametrize("pattern", ["", "{x}-{y}", "{time}", "{time:%Q}", "{operator}{operator}"])
def test_a_pattern_that_reads_nothing_is_refused(pattern):
    with pytest.raises(SettingsError, match="--names"):
        NamePattern(pattern, MOSCOW)
