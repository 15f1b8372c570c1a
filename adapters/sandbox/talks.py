"""What is said on the demo's calls. Each simulated provider tells of it in reports of its own (`reports`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.base import ROUTER_CALL_ID
from adapters.sandbox.api import Json

DEMO: Final = "demo-"
"""Before the id of a call of the demo's history: no stand-in was ever asked to take it, but each knows such ids."""

_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation: a summary, and what the assistant and the caller said in turn."""

    summary: str
    turns: tuple[str, ...]

    def timed(self) -> list[tuple[bool, str, float]]:
        """Whether the caller spoke, what was said, and at which second."""
        return [(bool(place % 2), said, 2.0 + 4.0 * place) for place, said in enumerate(self.turns)]

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


@dataclass(frozen=True, slots=True)
class Told:
    """All that a provider's reports say. `call_id` is the provider's own."""

    ended: Ended
    talk: Talk
    call_id: str
    reason: str
    cost: float
    metadata: Json


def pick_talk(call_id: str) -> Talk:
    """The same one for the same call."""
    return TALKS[sum(call_id.encode()) % len(TALKS)]


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a provider tells of a call that is over, oldest report first, and what it takes for it."""

    provider: str
    dollars_a_minute: float
    hung_up: str  # its word for a caller who hung up
    write: Callable[[Told], Sequence[Json]]

    def report(self, ended: Ended) -> Sequence[Json]:
        metadata = {ROUTER_CALL_ID: ended.call_id} if ended.call_id else {}
        call_id = ended.provider_call_id or f"{DEMO}{ended.call_id}"
        talk, cost = pick_talk(ended.call_id), self.cost(ended.seconds)
        return self.write(Told(ended, talk, call_id, self.hung_up, cost, metadata))

    def cost(self, seconds: float) -> float:
        """In US dollars."""
        return round(seconds / _MINUTE * self.dollars_a_minute, 4)
