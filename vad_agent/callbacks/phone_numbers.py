"""Telephone numbers: one canonical form, and a masked form for logs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vad_agent.errors import NumberError, extra

with extra("callbacks", "a number"):
    import phonenumbers


_URI = re.compile(r"^[^<]*<?\s*(?:sips?|tel):(?P<user>[^@;?>]*)", re.IGNORECASE)
LONGEST = 16
"""Length of E.164: a plus and 15 digits."""
COSTLY = (phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.SHARED_COST)
NETWORKS = frozenset({808, 870, 878, 881, 882, 883, 888, 979})
"""Country codes of satellites and of international networks and services."""


def dialable(text: str, region: str = "RU", allowed: Sequence[str] = ()) -> str:
    """As `normalised`, for a number that will be rung. `allowed`: beginnings of costly numbers that may be.

    >>> dialable("+7 809 345-67-89", allowed=["+7809"])
    '+78093456789'

    Raises:
        NumberError: it cannot be dialled, or is a premium or a satellite number that is not allowed.
    """
    number = normalised(text, region)
    parsed = phonenumbers.parse(number)
    costly = phonenumbers.number_type(parsed) in COSTLY or parsed.country_code in NETWORKS
    if costly and not number.startswith(tuple(allowed)):
        raise NumberError(
            "phone: premium and satellite numbers are not rung: [callbacks] allow_numbers of the "
            "script may allow some"
        )
    return number


def normalised(text: str, region: str = "RU") -> str:
    """The number as E.164: `8 (912) 345-67-89` and `+7 912 345-67-89` are the same.

    >>> normalised("8 (912) 345-67-89"), normalised("sip:+79123456789@pbx;user=phone")
    ('+79123456789', '+79123456789')

    `region`: two letters, for a number without a country code.

    Raises:
        NumberError: it cannot be dialled; the text gives the reason and does not quote the number.
    """
    if (uri := _URI.search(text)) is not None:  # as a softphone names who calls
        text = uri["user"]
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise NumberError(f"phone: expected a telephone number: {_WHY[error.error_type]}") from None
    if phonenumbers.is_alpha_number(text):
        raise NumberError("phone: expected a telephone number: words stand in it")
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise NumberError(f"phone: expected a telephone number: {_LENGTH.get(reason, 'too short')}")
    if not phonenumbers.is_valid_number(number):
        raise NumberError("phone: expected a telephone number: no such code in that country")
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if len(text) > LONGEST:  # the library accepts longer ones inside some countries
        raise NumberError("phone: expected a telephone number: too long")
    return text


def extension_of(text: str, region: str = "RU") -> str | None:
    """The extension in a number. None: it has none, or is no number.

    >>> extension_of("8 495 123-25-11, доб. 100")
    '100'
    """
    try:
        return phonenumbers.parse(text, region).extension or None
    except phonenumbers.NumberParseException:
        return None


def grouped(phone: str) -> str:
    """E.164 in groups of digits, for a person to check; anything else is unchanged.

    >>> grouped("+79123456789")
    '+7 912 345-67-89'
    """
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def masked(phone: str | None) -> str:
    """Masked form for logs and traces: enough to tell two numbers apart, not to dial one.

    >>> masked("+79123456789")
    '+7…89'
    """
    if not phone:
        return ""
    return f"{phone[:2]}…{phone[-2:]}" if len(phone) > 8 else "…"


_Parse = phonenumbers.NumberParseException
_WHY = {
    _Parse.INVALID_COUNTRY_CODE: "there is no such country code",
    _Parse.NOT_A_NUMBER: "it has no digits to ring",
    _Parse.TOO_SHORT_AFTER_IDD: "too short",
    _Parse.TOO_SHORT_NSN: "too short",
    _Parse.TOO_LONG: "too long",
}
_Length = phonenumbers.ValidationResult
_LENGTH = {
    _Length.TOO_SHORT: "too short",
    _Length.TOO_LONG: "too long",
    _Length.INVALID_LENGTH: "no number there is so long",
    _Length.INVALID_COUNTRY_CODE: "there is no such country code",
    _Length.IS_POSSIBLE_LOCAL_ONLY: "the city's code is missing",
}
