"""A believable example of each call event: for test deliveries, and for the catalogue of events in the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from router.events.sending import make_event

AGENCY_ID: Final = "agency_4xq2vyp3bfzk7d5ma6tj"
TEST: Final = "endpoint.test"

_EVENT_ID: Final = "event_7b3oxwq5mdx2hn4kf6ya"
_CALL_ID: Final = "call_wq2nd7yb4mxk5r3fo6ta"


@dataclass(frozen=True, slots=True)
class _Sample:
    """What differs. The call begins at noon, and the event comes `second` seconds later."""

    second: int
    step: str
    provider: str | None = None
    reason: str | None = None
    duration_ms: int | None = None


_SAMPLES: Final[dict[str, _Sample]] = {
    TEST: _Sample(0, "test"),
    "ai.ended": _Sample(40, "provider", "vapi", "customer-ended-call"),
    "ai.failed": _Sample(12, "provider", "vapi", "pipeline-error-openai-llm-failed"),
    "ai.reported": _Sample(45, "provider", "vapi", "end-of-call-report"),
    "call.answered": _Sample(2, "ai-1", "vapi", "ai"),
    "call.capped": _Sample(0, "inbound", reason="caller"),
    "call.ended": _Sample(40, "end", reason="ai"),
    "call.fell_back": _Sample(8, "owner-2"),
    "call.loop": _Sample(9, "inbound", reason="forwarded"),
    "call.received": _Sample(0, "inbound"),
    "call.transfer_failed": _Sample(21, "transfer", "vapi", "unreachable"),
    "call.transferring": _Sample(20, "transfer", "vapi"),
    "call.unlimited": _Sample(2, "ai-1", "vapi"),
    "handoff.failed": _Sample(1, "inbound", "vapi", "timeout", 6000),
    "handoff.late": _Sample(9, "inbound", "vapi", duration_ms=8250),
    "handoff.requested": _Sample(0, "inbound", "vapi"),
    "handoff.skipped": _Sample(0, "inbound", "retell", "circuit_open"),
    "handoff.succeeded": _Sample(1, "inbound", "vapi", duration_ms=640),
    "owner.accepted": _Sample(18, "accept-2"),
    "owner.missed": _Sample(24, "owner-2", reason="no_answer"),
    "owner.ringing": _Sample(9, "owner-2"),
    "voicemail.absent": _Sample(35, "voicemail-3"),
    "voicemail.delivered": _Sample(55, "voicemail_f6tq3nxk2wd4bmr7y5ha"),
    "voicemail.received": _Sample(35, "recording-3"),
    "voicemail.transcribed": _Sample(50, "transcription-3"),
    "voicemail.undelivered": _Sample(55, "voicemail_f6tq3nxk2wd4bmr7y5ha"),
}
_ANSWERED_BY_AI: Final = frozenset({"call.answered", "call.ended"})


def sample_event(name: str, event_id: str = _EVENT_ID) -> dict[str, Any]:
    sample = _SAMPLES[name]
    return {
        "id": event_id,
        "call_id": _CALL_ID,
        "at": f"2026-03-31T12:00:{sample.second:02}+00:00",
        "event": name,
        "step": sample.step,
        "provider": sample.provider,
        "reason": sample.reason,
        "duration_ms": sample.duration_ms,
    }


def sample_call(name: str) -> dict[str, Any]:
    """As it is when that event is sent: over after its end only."""
    over = name in {"call.ended", "ai.reported"}
    answered = over or name in _ANSWERED_BY_AI
    return {
        "id": _CALL_ID,
        "call_sid": "CA5f2d0c7ad9b14c1f8f3b1c2d3e4f5a6b",
        "client_id": "client_h5xk3m7qy2wd4bnr6fto",
        "from": "+14155550123",
        "to": "+15005550101",
        "provider": "vapi",
        "outcome": "ai" if over else None,
        "started_at": "2026-03-31T12:00:00+00:00",
        "answered_at": "2026-03-31T12:00:02+00:00" if answered else None,
        "ended_at": "2026-03-31T12:00:40+00:00" if over else None,
        "seconds": 40 if over else None,
        "cost": 0.05 if over else None,
    }


def sample(name: str) -> dict[str, Any]:
    """What an endpoint gets."""
    return make_event(AGENCY_ID, sample_event(name), sample_call(name))
