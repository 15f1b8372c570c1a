"""What Vapi posts when a call of the demo is over. Source: Vapi docs (Server events)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.sandbox.api import Json
from adapters.sandbox.talks import Reporter, Told


def _write(told: Told) -> Sequence[Json]:
    message = {
        "type": "end-of-call-report",
        "endedReason": told.reason,
        "durationSeconds": told.ended.seconds,
        "cost": told.cost,
        "analysis": {"summary": told.talk.summary},
        "artifact": {
            "transcript": told.talk.write(),
            "messages": [
                {"role": "user" if by_caller else "bot", "message": said, "secondsFromStart": at}
                for by_caller, said, at in told.talk.timed()
            ],
        },
        "call": {"id": told.call_id, "assistantOverrides": {"metadata": told.metadata}},
    }
    return [{"message": message}]


REPORTER: Final = Reporter("vapi", 0.05, "customer-ended-call", _write)
