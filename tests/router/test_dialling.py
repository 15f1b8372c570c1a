"""Which phones may be rung."""

from __future__ import annotations

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType

from adapters.phone import is_listed, is_possible
from router.dialling import Dialling
from router.errors import InvalidError

COSTLY = [
    "+19002345678",  # premium rate
    "+33899123456",
    "+41900123456",
    "+979123456789",
    "+448451234567",
    "+4918012345678",  # shared cost
    "+80812345678",
    "+870773111632",  # satellite
    "+881612345678",
    "+88216123456",
    "+883510012345",
    "+447012345678",  # British personal numbers
    "nonsense",
]
UNLISTED = [  # no plan lists them, but those that do begin like this are costly
    "+19001234567",
    "+19000000000",
    "+4990012345678",
    "+449123456789",
    "+33899999999",
    "+61191234567",
    "+819900000000",
    "+994900999999",
]
ORDINARY = [
    "+14155550123",
    "+15005550006",  # what Twilio tests with
    "+447712345678",
    "+4915112345678",
    "+18005551234",  # free for the caller
    "+33612345678",
    "+15550001111",  # unlisted
    "+15554443333",
    "+19011234567",
    "+442071234567",
    "+5215512345678",
]


@pytest.mark.parametrize("phone", [*COSTLY, *UNLISTED])
def test_a_costly_phone_is_not_rung(phone: str) -> None:
    assert not Dialling().allows(phone)
    assert Dialling().only(phone) is None
    with pytest.raises(InvalidError, match="personal_phone: must not be a premium-rate") as refused:
        Dialling().check("personal_phone", phone)
    assert phone not in str(refused.value)


@pytest.mark.parametrize("phone", ORDINARY)
def test_an_ordinary_phone_is_rung(phone: str) -> None:
    assert Dialling().only(phone) == phone
    Dialling().check("personal_phone", phone)
    Dialling().check("personal_phone", None)


def test_the_operator_may_allow_costly_phones_by_their_beginning() -> None:
    allowed = Dialling(("+870", "+1900"))
    assert [phone for phone in COSTLY if allowed.allows(phone)] == ["+19002345678", "+870773111632"]


def test_unlisted_numbers_among_any_country_s_costly_ones_are_not_rung() -> None:
    missed = [
        phone
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)
        if (example := phonenumbers.example_number_for_type(region, kind))
        for phone in unlisted_beside(example)
        if Dialling().allows(phone)
    ]
    assert missed == []


def unlisted_beside(number: phonenumbers.PhoneNumber) -> list[str]:
    """Possible numbers that no plan lists, with the first four digits of this one."""
    digits = phonenumbers.national_significant_number(number)
    beside = [f"+{number.country_code}{digits[:4]}{digit * (len(digits) - 4)}" for digit in "0123456789"]
    return [phone for phone in beside if is_possible(phone) and not is_listed(phone)]
