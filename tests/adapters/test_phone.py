"""Which texts are phone numbers."""

from __future__ import annotations

import phonenumbers
import pytest

from adapters.phone import has_american_length, is_e164, is_possible


@pytest.mark.parametrize("number", ["+6834000", "+14155550100", "+123456789012345"])
def test_seven_to_fifteen_digits_behind_a_plus_are_a_number(number):
    assert is_e164(number)


@pytest.mark.parametrize(
    "text",
    ["", "+", "14155550100", "+04155550100", "+123456", "+1234567890123456", "+1415555010\n", "+1 4155550100", "+141555501٠٠", None, 14155550100],
)  # fmt: skip
def test_everything_else_is_none(text):
    assert not is_e164(text)


def test_every_number_of_american_length_is_possible_and_no_other_has_it():
    for area in range(100, 1000):
        number = f"+1{area}5550100"
        reason = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(number, None))
        assert has_american_length(number) == (area >= 200)
        assert is_possible(number) == (reason == phonenumbers.ValidationResult.IS_POSSIBLE)
    assert not any(map(has_american_length, ["+1415555010", "+141555501000", "+442071234567", "+1 4155550100", ""]))
