"""What Retell posts when a call of the demo is over. Source: Retell docs (Webhook overview)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.sandbox.api import Json
from adapters.sandbox.talks import Reporter, Told


def _write(told: Told) -> Sequence[Json]:
    call = {
        "call_id": told.call_id,
        "metadata": told.metadata,
        "from_number": told.ended.caller,
        "to_number": told.ended.to,
        "disconnection_reason": told.reason,
        "duration_ms": round(told.ended.seconds * 1000),
        "transcript": told.talk.write("Agent"),
        "transcript_object": [
            {
                "role": "user" if by_caller else "agent",
                "content": said,
                "words": [{"word": said.split()[0], "start": at, "end": at + 0.4}],
            }
            for by_caller, said, at in told.talk.timed()
        ],
        "call_cost": {"combined_cost": told.cost * 100},
    }
    analyzed = call | {"call_analysis": {"call_summary": told.talk.summary}}
    return [{"event": "call_ended", "call": call}, {"event": "call_analyzed", "call": analyzed}]


REPORTER: Final = Reporter("retell", 0.07, "user_hangup", _write)
