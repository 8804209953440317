"""The tables of a script file, as in haieronline.toml: one model per table, one type per value.

Nothing is converted implicitly: "2.0" and true are not numbers. An integer is accepted for seconds,
because TOML writers omit the ".0". Checks of several values together (do the prompts of a ladder
exist?) are in validation.py.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal, TypeGuard
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, PlainValidator
from pydantic_core import PydanticCustomError

from vad_agent.core.frames import FRAME_S

HOUR_S = 3600.0
KNOWN_S = 0.4
"""Seconds within which it is known whether a sound is speech."""
LEAST_SILENCE_S = 0.5
LEAST_WIDTH_S = 0.1
DAY_S = 86_400.0
MOST_ATTEMPTS = 10
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
# They cannot be spoken, and each of them splits a log or trace line, or cannot be stored.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


def expected(what: str) -> PydanticCustomError:
    """The error for a value that is not `what`; validation.py adds the key and the value."""
    return PydanticCustomError("expected", f"expected {what}")


def is_number(value: object) -> TypeGuard[float]:
    """A number in TOML's sense: true and "2.0" are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(what: str, least: float, most: float) -> PlainValidator:
    """A number within the limits; NaN is rejected."""

    def check(value: object) -> float:
        if is_number(value) and least <= value <= most:
            return float(value)
        raise expected(f"{what} from {least:g} to {most:g}")

    return PlainValidator(check)


