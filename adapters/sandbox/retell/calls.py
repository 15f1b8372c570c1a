"""Stand-in for Retell's registered calls, its SIP edge, and the checks of key and lines.

Retell docs: Custom telephony; Register phone call; Stop call; Get concurrency.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from adapters.phone import is_e164
from adapters.sandbox import legs
from adapters.sandbox.api import Asked, Endpoint, Json, Part, Refusal, endpoint, new_id
from adapters.sandbox.audio import play_conversation
from adapters.sandbox.legs import LegVerdict, SipAddress
from adapters.sandbox.retell.org import BAD_FORMAT, SUSPENDED, Call, RetellOrg, pick_version
from adapters.sandbox.talks import DEMO

NO_LINE = "The concurrency limit of your workspace is reached."
SIP_HOST = "sip.retellai.com"
DIAL_WITHIN = timedelta(minutes=5)

_CALL_FIELDS: dict[str, type | tuple[type, ...]] = {
    "agent_id": str,
    "agent_version": (int, str),
    "agent_override": dict,
    "direction": str,
    "from_number": str,
    "to_number": str,
    "metadata": dict,
    "retell_llm_dynamic_variables": dict,
}


class Calls(Part[RetellOrg]):
    @endpoint("POST", "/v2/register-phone-call", "handoff", 201)
    def _register(self, org: RetellOrg, asked: Asked) -> Json:
        body = asked.json()
        _check_call(body)
        if not org.has_credit:  # an unpaid account is refused before its agent is looked up
            raise Refusal(402)
        if (versions := org.agents.get(body["agent_id"])) is None:
            raise Refusal(422)
        version = pick_version(versions, body.get("agent_version", "latest"))
        if body["agent_id"] in org.suspended:
            raise Refusal(403, SUSPENDED)
        if not org.has_free_line:
            raise Refusal(429, NO_LINE)
        call_id = new_id("call_", 28)
        kept = {name: value for name, value in body.items() if name not in {"agent_version", "agent_override"}}
        record = {
            "call_id": call_id,
            "call_type": "phone_call",
            "call_status": "registered",
            "agent_version": version["version"],
            "agent_name": version.get("agent_name"),
            "direction": "inbound",
            **kept,
        }
        org.calls[call_id] = Call(record, self._clock())
        return record

    @endpoint("GET", "/v2/get-call/{id}")
    def _get(self, org: RetellOrg, asked: Asked) -> Json:
        address = {"recording_url": f"http://{asked.headers['host']}/retell/storage/{asked.id}.wav"}
        if asked.id.startswith(DEMO) and asked.id not in org.forgotten:
            return {"call_id": asked.id, "call_status": "ended"} | address
        call = asked.find(org.calls, 422)
        return call.record | (address if call.state in ("ongoing", "ended") else {})

    @endpoint("DELETE", "/v2/delete-call/{id}")
    def _delete(self, org: RetellOrg, asked: Asked) -> None:
        if asked.id.startswith(DEMO) and asked.id not in org.forgotten:
            org.forgotten.add(asked.id)
            return
        asked.pop(org.calls, 422)

    def endpoints(self) -> Iterator[Endpoint]:
        yield from super().endpoints()
        yield Endpoint("GET", "/storage/{id}.wav", play_conversation)

    @endpoint("POST", "/v2/stop-call/{id}")
    def _stop(self, org: RetellOrg, asked: Asked) -> None:
        call = asked.find(org.calls, 422)
        call.state = "ended"
        call.record.update(call_status="ended", disconnection_reason="manual_stopped")

    @endpoint("GET", "/get-api-key-info", "check")
    def _key_info(self, org: RetellOrg, _asked: Asked) -> Json:
        return {"org_id": org.id, "org_name": org.name, "api_key_name": "sandbox"}

    @endpoint("GET", "/get-concurrency", "check")
    def _concurrency(self, org: RetellOrg, _asked: Asked) -> Json:
        return {
            "current_concurrency": org.concurrency_used,
            "concurrency_limit": org.concurrency_limit,
            "base_concurrency": org.concurrency_limit,
            "purchased_concurrency": 0,
            "concurrency_purchase_limit": 100,
            "remaining_purchase_limit": 100,
            "reserved_inbound_concurrency": 0,
            "concurrency_burst_enabled": False,
            "concurrency_burst_limit": 0,
        }

    def answer_sip(self, address: SipAddress) -> LegVerdict:
        """Retell docs, Custom telephony: dial sip:{call_id} within five minutes of registering it."""
        call_id = address.user
        call = next((org.calls[call_id] for org in self._customers if call_id in org.calls), None)
        if call is None or call.state == "ended":
            return legs.rejected("retell", legs.NOT_FOUND, f"no such registered call: {call_id}")
        if call.state == "ongoing":
            return legs.rejected("retell", legs.UNAVAILABLE, "the call was dialled already", call_id)
        if self._clock() - call.registered_at > DIAL_WITHIN:
            call.state = "ended"
            call.record.update(call_status="error", disconnection_reason="registered_call_timeout")
            return legs.rejected("retell", legs.UNAVAILABLE, "registered_call_timeout", call_id)
        call.state = "ongoing"
        call.record["call_status"] = "ongoing"
        return legs.answered("retell", call_id)


def _check_call(body: Json) -> None:
    for name, value in body.items():
        if name not in _CALL_FIELDS or not isinstance(value, _CALL_FIELDS[name]):
            raise Refusal(400, f"{BAD_FORMAT} ({name})")
    if not body.get("agent_id"):
        raise Refusal(400, f"{BAD_FORMAT} (agent_id)")
    if not all(isinstance(value, str) for value in body.get("retell_llm_dynamic_variables", {}).values()):
        raise Refusal(400, f"{BAD_FORMAT} (retell_llm_dynamic_variables: every value must be a string)")
    if body.get("direction", "inbound") not in {"inbound", "outbound"}:
        raise Refusal(400, f"{BAD_FORMAT} (direction)")
    for name in ("from_number", "to_number"):
        if name in body and not is_e164(body[name]):
            raise Refusal(400, f"{BAD_FORMAT} ({name}: not E.164)")
