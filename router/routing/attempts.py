"""What is told about the asking of a provider, as it happens. Data only; the asking is router.routing.dispatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from adapters.base import ErrorKind
from adapters.portable import Lines
from router.routing.route import SkipReason


@dataclass(frozen=True, slots=True)
class Started:
    """A provider is being asked."""

    provider: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A provider was not asked."""

    provider: str
    reason: SkipReason
    no_line: bool = False  # all lines that the agency has there are in use


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored key does not open: changed, swapped, or sealed under a key we no longer have."""

    provider: str
    key_version: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A provider answered, or failed for `reason`."""

    provider: str
    seconds: float
    reason: ErrorKind | None = None
    status: int | None = None
    provider_call_id: str | None = None
    lines: Lines | None = None  # what it said of the agency's lines
    bug: Exception | None = None  # ours, not the provider's


@dataclass(frozen=True, slots=True)
class Late:
    """A handoff came after we had given up; `ended` tells whether the provider was told to drop it."""

    provider: str
    seconds: float
    ended: bool
    provider_call_id: str | None = None


Attempt: TypeAlias = Started | Skipped | Unreadable | Ended | Late
Record: TypeAlias = Callable[[Attempt], None]
