"""What prevents an agency's request: facts, and words for people. The API maps each class to a problem and its status."""

from __future__ import annotations

from typing import TypeVar

_T = TypeVar("_T")


class DomainError(Exception):
    """`detail` is for people and holds no secret. `retry_after`: seconds after which a retry may succeed."""

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class NotFoundError(DomainError):
    """It does not exist, or belongs to another agency: the two cannot be told apart from outside."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}.")


class InvalidError(DomainError):
    """One field is wrong. `message` says what it must be and does not repeat the value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnknownClientError(InvalidError):
    """A request names a client that the agency does not have."""

    def __init__(self) -> None:
        super().__init__("client_id", "must be the id of a client of this agency")


class ConflictError(DomainError):
    """It conflicts with something that exists."""


class NoKeyError(DomainError):
    """A key is missing, or can no longer be read."""


class KeyRejectedError(DomainError):
    """The provider or Twilio refused the key."""


class UnreachableError(DomainError):
    """A provider or Twilio could not be reached, or its answer made no sense."""


class NumberNotFoundError(DomainError):
    """The number is not in that account."""


class QuotaError(DomainError):
    """More than the operator allows in a day."""


class UnfinishedError(DomainError):
    """More work than fits into one request. What is done stays done, and a repeated request goes on from there."""


class CrowdedError(DomainError):
    """Too much of the same at once."""


def require(found: _T | None, what: str) -> _T:
    """`found`, if it is there. Raises NotFoundError."""
    if found is None:
        raise NotFoundError(what)
    return found
