"""What the providers post to us about a call's end, and a simulated call's moment at which they do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.base import ROUTER_CALL_ID
from adapters.registry import PROVIDERS
from tests.support.world import Client, World

TAKEN = {one.name: one.report_status for one in PROVIDERS}
"""Our answer to a report that is taken, by provider."""

_REASONS = {
    "vapi": ("assistant-ended-call", "pipeline-error-openai-llm-failed"),
    "retell": ("agent_hangup", "error_llm_websocket_lost_connection"),
    "bland": ("ASSISTANT", "call_error"),
    "elevenlabs": ("end_call tool was called", "LLM cascade failed"),
}


def end_report(provider: str, call_id: str, *, fault: bool = False) -> dict[str, Any]:
    """The provider's own event for the end of a call (Vapi docs: Server events; Retell docs: Webhook overview;
    Bland docs, ElevenLabs docs: Post-call webhooks).
    """
    reason = _REASONS[provider][fault]
    metadata = {ROUTER_CALL_ID: call_id}
    match provider:
        case "vapi":
            call = {"id": "vapi-call-1", "assistantOverrides": {"metadata": metadata}}
            return {"message": {"type": "end-of-call-report", "endedReason": reason, "call": call}}
        case "retell":
            call = {"call_id": "retell-call-1", "disconnection_reason": reason, "metadata": metadata}
            return {"event": "call_ended", "call": call}
        case "elevenlabs":
            data = {
                "conversation_id": "elevenlabs-call-1",
                "status": "failed" if fault else "done",
                "metadata": {"termination_reason": reason},
                "conversation_initiation_client_data": {"dynamic_variables": metadata},
            }
            return {"type": "post_call_transcription", "data": data}
        case _:
            ended = {"queue_status": reason} if fault else {"queue_status": "complete", "call_ended_by": reason}
            return {"call_id": "bland-call-1", "completed": True, "request_data": metadata, **ended}


async def report_end(world: World, client: Client, call_sid: str, *, fault: bool = False) -> None:
    """The provider that has the call says that it is over, at the address with the token."""
    call = await world.db.fetchrow("SELECT id, provider FROM calls WHERE call_sid = $1", call_sid)
    response = await world.http.post(
        f"{world.urls[0]}/webhooks/{call['provider']}/{client.agency_id}",
        params={"token": f"token-{client.agency_id}"},
        content=json.dumps(end_report(call["provider"], call["id"], fault=fault)),
    )
    assert response.status_code == TAKEN[call["provider"]], response.text


def reporting(
    world: World, client: Client, call_sid: str, *, after: float = 30, fault: bool = False
) -> Callable[[float], Awaitable[None]]:
    """For `World.call(meanwhile=...)`: the provider reports the call's end when the AI has talked `after` seconds."""

    async def meanwhile(seconds: float) -> None:
        if seconds == after:
            await report_end(world, client, call_sid, fault=fault)

    return meanwhile
