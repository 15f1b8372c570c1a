"""Phone numbers as people type and paste them."""

from __future__ import annotations

import unicodedata
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat

from adapters.phone import is_e164

TYPED: Final = r"\+[ ().-]*[1-9]([ ().-]*[0-9]){6,14}[ ().-]*"
"""The pattern, without anchors, of what documents promise to take. More is taken: see `read_phone`."""

NOT_A_PHONE: Final = "must be a phone number in E.164 form, such as +14155550123"
UNLISTED: Final = "is not in the numbering plan's data: check it, or accept it all the same (accept_unlisted: true)"

_LONGEST: Final = 100
_FULL_WIDTH: Final = {0xFF01 + offset: 0x21 + offset for offset in range(94)}  # as East Asian keyboards write
_BETWEEN: Final = frozenset("()[]./·•\u2212")
_BETWEEN_CATEGORIES: Final = frozenset({"Cf", "Pd", "Zs"})  # invisible marks, dashes, spaces


def read_phone(text: str) -> str:
    """The number in E.164 form. Raises ValueError, without the value, for what is not one, or could be several.

    Spaces, brackets, dashes, dots, slashes and invisible marks are dropped, full-width digits are digits, and so is
    the zero in +44 (0)20: it is dialled only within the country.
    """
    plain = text.translate(_FULL_WIDTH).strip().removeprefix("tel:")
    found = "".join(char for char in plain if not _is_between(char))
    if len(text) > _LONGEST or not is_e164(found):
        raise ValueError(NOT_A_PHONE)
    try:
        number = phonenumbers.parse(found, None)
    except phonenumbers.NumberParseException:
        return found
    canonical = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if canonical == found or found == f"+{number.country_code}0{canonical[len(str(number.country_code)) + 1 :]}":
        return canonical
    raise ValueError(NOT_A_PHONE)


def _is_between(char: str) -> bool:
    return char in _BETWEEN or char.isspace() or unicodedata.category(char) in _BETWEEN_CATEGORIES
