"""Dial: legs to phones and SIP addresses ring, one of them answers, is screened and put through, or none does.

Sources: Twilio docs: TwiML Dial, Number, Sip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import Document, Interrupted, Outcome
from adapters.sandbox.carrier.legs import LegEnd, PlannedLeg, plan_leg
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.live import CLOSED_AFTER, ask_action, end_verb, let_ai_talk
from adapters.sandbox.carrier.parameters import progress_parameters
from adapters.sandbox.carrier.screening import screen
from adapters.sandbox.carrier.timeline import Timeline

_EVENTS = ("initiated", "ringing", "answered", "completed")
HIDDEN_SECONDS = 5  # what Twilio adds to a Dial's timeout
_STATUSES = {"answered": "completed"}  # DialCallStatus where it is called otherwise than the leg's end


async def dial(line: Line, document: Document, element: Element, index: int) -> Outcome:
    if not (element.flag("answerOnBridge") and index == 0):
        line.answer()
    dialling = _Dialling(line, document, element)
    try:
        result = await dialling.run()
    except Interrupted as change:
        if "action" in element.attributes and dialling.cut_off is not None:
            action = document.action(element, "dial action", dialling.parameters(dialling.cut_off))
            await ask_action(line, action, change, after_hangup=line.quirks.dial_action_after_hangup)
        raise
    action = document.action(element, "dial action", dialling.parameters(result))
    return await end_verb(line, element, action, after_hangup=line.quirks.dial_action_after_hangup)


@dataclass(frozen=True, slots=True)
class _Result:
    """How the leg that decided the Dial ended; `seconds` from its answer to its end, None without an answer."""

    leg: PlannedLeg
    end: LegEnd
    seconds: float | None = None
    bridged: bool = False


@dataclass(slots=True)
class _Dialling:
    line: Line
    document: Document
    element: Element
    cut_off: _Result | None = None  # what it had come to when the call was changed in the middle of it

    async def run(self) -> _Result:
        nouns = self.element.children or (Element("Number", text=self.element.text),)
        rounds = [(noun,) for noun in nouns] if self.element.flag("sequential") else [tuple(nouns)]
        for together in rounds:
            result = await self._ring(together)
            if result.seconds is not None or self.line.gone:
                break
        return result

    def parameters(self, result: _Result) -> dict[str, str]:
        """What the action gets beside the normal parameters."""
        screened_out = result.end == "answered" and not result.bridged
        status = self.line.quirks.screened_out_status if screened_out else _STATUSES.get(result.end, result.end)
        found = {"DialCallStatus": status, "DialCallSid": result.leg.call_sid}
        if result.seconds is not None:
            found["DialCallDuration"] = str(round(result.seconds))
        if self.line.quirks.dial_bridged:
            found["DialBridged"] = str(result.bridged).lower()
        if result.leg.kind == "sip":
            found["DialSipCallId"] = f"{new_id()}@0.0.0.0"
            found["DialSipResponseCode"] = str(result.leg.sip_code)
        if self.line.status == "ringing":
            found["CallStatus"] = self.line.quirks.unbridged_status
        return found

    async def _ring(self, nouns: Sequence[Element]) -> _Result:
        """Ring all nouns together; the first to answer wins, and without one the last to give up decides."""
        line, started = self.line, self.line.clock.now
        limit = self.element.number("timeout", 30) + HIDDEN_SECONDS
        legs = [await plan_leg(line, noun, self.element.attributes.get("callerId"), limit) for noun in nouns]
        for leg in legs:
            line.note("leg", f"{leg.kind} {leg.address.partition('?')[0]} is called")
            await self._tell(leg, "initiated")
            await self._tell(leg, "ringing")
        if line.script.caller == "hangs-up-while-ringing":
            return await self._abandon(legs, started)
        try:
            rung = await self._forward(legs, limit)
            answering = [leg for leg in legs if leg.end == "answered"]
            decisive = min(answering, key=_after) if answering else max(legs, key=_after)
            await line.ring(max(0, decisive.after - rung))
        except Interrupted:
            self.cut_off = _Result(legs[0], "canceled")
            for leg in legs:
                await self._end(leg, started, "canceled", line.clock.now - started)
            raise
        for leg in legs:
            if leg is not decisive:
                await self._end(leg, started, "canceled" if answering else leg.end, min(leg.after, decisive.after))
        if answering:
            return await self._take(decisive, started)
        await self._end(decisive, started, decisive.end, decisive.after)
        return _Result(decisive, decisive.end)

    async def _abandon(self, legs: Sequence[PlannedLeg], started: float) -> _Result:
        rang = min(map(_after, legs)) / 2
        await self.line.ring(rang)
        self.line.hang_up("while it rings")
        for leg in legs:
            await self._end(leg, started, "canceled", rang)
        return _Result(legs[0], "canceled")

    async def _forward(self, legs: list[PlannedLeg], limit: float) -> float:
        """Let phones that forward do so, in place; returns for how long all have rung by then."""
        rung = 0.0
        for index, leg in enumerate(legs):
            if leg.end == "forwards":
                await self.line.ring(leg.after - rung)
                rung = leg.after
                legs[index] = await _forward_back(self.line, leg, self._shown, limit)
        return rung

    async def _take(self, leg: PlannedLeg, started: float) -> _Result:
        """The leg was answered: screen it, put it through, let them talk."""
        line, answered_at = self.line, self.line.clock.now
        await self._tell(leg, "answered")
        bridged_at: float | None = None
        try:
            if await screen(line, self.document, leg, self._shown):
                bridged_at = line.clock.now
                await self._talk(leg)
        except Interrupted:
            self.cut_off = _Result(leg, "answered", line.clock.now - answered_at, bridged_at is not None)
            raise
        finally:
            talked = 0 if bridged_at is None else line.clock.now - bridged_at
            bridged = bridged_at is not None
            await self._end(leg, started, "answered", leg.after, talked=talked, bridged=bridged)
        return _Result(leg, "answered", line.clock.now - answered_at, bridged)

    async def _talk(self, leg: PlannedLeg) -> None:
        line = self.line
        line.answer()
        line.reached(leg.who, leg.provider, leg.provider_call_id)
        limit = self.element.number("timeLimit", 14400)
        talks = min(leg.talks, limit)
        if leg.who == "ai":
            await let_ai_talk(line, talks, acts=leg.talks > CLOSED_AFTER)
        else:
            await line.pass_time(talks)
        if leg.talks > limit:
            line.note("end", f"the leg is cut off after {limit} s, its timeLimit")
        elif leg.who == "ai" and leg.talks > CLOSED_AFTER and line.script.caller == "hangs-up-during-ai":
            line.hang_up("while talking to the AI")

    @property
    def _shown(self) -> str:
        return self.element.get("callerId", self.line.timeline.from_)

    async def _end(
        self, leg: PlannedLeg, started: float, end: LegEnd, rang: float, *, talked: float = 0, bridged: bool = False
    ) -> None:
        self.line.add_leg(leg.record(started, end=end, rang=rang, talked=talked, bridged=bridged))
        await self._tell(leg, "completed", end)

    async def _tell(self, leg: PlannedLeg, event: str, end: LegEnd = "answered") -> None:
        """The callback of a called leg's progress, if its noun asks for this event."""
        events = leg.noun.get("statusCallbackEvent", "completed").split()
        if not leg.noun.get("statusCallback") or event not in events:
            return
        status = {"answered": "in-progress", "completed": _STATUSES.get(end, end)}.get(event, event)
        parameters = leg.parameters(self.line, self._shown, status) | progress_parameters(_EVENTS.index(event))
        await self.line.tell(self.document.callback(leg.noun, "statusCallback", f"leg {event}", parameters))


