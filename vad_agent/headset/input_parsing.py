"""Parses what the operator types: a name, a telephone number, the time of a callback."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from vad_agent.errors import MissingExtra, NumberError
from vad_agent.trace.labels_ru import WRONG_NUMBER


def client_name(text: str) -> str:
    """A name; empty: unknown.

    Raises:
        ValueError: it contains invalid characters; the text is Russian.
    """
    if not all(letter.isalpha() or letter in " -.'’" for letter in text):
        raise ValueError("в имени только буквы")
    if text and not any(letter.isalpha() for letter in text):
        raise ValueError("в имени нет букв")
    return text


def phone(text: str, region: str) -> str | None:
    """The number as it is dialled (E.164). None: no number given.

    `region`: two letters, for a number without a country code. Without the packages of callbacks only
    the count of digits is checked.

    Raises:
        ValueError: nobody can be rung by it; the text is Russian.

    >>> phone("8 (912) 345-67-89", "RU"), phone("", "RU")
    ('+79123456789', None)
    """
    if not text:
        return None
    digits = re.sub(r"[ ()\-.]", "", text)
    if not re.fullmatch(r"\+?[0-9]{5,15}", digits):
        raise ValueError("номер: от 5 до 15 цифр, пример +79123456789")
    try:
        from vad_agent.callbacks.phone_numbers import normalised  # loaded with the first number
    except MissingExtra:
        return digits
    try:
        return normalised(digits, region)
    except NumberError:
        raise ValueError(WRONG_NUMBER) from None


def readable(number: str) -> str:
    """The number in groups of digits; unchanged without the packages of callbacks.

    >>> readable("+79123456789")
    '+7 912 345-67-89'
    """
    try:
        from vad_agent.callbacks.phone_numbers import grouped
    except MissingExtra:
        return number
    return grouped(number)


def callback_time(text: str, now: datetime) -> datetime:
    """The time of a callback: HH:MM, today or, if that is over, tomorrow; or a number of minutes
    from now.

    A key that is a colon in the other keyboard layout counts as one. The zone is that of `now`.

    Raises:
        ValueError: neither; the text is Russian.
    """
    if minutes := re.fullmatch(r"\+ ?([0-9]{1,4})", text):
        if not 1 <= int(minutes[1]) <= 24 * 60:
            raise ValueError("минут: от 1 до 1440")
        return now + timedelta(minutes=int(minutes[1]))
    time = re.fullmatch(r"([0-9]{1,2})[:.,;жЖ^ \-]([0-9]{2})", text)
    if time is None:
        raise ValueError("пример: 15:30 или +20")
    hour, minute = int(time[1]), int(time[2])
    if hour > 23 or minute > 59:
        raise ValueError("такого времени нет, пример: 15:30")
    at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    this_minute = now.replace(second=0, microsecond=0)
    return at if at >= this_minute else at + timedelta(days=1)
