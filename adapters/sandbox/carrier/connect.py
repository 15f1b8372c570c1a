"""Connect and Stream: the caller's voice goes to a provider's WebSocket until that closes.

Source: Twilio docs: TwiML Connect, Stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.sandbox.api import iso, new_id
from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import Document, Interrupted, Outcome
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.live import CLOSED_AFTER, ask_action, end_verb, let_ai_talk
from adapters.sandbox.carrier.timeline import Leg
from adapters.sandbox.legs import LegVerdict

_HANDSHAKE = 1.0  # seconds until a socket is up or refused


async def connect(line: Line, document: Document, element: Element, _index: int) -> Outcome:
    line.answer()
    stream = _Stream(line, document, element.all("Stream")[0])
    action = document.action(element, "connect action", {})
    try:
        await stream.run()
    except Interrupted as change:
        if "action" in element.attributes:
            await ask_action(line, action, change, after_hangup=line.quirks.connect_action_after_hangup)
        raise
    return await end_verb(line, element, action, after_hangup=line.quirks.connect_action_after_hangup)


@dataclass(slots=True)
class _Stream:
    line: Line
    document: Document
    element: Element
    sid: str = field(default_factory=lambda: new_id("MZ"))

    async def run(self) -> None:
        line = self.line
        named = {each.get("name"): each.get("value") for each in self.element.all("Parameter")}
        verdict = await line.carrier.far_end.leg("stream", self.element.get("url"), named)
        outcome = line.next_ai_outcome()
        if line.script.caller == "hangs-up-while-ringing":
            await line.ring(_HANDSHAKE / 2)
            line.hang_up("before the stream is up")
            self._keep(verdict, "canceled", _HANDSHAKE / 2)
        elif outcome == "never-starts":
            await line.ring(line.script.stream_given_up_after, streaming=True)
            self._keep(verdict, "no-answer", line.script.stream_given_up_after)
        elif verdict.result == "rejected" or outcome not in ("answers", "closes"):
            await line.ring(_HANDSHAKE)
            self._keep(verdict, "failed", _HANDSHAKE)
            await self._tell("stream-error", "31920 Stream - WebSocket - Handshake Error")
        else:
            await self._talk(verdict, closes=outcome == "closes")

    async def _talk(self, verdict: LegVerdict, *, closes: bool) -> None:
        line = self.line
        seconds = CLOSED_AFTER if closes else line.script.ai_talks
        await line.ring(_HANDSHAKE)
        line.reached("ai", verdict.provider, verdict.provider_call_id)
        await self._tell("stream-started")
        began = line.clock.now
        try:
            await let_ai_talk(line, seconds, acts=not closes, streaming=True)
            if line.script.caller == "hangs-up-during-ai" and not closes:
                line.hang_up("while talking to the AI")
        finally:
            self._keep(verdict, "answered", _HANDSHAKE, line.clock.now - began)
            await self._tell("stream-stopped")

    def _keep(self, verdict: LegVerdict, status: str, rang: float, talked: float = 0) -> None:
        self.line.add_leg(
            Leg(
                at=round(self.line.clock.now - rang - talked, 1),
                kind="stream",
                address=self.element.get("url"),
                who="ai",
                provider=verdict.provider,
                status=status,
                ring_seconds=rang,
                talk_seconds=talked,
                bridged=status == "answered",
                reason=verdict.reason if verdict.result == "rejected" else "",
            )
        )

    async def _tell(self, event: str, error: str = "") -> None:
        if not self.element.get("statusCallback") or not self.line.quirks.stream_callbacks:
            return
        parameters = self.line.ids | {
            "StreamSid": self.sid,
            "StreamName": self.element.get("name") or self.sid,
            "StreamEvent": event,
            "Timestamp": iso(datetime.now(UTC)),
        }
        if error:
            parameters["StreamError"] = error
        await self.line.tell(self.document.callback(self.element, "statusCallback", event, parameters))
