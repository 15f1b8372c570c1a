"""The owner's phone forwards an unanswered call to the very number that was called: a second call comes in.

That call is executed like any other; how it ends decides what the first call's leg came to.
"""

from __future__ import annotations

from dataclasses import replace

from adapters.sandbox.carrier.legs import PlannedLeg
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.timeline import Timeline
from adapters.sandbox.ids import new_id


async def forward_back(line: Line, leg: PlannedLeg, shown: str, limit: float) -> PlannedLeg:
    """What becomes of a leg whose phone sends the call back; `shown` is the caller ID that the phone saw."""
    if line.is_forwarded:
        line.violate("the owner's phone is rung by a call that it has forwarded itself: an endless loop")
        return replace(leg, end="busy", sip_code=486)
    timeline = Timeline(call_sid=new_id("CA"), from_=shown, to=line.timeline.to)
    second = Line(
        surroundings=line.surroundings,
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
