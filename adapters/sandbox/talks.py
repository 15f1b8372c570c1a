"""What is said on the demo's calls, and the reports in which the simulated providers tell of it.

Sources: Vapi docs (Server events), Retell docs (Webhook overview), Bland and ElevenLabs docs (Post-call webhooks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.base import ROUTER_CALL_ID
from adapters.sandbox.api import Json, iso

DEMO: Final = "demo-"
"""Before the id of a call of the demo's history: no stand-in was ever asked to take it, but each knows such ids."""

_DOLLARS_A_MINUTE: Final = {"vapi": 0.05, "retell": 0.07, "bland": 0.09, "elevenlabs": 0.08}
CALLER_HUNG_UP: Final = {
    "vapi": "customer-ended-call",
    "retell": "user_hangup",
    "bland": "USER",
    "elevenlabs": "Client disconnected: 1000",
}
"""Each provider's word for it."""

_MINUTE: Final = 60
_ANY_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation: a summary, and what the assistant and the caller said in turn."""

    summary: str
    turns: tuple[str, ...]

    def timed(self) -> list[tuple[bool, str, float]]:
        """Whether the caller spoke, what was said, and at which second."""
        return [(bool(place % 2), said, 1.5 + 4.0 * place) for place, said in enumerate(self.turns)]

    def write(self, assistant: str = "AI", caller: str = "User") -> str:
        return "\n".join(f"{caller if place % 2 else assistant}: {said}" for place, said in enumerate(self.turns))


TALKS: Final = (
    Talk(
        "The caller asked for an appointment on Thursday and got one at 10:30. Callback number confirmed.",
        (
            "Hello, how can I help you?",
            "Hi, I'd like to come in on Thursday if you have anything.",
            "I have 10:30 or 2 in the afternoon. Which suits you better?",
            "10:30 is great.",
            "You are booked for Thursday at 10:30. Is this the best number to reach you?",
            "Yes, it is. Thank you!",
        ),
    ),
    Talk(
        "The caller asked about opening hours and parking. No follow-up is needed.",
        (
            "Hello, how can I help you?",
            "Are you open on Saturdays?",
            "Yes, from nine to one.",
            "And can I park in front of the shop?",
            "There are four places behind the house, free for customers.",
            "Perfect, thanks.",
        ),
    ),
    Talk(
        "Urgent: water is leaking under the kitchen sink. The caller wants to be called back within the hour.",
        (
            "Hello, how can I help you?",
            "There is water all over my kitchen floor.",
            "I am sorry to hear that. Can you turn the main valve off?",
            "Yes, I just did.",
            "Good. What is the address, and who may we ask for?",
            "12 Hill Street, Maria. Please hurry.",
            "Someone will call you back within the hour, Maria.",
        ),
    ),
    Talk(
        "The caller asked for a price and will think about it. An email with the price list was promised.",
        (
            "Hello, how can I help you?",
            "How much is it for a first visit?",
            "A first visit is 60 dollars. Shall I send you our price list?",
            "Yes please, to sam at example dot com.",
            "It is on its way.",
        ),
    ),
    Talk(
        "The caller moved an existing appointment from Monday to Wednesday at 9.",
        (
            "Hello, how can I help you?",
            "I have to move my appointment on Monday.",
            "Of course. Would Wednesday at nine work?",
            "Yes, that's fine.",
            "Done: Wednesday at nine instead of Monday.",
        ),
    ),
)

MESSAGES: Final = (
    "Hi, this is Bob. Please call me back when you can, it is about the invoice.",
    "Hello, I am calling about tomorrow. I may be ten minutes late.",
    "This is Anna from next door. Could you ring me after five? Thanks.",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that the AI of a provider had. `call_id` is the router's own."""

    provider: str
    provider_call_id: str | None
    call_id: str
    caller: str
    to: str
    seconds: float


def pick_talk(call_id: str) -> Talk:
    """The same one for the same call."""
    return TALKS[sum(call_id.encode()) % len(TALKS)]


def cost_of(provider: str, seconds: float) -> float:
    """In US dollars."""
    return round(seconds / _MINUTE * _DOLLARS_A_MINUTE.get(provider, 0.0), 4)


def reports_of(ended: Ended) -> Sequence[Json]:
    """What the provider posts when the call is over, oldest first."""
    talk, cost = pick_talk(ended.call_id), cost_of(ended.provider, ended.seconds)
    metadata, call_id = (
        {ROUTER_CALL_ID: ended.call_id} if ended.call_id else {},
        ended.provider_call_id or f"{DEMO}{ended.call_id}",
    )
    reason = CALLER_HUNG_UP.get(ended.provider, "")
    match ended.provider:
        case "vapi":
            message = {
                "type": "end-of-call-report",
                "endedReason": reason,
                "durationSeconds": ended.seconds,
                "cost": cost,
                "analysis": {"summary": talk.summary},
                "artifact": {
                    "transcript": talk.write(),
                    "messages": [
                        {"role": "user" if by_caller else "bot", "message": said, "secondsFromStart": at}
                        for by_caller, said, at in talk.timed()
                    ],
                },
                "call": {"id": call_id, "assistantOverrides": {"metadata": metadata}},
            }
            return [{"message": message}]
        case "retell":
            call = {
                "call_id": call_id,
                "metadata": metadata,
                "from_number": ended.caller,
                "to_number": ended.to,
                "disconnection_reason": reason,
                "duration_ms": round(ended.seconds * 1000),
                "transcript": talk.write("Agent"),
                "transcript_object": [
                    {
                        "role": "user" if by_caller else "agent",
                        "content": said,
                        "words": [{"word": said.split()[0], "start": at, "end": at + 0.4}],
                    }
                    for by_caller, said, at in talk.timed()
                ],
                "call_cost": {"combined_cost": cost * 100},
            }
            analyzed = call | {"call_analysis": {"call_summary": talk.summary}}
            return [{"event": "call_ended", "call": call}, {"event": "call_analyzed", "call": analyzed}]
        case "bland":
            body = {
                "call_id": call_id,
                "completed": True,
                "queue_status": "complete",
                "status": "completed",
                "call_ended_by": reason,
                "corrected_duration": ended.seconds,
                "price": cost,
                "summary": talk.summary,
                "concatenated_transcript": talk.write("assistant", "user"),
                "started_at": iso(_ANY_DAY),
                "transcripts": [
                    {
                        "user": "user" if by_caller else "assistant",
                        "text": said,
                        "created_at": iso(_ANY_DAY + timedelta(seconds=at)),
                    }
                    for by_caller, said, at in talk.timed()
                ],
                "from": ended.caller,
                "to": ended.to,
                "request_data": metadata,
            }
            return [body]
        case "elevenlabs":
            turns = [
                {"role": "user" if by_caller else "agent", "message": said, "time_in_call_secs": round(at)}
                for by_caller, said, at in talk.timed()
            ]
            data = {
                "conversation_id": call_id,
                "status": "done",
                "transcript": turns,
                "metadata": {
                    "call_duration_secs": round(ended.seconds),
                    "cost_fiat": cost,
                    "termination_reason": reason,
                    "phone_call": {"external_number": ended.caller, "agent_number": ended.to},
                },
                "analysis": {"transcript_summary": talk.summary},
                "conversation_initiation_client_data": {"dynamic_variables": metadata},
            }
            return [{"type": "post_call_transcription", "data": data}]
    return []
