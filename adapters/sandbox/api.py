"""What the four stand-ins have in common: the request as they see it, their endpoints and their refusals.

Nothing here knows a provider; each provider's paths, bodies and words are in its own package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, cast
from urllib.parse import parse_qsl

from starlette.responses import Response

Operation: TypeAlias = Literal["handoff", "check", "assistants", "numbers", "other"]
Clock: TypeAlias = Callable[[], datetime]
Json: TypeAlias = dict[str, Any]


def utc_now() -> datetime:
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as the providers write times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Refusal(Exception):  # noqa: N818  an answer, not a fault of ours
    """A stand-in declines a request; its API turns this into the provider's own error body."""

    def __init__(self, status: int, message: str | list[str] | None = None, code: int | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.code = code  # the provider's own number for the error, where it has one


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that reached the sandbox. Holds whatever was sent, keys included: they are all fakes."""

    at: datetime
    provider: str
    operation: Operation
    method: str
    path: str  # below the provider's prefix, decoded
    parameters: Mapping[str, str]  # from the path
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    raw: bytes
    body: Any = None  # JSON, a form's fields or a multipart form's parts; None for an empty or unreadable body

    def json(self) -> Json:
        """The body as a JSON object; raises Refusal for anything else."""
        if not isinstance(self.body, dict):
            raise Refusal(400)
        return self.body

    def form(self) -> dict[str, str]:
        """The fields of a form body, the last value of each; empty without a body."""
        return dict(self.body) if isinstance(self.body, dict) else {}


def read_body(content_type: str, raw: bytes) -> Any:
    """JSON, the fields of a form, or the parts of a multipart form (see `_parts`); None where it is none of these."""
    if content_type.startswith("multipart/form-data"):
        return _parts(content_type, raw)
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _parts(content_type: str, raw: bytes) -> list[Json] | None:
    """Each part as {"name", "filename", "content_type", "content"}, text alone; filename null for a plain field."""
    whole = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + raw, policy=policy.HTTP)
    if not whole.is_multipart():
        return None
    return [
        {
            "name": part.get_param("name", header="content-disposition"),
            "filename": part.get_filename(),
            "content_type": part.get_content_type(),
            "content": cast(bytes, part.get_payload(decode=True)).decode("utf-8", "replace"),
        }
        for part in whole.iter_parts()
    ]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a provider's API. `handler` may raise Refusal. `operation` may depend on the query."""

    method: str
    path: str  # Starlette's path syntax, below the provider's prefix
    handler: Callable[[Asked], Response]
    operation: Operation | Callable[[Mapping[str, str]], Operation] = "other"

    def operation_of(self, query: Mapping[str, str]) -> Operation:
        return self.operation if isinstance(self.operation, str) else self.operation(query)


class Api(Protocol):
    """One provider's stand-in, as the app and the faults need it."""

    name: str
    vital: frozenset[str]  # the fields without which an answer is useless to a caller of this API
    words: ClassVar[dict[str, Refusal]]  # its refusals for faults that have no status of their own

    def endpoints(self) -> Sequence[Endpoint]: ...

    def refuse(self, refusal: Refusal) -> Response:
        """The provider's own error body."""
        ...

    def key_of(self, asked: Asked) -> str:
        """The key a request came with; empty if none."""
        ...

    def bend(self, fault: str, answer: Json) -> Json:
        """A success as this provider would give it under a fault of its own kind; unchanged if it has none."""
        ...
