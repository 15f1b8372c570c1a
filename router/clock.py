"""The clock as an argument: code that needs the time takes a `Clock`, so that tests can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current time, with its time zone."""


def utc_now() -> datetime:
    return datetime.now(UTC)
