"""Traces by OpenTelemetry's SDK, exported with OTLP over HTTP. Imported only if traces are on: it takes 0.3 seconds.

Spans wait in a bounded queue (OTEL_BSP_MAX_QUEUE_SIZE), and a thread sends them: no call waits for the collector. If it
does not take them, they are dropped, which is logged once. Our tracer is not the process-wide one, so that no library
adds spans with addresses or texts of exceptions to it.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from router.telemetry.log import emit
from router.telemetry.redact import mask_numbers
from router.telemetry.traces import REPLICA, Attributes, Origin, Span

_NAMES: Final[Mapping[str, str]] = {
    "account_sid": "twilio.account_sid",
    "agency_id": "callrouter.agency_id",
    "call_id": "callrouter.call_id",
    "call_sid": "twilio.call_sid",
    "claimed": "callrouter.claimed",
    "client_id": "callrouter.client_id",
    "count": "callrouter.count",
    "durable": "callrouter.durable",
    "job": "callrouter.job",
    "method": "http.request.method",
    "provider": "callrouter.provider",
    "provider_call_id": "callrouter.provider_call_id",
    "reason": "callrouter.reason",
    "result": "callrouter.result",
    "route": "http.route",
    "status": "http.response.status_code",
    "step": "callrouter.step",
    "system": "peer.service",
    "tried": "callrouter.tried",
}
_MOST_CHARACTERS: Final = 200
_MOST_LINKS: Final = 100
_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_CONTEXT: Final = Context()
_SERVED: Final = re.compile(r"[123]xx")
_propagator: Final = TraceContextTextMapPropagator()


class OtlpTracing:
    """Makes spans and exports them. `start` begins a thread; call `shut_down` at the end."""

    def __init__(
        self, endpoint: str, headers: str, service_name: str, version: str, sampler: str, ratio: float
    ) -> None:
        """`endpoint` is the whole address. `headers` as in OTEL_EXPORTER_OTLP_HEADERS. `ratio`: of a sampler that has one.

        What else there is to set, the SDK reads from its own variables.
        """
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # we say ourselves that exporting fails
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=parse_env_headers(headers, liberal=True) or None)
        self._provider = TracerProvider(
            sampler=_make_sampler(sampler, ratio),
            resource=Resource.create(
                {"service.name": service_name, "service.version": version, "service.instance.id": REPLICA}
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(_Reporting(exporter)))  # type: ignore[arg-type,unused-ignore]
        self._tracer: trace.Tracer = self._provider.get_tracer("callrouter", version)

    def shut_down(self, seconds: float) -> None:
        """Send what waits; give up after that time."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-closing", daemon=True)
        closing.start()
        closing.join(seconds)

    def start(self, name: str, attributes: Attributes) -> Span:
        return _Recorded(self._tracer.start_span(name, attributes=_write(attributes)))

    def start_server(self, method: str, attributes: Attributes) -> Span:
        known = method if method in _KNOWN_METHODS else "HTTP"
        given: Attributes = {**attributes, "method": known}
        return _Recorded(self._tracer.start_span(known, _NO_CONTEXT, SpanKind.SERVER, _write(given)))

    def start_job(self, name: str, origin: str | None, attributes: Attributes) -> Span:
        from_there = _read_traceparent(origin)
        links = [] if from_there is None else [Link(from_there)]
        return _Recorded(self._tracer.start_span(name, _NO_CONTEXT, SpanKind.CONSUMER, _write(attributes), links))

    def start_batch(self, name: str, origins: Iterable[Origin], attributes: Attributes) -> Span:
        sampled: list[SpanContext] = list(origins)
        if not sampled:
            return Span()
        first = trace.set_span_in_context(trace.NonRecordingSpan(sampled[0]), _NO_CONTEXT)
        links = [Link(each) for each in sampled[:_MOST_LINKS]]
        return _Recorded(self._tracer.start_span(name, first, SpanKind.INTERNAL, _write(attributes), links))

    def add_request(self, system: str, outcome: str, seconds: float) -> None:
        now = time.time_ns()
        began = now - round(seconds * 1e9)
        attributes = _write({"system": system, "result": outcome})
        request = self._tracer.start_span(
            f"request {system}", kind=SpanKind.CLIENT, attributes=attributes, start_time=began
        )
        if not _SERVED.fullmatch(outcome):
            request.set_attribute("error.type", outcome)
            request.set_status(StatusCode.ERROR)
        request.end(now)

    def here(self) -> Span:
        return _Recorded(trace.get_current_span())

    def link(self, traceparent: str) -> None:
        there = _read_traceparent(traceparent)
        if there is not None:
            trace.get_current_span().add_link(there)

    def origin(self) -> Origin | None:
        here = trace.get_current_span().get_span_context()
        return here if here.is_valid and here.trace_flags & TraceFlags.SAMPLED else None

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get("traceparent")

    def ids(self) -> Mapping[str, str]:
        here = trace.get_current_span().get_span_context()
        if not here.is_valid:
            return {}
        return {"trace_id": f"{here.trace_id:032x}", "span_id": f"{here.span_id:016x}"}


class _Recorded(Span):
    """A span of the SDK. Of an exception that leaves it, it has only the type: the text may hold a key."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, **attributes: Any) -> None:
        self._span.set_attributes(_write(attributes))

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, event: str, **attributes: Any) -> None:
        self._span.add_event(event, _write(attributes))

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason[:_MOST_CHARACTERS])
        self._span.set_status(StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._token = attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.fail(kind.__qualname__)
        detach(self._token)
        self._span.end()


class _Reporting:
    """The exporter, and one log line when it begins to fail and one when it works again."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._lost = 0

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        result: SpanExportResult = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                emit("traces.failed", count=len(spans))
            self._lost += len(spans)
        elif self._lost:
            emit("traces.resumed", count=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


def _make_sampler(name: str, ratio: float) -> Any:
    root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name.removeprefix("parentbased_"))
    sampler = TraceIdRatioBased(ratio) if root is None else root
    return ParentBased(sampler) if name.startswith("parentbased_") else sampler


def _read_traceparent(text: str | None) -> SpanContext | None:
    if text is None or not _TRACEPARENT.fullmatch(text):
        return None
    there = trace.get_current_span(_propagator.extract({"traceparent": text}, _NO_CONTEXT)).get_span_context()
    return there if there.is_valid else None


def _write(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """By OpenTelemetry's names. Ids come from outside, so their length is limited, and a number in one is masked."""
    return {
        _NAMES[name]: mask_numbers(value[:_MOST_CHARACTERS]) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None and name in _NAMES
    }
