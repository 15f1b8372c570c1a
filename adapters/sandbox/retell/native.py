"""Stand-in for calls to Retell's own numbers: the question that the number's webhook is asked, and what is told after.

Retell docs: Inbound call webhook, Webhook overview, Secure the webhook. Nothing is sent from here: a test posts a
Notice as Retell would, and gives back what was answered.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

import httpx

from adapters.sandbox.api import Json, Refusal, fresh_hex
from adapters.sandbox.retell.desk import Call, Desk, RetellOrg, pick_version

_ANSWERS: dict[str, type | tuple[type, ...]] = {
    "override_agent_id": str,
    "override_agent_version": (int, str),
    "agent_override": dict,
    "dynamic_variables": dict,
    "metadata": dict,
    "reject": bool,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A signed request of Retell's, to be posted as it is."""

    url: str
    headers: dict[str, str]
    body: bytes


class NativeCalls(Desk):
    def ring(self, org: RetellOrg, e164: str, caller: str) -> tuple[str, Notice | None]:
        """A new call's id, and the question about it; None where the number has no webhook to ask."""
        number = org.numbers[e164]
        call_id = fresh_hex("call_", 28)
        bound = (number.get("inbound_agents") or [{}])[0]
        record: Json = {"call_id": call_id, "from_number": caller, "to_number": e164}
        record |= {name: bound[name] for name in ("agent_id", "agent_version") if name in bound}
        org.calls[call_id] = Call({**record, "call_type": "phone_call", "direction": "inbound"}, self._clock())
        url = number.get("inbound_webhook_url")
        return call_id, self._sign(org, url, {"event": "call_inbound", "call_inbound": record}) if url else None

    def settle(self, org: RetellOrg, call_id: str, status: int, answer: bytes) -> Json | None:
        """The version of the agent that takes the call; None: the caller is turned away.

        An answer that is no 2xx leaves the number's own agent. Raises Refusal for a 2xx that Retell would not take.
        """
        call = org.calls[call_id]
        given = _read(answer) if httpx.codes.is_success(status) else {}
        agent_id = given.get("override_agent_id", call.record.get("agent_id"))
        if given.get("reject") or agent_id is None:
            call.state = "ended"
            call.record.update(call_status="not_connected", disconnection_reason="user_declined")
            return None
        if agent_id not in org.agents:
            raise Refusal(422)
        default = call.record.get("agent_version", "latest")
        agent = pick_version(org.agents[agent_id], given.get("override_agent_version", default))
        call.state = "ongoing"
        call.record.update(
            agent_id=agent_id,
            agent_version=agent["version"],
            call_status="ongoing",
            metadata=given.get("metadata", {}),
            retell_llm_dynamic_variables=given.get("dynamic_variables", {}),
        )
        return agent

    def tell(self, org: RetellOrg, call_id: str, event: str, **fields: Any) -> Notice | None:
        """What Retell says about a call to its agent's webhook; None where the agent has none, or wants no such event."""
        call = org.calls[call_id]
        call.record.update(fields)
        if event == "call_ended":
            call.state = "ended"
            call.record["call_status"] = "ended"
        agent = org.agents[call.record["agent_id"]][call.record["agent_version"]]
        url = agent.get("webhook_url")
        if not url or event not in agent.get("webhook_events", (event,)):
            return None
        return self._sign(org, url, {"event": event, "call": call.record})

    def _sign(self, org: RetellOrg, url: str, said: Json) -> Notice:
        stamp = str(int(self._clock().timestamp() * 1000))
        body = json.dumps(said, separators=(",", ":")).encode()
        digest = hmac.new(org.key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-retell-signature": f"v={stamp},d={digest}"}
        return Notice(url, headers, body)


def _read(answer: bytes) -> Json:
    try:
        given = json.loads(answer or b"{}").get("call_inbound", {})
    except (ValueError, AttributeError):
        raise Refusal(400) from None
    for name, value in given.items():
        if name not in _ANSWERS or not isinstance(value, _ANSWERS[name]):
            raise Refusal(400, f"call_inbound.{name}")
    if not all(isinstance(value, str) for value in given.get("dynamic_variables", {}).values()):
        raise Refusal(400, "call_inbound.dynamic_variables: every value must be a string")
    return dict(given)
