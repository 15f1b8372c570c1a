"""The callbacks during a leg: the owner picks up and decides, a media stream begins or fails.

None of them moves the call to another rung. The end of the leg does (router.calls.flow).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router import twiml
from router.calls.documents import Documents, talk_limit
from router.calls.events import CallEvents
from router.calls.judging import LegJudge
from router.calls.live_calls import LiveCalls
from router.calls.recorder import Recorder
from router.calls.state import CallState
from router.clock import Clock
from router.routing.deadline import Deadline


@dataclass(frozen=True, slots=True)
class LegCallbacks:
    documents: Documents
    judge: LegJudge
    live_calls: LiveCalls
    recorder: Recorder
    events: CallEvents
    clock: Clock

    async def put_through(self, state: CallState, sealed: str) -> str:
        """Twilio fetches the document of a transfer, which we started over its API: ring the person."""
        return self.documents.ring_person(state, sealed)

    async def screen(self, state: CallState, sealed: str) -> str:
        """What the owner hears before deciding."""
        return self.documents.screen(state, sealed)

    async def accept(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The owner pressed a key. Accepting is durable before the caller is put through."""
        if params.get("Digits") != twiml.ACCEPT_DIGIT:
            if params.get("Digits"):
                self.events.note(state, "owner.missed", reason="declined")
                await self.recorder.flush(deadline.left_for_work())
            return twiml.hang_up()
        self.events.note(state, "owner.accepted")
        await self.recorder.flush(deadline.left_for_work())
        return twiml.bridge()

    async def hear_stream(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The status callback of a media stream. The stream's end is judged by it, so it is made durable first."""
        event = params.get("StreamEvent")
        if event == "stream-started":
            self.events.note_answer(state, "ai", state.provider, self.clock())
        elif event == "stream-error":
            await self.judge.note_broken_stream(state, params)
        await self.recorder.flush(deadline.left_for_work())
        if event == "stream-started":
            await self.live_calls.limit_talk(state, talk_limit(state))
        return twiml.nothing()
