"""What ElevenLabs posts when a call of the demo is over. Source: ElevenLabs docs (Post-call webhooks)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.sandbox.api import Json
from adapters.sandbox.talks import Reporter, Told


def _write(told: Told) -> Sequence[Json]:
    turns = [
        {"role": "user" if by_caller else "agent", "message": said, "time_in_call_secs": round(at)}
        for by_caller, said, at in told.talk.timed()
    ]
    data = {
        "conversation_id": told.call_id,
        "status": "done",
        "transcript": turns,
        "metadata": {
            "call_duration_secs": round(told.ended.seconds),
            "cost_fiat": told.cost,
            "termination_reason": told.reason,
            "phone_call": {"external_number": told.ended.caller, "agent_number": told.ended.to},
        },
        "analysis": {"transcript_summary": told.talk.summary},
        "conversation_initiation_client_data": {"dynamic_variables": told.metadata},
    }
    return [{"type": "post_call_transcription", "data": data}]


REPORTER: Final = Reporter("elevenlabs", 0.08, "Client disconnected: 1000", _write)
