"""What a log line and a span belong to: the replica, the request, the trace. Spans around the stations of a call.

Nothing is traced until `router.telemetry.exporting` is put in place by `use`; until then a span is one shared object that
does nothing, and no part of OpenTelemetry is imported for it. `Attributes` lists all that a span may carry: there is no
way to pass a key, a number or a text of an exception.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from random import getrandbits
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias, TypedDict, Unpack

_REQUEST_BITS: Final = 64
_CARRIED: Final = "traceparent"
SCOPE_KEY: Final = "callrouter.span"
"""Of an ASGI scope: the span of the request."""

Origin: TypeAlias = Any
"""A span elsewhere that led to this one. Only `router.telemetry.exporting` looks inside."""


class Attributes(TypedDict, total=False):
    """All that a span may carry. None is left out."""

    account_sid: str | None
    agency_id: str | None
    call_id: str | None
    call_sid: str | None
    claimed: bool
    client_id: str | None
    count: int
    durable: bool
    job: str
    method: str
    provider: str | None
    provider_call_id: str | None
    reason: str | None
    result: str
    route: str
    status: int | None
    step: str | None
    system: str
    tried: int


class Span:
    """A span; this one is that of a process that does not trace."""

    __slots__ = ()

    def set(self, **attributes: Unpack[Attributes]) -> None:
        """Add attributes."""

    def name(self, name: str) -> None:
        """Give it another name."""

    def note(self, event: str, **attributes: Unpack[Attributes]) -> None:
        """Add something that happened meanwhile."""

    def fail(self, reason: str) -> None:
        """Mark it as failed: a word of ours, such as `timeout`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """It is over."""


class Tracing(Protocol):
    """What makes spans."""

    def start(self, name: str, attributes: Attributes) -> Span: ...

    def start_server(self, method: str, attributes: Attributes) -> Span: ...

    def start_job(self, name: str, origin: str | None, attributes: Attributes) -> Span: ...

    def start_batch(self, name: str, origins: Iterable[Origin], attributes: Attributes) -> Span: ...

    def add_request(self, system: str, outcome: str, seconds: float) -> None: ...

    def here(self) -> Span: ...

    def link(self, traceparent: str) -> None: ...

    def origin(self) -> Origin | None: ...

    def traceparent(self) -> str | None: ...

    def ids(self) -> Mapping[str, str]: ...


class _InUse:
    """The tracing of this process, if it has any."""

    def __init__(self) -> None:
        self.tracing: Tracing | None = None


_NO_SPAN: Final = Span()
_in_use: Final = _InUse()
_request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)

REPLICA: Final = f"{socket.gethostname()[:200]}/{os.getpid()}"
"""This process, as log lines and traces name it."""


def use(tracing: Tracing | None) -> None:
    """Trace from now on; None: no longer."""
    _in_use.tracing = tracing


def is_on() -> bool:
    return _in_use.tracing is not None


def span(name: str, **attributes: Unpack[Attributes]) -> Span:
    """A part of what the current span does. A context manager; an exception that leaves it marks it as failed."""
    tracing = _in_use.tracing
    return _NO_SPAN if tracing is None else tracing.start(name, attributes)


def serving(method: str) -> Span:
    """A request that we answer. It begins a trace, whatever the client says about its own."""
    tracing = _in_use.tracing
    return _NO_SPAN if tracing is None else tracing.start_server(method, {"method": method})


def working(job: str, tried: int, origin: object = None) -> Span:
    """A background job. It begins a trace, linked to the one in which it became necessary (`carried`)."""
    tracing = _in_use.tracing
    if tracing is None:
        return _NO_SPAN
    return tracing.start_job(f"job {job}", origin if isinstance(origin, str) else None, {"job": job, "tried": tried})


def together(name: str, origins: Iterable[Origin | None], **attributes: Unpack[Attributes]) -> Span:
    """Work for many at once: part of the first one's trace, and linked to all of them. Nothing if none is traced."""
    tracing = _in_use.tracing
    return _NO_SPAN if tracing is None else tracing.start_batch(name, [one for one in origins if one], attributes)


def here() -> Span:
    """The current span."""
    tracing = _in_use.tracing
    return _NO_SPAN if tracing is None else tracing.here()


def name_request(scope: Mapping[str, Any], method: str, route: str) -> None:
    """Name the request's span after its path with placeholders, never after one as it was requested.

    The span is in the request's scope: what the console asks of the API within a request of its own has none.
    """
    served: Span | None = scope.get(SCOPE_KEY)
    if served is not None:
        served.name(f"{method} {route}")
        served.set(route=route)


def request_finished(system: str, outcome: str, seconds: float) -> None:
    """Add a request to an outside system, which has just ended."""
    if _in_use.tracing is not None:
        _in_use.tracing.add_request(system, outcome, seconds)


def link_caller(headers: Mapping[str, str]) -> None:
    """Link the current span to the trace of an authenticated client, if its request names one. Our trace stays our own:
    a client decides neither its id nor whether it is recorded.
    """
    if _in_use.tracing is not None and (traceparent := headers.get(_CARRIED)):
        _in_use.tracing.link(traceparent)


def origin() -> Origin | None:
    """The current span, for `together`; None if it is not recorded."""
    return None if _in_use.tracing is None else _in_use.tracing.origin()


def carried() -> dict[str, str]:
    """The current span, for the payload of a job."""
    traceparent = None if _in_use.tracing is None else _in_use.tracing.traceparent()
    return {} if traceparent is None else {_CARRIED: traceparent}


def take_carried(payload: dict[str, Any]) -> object:
    """What `carried` had added to a payload, which has it no longer."""
    return payload.pop(_CARRIED, None)


def begin_request() -> None:
    """Log lines from here on belong to a request of their own."""
    _request_id.set(f"{getrandbits(_REQUEST_BITS):016x}")  # an id, not a secret


def ids() -> dict[str, str]:
    """The fields of every log line: `replica`, and `request_id`, `trace_id` and `span_id` where there are such."""
    known = {"replica": REPLICA}
    request_id = _request_id.get()
    if request_id is not None:
        known["request_id"] = request_id
    if _in_use.tracing is not None:
        known |= _in_use.tracing.ids()
    return known
