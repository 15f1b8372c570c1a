"""How long all rungs of a call together may ring until a person or a machine is on the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.calls.state import CallState
from router.clock import Clock

HIDDEN_RING_SECONDS: Final = 5  # Twilio rings this much longer than told (Twilio docs: TwiML Dial, "timeout")
_LEAST_RING_SECONDS: Final = 5  # Twilio's shortest timeout


@dataclass(frozen=True, slots=True)
class RingBudget:
    """`seconds` of ringing for each call, over all its rungs."""

    seconds: int
    clock: Clock

    def has_room(self, state: CallState) -> bool:
        """Whether one more phone may ring."""
        return self._left(state) >= _LEAST_RING_SECONDS + HIDDEN_RING_SECONDS

    def seconds_for(self, state: CallState, wanted: int) -> int:
        """How long the next phone rings that is to ring `wanted` seconds."""
        if state.transfer_to is not None:  # the AI has answered the caller: the budget is over
            return wanted
        left = int(self._left(state)) - HIDDEN_RING_SECONDS
        return max(_LEAST_RING_SECONDS, min(wanted, left))

    def _left(self, state: CallState) -> float:
        return self.seconds - (self.clock().timestamp() - (state.ringing_since or state.started_at))
