"""Reports all problems of a script at once, one line each: key, what was expected and found.

Two passes over the same merged table, so that errors of one do not hide those of the other:

    values   each by itself: type, limits, unknown and missing keys (the models of schema.py)
    between  relations: ladder → prompt, aim in its window, attempts and gaps, fields and the
             operator's name, recordings on the disk (here; skips what `values` reports)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from vad_agent.common.toml_file import Toml, key
from vad_agent.core.actions import Reason
from vad_agent.core.frames import FRAMES_PER_SECOND
from vad_agent.core.script import FIELDS, OPTIONAL_FIELDS, ROWS, fill
from vad_agent.script.schema import MOST_ATTEMPTS, Tables, is_number, seconds_list, window

_LONGEST = 60
_PROMPT_NAME = re.compile(r"[\w-]+")

Loc = tuple[int | str, ...]
Problem = tuple[Loc, str]

_RENAMED: Mapping[Loc, str] = {
    ("hearing", "judge"): "it is called detector now: "
    '"earshot" (the default), "network", "webrtcvad" or "silero"',
}


def problems(table: Toml, built_in: Toml, folder: Path) -> list[str]:
    """All problems of the merged `table`, in its order; [] if there are none.

    `folder`: the base of relative paths of recordings.
    """
    found = [*_values(table, built_in), *_between(table, folder)]
    found.sort(key=lambda problem: _place(table, problem[0]))
    lines = (f"{'.'.join(_shorten(key(part)) for part in loc)}: {text}" for loc, text in found)
    return list(dict.fromkeys(lines))


def recording_frames(path: Path) -> int:
    """Length of an audio file in frames, rounded up.

    Raises:
        ValueError: it does not exist, cannot be read, or is empty; the text says which.
    """
    # Imported here, because it loads a C library that most scripts do not need.
    import soundfile  # type: ignore[import-untyped]

    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    try:
        info = soundfile.info(str(path))
    except (OSError, RuntimeError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"expected an audio file: {text}") from None
    if not info.frames:
        raise ValueError(f"expected a recorded phrase, got an empty recording: {path}")
    return int(-(-info.frames * FRAMES_PER_SECOND // info.samplerate))


# -- values
# -------------------------------------------------------------------------------------------


def _values(table: Toml, built_in: Toml) -> Iterator[Problem]:
    try:
        Tables.model_validate(table)
    except ValidationError as error:
        for details in error.errors():
            yield details["loc"], _in_words(details, built_in)


def _in_words(details: ErrorDetails, built_in: Toml) -> str:
    loc = details["loc"]
    match details["type"]:
        case "extra_forbidden":
            if loc in _RENAMED:
                return _RENAMED[loc]
            return f"unknown key; {_meant(loc[-1], _known_keys(loc[:-1]))}"
        case "missing":
            # All built-in keys exist already: only a prompt of the file's own can lack one.
            what = "missing: a prompt that is not built in needs text and window_s"
            close = _close(loc[1], built_in["prompts"])
            return f"{what}; did you mean {close}?" if close else what
        case "model_type" | "dict_type":
            what = "expected a table"
        case "string_type":
            what = "expected text"
        case _:
            what = details["msg"]
    return f"{what}, got {_toml(details['input'])}"


def _known_keys(loc: Loc) -> Iterable[str]:
    """The keys of the model at `loc`."""
    table: type[BaseModel] = Tables
    parts = iter(loc)
    for part in parts:
        annotation: Any = table.model_fields[str(part)].annotation
        if arguments := get_args(annotation):
            # dict[str, Prompt]: the next part is a name, and the model is that of the value.
            annotation = arguments[-1]
            next(parts, None)
        table = annotation
    return table.model_fields


# -- relations
# ----------------------------------------------------------------------------------------


def _between(table: Toml, folder: Path) -> Iterator[Problem]:
    prompts = _tables(table, "prompts")
    for name, prompt in prompts.items():
        if not _PROMPT_NAME.fullmatch(str(name)):
            yield ("prompts", name), "expected a name of letters, digits, _ and -"
        yield from _aim(("prompts", name), prompt)
        yield from _template(("prompts", name, "text"), prompt.get("text"), table)
    scenarios = _tables(table, "scenarios")
    for reason in Reason:
        # An unknown name is an unknown key; a row that is not a table is reported by its type.
        if scenario := scenarios.get(reason):
            yield from _scenario(reason, scenario, table)
            loc = ("scenarios", reason.value, "opening")
            yield from _template(loc, scenario.get("opening"), table)
    yield from _gaps(_table(table.get("callbacks")))
    yield from _recordings(_table(_table(table.get("voice")).get("recordings")), table, folder)


def _aim(loc: Loc, prompt: Toml) -> Iterator[Problem]:
    aim = prompt.get("aim_s")
    try:
        lo, hi = window(prompt.get("window_s"))
    except PydanticCustomError:
        return
    if is_number(aim) and aim >= 0 and not lo <= aim <= hi:
        yield (*loc, "aim_s"), f"expected a time in the window {_toml([lo, hi])}, got {_toml(aim)}"


def _template(loc: Loc, text: object, table: Toml) -> Iterator[Problem]:
    if not isinstance(text, str):
        return
    operator_name = table.get("operator_name")
    known = operator_name if isinstance(operator_name, str) else "wrong, and reported as such"
    unknown = [name for name in OPTIONAL_FIELDS if name != "operator_name" or not known.strip()]
    for problem in phrase_problems(text, FIELDS, unknown):
        yield loc, problem


def _scenario(reason: Reason, scenario: Toml, table: Toml) -> Iterator[Problem]:
    loc: Loc = ("scenarios", reason.value)
    ladder = scenario.get("ladder")
    prompts = table.get("prompts")
    if isinstance(ladder, list | tuple):
        if ROWS[reason].clock is None and ladder:
            yield (
                (*loc, "ladder"),
                f"expected [], since no silence is waited for, got {_toml(ladder)}",
            )
        if ROWS[reason].clock is not None and not ladder:
            yield (
                (*loc, "ladder"),
                "expected one prompt at least: the last one ends the call, got []",
            )
        for name in ladder:
            if isinstance(name, str) and isinstance(prompts, dict) and name not in prompts:
                yield (*loc, "ladder"), f"no prompt named {_toml(name)}; {_meant(name, prompts)}"
    callback_in_s = scenario.get("callback_in_s")
    if reason is Reason.AGREED and callback_in_s is not None:
        text = "expected no such key, since the callback is due at the agreed time"
        yield (*loc, "callback_in_s"), f"{text}, got {_toml(callback_in_s)}"
    if reason is not Reason.AGREED and callback_in_s is None:
        yield (*loc, "callback_in_s"), "missing: expected seconds until the callback"


def _gaps(callbacks: Toml) -> Iterator[Problem]:
    attempts, gaps = callbacks.get("attempts"), callbacks.get("gaps_s")
    try:
        count = len(seconds_list(gaps))
    except PydanticCustomError:
        return
    # Not isinstance: true is an int in Python, and not a number of attempts.
    if type(attempts) is int and 1 <= attempts <= MOST_ATTEMPTS and count != attempts - 1:
        what = f"expected {attempts - 1} (attempts = {attempts}, less one)"
        yield ("callbacks", "gaps_s"), f"{what}, got {count}: {_toml(gaps)}"


def _recordings(recordings: Toml, table: Toml, folder: Path) -> Iterator[Problem]:
    prompts = table.get("prompts")
    for name, file in recordings.items():
        loc: Loc = ("voice", "recordings", name)
        if isinstance(prompts, dict) and name not in prompts:
            yield loc, f"no prompt of this name; {_meant(name, prompts)}"
        if isinstance(file, str) and file.strip():
            try:
                recording_frames(folder / file)
            except ValueError as error:
                yield loc, str(error)


def _table(value: object) -> Toml:
    return value if isinstance(value, dict) else {}


def _tables(table: Toml, name: str) -> Mapping[str, Toml]:
    """The tables in a table of tables; other values are reported by their type."""
    return {k: v for k, v in _table(table.get(name)).items() if isinstance(v, dict)}


# -- texts
# --------------------------------------------------------------------------------------------


def _meant(name: object, known: Iterable[str]) -> str:
    names = list(known)
    close = _close(name, names)
    return f"did you mean {close}?" if close else f"known: {', '.join(map(key, names))}"


def _close(name: object, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(name), map(str, known), n=1)), None)


def _toml(value: object) -> str:
    """A value as written in the file, shortened if it is long."""
    return _shorten(_text(value))


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            # Shorten first: escaping a megabyte that is then dropped is slow.
            return '"' + "".join(map(_escaped, value[: _LONGEST + 1])) + '"'
        case list() | tuple():
            return f"[{', '.join(map(_text, value[:_LONGEST]))}]"
        case dict():
            return "a table"
    return str(value)


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _place(table: Toml, loc: Loc) -> list[int]:
    """The position of a key in the table; a missing key comes last in its table."""
    place: list[int] = []
    at: Any = table
    for part in loc:
        keys = list(at) if isinstance(at, dict) else []
        place.append(keys.index(part) if part in keys else len(keys))
        at = at[part] if part in keys else None
    return place


# As `fill` parses them.
_OPTIONAL = re.compile(r"\[[^\[\]]*\]")
_FIELD = re.compile(r"\{([^{}]*)\}")
# What an omitted part leaves behind if its comma or its space is outside: «Здравствуйте, , …».
_STRAY = re.compile(r"^\W*[,;:.!?]|[,;:]\s*[,;:.!?]|\s[,;:.!?]|\s\s|[,;:]$")


def phrase_problems(template: str, fields: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
    """Problems of the template, a text each; a blank one is reported by its type, not here.

    `fields`: the existing fields; `unknown`: those that may be unknown in a call.
    """
    used = list(dict.fromkeys(_FIELD.findall(template)))
    for name in used:
        if name not in fields:
            yield f"unknown field {{{name}}}; known: {', '.join(fields)}"
    paired = True
    for pattern, pair in ((_OPTIONAL, "[ and ]"), (_FIELD, "{ and }")):
        rest = pattern.sub("", template)
        if any(mark in rest for mark in pair.split(" and ")):
            paired = False
            yield f"{pair} do not pair up: each is closed before the next one is opened"
    if not paired:
        return
    always = _FIELD.findall(_OPTIONAL.sub("", template))
    bare = [name for name in unknown if name in always]
    for name in bare:
        yield f"{{{name}}} may be unknown: put it with its comma in [square brackets]"
    if not bare:
        yield from _remains(template, [name for name in unknown if name in used], fields)


def _remains(template: str, optional: Sequence[str], fields: Sequence[str]) -> Iterator[str]:
    """Something speakable must remain, whichever fields are unknown."""
    # With every field filled in, a stray comma is what the author wrote.
    whole = {name: f"{{{name}}}" for name in fields}
    if _STRAY.search(fill(template, whole)):
        return
    for count in range(1, len(optional) + 1):
        for missing in combinations(optional, count):
            text = fill(template, whole | dict.fromkeys(missing, ""))
            names = " and ".join(missing)
            if not any(char.isalnum() for char in text):
                yield f"nothing is left to say where {names} is unknown"
            elif stray := _STRAY.search(text):
                near = text[max(0, stray.start() - 20) : stray.end() + 10].strip()
                advice = "take the comma or space into the [square brackets]"
                yield f"without {names} it reads «{near}»: {advice}"
                return
