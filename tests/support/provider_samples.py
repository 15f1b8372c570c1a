"""What each provider posts to us in the course of one call, whole (Vapi docs: Server events; Retell docs: Webhook
overview; Bland docs: Call details, Post call webhooks; ElevenLabs docs: Post-call webhooks), and how it proves that it
does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import httpx

from adapters.base import ROUTER_CALL_ID, TWILIO_CALL_SID
from tests.support.world import CALLER, Client, World

UNANSWERED = {
    "vapi": "phone-call-provider-bypass-enabled-but-no-call-received",
    "retell": "registered_call_timeout",
    "bland": "no-answer",
    "elevenlabs": "no-answer",
}
"""The provider's words for a call that nobody joined."""

SUMMARY = "A burst pipe in the kitchen; wants somebody today."
TRANSCRIPT = "AI: Acme Plumbing, how can I help?\nUser: Grüß Gott, my kitchen is under water."
SECONDS = 83.5
COST = 0.12

ENDS = {
    "vapi": ("customer-ended-call", "call.in-progress.error-providerfault-openai-llm-failed"),
    "retell": ("user_hangup", "error_llm_websocket_lost_connection"),
    "bland": ("USER", "The call broke off"),
    "elevenlabs": ("Client disconnected: 1000", "LLM cascade failed"),
}


def samples(provider: str, call_id: str, call_sid: str, *, fault: bool = False) -> list[dict[str, Any]]:
    """All that it says of a call, in the order in which things happen."""
    metadata = {ROUTER_CALL_ID: call_id, TWILIO_CALL_SID: call_sid}
    reason = ENDS[provider][fault]
    match provider:
        case "vapi":
            return _of_vapi(metadata, call_sid, reason)
        case "retell":
            return _of_retell(metadata, reason)
        case "elevenlabs":
            return _of_elevenlabs(metadata, call_sid, reason, fault=fault)
        case _:
            return _of_bland(metadata, reason, fault=fault)


def _of_vapi(metadata: dict[str, str], call_sid: str, reason: str) -> list[dict[str, Any]]:
    call = {
        "id": f"vapi-{metadata[ROUTER_CALL_ID]}",
        "type": "inboundPhoneCall",
        "transport": {"provider": "twilio", "callSid": call_sid},
        "assistantId": "assistant-1",
        "assistantOverrides": {"metadata": metadata},
    }
    common = {"call": call, "customer": {"number": CALLER}, "timestamp": 1764000000000}
    return [
        {"message": {"type": "status-update", "status": "in-progress", **common}},
        {"message": {"type": "speech-update", "status": "started", "role": "assistant", **common}},
        {"message": {"type": "status-update", "status": "ended", "endedReason": reason, **common}},
        {
            "message": {
                "type": "end-of-call-report",
                "endedReason": reason,
                "startedAt": "2026-11-25T10:00:00.000Z",
                "endedAt": "2026-11-25T10:01:23.500Z",
                "cost": COST,
                "costs": [],
                "analysis": {"summary": SUMMARY, "structuredData": {}, "successEvaluation": "true"},
                "artifact": {"transcript": TRANSCRIPT, "messages": [], "recordingUrl": "https://example.com/r.wav"},
                **common,
            }
        },
    ]


def _of_retell(metadata: dict[str, str], reason: str) -> list[dict[str, Any]]:
    started = {
        "call_id": f"retell-{metadata[ROUTER_CALL_ID]}",
        "agent_id": "agent_1",
        "agent_version": 3,
        "call_status": "ongoing",
        "direction": "inbound",
        "from_number": CALLER,
        "metadata": metadata,
        "start_timestamp": 1764000000000,
    }
    ended = started | {
        "call_status": "ended",
        "end_timestamp": 1764000083500,
        "duration_ms": 83500,
        "disconnection_reason": reason,
        "transcript": TRANSCRIPT,
        "call_cost": {"combined_cost": 8, "product_costs": [], "total_duration_seconds": 84},
    }
    analyzed = ended | {
        "call_analysis": {"call_summary": SUMMARY, "call_successful": True, "user_sentiment": "Neutral"},
        "call_cost": {"combined_cost": 100 * COST, "product_costs": [], "total_duration_seconds": 84},
    }
    return [
        {"event": "call_started", "call": started},
        {"event": "transcript_updated", "call": started | {"transcript": TRANSCRIPT[:10]}},
        {"event": "call_ended", "call": ended},
        {"event": "call_analyzed", "call": analyzed},
    ]


