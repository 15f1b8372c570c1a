"""What we cannot do on calls of a linked assistant, given what the agency lets us set on it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters.facets import lost_of_link


@pytest.mark.parametrize(
    ("manage", "lost"),
    [
        ([], ("events", "transfer")),
        (["webhook"], ("transfer",)),
        (["transfer"], ("events",)),
        (["transfer", "webhook"], ()),
    ],
)
def test_what_we_may_not_set_is_lost(manage: Sequence[str], lost: tuple[str, ...]):
    assert lost_of_link(manage) == lost
