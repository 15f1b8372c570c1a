"""Which texts are phone numbers."""

from __future__ import annotations

import pytest

from adapters.phone import is_e164


@pytest.mark.parametrize("number", ["+6834000", "+14155550100", "+123456789012345"])
def test_seven_to_fifteen_digits_behind_a_plus_are_a_number(number):
    assert is_e164(number)


@pytest.mark.parametrize(
    "text",
    ["", "+", "14155550100", "+04155550100", "+123456", "+1234567890123456", "+1415555010\n", "+1 4155550100", "+141555501٠٠", None, 14155550100],
)  # fmt: skip
def test_everything_else_is_none(text):
    assert not is_e164(text)
