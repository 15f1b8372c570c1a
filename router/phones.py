"""Phone numbers as people type and paste them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat

from adapters.phone import is_e164

TYPED: Final = r"\+[ ().-]*[1-9]([ ().-]*[0-9]){6,14}[ ().-]*"
"""The pattern, without anchors, of what documents promise to take. More is taken: see `read_phone`."""

NOT_A_PHONE: Final = "must be a phone number in E.164 form, such as +14155550123"
UNLISTED: Final = "is not in the numbering plan's data: check it, or accept it all the same (accept_unlisted: true)"

_LONGEST: Final = 100
_FULL_WIDTH: Final = {0xFF01 + offset: 0x21 + offset for offset in range(94)}  # as East Asian keyboards write
_BETWEEN: Final = frozenset("()[]./·•‧・_~\u2212ーｰ")
_BETWEEN_CATEGORIES: Final = frozenset({"Cf", "Pd", "Zs"})  # invisible marks, dashes, spaces
_BLANK: Final = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))
_AROUND: Final = " \t\r\n'\"<>“”‘’«»,;"
# Links, and the lines of vCards: TEL;TYPE=cell;PREF=1:, item1.TEL;VALUE=uri:tel:
_SCHEME: Final = re.compile(r"(?:(?:[\w-]+\.)?tel(?:;[^:]*)?:|callto:|sms:)+(?://)?", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"[(\[]\s*(0|8|06|1)\s*[)\]]")
_LABEL: Final = re.compile(r"(?!fax)[^\d+]*(?=\+)", re.IGNORECASE)  # Phone: +1 …, ☎ +1 …


def read_phone(text: str) -> str:
    """The number in E.164 form. Raises ValueError, without the value, for what is not one, or could be several.

    Spaces, brackets, dashes, dots, slashes and invisible marks are dropped, so are quotes around it and labels and links
    before it; full-width digits are digits. The zero in +44 (0)20 is dropped, too: it is dialled only within the
    country, as is the 8 in +7 (8) 495.
    """
    plain = unquote(text.translate(_FULL_WIDTH)).strip(_AROUND)
    plain = _LABEL.sub("", _SCHEME.sub("", plain, count=1), count=1)
    found = "".join(char for char in plain if not _is_between(char))
    if len(text) > _LONGEST or not is_e164(found):
        raise ValueError(NOT_A_PHONE)
    try:
        number = phonenumbers.parse(found, None)
    except phonenumbers.NumberParseException:
        return found
    canonical = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if canonical == found or found == f"+{number.country_code}{_trunk_prefix(plain)}{_national(canonical, number)}":
        return canonical
    raise ValueError(NOT_A_PHONE)


def _trunk_prefix(plain: str) -> str:
    """What is dialled before the number within its country: in brackets, or a zero."""
    bracketed = _BRACKETED.search(plain)
    return bracketed[1] if bracketed else "0"


def _national(canonical: str, number: PhoneNumber) -> str:
    return canonical.removeprefix(f"+{number.country_code}")


def _is_between(char: str) -> bool:
    return char in _BETWEEN or char in _BLANK or char.isspace() or unicodedata.category(char) in _BETWEEN_CATEGORIES
