"""What the API says when it cannot do what was asked: RFC 9457 problems, each with a way to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from pydantic import BaseModel, ConfigDict, ValidationError

from router.errors import (
    ConflictError,
    CrowdedError,
    DomainError,
    InvalidError,
    KeyRejectedError,
    NoKeyError,
    NotFoundError,
    NumberNotFoundError,
    UnreachableError,
)
from router.store.pool import DATABASE_ERRORS

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of problem: its usual HTTP status and its title."""

    status: int
    title: str


KINDS: Final[Mapping[str, Kind]] = {
    "unauthorized": Kind(401, "A valid token is needed"),
    "not-found": Kind(404, "There is no such thing"),
    "invalid": Kind(422, "The request is not valid"),
    "conflict": Kind(409, "It conflicts with what is there"),
    "key-rejected": Kind(422, "The key was refused"),
    "provider-unreachable": Kind(503, "The other system could not be asked"),
    "no-key": Kind(422, "A key is missing"),
    "number-not-found": Kind(422, "The number is not in that account"),
    "too-large": Kind(413, "The body is too large"),
    "rate-limited": Kind(429, "Too many requests"),
    "unavailable": Kind(503, "The service cannot answer now"),
}


class FieldError(BaseModel):
    """What is wrong with one field of the body or one parameter of the address."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class ProblemReply(BaseModel):
    """RFC 9457. `errors` where fields are to blame."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Problem(Exception):  # noqa: N818 - RFC 9457's word for it
    """Raised anywhere below an endpoint; becomes its answer. `detail` is for people and holds no secret."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name)
        kind = KINDS[name]
        self.status = status or kind.status
        self.headers = headers or {}
        self._reply = ProblemReply(
            type=f"/problems/{name}",
            title=kind.title,
            status=self.status,
            detail=detail,
            errors=list(errors) or None,
        )

    @property
    def detail(self) -> str:
        return self._reply.detail

    def render(self) -> bytes:
        return self._reply.model_dump_json(exclude_none=True).encode()


def invalid(field: str, message: str) -> Problem:
    """One field is to blame."""
    return Problem("invalid", f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def not_found(what: str) -> Problem:
    return Problem("not-found", f"There is no such {what}.")


def unavailable() -> Problem:
    return Problem("unavailable", "The database does not answer. Try again soon.", headers={"Retry-After": "5"})


def explain_validation(error: ValidationError) -> Problem:
    """Every field that is wrong, and how. What was sent is not repeated: it may be a key."""
    errors = [_explain(detail) for detail in error.errors(include_url=False, include_input=False, include_context=True)]
    detail = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in errors)
    return Problem("invalid", detail, errors=errors)


_MAX_NAME: Final = 60
_MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a field here; see /openapi.json for those that are",
}


def _explain(detail: Any) -> FieldError:
    place = _join(detail["loc"]) or str(detail.get("ctx", {}).get("field", ""))
    message = _MESSAGES.get(detail["type"]) or str(detail["msg"]).removeprefix("Value error, ")
    return FieldError(field=place, message=message)


def _join(place: Iterable[str | int]) -> str:
    """Names are cut short: somebody may have put a value where a name belongs."""
    return ".".join(str(part)[:_MAX_NAME] for part in place)


# SQLSTATE classes of a server that is away, full, shutting down, read-only after a failover, or asks to try again.
_AWAY: Final = ("08", "25006", "40", "53", "57")


def is_database_away(error: BaseException) -> bool:
    """Whether trying again later may help; False for a mistake in our own SQL."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_AWAY)
    return isinstance(error, DATABASE_ERRORS)


_NAMES: Final[Mapping[type[DomainError], str]] = {
    NotFoundError: "not-found",
    InvalidError: "invalid",
    ConflictError: "conflict",
    NoKeyError: "no-key",
    KeyRejectedError: "key-rejected",
    UnreachableError: "provider-unreachable",
    NumberNotFoundError: "number-not-found",
    CrowdedError: "rate-limited",
}


def explain_error(error: DomainError) -> Problem:
    """What HTTP makes of it."""
    errors = [FieldError(field=error.field, message=error.message)] if isinstance(error, InvalidError) else []
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return Problem(_NAMES[type(error)], error.detail, errors=errors, headers=headers)