async def _forward_back(line: Line, leg: PlannedLeg, shown: str, limit: float) -> PlannedLeg:
    """The leg's phone forwards the call to the very number that was called: that second call decides the leg's end.

    `shown` is the caller ID that the phone saw.
    """
    if line.is_forwarded:
        line.violate("the owner's phone is rung by a call that it has forwarded itself: an endless loop")
        return replace(leg, end="busy", sip_code=486)
    timeline = Timeline(call_sid=new_id("CA"), from_=shown, to=line.timeline.to)
    second = Line(
        carrier=line.carrier,
        requests=line.requests,
        script=replace(line.script, caller="stays", message_ends_with="hang-up"),
        clock=line.clock,
        timeline=timeline,
        call_in=line.call_in,
        forwarded_from=leg.address if line.script.forwarded_from else None,
        is_forwarded=True,
    )
    line.note("leg", f"the owner's phone forwards the call to {line.timeline.to}")
    await line.call_in(second)
    line.timeline.forwarded = timeline
    line.timeline.violations += [f"forwarded call: {violation}" for violation in timeline.violations]
    line.timeline.failures += [f"forwarded call: {failure}" for failure in timeline.failures]
    line.note("leg", f"the forwarded call ends: {timeline.answered_by}")
    if timeline.answered_by == "rejected":
        return replace(leg, end="busy", sip_code=486, reason="the forwarded call was rejected")
    if timeline.answered_by in ("nobody", "abandoned"):
        return replace(leg, end="no-answer", sip_code=408, after=limit)
    taken_by = f"the forwarded call was answered: {timeline.answered_by}"
    return replace(leg, end="answered", sip_code=200, who="mailbox", talks=line.script.owner_talks, reason=taken_by)


def _after(leg: PlannedLeg) -> float:
    return leg.after
