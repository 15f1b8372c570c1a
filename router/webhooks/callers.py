"""Telephone numbers as carriers spell them in a request: which may be shown or dialled, and which mean one phone."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from adapters.phone import is_e164

# What some carriers send for a withheld number: words on a telephone's keypad, such as ANONYMOUS and RESTRICTED.
_KEYPAD_WORDS: Final = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
_NATIONAL_DIGITS: Final = 9  # so many equal last digits and no two phones are meant


def read_caller(text: str) -> str | None:
    """An E.164 number as it may be shown or dialled; None for withheld, SIP and malformed ones."""
    if not is_e164(text) or text in _KEYPAD_WORDS:
        return None
    try:
        return text if phonenumbers.is_possible_number(phonenumbers.parse(text)) else None
    except phonenumbers.NumberParseException:
        return None


def phone_ending(text: str) -> str | None:
    """What a phone's E.164 number ends with, from any spelling of it: without the plus, or in the national form.

    None if that would fit other phones as well.
    """
    if is_e164(text):
        return text
    digits = re.sub(r"[^0-9]", "", text).lstrip("0")
    return digits if len(digits) >= _NATIONAL_DIGITS else None


def is_same_phone(given: str, phone: str) -> bool:
    """Whether `given`, however it is spelled, is the phone with this E.164 number."""
    ending = phone_ending(given)
    return ending is not None and phone.endswith(ending)
