"""Phone numbers as people type and paste them."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.phones import read_phone

NUMBER = "+14155550123"
BETWEEN = st.text(
    st.sampled_from(" -.()[]/\u00a0\u2009\u3000\u2010\u2011\u2013\u2014\u2212\u200b\u202a\u202c\ufeff\t"), max_size=2
)


@pytest.mark.parametrize(
    "typed",
    [
        "+1 415 555 0123",
        "+1 (415) 555-0123",
        "+1.415.555.0123",
        "+1-415-555-0123\n",
        "\u202a+1\u00a0415\u2011555\u20110123\u202c",
        "\u200e+14155550123",
        "\ufeff+1415\u00ad5550123",
        "\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff12\uff13",
        "\uff0b1 \uff08415\uff09 555\uff0d0123",
        "tel:+1-415-555-0123",
        "TEL:+14155550123",
        "tel:%2B1%20415%20555%200123",
        "TEL;TYPE=CELL:+14155550123",
        'TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+1-415-555-0123',
        "item1.TEL;type=pref:+1 (415) 555-0123",
        "callto:+14155550123",
        "Phone: +1 415 555 0123",
        "Tél. : +1 415 555 0123",
        "\u260e\ufe0f +1 415 555 0123",
        "\U0001f4de+14155550123",
        "'+14155550123",
        '"+14155550123"',
        "<+14155550123>",
        "+1 415 555 0123;",
        "+1_415_555_0123",
        "+1~415~555~0123",
        "+1ー415ー555ー0123",
        "+1\u2027415\u2027555\u20270123",
        "+1\ufe0f4155550123",
        "\u3164+14155550123",
    ],
)
def test_what_can_mean_one_number_only_is_taken(typed):
    assert read_phone(typed) == NUMBER


@given(between=st.lists(BETWEEN, min_size=len(NUMBER), max_size=len(NUMBER)), wide=st.booleans())
def test_nothing_between_the_digits_matters(between, wide):
    digits = [chr(ord(char) + 0xFEE0) if wide else char for char in NUMBER]
    assert read_phone("".join(map("".join, zip(digits, between, strict=True)))) == NUMBER


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+44 (0)20 7946 0123", "+442079460123"),
        ("+44 020 7946 0123", "+442079460123"),
        ("+49 (0) 30 901820", "+4930901820"),
        ("+7 (8) 495 123-45-67", "+74951234567"),
        ("+36 (06) 1 234 5678", "+3612345678"),
        ("+1 (1) 415 555 0123", "+14155550123"),
        ("+39 (0)6 12345678", "+390612345678"),  # in Italy, the zero belongs to the number
    ],
)
def test_the_zero_that_is_dialled_within_the_country_is_left_out(typed, number):
    assert read_phone(typed) == number


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_s_numbers_are_taken_as_they_are_printed(region):
    number = phonenumbers.example_number(region)
    e164, international = (
        phonenumbers.format_number(number, form)
        for form in (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    )
    assert read_phone(international) == read_phone(e164) == e164


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "+",
        "(415) 555-0123",
        "442079460123",
        "0044 20 7946 0123",
        "+1 800 FLOWERS",
        "+14155550123 ext 5",
        "+14155550123x5",
        "+14155550123#5",
        "+14155550123,5",
        "+14155550123 / +14155550124",
        "++14155550123",
        "1+4155550123",
        "Fax: +14155550123",
        "fax:+14155550123",
        "TEL;TYPE=CELL:+14155550123;ext=5",
        "tel:+1-415-555-0123;ext=5",
        "Room 5: +14155550123",
        "mailto:a@example.com?tel=+14155550123x",
        "+14155550123@example.com",
        "(0) +49 30 901820",
        "+7 8 495 123 45 67",
        "+1 1 415 555 0123",
        "+1415555012\u00b3",  # a footnote
        "+\u0967\u096a\u0967\u096b\u096b\u096b\u096b\u0966\u0967\u0966\u0966",
        "+1415555\x000123",
        "+14155550123" + " " * 100,
    ],
)
def test_what_may_mean_something_else_is_refused_without_being_repeated(typed):
    with pytest.raises(ValueError, match="must be a phone number") as refused:
        read_phone(typed)
    assert not typed.strip("+") or typed not in str(refused.value)
