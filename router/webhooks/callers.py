"""Phone numbers as carriers spell them in requests: which may be shown or dialled, and which are the same phone."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from adapters.phone import is_e164

# Some carriers send a word in keypad digits for a withheld number, such as ANONYMOUS and RESTRICTED.
_KEYPAD_WORDS: Final = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
_NATIONAL_DIGITS: Final = 9  # numbers whose last nine digits are equal are the same phone


def read_caller(text: str) -> str | None:
    """An E.164 number that may be shown or dialled; None for withheld, SIP and malformed ones."""
    if not is_e164(text) or text in _KEYPAD_WORDS:
        return None
    try:
        return text if phonenumbers.is_possible_number(phonenumbers.parse(text)) else None
    except phonenumbers.NumberParseException:
        return None


def phone_ending(text: str) -> str | None:
    """The end of a phone's E.164 number, from any spelling: without the plus sign, or in national form.

    None if it is too short to identify one phone.
    """
    if is_e164(text):
        return text
    digits = re.sub(r"[^0-9]", "", text).lstrip("0")
    return digits if len(digits) >= _NATIONAL_DIGITS else None


def is_same_phone(given: str, phone: str) -> bool:
    """Whether `given`, in any spelling, is the phone with this E.164 number."""
    ending = phone_ending(given)
    return ending is not None and phone.endswith(ending)
