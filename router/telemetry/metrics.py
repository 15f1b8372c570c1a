"""Metrics for Prometheus, and the small functions through which they are counted. docs/metrics.md describes each.

Every label has a closed set of values: whatever else turns up counts as `other`. All counters exist before their
first event, those with a provider once `register_providers` was told its names. With several workers
(PROMETHEUS_MULTIPROC_DIR set before the process starts) `render` adds all of them up.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from itertools import product
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from router.telemetry.events import EVENTS

_MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
_OTHER: Final = "other"
_STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_CARRIER_PATIENCE: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 10, 15)  # seconds
_RINGING: Final = (0.5, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 45, 60, 90)  # seconds
_DISK_AND_NETWORK: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)  # seconds


def _values(event: str, field: str) -> tuple[str, ...]:
    """The closed set that the catalogue of events has for a field."""
    return next(known.values for known in EVENTS[event].fields if known.name == field)


_ANSWERERS = _values("call.answered", "by")
_OUTCOMES = _values("call.ended", "outcome")
_HANDOFF_RESULTS = ("succeeded", "late", *_values("handoff.failed", "reason"))
_SKIP_REASONS = _values("handoff.skipped", "reason")
_REJECTIONS = _values("webhook.rejected", "reason")
_FALLBACK_STEPS = _values("fallback.served", "step")
_CIRCUIT_SCOPES = _values("circuit.opened", "scope")
_RUNGS = ("ai", "owner", "voicemail", "transfer")
_NO_PROVIDER = "none"
_REQUEST_OUTCOMES = (*_STATUS_CLASSES, *_values("handoff.failed", "reason"), "cancelled")
_LOG_FAULTS = ("unknown_event", "unknown_field", "missing_field", "wrong_type", "unwritable", "backlog")
_CARRIER = "twilio"
_CARRIER_ROUTES = ("/webhooks/twilio/voice", "/webhooks/twilio/status", "/webhooks/twilio/calls")

CALLS_RECEIVED = Counter("callrouter_calls_received_total", "Verified calls that came in")
CALLS_ANSWERED = Counter("callrouter_calls_answered_total", "Calls that somebody or something took", ["by"])
CALLS_ENDED = Counter("callrouter_calls_ended_total", "Calls that are over", ["outcome"])
ANSWER_SECONDS = Histogram(
    "callrouter_answer_seconds",
    "From a call's first webhook until somebody or something took it",
    ["by"],
    buckets=_RINGING,
)
RUNGS_TAKEN = Counter(
    "callrouter_rungs_taken_total", "Rungs whose document was handed to the carrier", ["step", "provider"]
)
CALLS_IN_FLIGHT = Gauge(
    "callrouter_calls_in_flight", "Callers who are waiting for our answer now", multiprocess_mode="livesum"
)
HANDOFF_SECONDS = Histogram(
    "callrouter_handoff_seconds",
    "From asking a provider until its answer",
    ["provider", "result"],
    buckets=_CARRIER_PATIENCE,
)
HANDOFFS_SKIPPED = Counter("callrouter_handoffs_skipped_total", "Providers that were not asked", ["reason"])
CIRCUITS_OPEN = Gauge(
    "callrouter_circuits_open", "Circuits that are not closed", ["scope", "provider"], multiprocess_mode="livesum"
)
REQUEST_SECONDS = Histogram(
    "callrouter_webhook_request_seconds",
    "From a webhook's arrival until our answer",
    ["route", "status"],
    buckets=_CARRIER_PATIENCE,
)
WEBHOOKS_REJECTED = Counter("callrouter_webhooks_rejected_total", "Requests from outside that were refused", ["reason"])
FALLBACKS_SERVED = Counter("callrouter_fallbacks_served_total", "Requests for the static fallback", ["step"])
RECORDER_FLUSH_SECONDS = Histogram(
    "callrouter_recorder_flush_seconds", "Making a batch of call records durable", buckets=_DISK_AND_NETWORK
)
RECORDER_BATCH_SIZE = Histogram(
    "callrouter_recorder_batch_size", "Call records in one batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
RECORDER_QUEUE = Gauge(
    "callrouter_recorder_queue", "Call records that are waiting for their batch", multiprocess_mode="livesum"
)
SPOOL_BYTES = Gauge(
    "callrouter_spool_bytes", "Call records that wait on disk for the database", multiprocess_mode="livemostrecent"
)
OUTGOING_SECONDS = Histogram(
    "callrouter_outgoing_request_seconds",
    "Our requests to providers and the carrier",
    ["system", "outcome"],
    buckets=_CARRIER_PATIENCE,
)
DATABASE_UP = Gauge("callrouter_database_up", "1 while the database answers", multiprocess_mode="livemin")
KEYS_UNREADABLE = Counter("callrouter_keys_unreadable_total", "Sealed keys that did not open", ["kind"])
KEY_CHECKS = Counter("callrouter_key_checks_total", "Looks at agencies' keys", ["kind", "result"])
DELIVERIES = Counter("callrouter_deliveries_total", "Attempts to deliver an event to an agency's endpoint", ["result"])
STREAMS = Gauge("callrouter_event_streams", "Streams of events that are open", multiprocess_mode="livesum")
JOBS_FINISHED = Counter("callrouter_jobs_total", "Attempts at background jobs", ["job", "result"])
LOG_DROPPED = Counter("callrouter_log_dropped_total", "Log lines or fields that were left out", ["reason"])

_KEY_RESULTS = ("valid", "out_of_credit", "failing", "untold")
_DELIVERY_RESULTS = ("delivered", "failed", "dead")
_JOB_RESULTS = ("done", "again", "failed", "given_up")

_providers: set[str] = set()
_jobs: set[str] = set()
_routes: set[str] = set(_CARRIER_ROUTES)


def register_providers(names: Iterable[str]) -> None:
    """Which providers there are: the values of the label `provider`, and with the carrier those of `kind`."""
    _providers.update(names)
    for kind in _providers:
        KEYS_UNREADABLE.labels(kind)
    for kind, result in product({*_providers, _CARRIER}, _KEY_RESULTS):
        KEY_CHECKS.labels(kind, result)
    for scope, provider in product(_CIRCUIT_SCOPES, _providers):
        CIRCUITS_OPEN.labels(scope, provider)
    for provider, result in product(_providers, _HANDOFF_RESULTS):
        HANDOFF_SECONDS.labels(provider, result)
    for provider in _providers:
        RUNGS_TAKEN.labels("ai", provider)
        _routes.update((provider_route(provider), provider_route(provider, "transfer")))


def register_jobs(names: Iterable[str]) -> None:
    """Which kinds of jobs there are: the values of the label `job`."""
    _jobs.update(names)
    for job, result in product(_jobs, _JOB_RESULTS):
        JOBS_FINISHED.labels(job, result)


def job_finished(job: str, result: str) -> None:
    """`result`: done, again, failed (it is tried again) or given_up."""
    JOBS_FINISHED.labels(_bound(job, _jobs), _bound(result, _JOB_RESULTS)).inc()


def delivery_finished(result: str) -> None:
    """`result`: delivered, failed (it is tried again), dead."""
    DELIVERIES.labels(_bound(result, _DELIVERY_RESULTS)).inc()


def event_stream() -> AbstractContextManager[object]:
    """Counts a stream as open inside the `with` block."""
    return STREAMS.track_inprogress()


def call_received() -> None:
    CALLS_RECEIVED.inc()


def call_answered(by: str) -> None:
    CALLS_ANSWERED.labels(_bound(by, _ANSWERERS)).inc()


def call_ended(outcome: str) -> None:
    CALLS_ENDED.labels(_bound(outcome, _OUTCOMES)).inc()


def call_answered_after(by: str, seconds: float) -> None:
    """The first to take a call, so many seconds after it came in."""
    ANSWER_SECONDS.labels(_bound(by, _ANSWERERS)).observe(max(seconds, 0.0))


def rung_taken(step: str, provider: str | None) -> None:
    """The carrier is told to try this rung; `provider` of an AI's."""
    RUNGS_TAKEN.labels(_bound(step, _RUNGS), _NO_PROVIDER if provider is None else _bound(provider, _providers)).inc()