def _of_bland(metadata: dict[str, str], reason: str, *, fault: bool) -> list[dict[str, Any]]:
    call_id = f"bland-{metadata[ROUTER_CALL_ID]}"
    end = {"call_ended_by": reason, "error_message": None, "queue_status": "complete", "status": "completed"}
    if fault:
        end = {"call_ended_by": None, "error_message": reason, "queue_status": "call_error", "status": "failed"}
    return [
        {"call_id": call_id, "category": "call", "level": "info", "message": "Call started", "metadata": metadata},
        {
            "call_id": call_id,
            "call_length": 1.39,
            "corrected_duration": "83.5",
            "to": "+15005550001",
            "from": CALLER,
            "inbound": True,
            "completed": True,
            "answered_by": "human",
            "variables": {"now": "today"},
            "request_data": metadata,
            "summary": SUMMARY,
            "concatenated_transcript": TRANSCRIPT,
            "transcripts": [],
            "recording_url": None,
            "price": COST,
            **end,
        },
    ]


def _of_elevenlabs(metadata: dict[str, str], call_sid: str, reason: str, *, fault: bool) -> list[dict[str, Any]]:
    turns = [line.partition(": ") for line in TRANSCRIPT.splitlines()]
    named = {"agent_id": "agent_1", "conversation_id": f"elevenlabs-{metadata[ROUTER_CALL_ID]}"}
    started = {"conversation_initiation_client_data": {"dynamic_variables": {"system__call_sid": call_sid, **metadata}}}
    phone_call = {
        "type": "twilio",
        "direction": "inbound",
        "phone_number_id": "",
        "agent_number": "+15005550001",
        "external_number": CALLER,
        "stream_sid": "MZ" + "0" * 32,
        "call_sid": call_sid,
    }
    report = {
        "status": "failed" if fault else "done",
        "transcript": [
            {"role": {"AI": "agent"}.get(who, "user"), "message": said, "time_in_call_secs": 0}
            for who, _, said in turns
        ],
        "metadata": {
            "start_time_unix_secs": 1764000000,
            "call_duration_secs": round(SECONDS),
            "cost": 296,
            "cost_fiat": COST,
            "phone_call": phone_call,
            "termination_reason": reason,
        },
        "analysis": {"call_successful": "success", "transcript_summary": SUMMARY},
    }
    return [
        {"type": "post_call_audio", "event_timestamp": 1764000090, "data": {**named, **started, "full_audio": "SUQz"}},
        {"type": "post_call_transcription", "event_timestamp": 1764000091, "data": {**named, **started, **report}},
    ]


def unanswered(provider: str, call_id: str, call_sid: str) -> dict[str, Any]:
    """What it says of a call whose caller hung up while it rang."""
    report = samples(provider, call_id, call_sid)[{"vapi": 3, "retell": 2, "bland": 1, "elevenlabs": 1}[provider]]
    match provider:
        case "vapi":
            report["message"]["endedReason"] = UNANSWERED[provider]
        case "retell":
            report["call"] |= {"call_status": "error", "disconnection_reason": UNANSWERED[provider], "duration_ms": 0}
        case "elevenlabs":
            report |= {"type": "call_initiation_failure"}
            report["data"] |= {"failure_reason": UNANSWERED[provider]}
        case _:
            report |= {"call_ended_by": None, "status": UNANSWERED[provider], "queue_status": "call_error"}
    return report


def as_sent(report: Mapping[str, Any]) -> bytes:
    return json.dumps(report, separators=(",", ":"), ensure_ascii=False).encode()


def proof(world: World, provider: str, client: Client, body: bytes, *, late: float = 0) -> dict[str, str]:
    """The headers with which each provider proves that a body is its own, signed so many seconds too late."""
    key = client.keys[provider]
    if provider == "vapi":
        return {"X-Vapi-Secret": f"token-{client.agency_id}"}
    if provider == "retell":
        milliseconds = int((world.clock().timestamp() + late) * 1000)
        return {"X-Retell-Signature": sign_as_retell(body, key, milliseconds)}
    if provider == "elevenlabs":
        return {"ElevenLabs-Signature": sign_as_elevenlabs(body, key, int(world.clock().timestamp() + late))}
    return {"X-Webhook-Signature": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}


async def tell(
    world: World, provider: str, agency: Client, report: Mapping[str, Any], *, signed_by: Client | None = None
) -> httpx.Response:
    """Post one report to an agency's address, proven by that agency's secret or another's."""
    body = as_sent(report)
    headers = {"Content-Type": "application/json", **proof(world, provider, signed_by or agency, body)}
    return await world.http.post(
        f"{world.urls[0]}/webhooks/{provider}/{agency.agency_id}", content=body, headers=headers
    )


def sign_as_elevenlabs(body: bytes, secret: str, seconds: int) -> str:
    """As its SDK verifies it."""
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v0={digest}"


def sign_as_retell(body: bytes, key: str, milliseconds: int) -> str:
    """As Retell's SDK does, which takes a second and a half to import."""
    digest = hmac.new(key.encode(), body + str(milliseconds).encode(), hashlib.sha256).hexdigest()
    return f"v={milliseconds},d={digest}"
