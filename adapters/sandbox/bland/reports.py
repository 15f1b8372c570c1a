"""What Bland posts when a call of the demo is over. Source: Bland docs (Post-call webhooks)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.sandbox.api import Json, iso
from adapters.sandbox.talks import Reporter, Told

_ANY_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _write(told: Told) -> Sequence[Json]:
    body = {
        "call_id": told.call_id,
        "completed": True,
        "queue_status": "complete",
        "status": "completed",
        "call_ended_by": told.reason,
        "corrected_duration": told.ended.seconds,
        "price": told.cost,
        "summary": told.talk.summary,
        "concatenated_transcript": told.talk.write("assistant", "user"),
        "started_at": iso(_ANY_DAY),
        "transcripts": [
            {
                "user": "user" if by_caller else "assistant",
                "text": said,
                "created_at": iso(_ANY_DAY + timedelta(seconds=at)),
            }
            for by_caller, said, at in told.talk.timed()
        ],
        "from": told.ended.caller,
        "to": told.ended.to,
        "request_data": told.metadata,
    }
    return [body]


REPORTER: Final = Reporter("bland", 0.09, "USER", _write)