def call_in_flight() -> AbstractContextManager[object]:
    """Counts a caller as waiting inside the `with` block."""
    return CALLS_IN_FLIGHT.track_inprogress()


def handoff_finished(provider: str, result: str, seconds: float) -> None:
    """`result`: succeeded, late, or a reason of `handoff.failed`."""
    HANDOFF_SECONDS.labels(_bound(provider, _providers), _bound(result, _HANDOFF_RESULTS)).observe(seconds)


def handoff_skipped(reason: str) -> None:
    HANDOFFS_SKIPPED.labels(_bound(reason, _SKIP_REASONS)).inc()


def circuit_changed(scope: str, provider: str, opened: bool) -> None:
    gauge = CIRCUITS_OPEN.labels(_bound(scope, _CIRCUIT_SCOPES), _bound(provider, _providers))
    gauge.inc() if opened else gauge.dec()


def request_finished(route: str, status: int, seconds: float) -> None:
    """`route` is the path with its placeholders, never a path as it was requested."""
    REQUEST_SECONDS.labels(_bound(route, _routes), _bound(f"{status // 100}xx", _STATUS_CLASSES)).observe(seconds)


def provider_route(provider: str, *rest: str) -> str:
    """The route of a provider's webhook."""
    return "/".join((f"/webhooks/{provider}/{{agency_id}}", *rest))


