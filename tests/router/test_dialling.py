"""Which phones may be rung."""

from __future__ import annotations

import pytest

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
ORDINARY = [
    "+14155550123",
    "+15005550006",  # what Twilio tests with
    "+447712345678",
    "+4915112345678",
    "+18005551234",  # free for the caller
    "+33612345678",
]


@pytest.mark.parametrize("phone", COSTLY)
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
