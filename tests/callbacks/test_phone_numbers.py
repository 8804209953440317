"""One number, however it is written; what is no number; what a log may show of one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.callbacks.phone_numbers import dialable, masked, normalised
from vad_agent.errors import NumberError

MOBILE = "+79123456789"


@pytest.mark.parametrize(
    "written",
    [
        "89123456789",
        "8 912 345 67 89",
        "8 (912) 345-67-89",
        "8(912)3456789",
        "8-912-345-67-89",
        "8.912.345.67.89",
        "(8912) 345-67-89",
        "+79123456789",
        "+7 912 345 67 89",
        "+7 (912) 345-67-89",
        "+7-912-345-67-89",
        "79123456789",
        "7 912 345 67 89",
        "7 (912) 345-67-89",
        "9123456789",
        "(912) 345-67-89",
        "  8 912 345 67 89\n",
        "8\u00a0912\u00a0345\u00a067\u00a089",  # no-break spaces, as copied from a page
        "+7\u2013912\u2013345\u201367\u201389",  # dashes, as a word processor makes them
        "tel:+79123456789",
        "+7 8 912 345 67 89",  # both beginnings, one after the other
        "Анна 8 912 345 67 89",
    ],
)
def test_one_mobile_number_in_every_usual_writing(written):
    assert normalised(written) == MOBILE


@pytest.mark.parametrize(
    ("digits", "script"),
    [("٨٩١٢٣٤٥٦٧٨٩", "arabic"), ("８９１２３４５６７８９", "wide"), ("8912345678９", "mixed")],
)
def test_digits_of_other_scripts_are_digits(digits, script):
    assert normalised(digits) == MOBILE


@pytest.mark.parametrize(
    "written",
    ["8 912 345-67-89 доб. 12", "+7 912 345-67-89 ext. 12", "tel:+79123456789;ext=12"],
)
def test_an_extension_is_not_a_part_of_the_number_that_is_rung(written):
    assert normalised(written) == MOBILE


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("8 (495) 123-45-67", "+74951234567"),
        ("8 (3822) 12-34-56", "+73822123456"),
        ("8-800-555-35-35", "+78005553535"),
        ("8 701 123 45 67", "+77011234567"),  # Kazakhstan has the same country code
    ],
)
def test_towns_and_free_numbers(written, number):
    assert normalised(written) == number


@pytest.mark.parametrize(
    "written",
    [
        f"sip:{MOBILE}@pbx.example.ru",
        f"sips:{MOBILE}@pbx;user=phone",
        f"SIP:{MOBILE}",
        f"tel:{MOBILE};ext=1",
        "sip:89123456789@192.168.1.5:5060",
        f'"Anna" <sip:{MOBILE}@pbx>;tag=a1',
    ],
)
def test_an_address_of_a_softphone_has_its_number(written):
    """As baresip sends it; it was refused, and the callback needed a number."""
    assert normalised(written) == MOBILE


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+49 30 123456", "+4930123456"),
        ("8 10 49 30 123456", "+4930123456"),
        ("8~10 49 30 123456", "+4930123456"),
        ("810 375 29 123-45-67", "+375291234567"),
        ("+375 (29) 123-45-67", "+375291234567"),
        ("+1 212 555 2368", "+12125552368"),
        ("+39 06 1234 5678", "+390612345678"),  # Italy keeps its zero
    ],
)
def test_numbers_abroad_begin_with_a_plus_or_with_810(written, number):
    assert normalised(written) == number


def test_a_number_without_a_countrys_code_is_of_the_centres_region():
    assert normalised("030 123456", region="DE") == "+4930123456"
    with pytest.raises(NumberError):
        normalised("030 123456")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "it has no digits to ring"),
        ("   ", "it has no digits to ring"),
        ("позвоните вечером", "it has no digits to ring"),
        ("-", "it has no digits to ring"),
        ("8", "it has no digits to ring"),
        ("*100#", "it has no digits to ring"),
        ("sip:anna@example.org", "it has no digits to ring"),
        ("8912345678 или 89123456788", "it has no digits to ring"),
        ("112", "too short"),
        ("0611", "too short"),
        ("+7", "it has no digits to ring"),
        ("345-67-89", "the city's code is missing"),
        ("+999 123456789", "there is no such country code"),
        ("8 000 000 00 00", "no such code in that country"),
        ("+7 912 345 67 8", "too short"),
        ("8 912 345 67 8", "no such code in that country"),  # might be a town's, without the 8
        ("89123456 now", "words stand in it"),  # letters on keys would make it somebody's number
        ("8 800 FLOWERS", "words stand in it"),
        ("+7 912 345 67 890", "no number there is so long"),
        ("8 912 345 67 890", "no number there is so long"),
        ("+7912345678901234567", "too long"),
        ("+4930000000000000", "too long"),  # 16 digits
        ("89123456789/89123456788", "too long"),
        ("8" * 251, "too long"),
    ],
)
def test_what_cannot_be_rung_is_refused_and_the_error_says_why(written, why):
    with pytest.raises(NumberError) as refused:
        normalised(written)
    assert str(refused.value) == f"phone: expected a telephone number: {why}"


@given(text=st.text(max_size=40) | st.from_regex(r"[+78]?[0-9 ()\-]{0,20}", fullmatch=True))
def test_any_text_is_a_number_or_a_refusal_and_a_number_stays_itself(text):
    try:
        number = normalised(text)
    except NumberError as refused:
        why = str(refused)
    else:
        assert re.fullmatch(r"\+[1-9][0-9]{6,14}", number)
        assert normalised(number) == number
        return
    assert not re.search(r"\d", why), "the text of an error repeats no number"


# -- for logs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        (None, ""),
        ("", ""),
        ("1", "…"),
        ("123456", "…"),
        ("1234567", "…"),
        ("+12345678", "+1…78"),
        (MOBILE, "+7…89"),
        ("+4930123456", "+4…56"),
        ("8 (912) 345-67-89", "8 …89"),
    ],
)
def test_a_log_shows_two_signs_at_each_end(phone, shown):
    assert masked(phone) == shown


@given(phone=st.text("0123456789+-() ", max_size=30))
def test_never_more_than_two_digits_at_each_end(phone):
    before, _, after = masked(phone).partition("…")
    assert len(before) <= 2
    assert len(after) <= 2
    digits = [sign for sign in phone if sign.isdigit()]
    shown = [sign for sign in masked(phone) if sign.isdigit()]
    assert len(shown) <= 4
    assert len(digits) < 7 or len(shown) < len(digits)


COSTLY = {
    "a premium number": "+78093456789",
    "another country's premium number": "+19002345678",
    "shared cost": "+448451234567",
    "Iridium": "+881612345678",
    "Inmarsat": "+870773123456",
    "an international network": "+882161234567",
    "another one": "+883510001234567",
    "an international premium number": "+979123456789",
}


@pytest.mark.parametrize("number", COSTLY.values(), ids=COSTLY)
def test_costly_numbers_are_not_rung_unless_they_are_allowed(number):
    assert normalised(number) == number
    with pytest.raises(NumberError, match="premium and satellite numbers are not rung") as told:
        dialable(number)
    assert number not in str(told.value)
    assert dialable(number, allowed=["+1234", number[:5]]) == number
    assert dialable(number, allowed=["+"]) == number
    with pytest.raises(NumberError):
        dialable(number, allowed=["+7912"])


@pytest.mark.parametrize("number", [MOBILE, "+78001234567", "+74951234567", "+18002345678"])
def test_other_numbers_are_rung(number):
    assert dialable(number) == number
