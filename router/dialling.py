"""Which phones may be rung: not those that charge callers a premium, unless the operator allows them.

Phones are judged when they are saved, and again before they are rung: settings change, and so do numbering plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

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
    return phone.startswith(_COSTLY_PREFIXES) or phonenumbers.number_type(number) in _COSTLY
