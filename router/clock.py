"""The time as an argument: everything that asks what time it is takes a `Clock`, so that tests can move it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Returns the present moment, with its time zone."""


def utc_now() -> datetime:
    return datetime.now(UTC)