def outgoing_finished(system: str, outcome: str, seconds: float) -> None:
    """A request of ours; the hook of `adapters.http.Http`."""
    systems = {*_providers, _CARRIER}
    OUTGOING_SECONDS.labels(_bound(system, systems), _bound(outcome, _REQUEST_OUTCOMES)).observe(seconds)


def webhook_rejected(reason: str) -> None:
    WEBHOOKS_REJECTED.labels(_bound(reason, _REJECTIONS)).inc()


def fallback_served(step: str) -> None:
    FALLBACKS_SERVED.labels(_bound(step, _FALLBACK_STEPS)).inc()


def recorder_flushed(seconds: float, batch_size: int) -> None:
    RECORDER_FLUSH_SECONDS.observe(seconds)
    RECORDER_BATCH_SIZE.observe(batch_size)


def recorder_queue(depth: int) -> None:
    RECORDER_QUEUE.set(depth)


def spool_bytes(size: int) -> None:
    SPOOL_BYTES.set(size)


def database_up(up: bool) -> None:
    DATABASE_UP.set(up)


def key_unreadable(kind: str) -> None:
    KEYS_UNREADABLE.labels(_bound(kind, {*_providers, _CARRIER})).inc()


def key_checked(kind: str, result: str) -> None:
    """`result`: the status that was found, or untold where the key's owner could not be asked."""
    KEY_CHECKS.labels(_bound(kind, {*_providers, _CARRIER}), _bound(result, _KEY_RESULTS)).inc()


def log_dropped(reason: str, count: int = 1) -> None:
    LOG_DROPPED.labels(_bound(reason, _LOG_FAULTS)).inc(count)


def render() -> tuple[bytes, str]:
    """The body and the content type of /metrics."""
    if _MULTIPROCESS_DIR not in os.environ:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def leave() -> None:
    """A worker ends: what it was doing no longer counts towards the gauges of all."""
    if _MULTIPROCESS_DIR in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def _bound(value: str, allowed: Collection[str]) -> str:
    return value if value in allowed else _OTHER


def _create_children() -> None:
    """A counter that is missing until its first event hides that event from `increase()`."""
    for metric, values in (
        (CALLS_ANSWERED, _ANSWERERS),
        (ANSWER_SECONDS, _ANSWERERS),
        (CALLS_ENDED, _OUTCOMES),
        (HANDOFFS_SKIPPED, _SKIP_REASONS),
        (WEBHOOKS_REJECTED, _REJECTIONS),
        (FALLBACKS_SERVED, _FALLBACK_STEPS),
        (KEYS_UNREADABLE, (_CARRIER,)),
        (DELIVERIES, _DELIVERY_RESULTS),
        (LOG_DROPPED, _LOG_FAULTS),
    ):
        for value in values:
            metric.labels(value)
    for step in _RUNGS[1:]:
        RUNGS_TAKEN.labels(step, _NO_PROVIDER)


_create_children()
