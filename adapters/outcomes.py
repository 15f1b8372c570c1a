"""How asking an outside system ends: with what it says of a key, or with a ProviderError of some kind.

Below the words of providers and carriers, which both end so. Everybody else finds these in `adapters.base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class ErrorKind(StrEnum):
    """Why an outside system did not do what was asked. The names are those of `handoff.failed`."""

    KEY_REJECTED = "key_rejected"
    OUT_OF_CREDIT = "out_of_credit"
    RATE_LIMITED = "rate_limited"
    AT_CAPACITY = "at_capacity"
    BAD_REQUEST = "bad_request"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    PROVIDER_ERROR = "provider_error"
    MALFORMED_REPLY = "malformed_reply"


class ProviderError(Exception):
    """An outside system refused or failed.

    Its text and args hold only the kind and the HTTP status. `said` is the system's own explanation, cut short
    and with the key taken out, meant for the owner of that key and for nobody's log.
    """

    def __init__(
        self, kind: ErrorKind, *, status: int | None = None, said: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{kind.value}" if status is None else f"{kind.value} (HTTP {status})")
        self.kind = kind
        self.status = status
        self.said = said
        self.retry_after = retry_after  # seconds


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a provider says of a key that it accepts."""

    status: Literal["valid", "out_of_credit"]
    balance: float | None = None
