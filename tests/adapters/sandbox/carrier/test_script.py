"""What can be scripted."""

from __future__ import annotations

from dataclasses import fields

import pytest

from adapters.sandbox.carrier import EACH_QUIRK, Quirks, Script


def test_outcomes_are_used_up_one_attempt_after_another_and_the_last_stays():
    script = Script(ai=("fails", "busy", "answers"))
    assert [script.ai_outcome(attempt) for attempt in range(5)] == ["fails", "busy", "answers", "answers", "answers"]
    assert Script(ai="closes").ai_outcome(3) == "closes"


# A shared key is the agency's choice; tests/router/webhooks/test_shared_keys.py has calls with it.
@pytest.mark.parametrize("name", [field.name for field in fields(Quirks) if field.name != "shared_key"])
def test_every_open_point_is_among_the_quirks_to_be_tested(name):
    expected = getattr(Quirks(), name)
    assert any(getattr(quirks, name) != expected for quirks in EACH_QUIRK.values())