def _whole_number(least: int, most: int) -> PlainValidator:
    def check(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise expected(f"a whole number from {least} to {most}")

    return PlainValidator(check)


def _line(what: str, may_be_empty: bool = False) -> PlainValidator:
    """One-line text with at least one letter or digit, so that there is something to say."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not (may_be_empty or any(map(str.isalnum, value))):
            raise expected(what)
        if not _UNPRINTABLE.isdisjoint(map(unicodedata.category, value)):
            raise expected(f"{what} on one line, without control characters")
        return value

    return PlainValidator(check)


def window(value: object) -> tuple[float, float]:
    """A window [from, to] in seconds: from LEAST_SILENCE_S on, LEAST_WIDTH_S wide, within an hour.

    Raises:
        PydanticCustomError: it is not valid; the text says what was expected.
    """
    match value:
        case [lo, hi] if is_number(lo) and is_number(hi) and 0 <= lo < hi:
            pass
        case _:
            raise expected("[from, to] with 0 <= from < to")
    if lo < LEAST_SILENCE_S:
        raise expected(
            f"a window from {LEAST_SILENCE_S:g} s on: a sound is known {KNOWN_S:g} s after it began, so a "
            "phrase would interrupt a pause between words"
        )
    if hi > HOUR_S:
        raise expected(f"a window that ends at {HOUR_S:g} s or sooner")
    if hi - lo < LEAST_WIDTH_S - 1e-9:
        raise expected(
            f"a window of {LEAST_WIDTH_S:g} s at least: a phrase does not begin to the frame"
        )
    return float(lo), float(hi)


def seconds_list(value: object) -> tuple[float, ...]:
    """A list of seconds, each from 0 to a day.

    Raises:
        PydanticCustomError: it is not valid.
    """
    if isinstance(value, list | tuple) and all(is_number(v) and 0 <= v <= DAY_S for v in value):
        return tuple(map(float, value))
    raise expected(f"a list of seconds from 0 to {DAY_S:g}")


def quiet_hours(value: object) -> tuple[str, ...]:
    """Two times of the day, or none.

    Raises:
        PydanticCustomError: it is not valid.
    """
    if isinstance(value, list | tuple) and len(value) in (0, 2):
        times = [one for one in value if isinstance(one, str) and _TIME.fullmatch(one)]
        if len(times) == len(value):
            return tuple(times)
    raise expected('[] or ["from", "to"], such as ["21:00", "09:00"]')


def zone(value: object) -> str:
    """The name of a time zone, or "" for the machine's.

    Raises:
        PydanticCustomError: there is no such zone.
    """
    try:
        if isinstance(value, str) and (value == "" or ZoneInfo(value)):
            return value
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        pass
    raise expected('a time zone, such as "Europe/Moscow", or "" for the machine\'s')


def _is_country(code: str) -> bool:
    """The numbers of this country are known; without the library of numbers only the usual one is."""
    if code == "RU":
        return True
    try:
        import phonenumbers
    except ModuleNotFoundError:
        return True  # nothing can be dialled either
    return code in phonenumbers.SUPPORTED_REGIONS


def region(value: object) -> str:
    """A country as two letters.

    Raises:
        PydanticCustomError: it is not valid, or there is no such country.
    """
    if isinstance(value, str) and re.fullmatch("[A-Z]{2}", value) and _is_country(value):
        return value
    raise expected('two letters of a country, such as "RU"')


def beginnings(value: object) -> tuple[str, ...]:
    """A list of beginnings of telephone numbers, with their country codes.

    Raises:
        PydanticCustomError: it is not valid.
    """
    if isinstance(value, list | tuple) and all(
        isinstance(v, str) and re.fullmatch(r"\+[0-9]{0,15}", v) for v in value
    ):
        return tuple(value)
    raise expected('a list of beginnings of numbers, such as ["+7809"]')


def logins(value: object) -> tuple[str, ...]:
    """A list of operators' logins.

    Raises:
        PydanticCustomError: it is not valid.
    """
    if isinstance(value, list | tuple) and all(isinstance(v, str) and v.strip() for v in value):
        return tuple(value)
    raise expected("a list of logins")


def names(value: object) -> tuple[str, ...]:
    """A list of names.

    Raises:
        PydanticCustomError: it is not valid.
    """
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise expected("a list of names of prompts")


Delay = Annotated[float, _number("seconds", 0, DAY_S)]
Duration = Annotated[float, _number("seconds", 0, HOUR_S)]
FrameOrMore = Annotated[float, _number("seconds", FRAME_S, HOUR_S)]
CharsPerSecond = Annotated[float, _number("characters a second", 1, 100)]
WordsPerMinute = Annotated[int, _whole_number(80, 400)]
Loudness = Annotated[float, _number("LUFS", -40, -10)]
Attempts = Annotated[int, _whole_number(1, MOST_ATTEMPTS)]
PhraseText = Annotated[str, _line("a phrase")]
Name = Annotated[str, _line("a name")]
NameOrNothing = Annotated[str, _line("a name", may_be_empty=True)]
FileName = Annotated[str, _line("a file name")]
WindowS = Annotated[tuple[float, float], PlainValidator(window)]
Gaps = Annotated[tuple[float, ...], PlainValidator(seconds_list)]
Pauses = Annotated[tuple[float, ...], PlainValidator(seconds_list)]
QuietHours = Annotated[tuple[str, ...], PlainValidator(quiet_hours)]
Zone = Annotated[str, PlainValidator(zone)]
Region = Annotated[str, PlainValidator(region)]
Beginnings = Annotated[tuple[str, ...], PlainValidator(beginnings)]
Logins = Annotated[tuple[str, ...], PlainValidator(logins)]
Ladder = Annotated[tuple[str, ...], PlainValidator(names)]


class Table(BaseModel):
    """A table of the file: no unknown keys, immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptTable(Table):
    """A prompt and its window."""

    text: PhraseText
    """Template: see `vad_agent.core.script.fill`."""
    window_s: WindowS
    """[from, to], seconds before the first sample of the prompt."""
    aim_s: Duration | None = None
    """Seconds, within the window; None: its middle."""
    dead_line_window_s: WindowS | None = None
    """Used instead of window_s if the client's line is digitally dead; the aim is its middle."""


class ScenarioTable(Table):
    """An escalation: its prompts, and the callback after them."""

    ladder: Ladder
    """Names of prompts, in order."""
    callback_in_s: Delay | None = None
    """Seconds from the end of the call; None: at the agreed time."""
    opening: PhraseText
    """Template of the prompt that opens the callback."""


class Scenarios(Table):
    """One table for each `vad_agent.core.actions.Reason`, by its value."""

    silence_after_greeting: ScenarioTable
    dropped: ScenarioTable
    client_hold: ScenarioTable
    silence_in_dialogue: ScenarioTable
    agreed: ScenarioTable
    client_cannot_hear: ScenarioTable
    unconfirmed: ScenarioTable


class CallbacksTable(Table):
    """The callback policy for clients who cannot be reached."""

    attempts: Attempts
    """Total number, including the first one."""
    gaps_s: Gaps
    """Seconds between the attempts: one fewer than `attempts`."""
    farewell_s: Duration
    """Seconds from the request during which nobody is rung, unless the call has ended."""
    failed_pauses_s: Pauses
    """Seconds before each retry of an attempt that failed before ringing; after the last a person
    is needed.
    """
    stand_ins: Logins
    """Operators tried, in order, if the call's own is not available; then anybody."""
    offer_s: Duration
    """Seconds for which the manual dialer's offer is only for its operator; then also for the stand-ins."""
    operator_pause_s: Duration
    """Seconds before the next operator is tried."""
    overdue_s: FrameOrMore
    """Seconds after its time at which an attempt that has not begun raises an alert."""
    unreported_s: FrameOrMore
    """Seconds that an attempt may be under way before its outcome is queried."""
    quiet_hours: QuietHours
    """[from, to), "HH:MM", over midnight if from > to: nobody is rung. []: none."""
    zone: Zone
    """IANA name, for agreed times without a zone and for quiet hours; "": the machine's."""
    region: Region
    """ISO 3166, for numbers without a country code."""
    allow_numbers: Beginnings
    """Beginnings of premium and satellite numbers that may be rung, such as "+7809"; "+": all."""


class TimingTable(Table):
    """Time limits other than prompt windows, in seconds; see `vad_agent.core.script.Timing`."""

    no_greeting_s: FrameOrMore
    no_media_drop_s: FrameOrMore
    utterance_gap_s: FrameOrMore
    takeover_lead_s: Duration
    defer_s: Duration
    prompt_start_s: FrameOrMore
    prompt_end_s: FrameOrMore
    unknown_sound_s: FrameOrMore
    answer_talk_s: FrameOrMore
    one_sided_s: FrameOrMore


class Hearing(Table):
    """How speech is detected."""

    detector: Literal["earshot", "network", "webrtcvad", "silero"]
    """The speech detector: earshot or Silero, each together with the network; the network or
    webrtcvad alone.
    """


class VoiceTable(Table):
    """How prompts sound."""

    engine_voice: Name
    """The speech engine's voice: its name, or a language, such as ru."""
    rate_wpm: WordsPerMinute
    loudness_lufs: Loudness
    """LUFS (BS.1770) of every prompt, including recorded ones."""
    chars_per_s: CharsPerSecond
    """Characters per second of a prompt without a recording, in a replay."""
    recordings: dict[str, FileName]
    """Prompt → audio file, absolute once loaded."""


class Tables(Table):
    """A whole script file."""

    shop: Name
    operator_name: NameOrNothing
    """"" if it is not known."""
    prompts: dict[str, PromptTable]
    scenarios: Scenarios
    callbacks: CallbacksTable
    timing: TimingTable
    hearing: Hearing
    voice: VoiceTable
