"""Plans what happens on a leg that a Dial places: who answers, after how long, with which SIP status.

`dial.py` carries the plan out.
Sources: Twilio docs: TwiML Dial, Number, Sip (DialCallStatus, SIP response codes, caller ID).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from adapters.phone import is_e164
from adapters.sandbox.api import new_id
from adapters.sandbox.carrier.addresses import caller_id_fault, sip_headers, sip_uri_fault
from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.live import CLOSED_AFTER
from adapters.sandbox.carrier.parameters import child_parameters
from adapters.sandbox.carrier.timeline import Leg
from adapters.sandbox.legs import LegVerdict

LegEnd: TypeAlias = Literal["answered", "busy", "no-answer", "failed", "canceled", "forwards"]
_REFUSED_AFTER = 1.0
_SIP_CODES: dict[LegEnd, int] = {"answered": 200, "busy": 486, "no-answer": 408, "failed": 503, "canceled": 487}
_BUSY = frozenset({486, 600})
_UNANSWERED = frozenset({408, 480})


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """A leg and what it comes to `after` so many seconds of ringing; `talks` seconds if it is put through."""

    noun: Element
    kind: Literal["sip", "number"]
    who: Literal["ai", "owner", "mailbox"]
    end: LegEnd
    after: float
    sip_code: int
    talks: float = 0
    provider: str | None = None
    reason: str = ""
    provider_call_id: str | None = None
    call_sid: str = field(default_factory=lambda: new_id("CA"))

    @property
    def address(self) -> str:
        return self.noun.text

    def parameters(self, line: Line, shown: str, status: str) -> dict[str, str]:
        """The normal parameters of a request about this leg. `shown` is the caller ID."""
        return child_parameters(line.ids, self.call_sid, shown, self.address, status)

    def record(self, started: float, *, end: LegEnd, rang: float, talked: float = 0, bridged: bool = False) -> Leg:
        return Leg(
            at=round(started, 1),
            kind=self.kind,
            address=self.address,
            who=self.who,
            provider=self.provider,
            status=end,
            ring_seconds=round(rang, 1),
            talk_seconds=round(talked, 1),
            bridged=bridged,
            reason=self.reason,
        )


async def plan_leg(line: Line, noun: Element, caller_id: str | None, limit: float) -> PlannedLeg:
    """What becomes of a noun that may ring for `limit` seconds. Complains about addresses and caller ids."""
    if fault := _fault_of(line, noun, caller_id):
        line.violate(fault)
        kind: Literal["sip", "number"] = "sip" if noun.name == "Sip" else "number"
        return PlannedLeg(noun, kind, "ai" if kind == "sip" else "owner", "failed", 0, 400, reason=fault)
    if noun.name == "Sip":
        verdict = await line.carrier.far_end.leg("sip", noun.text, sip_headers(noun.text))
        return _plan_ai(line, noun, "sip", verdict, limit)
    verdict = await line.carrier.far_end.leg("number", noun.text, {})
    if verdict.provider is not None:
        return _plan_ai(line, noun, "number", verdict, limit)
    return _plan_owner(line, noun, limit)


def _fault_of(line: Line, noun: Element, caller_id: str | None) -> str | None:
    if noun.name == "Sip" and (fault := sip_uri_fault(noun.text)):
        return f"13243: Sip {noun.text[:80]}: {fault}"
    if noun.name == "Number" and not is_e164(noun.text):
        return f"13223: Number {noun.text[:80]!r} is not an E.164 number"
    if noun.text in {line.timeline.to, *line.carrier.numbers}:
        return f"13224: Number {noun.text} is one of ours: the call would come back to us"
    fault = caller_id_fault(
        noun.name, caller_id, caller=line.timeline.from_, called=line.timeline.to, numbers=line.carrier.numbers
    )
    return f"13214: {noun.name}: {fault}" if fault else None


def _plan_ai(
    line: Line, noun: Element, kind: Literal["sip", "number"], verdict: LegVerdict, limit: float
) -> PlannedLeg:
    def planned(end: LegEnd, after: float, sip_code: int | None = None, talks: float = 0) -> PlannedLeg:
        code = _SIP_CODES[end] if sip_code is None else sip_code
        reason = verdict.reason if verdict.result == "rejected" else ""
        return PlannedLeg(noun, kind, "ai", end, after, code, talks, verdict.provider, reason, verdict.provider_call_id)

    outcome = line.next_ai_outcome()
    if verdict.result == "rejected":
        return planned(_end_of(verdict.sip_code), _REFUSED_AFTER, verdict.sip_code)
    if outcome in ("busy", "fails"):
        return planned("busy" if outcome == "busy" else "failed", _REFUSED_AFTER)
    if outcome in ("no-answer", "never-starts") or line.script.ai_rings >= limit:
        return planned("no-answer", limit)
    return planned(
        "answered", line.script.ai_rings, talks=CLOSED_AFTER if outcome == "closes" else line.script.ai_talks
    )


def _end_of(sip_code: int) -> LegEnd:
    if sip_code in _BUSY:
        return "busy"
    return "no-answer" if sip_code in _UNANSWERED else "failed"


def _plan_owner(line: Line, noun: Element, limit: float) -> PlannedLeg:
    def planned(end: LegEnd, after: float, who: Literal["owner", "mailbox"] = "owner", talks: float = 0) -> PlannedLeg:
        if after >= limit:
            return PlannedLeg(noun, "number", who, "no-answer", limit, _SIP_CODES["no-answer"])
        return PlannedLeg(noun, "number", who, end, after, _SIP_CODES.get(end, 0), talks)

    script = line.script
    ends: dict[str, tuple[LegEnd, float]] = {
        "busy": ("busy", _REFUSED_AFTER),
        "fails": ("failed", _REFUSED_AFTER),
        "no-answer": ("no-answer", limit),
        "forwards-back": ("forwards", script.forwards_after),
    }
    if script.owner in ends:
        return planned(*ends[script.owner])
    if script.owner == "mailbox":
        return planned("answered", script.mailbox_after, "mailbox", script.owner_talks)
    return planned("answered", script.owner_rings, talks=script.owner_talks)
