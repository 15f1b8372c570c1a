"""The document of a rung, with the state in its callbacks' addresses, and what is noted when it is served.

router.calls.flow decides which rung it is; router.twiml writes the XML.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from adapters.base import Handoff, RedirectHandoff, StreamHandoff
from crypto import Keyring
from router import twiml
from router.callers import can_exist
from router.calls.events import CallEvents
from router.calls.recorder import Recorder
from router.calls.ring_budget import HIDDEN_RING_SECONDS, RingBudget
from router.calls.state import Answer, CallState, seal_state
from router.calls.steps import StepKind
from router.clock import Clock
from router.dialling import Dialling
from router.routing.dispatch import Taken
from router.routing.ladder import OWNER, VOICEMAIL, human_rungs
from router.routing.route import Route
from router.store.calls.records import SetProvider, SetRinging
from router.telemetry import metrics

UNKNOWN_TALK_SECONDS: Final = 3540  # how long an assistant may talk where we do not know its own limit
LEAST_TRANSCRIBED_SECONDS: Final = 2
MOST_TRANSCRIBED_SECONDS: Final = 120
_LIMIT_MARGIN_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Documents:
    """Makes the documents that Twilio executes."""

    keyring: Keyring
    recorder: Recorder
    events: CallEvents
    sip_timeout: int
    ring_budget: RingBudget
    dialling: Dialling
    base_path: str
    clock: Clock

    def serve(self, state: CallState, taken: Taken) -> Answer:
        """The document of the rung that takes the call."""
        metrics.rung_taken(taken.rung.kind, taken.rung.provider)
        served = replace(
            state,
            step=state.step.after(taken.rung.kind),
            rung=taken.rung,
            rungs=taken.rest,
            media=_medium(taken.handoff),
            served_at=self.clock().timestamp(),
        )
        sealed = seal_state(self.keyring, served)
        if taken.handoff is not None and taken.rung.provider is not None:
            return Answer(self._hand_over(served, taken.handoff, taken.rung.provider, sealed), served, sealed)
        if taken.rung.kind == "owner" and state.route.personal_phone:
            return Answer(self._ring(served, state.route.personal_phone, sealed), served, sealed)
        return Answer(self._leave_message(served, sealed), served, sealed)

    def serve_human(self, state: CallState) -> Answer:
        """The document of the first rung that needs no provider."""
        rung, *rest = human_rungs(state.rungs)
        return self.serve(state, Taken(rung, tuple(rest)))

    def put_through(self, state: CallState, phone: str, attempt: int) -> Answer:
        """The document that transfers a call from its AI to a person, who is rung like the owner."""
        metrics.rung_taken("transfer", None)
        served = replace(
            state,
            step=state.step.after_transfer(attempt),
            rung=OWNER,
            rungs=(VOICEMAIL,),
            media=None,
            transfer_to=phone,
            served_at=self.clock().timestamp(),
        )
        sealed = seal_state(self.keyring, served)
        return Answer(self._ring(served, phone, sealed, is_sent=False), served, sealed)

    def ring_person(self, state: CallState, sealed: str) -> str:
        """The document of a transfer, when Twilio fetches it."""
        return self._ring(state, state.transfer_to or state.route.number, sealed)

    def screen(self, state: CallState, sealed: str) -> str:
        """What the owner hears before deciding."""
        return twiml.screen(self.address(state, "accept", sealed), state.route.language, state.route.client_name)

    def transfer_path(self, state: CallState) -> str:
        """The address from which Twilio fetches that document."""
        return self.address(state, "transfer", seal_state(self.keyring, state))

    def _hand_over(self, state: CallState, handoff: Handoff, provider: str, sealed: str) -> str:
        self.recorder.note(SetProvider(state.call_id, provider, self.clock(), handoff.provider_call_id))
        leg = twiml.AiLeg(
            caller_id=_caller_id(state),
            timeout=self.ring_budget.seconds_for(state, self.sip_timeout),
            time_limit=talk_limit(state),
            action=self.address(state, "ai", sealed),
            stream_callback=self.address(state, "stream", sealed),
        )
        return twiml.hand_over(handoff, leg)

    def _ring(self, state: CallState, phone: str, sealed: str, *, is_sent: bool = True) -> str:
        """A phone that may not be rung is replaced by the voicemail. `is_sent`: the carrier gets the document now."""
        if not self.dialling.allows(phone):
            return self._leave_message(state, sealed)
        timeout = self.ring_budget.seconds_for(state, state.route.routing.ring_seconds)
        until = self.clock() + timedelta(seconds=timeout + 2 * HIDDEN_RING_SECONDS)
        caller_id = _caller_id(state)
        self.recorder.note(SetRinging(state.call_id, phone, caller_id, until))
        if is_sent:
            self.events.note(state, "owner.ringing", reason="transfer" if state.transfer_to else None)
        screen = self.address(state, "screen", sealed) if state.route.routing.screen else None
        return twiml.ring_owner(phone, caller_id, timeout, self.address(state, "owner", sealed), screen)

    def _leave_message(self, state: CallState, sealed: str) -> str:
        self.events.note_answer(state, "voicemail", None, self.clock())
        routing = state.route.routing
        return twiml.leave_message(
            state.route.client_name,
            routing.voicemail_greeting,
            state.route.language,
            self.address(state, "voicemail", sealed),
            self.address(state, "recording", sealed),
            routing.voicemail_seconds,
            self.address(state, "transcription", sealed) if is_transcribed(state.route) else None,
        )

    def address(self, state: CallState, kind: StepKind, sealed: str) -> str:
        """The address of one of the document's callbacks."""
        step = state.step.of_leg(kind)
        return f"{self.base_path}/webhooks/twilio/calls/{state.call_id}/{step}?state={sealed}"


def is_transcribed(route: Route) -> bool:
    """Twilio transcribes only US English of up to two minutes (Twilio docs: TwiML Record, transcribe)."""
    routing = route.routing
    return routing.transcribe and route.language == "en-US" and routing.voicemail_seconds <= MOST_TRANSCRIBED_SECONDS


def talk_limit(state: CallState) -> int:
    """How many seconds an AI's leg may last."""
    return (state.route.max_seconds or UNKNOWN_TALK_SECONDS) + _LIMIT_MARGIN_SECONDS


def _medium(handoff: Handoff | None) -> str | None:
    if handoff is None:
        return None
    if isinstance(handoff, RedirectHandoff):
        return "redirect"
    return "stream" if isinstance(handoff, StreamHandoff) else "dial"


def _caller_id(state: CallState) -> str:
    """What the phone shows: the caller's number if the client wants that and there can be such a number, else the
    client's.
    """
    if state.route.caller_id == "caller" and state.caller is not None and can_exist(state.caller):
        return state.caller
    return state.route.number
