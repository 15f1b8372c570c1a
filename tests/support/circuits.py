"""Circuits that forget on demand, for tests in which many calls in a row have to reach a failing provider."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from router.routing.circuit import Circuits


def let_circuits_forget(patch: pytest.MonkeyPatch) -> Callable[[], None]:
    """For services opened from now on. Returns what makes all that happened before an hour old to their circuits."""
    ahead = 0.0

    def pass_an_hour() -> None:
        nonlocal ahead
        ahead += 3600

    patch.setattr("router.app.outside.Circuits", partial(Circuits, clock=lambda: time.monotonic() + ahead))
    return pass_an_hour
