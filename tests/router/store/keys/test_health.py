"""What a check of a key changes."""

from __future__ import annotations

import pytest

from router.store.keys.health import judge


@pytest.mark.parametrize(
    ("status", "suspected", "found", "becomes"),
    [
        ("valid", None, "valid", ("valid", None, None)),
        ("valid", None, "failing", ("valid", "failing", None)),
        ("valid", "failing", "valid", ("valid", None, None)),
        ("valid", "failing", "failing", ("failing", None, "failed")),
        ("valid", "failing", "out_of_credit", ("valid", "out_of_credit", None)),
        ("failing", None, "failing", ("failing", None, None)),
        ("failing", None, "out_of_credit", ("failing", "out_of_credit", None)),
        ("failing", "out_of_credit", "out_of_credit", ("out_of_credit", None, "failed")),
        ("failing", None, "valid", ("valid", None, "recovered")),
        ("out_of_credit", "failing", "valid", ("valid", None, "recovered")),
    ],
)
def test_what_a_finding_changes(status, suspected, found, becomes):
    assert judge(status, suspected, found) == becomes
