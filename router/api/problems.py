"""Problems (RFC 9457): the API's answers to requests that it cannot fulfil.

Only this module maps the domain's errors to problems and HTTP statuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import asyncpg
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.responses import Response

from crypto import clear_frames
from router.api.validation import FieldError, explain_errors
from router.errors import (
    ConflictError,
    CrowdedError,
    DomainError,
    InvalidError,
    KeyRejectedError,
    NoKeyError,
    NotFoundError,
    NumberNotFoundError,
    QuotaError,
    UnfinishedError,
    UnreachableError,
)
from router.store.pool import DATABASE_ERRORS
from router.telemetry import emit

MEDIA_TYPE: Final = "application/problem+json"
_MOST_ERRORS: Final = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of problem: its usual HTTP status, and the text of /problems/{name}."""

    status: int
    title: str
    meaning: str
    advice: str


KINDS: Final[Mapping[str, Kind]] = {
    "unauthorized": Kind(
        401,
        "A valid token is needed",
        "The request had no bearer token, or one that does not exist, was deleted or has expired.",
        "Send `Authorization: Bearer TOKEN`. A token is shown once, when it is created; if it is lost, create another one.",
    ),
    "read-only": Kind(
        403,
        "The token may only read",
        "The request would change something, and its token has the role `read`.",
        "Use a token with the role `full`.",
    ),
    "not-found": Kind(
        404,
        "Not found",
        "The address does not exist, or what it names does not exist or belongs to another agency. With status 405 the "
        "address exists and does not take this method; the header Allow names those it takes.",
        "Check the path and the ids in it, and whether the token is one of that agency.",
    ),
    "invalid": Kind(
        422,
        "The request is not valid",
        "The body, a query parameter or a header is missing, unknown or out of range.",
        "Read `errors`: it names up to twenty fields, and what each must be. The value that was sent is not repeated.",
    ),
    "conflict": Kind(
        409,
        "The request conflicts with something that exists",
        "The request is valid, but something that exists prevents it. Or its Idempotency-Key was used before with "
        "another body, or the first request with that key is still being processed.",
        "Read `detail`: it names the conflict. Use a new Idempotency-Key for a new body.",
    ),
    "key-rejected": Kind(
        422,
        "The key was refused",
        "A voice provider or Twilio refused the key that the request used or wanted to save.",
        "Check that the key was copied in full and still exists in the provider's dashboard, and save it again.",
    ),
    "provider-unreachable": Kind(
        503,
        "A provider could not be reached",
        "A voice provider or Twilio did not answer in time, or its answer made no sense. Nothing was changed.",
        "Try again after the seconds in Retry-After. If the problem persists, check the provider's status page.",
    ),
    "no-key": Kind(
        422,
        "A key is missing",
        "The agency has not saved a key for the provider or Twilio account that the request needs.",
        "Save the key first: PUT /v1/agencies/{agency}/keys/{kind}.",
    ),
    "number-not-found": Kind(
        422,
        "The number is not in that account",
        "The phone number was looked up in the Twilio account and is not there.",
        "Check the number and the account. A number on another account is taken over with that account's key.",
    ),
    "too-large": Kind(
        413,
        "The body is too large",
        "Bodies may have up to 64 kB and 2,048 commas and opening brackets, or 1 MB and 32,768 of them where a client with "
        "its assistant is created or changed; and up to 2,000 fields and entries of lists, nested ones included.",
        "Send less: shorten the assistant's prompt and knowledge.",
    ),
    "rate-limited": Kind(
        429,
        "Too many requests",
        "The agency, the caller or the token sends too many requests at once, too many wrong tokens came from an address, "
        "or what is allowed in an hour or a day is used up. `detail` says which. A right token is accepted at any time.",
        "Wait for the seconds in Retry-After, and close unused streams. The operator can allow more numbers a day.",
    ),
    "unavailable": Kind(
        503,
        "The service cannot answer now",
        "The database does not respond, or takes too long to count. With status 500, the error is in callrouter itself.",
        "With status 503, try again after the seconds in Retry-After. With status 500, ask the operator to look for the event "
        "`request.failed` in the log.",
    ),
}


class ProblemReply(BaseModel):
    """An RFC 9457 problem."""

    type: Annotated[
        str,
        Field(description="The type of problem: the address of a page about it", examples=["/problems/invalid"]),
    ]
    title: Annotated[str, Field(description="The kind in words", examples=["The request is not valid"])]
    status: Annotated[int, Field(description="The HTTP status of the answer", examples=[422])]
    detail: Annotated[
        str, Field(description="What is wrong with this request, for people", examples=["name: is required"])
    ]
    errors: Annotated[
        list[FieldError] | None, Field(description="Up to twenty fields or parameters that are wrong")
    ] = None


class Problem(Exception):  # noqa: N818 - RFC 9457's word for it
    """Becomes the answer, wherever it is raised. `detail` is for people and holds no secret."""

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


_OF_DOMAIN: Final[Mapping[type[Exception], str]] = {
    NotFoundError: "not-found",
    ConflictError: "conflict",
    NoKeyError: "no-key",
    KeyRejectedError: "key-rejected",
    UnreachableError: "provider-unreachable",
    NumberNotFoundError: "number-not-found",
    UnfinishedError: "unavailable",
    CrowdedError: "rate-limited",
    QuotaError: "rate-limited",
}


def find_problem(error: Exception) -> Problem | None:
    """The problem that an error is for the client; None for a bug of ours."""
    match error:
        case Problem():
            return error
        case InvalidError():
            return _refuse_fields([FieldError(field=error.field, message=error.message)], 1)
        case DomainError():
            name = next(_OF_DOMAIN[kind] for kind in type(error).__mro__ if kind in _OF_DOMAIN)
            wait = error.retry_after
            return Problem(name, error.detail, headers={} if wait is None else {"Retry-After": str(wait)})
        case RequestValidationError():
            errors = error.errors()
            return _refuse_fields(explain_errors(errors[:_MOST_ERRORS]), len(errors))
    if is_database_away(error):
        return Problem("unavailable", "The database does not respond. Try again soon.", headers={"Retry-After": "5"})
    return None


def _refuse_fields(errors: Sequence[FieldError], number: int) -> Problem:
    """Names these, and says how many more there are of this number."""
    detail = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in errors)
    if number > len(errors):
        detail += f"; and {number - len(errors)} more"
    return Problem("invalid", detail, errors=errors)


def answer_error(error: Exception, route: str, method: str) -> Response:
    """The error as a problem. A bug of ours is logged.

    Nothing refers to the error's frames afterwards: they hold the request's body, and that may hold a key.
    """
    problem = find_problem(error)
    if problem is None:
        emit("request.failed", exception=error, route=route, method=method)
        problem = Problem("unavailable", "This is an error in callrouter. It has been logged.", status=500)
    clear_frames(error)
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return Response(problem.render(), problem.status, dict(problem.headers), MEDIA_TYPE)


# SQLSTATE classes of a server that is away, full, shutting down, read-only after a failover, or asks to try again.
_AWAY: Final = ("08", "25006", "40", "53", "57")


def is_database_away(error: BaseException) -> bool:
    """Whether a retry may help; False for an error in our own SQL."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_AWAY)
    return isinstance(error, DATABASE_ERRORS)
