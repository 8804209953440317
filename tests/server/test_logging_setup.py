"""The desk's log: one line, a static text, values as fields."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

from vad_agent.server.logging_setup import Fields, log_to_stderr


@pytest.fixture
def root():
    """Logging is one for the process."""
    root, own = logging.getLogger(), logging.getLogger("vad_agent")
    before = (root.handlers, root.level, own.level)
    yield root
    root.handlers, level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


def record(text="alarm", *values, level=logging.WARNING, error=None, **fields):
    made = logging.LogRecord("vad_agent.x", level, "x.py", 1, text, values, error)
    vars(made).update(fields)
    return made


def after_time(line):
    when, _, rest = line.partition(" ")
    told = datetime.fromisoformat(when)
    assert told.tzinfo is not None
    return rest, told


@pytest.mark.parametrize(
    ("fields", "rest"),
    [
        ({}, "WARNING alarm"),
        ({"kind": "overdue", "about": "a1"}, "WARNING alarm kind=overdue about=a1"),
        ({"why": "two words"}, 'WARNING alarm why="two words"'),
        ({"why": ""}, 'WARNING alarm why=""'),
        ({"why": "a\nb"}, 'WARNING alarm why="a\\nb"'),
        ({"why": "a\x1b[31m"}, 'WARNING alarm why="a\\u001b[31m"'),
        (
            {"count": 5, "at_start": True, "none": None},
            "WARNING alarm count=5 at_start=True none=None",
        ),
        ({"why": "нет"}, "WARNING alarm why=нет"),
        ({"why": "нет диска"}, 'WARNING alarm why="нет диска"'),
        (
            {"why": "нет\x9b диска"},
            'WARNING alarm why="\\u043d\\u0435\\u0442\\u009b \\u0434\\u0438\\u0441\\u043a\\u0430"',
        ),
    ],
)
def test_fields_follow_the_text_on_one_line(fields, rest):
    assert after_time(Fields().format(record(**fields)))[0] == rest


def test_the_time_is_the_records_to_the_millisecond_with_its_zone():
    made = record()
    made.created = 1_800_000_000.25
    when = after_time(Fields().format(made))[1]
    assert when.timestamp() == made.created
    assert json.loads(Fields(as_json=True).format(made))["t"] == when.isoformat(
        timespec="milliseconds"
    )


def test_as_json_each_line_is_an_object_with_the_fields():
    made = record("%d letters", 3, level=logging.INFO, why="a\nb", about=None, set={1})
    line = Fields(as_json=True).format(made)
    assert "\n" not in line
    told = json.loads(line)
    del told["t"]
    assert told == {
        "level": "INFO",
        "text": "3 letters",
        "why": "a\nb",
        "about": None,
        "set": "{1}",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_is_told(as_json):
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        error = sys.exc_info()
    text = Fields(as_json=as_json).format(record(error=error, key="k"))
    if as_json:
        told = json.loads(text)
        assert (told["key"], "RuntimeError: a bug" in told["trace"]) == ("k", True)
    else:
        first, *trace = text.splitlines()
        assert first.endswith("WARNING alarm key=k")
        assert trace[-1] == "RuntimeError: a bug"


@pytest.mark.parametrize(
    ("name", "level", "told"),
    [
        ("vad_agent.callbacks.reconciler", logging.INFO, True),
        ("vad_agent.callbacks.reconciler", logging.DEBUG, False),
        ("httpx", logging.INFO, False),  # its lines hold URLs, and a URL may hold a number
        ("httpx", logging.WARNING, True),
        ("uvicorn.access", logging.INFO, False),
    ],
)
def test_the_products_own_lines_go_to_stderr_and_others_warnings(root, capsys, name, level, told):
    log_to_stderr()
    log_to_stderr()
    logging.getLogger(name).log(level, "a line", extra={"key": "k"})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("a line key=k") == (1 if told else 0)
