"""Which phones may be rung: not those that charge callers a premium, unless the operator allows them.

Phones are judged when they are saved, and again before they are rung: settings change, and so do numbering plans.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberDesc, PhoneNumberType

from router.errors import InvalidError

_COSTLY: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})
_COSTLY_PREFIXES: Final = (
    "+870",  # Inmarsat
    "+881",  # satellite phones
    "+882",  # international networks
    "+883",  # international networks
    "+979",  # international premium rate
    "+4470",  # British personal numbers; elsewhere such numbers cost no more than others
)
_REFUSED: Final = "must not be a premium-rate, shared-cost or satellite number, unless the operator allows it"


@dataclass(frozen=True, slots=True)
class Dialling:
    """`allowed`: prefixes of phone numbers that may be rung whatever they cost."""

    allowed: tuple[str, ...] = ()

    def allows(self, phone: str) -> bool:
        return phone.startswith(self.allowed) or not _is_costly(phone)

    def only(self, phone: str | None) -> str | None:
        """The phone, if there is one that may be rung."""
        return phone if phone is not None and self.allows(phone) else None

    def check(self, field: str, phone: str | None) -> None:
        """Raises InvalidError about `field`."""
        if phone is not None and not self.allows(phone):
            raise InvalidError(field, _REFUSED)


@lru_cache(maxsize=1024)
def _is_costly(phone: str) -> bool:
    """A phone that cannot be read is taken for one: it cannot be rung in any case."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return True
    if phone.startswith(_COSTLY_PREFIXES):
        return True
    kind = phonenumbers.number_type(number)
    return _looks_costly(number) if kind == PhoneNumberType.UNKNOWN else kind in _COSTLY


def _looks_costly(number: PhoneNumber) -> bool:
    """Judges a number that no plan lists by its beginning: +1 900 is for premium rates, whatever digits follow."""
    code = number.country_code or 0
    region = phonenumbers.region_code_for_country_code(code)
    plan = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if plan is None:
        return True
    digits = phonenumbers.national_significant_number(number)
    costly = (plan.premium_rate, plan.shared_cost)
    others = (plan.fixed_line, plan.mobile, plan.toll_free, plan.voip, plan.uan, plan.pager, plan.personal_number)
    fits = any(kind is not None and len(digits) in kind.possible_length for kind in costly)
    lengths = (len(digits),) if fits else range(len(digits) + 5)
    shared = max(_count_shared(digits, kind, lengths) for kind in costly)
    return shared > 0 and shared >= max(_count_shared(digits, kind, lengths) for kind in others)


def _count_shared(digits: str, kind: PhoneNumberDesc | None, lengths: Sequence[int]) -> int:
    """How many first digits this number shares with numbers of that kind, as far as a few of them show."""
    if kind is None or not kind.national_number_pattern:
        return 0
    pattern, example = re.compile(kind.national_number_pattern), kind.example_number or ""
    endings = [digit * length for length in kind.possible_length if length in lengths for digit in "0123456789"]
    endings += [example] if len(example) in lengths else []
    for kept in range(len(digits), 0, -1):
        if any(pattern.fullmatch(digits[:kept] + ending[kept:]) for ending in endings if len(ending) >= kept):
            return kept
    return 0
