"""Phone numbers in E.164 form: a plus sign, then country code and number without a leading zero.

ITU-T E.164 sets the upper bound of 15 digits; the lower one, 7, keeps out short codes, which cannot be called from
abroad.
"""

from __future__ import annotations

import re
from typing import Final, TypeGuard

import phonenumbers

E164: Final = r"\+[1-9][0-9]{6,14}"
"""The pattern without anchors, for longer patterns and schemas."""

WITHHELD: Final = "withheld"
"""What stands for a caller's number that is withheld, wherever callers are named."""

_E164: Final = re.compile(E164)
_AMERICAN: Final = re.compile(r"\+1[2-9][0-9]{9}")  # of the North American Numbering Plan


def is_e164(text: object) -> TypeGuard[str]:
    """Whether it is one phone number and nothing else."""
    return isinstance(text, str) and _E164.fullmatch(text) is not None


def is_listed(e164: str) -> bool:
    """Whether the numbering plans, as far as phonenumbers knows them, assign such a number. New ranges come late."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(e164, None))
    except phonenumbers.NumberParseException:
        return False


def is_possible(e164: str) -> bool:
    """Whether numbers of its country have this length, area code included."""
    if has_american_length(e164):
        return True
    try:
        found = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(e164, None))
    except phonenumbers.NumberParseException:
        return False
    return found == phonenumbers.ValidationResult.IS_POSSIBLE


def has_american_length(e164: str) -> bool:
    """Whether it is as long as numbers of North America are. Most callers are there, and phonenumbers takes 30 µs to say so."""
    return _AMERICAN.fullmatch(e164) is not None
