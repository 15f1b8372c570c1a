"""What can stand in the way of what an agency asks for. Facts, and words for people; how HTTP says it is the API's.

DomainError
├── NotFoundError         it does not exist, or belongs to another agency
├── InvalidError          one field is to blame
├── ConflictError         it conflicts with what is there
├── NoKeyError            a key is missing
├── KeyRejectedError      the key's owner refused it
├── UnreachableError      the other system could not be asked
├── NumberNotFoundError   the number is not in that account
└── CrowdedError          too much at once
"""

from __future__ import annotations


class DomainError(Exception):
    """`detail` is for people and holds no secret. `retry_after`: seconds after which another try may go well."""

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class NotFoundError(DomainError):
    """It does not exist, or belongs to another agency: both look the same from outside."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}.")


class InvalidError(DomainError):
    """One field is to blame. `message` says how to mend it and does not repeat the value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class ConflictError(DomainError):
    """It conflicts with what is there."""


class NoKeyError(DomainError):
    """A key is missing, or cannot be read any more."""


class KeyRejectedError(DomainError):
    """The key's owner refused it."""


class UnreachableError(DomainError):
    """The other system could not be asked, or its answer made no sense."""


class NumberNotFoundError(DomainError):
    """The number is not in that account."""


class CrowdedError(DomainError):
    """Too much of the same at once."""
