"""Stand-in for Retell's API: registered calls, key and concurrency checks, agents with versions, and its SIP edge.

Sources: Retell docs (Custom telephony; Register phone call; Publish agent; Stop call), its OpenAPI's shared error
responses, and the types of retell-sdk 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import ClassVar, Literal

from starlette.responses import JSONResponse, Response

from adapters.sandbox import legs
from adapters.sandbox.api import E164, Asked, Clock, Endpoint, Json, Operation, Org, Orgs, Refusal, bearer, fresh_hex
from adapters.sandbox.legs import Leg, SipAddress

SIP_HOST = "sip.retellai.com"
DIAL_WITHIN = timedelta(minutes=5)

_BAD_FORMAT = "Invalid request format, please check API reference."
_NO_LINE = "The concurrency limit of your workspace is reached."
_MESSAGES = {
    400: _BAD_FORMAT,
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    403: "API key does not have access to this resource.",
    404: "Cannot find requested asset under given api key.",
    422: "Cannot find requested asset under given api key.",
    429: "Account rate limited, please throttle your requests.",
    500: "An unexpected server error occurred.",
}
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


@dataclass(slots=True)
class Call:
    """A registered call: may be dialled once, within five minutes."""

    record: Json
    registered_at: datetime
    state: Literal["registered", "ongoing", "ended"] = "registered"


@dataclass(slots=True)
class RetellOrg(Org):
    agents: dict[str, list[Json]] = field(default_factory=dict)  # an agent's versions; the number is the place
    llms: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)


class Retell:
    """The API under /retell and all that its orgs own."""

    name = "retell"
    vital = frozenset({"call_id", "org_id"})
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(402), "concurrency": Refusal(429, _NO_LINE)}

    def __init__(self, clock: Clock) -> None:
        self.orgs: Orgs[RetellOrg] = Orgs()
        self._clock = clock

    def add_org(self, key: str | None = None, name: str = "A Retell org", *, balance: float = 25.0) -> RetellOrg:
        return self.orgs.add(RetellOrg(name, key or fresh_hex("key_", 28), fresh_hex("org_", 16), balance))

    def add_agent(self, org: RetellOrg, name: str = "Front desk", *, published: bool = True) -> str:
        """The new agent's id."""
        llm_id = self._new_llm(org, {"general_prompt": "You answer the phone."})["llm_id"]
        engine = {"type": "retell-llm", "llm_id": llm_id, "version": 0}
        agent = self._new_agent(org, {"agent_name": name, "voice_id": "11labs-Adrian", "response_engine": engine})
        agent["is_published"] = published
        return str(agent["agent_id"])

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v2/register-phone-call", self._register, "handoff"),
            Endpoint("POST", "/v2/stop-call/{id}", self._stop_call),
            Endpoint("GET", "/v2/get-call/{id}", lambda asked: JSONResponse(self._call(asked).record)),
            Endpoint("GET", "/get-api-key-info", self._key_info, "check"),
            Endpoint("GET", "/get-concurrency", self._concurrency, "check"),
            Endpoint("POST", "/create-retell-llm", self._create_llm, "assistants"),
            Endpoint("GET", "/get-retell-llm/{id}", lambda asked: JSONResponse(self._llm(asked)), "assistants"),
            Endpoint("PATCH", "/update-retell-llm/{id}", self._update_llm, "assistants"),
            Endpoint("POST", "/create-agent", self._create_agent, "assistants"),
            Endpoint("GET", "/get-agent/{id}", lambda asked: JSONResponse(self._version(asked)), "assistants"),
            Endpoint("PATCH", "/update-agent/{id}", self._update_agent, "assistants"),
            Endpoint("POST", "/create-agent-version/{id}", self._create_agent_version, "assistants"),
            Endpoint("POST", "/publish-agent-version/{id}", self._publish, "assistants"),
        ]

    def key_of(self, asked: Asked) -> str:
        return bearer(asked)

    def refuse(self, refusal: Refusal) -> Response:
        message = refusal.message or _MESSAGES.get(refusal.status, HTTPStatus(refusal.status).phrase)
        return JSONResponse({"status": "error", "message": message}, refusal.status)

    def bend(self, fault: str, answer: Json) -> Json:
        unfit = fault.endswith("-twiml") and "call_id" in answer
        return answer | {"call_id": "nobody@evil.example;transport=udp"} if unfit else answer

    def _org(self, asked: Asked, operation: Operation = "other") -> RetellOrg:
        org = self.orgs.of(self.key_of(asked))
        if operation not in org.scopes:
            raise Refusal(403)
        return org

    def _register(self, asked: Asked) -> Response:
        org = self._org(asked, "handoff")
        body = asked.json()
        _check_call(body)
        versions = org.agents.get(body["agent_id"])
        if versions is None:
            raise Refusal(422)
        version = _pick_version(versions, body.get("agent_version", "latest"))
        if not org.has_credit:
            raise Refusal(402)
        if not org.has_free_line:
            raise Refusal(429, _NO_LINE)
        call_id = fresh_hex("call_", 28)
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
        return JSONResponse(record, 201)

    def _call(self, asked: Asked) -> Call:
        call = self._org(asked).calls.get(asked.parameters["id"])
        if call is None:
            raise Refusal(422)
        return call

    def _stop_call(self, asked: Asked) -> Response:
        call = self._call(asked)
        call.state = "ended"
        call.record.update(call_status="ended", disconnection_reason="manual_stopped")
        return Response(status_code=204)

    def _key_info(self, asked: Asked) -> Response:
        org = self._org(asked, "check")
        return JSONResponse({"org_id": org.id, "org_name": org.name, "api_key_name": "sandbox"})

    def _concurrency(self, asked: Asked) -> Response:
        org = self._org(asked, "check")
        return JSONResponse(
            {
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
        )

    def _create_llm(self, asked: Asked) -> Response:
        return JSONResponse(self._new_llm(self._org(asked), asked.json()), 201)

    def _new_llm(self, org: RetellOrg, body: Json) -> Json:
        llm_id = fresh_hex("llm_", 28)
        org.llms[llm_id] = {**body, "llm_id": llm_id, "version": 0, "is_published": False, **self._touched()}
        return org.llms[llm_id]

    def _llm(self, asked: Asked) -> Json:
        llm = self._org(asked).llms.get(asked.parameters["id"])
        if llm is None:
            raise Refusal(422)
        return llm

    def _update_llm(self, asked: Asked) -> Response:
        llm = self._llm(asked)
        llm.update(asked.json(), **self._touched())
        return JSONResponse(llm)

    def _create_agent(self, asked: Asked) -> Response:
        org = self._org(asked)
        body = asked.json()
        engine = body.get("response_engine")
        if not isinstance(engine, dict) or not body.get("voice_id"):
            raise Refusal(400)
        if engine.get("type") == "retell-llm" and engine.get("llm_id") not in org.llms:
            raise Refusal(422)
        return JSONResponse(self._new_agent(org, body), 201)

    def _new_agent(self, org: RetellOrg, body: Json) -> Json:
        agent_id = fresh_hex("agent_", 28)
        agent = {"language": "en-US", **body, "agent_id": agent_id, "version": 0, "is_published": False}
        org.agents[agent_id] = [agent | self._touched()]
        return org.agents[agent_id][0]

    def _versions(self, asked: Asked) -> list[Json]:
        versions = self._org(asked).agents.get(asked.parameters["id"])
        if versions is None:
            raise Refusal(404)
        return versions

    def _version(self, asked: Asked) -> Json:
        asked_for = asked.query.get("version", "latest")
        return _pick_version(self._versions(asked), int(asked_for) if asked_for.isdecimal() else asked_for)

    def _update_agent(self, asked: Asked) -> Response:
        draft = self._versions(asked)[-1]
        if draft["is_published"]:
            raise Refusal(400, "The latest version is published; create a draft version first.")
        draft.update(asked.json(), **self._touched())
        return JSONResponse(draft)

    def _create_agent_version(self, asked: Asked) -> Response:
        versions = self._versions(asked)
        base = _pick_version(versions, asked.json().get("base_version"))
        changes = {"version": len(versions), "base_version": base["version"], "is_published": False}
        versions.append(base | changes | self._touched())
        return JSONResponse(versions[-1], 201)

    def _publish(self, asked: Asked) -> Response:
        version = asked.json().get("version")
        if not isinstance(version, int):
            raise Refusal(400)
        _pick_version(self._versions(asked), version)["is_published"] = True
        return Response(status_code=200)

    def _touched(self) -> Json:
        return {"last_modification_timestamp": int(self._clock().timestamp() * 1000)}

    def answer_sip(self, address: SipAddress) -> Leg:
        """Retell docs, Custom telephony: dial sip:{call_id} within five minutes of registering it."""
        call_id = address.user
        call = next((org.calls[call_id] for org in self.orgs if call_id in org.calls), None)
        if call is None or call.state == "ended":
            return legs.rejected(self.name, legs.NOT_FOUND, f"no such registered call: {call_id}")
        if call.state == "ongoing":
            return legs.rejected(self.name, legs.UNAVAILABLE, "the call was dialled already", call_id)
        if self._clock() - call.registered_at > DIAL_WITHIN:
            call.state = "ended"
            call.record.update(call_status="error", disconnection_reason="registered_call_timeout")
            return legs.rejected(self.name, legs.UNAVAILABLE, "registered_call_timeout", call_id)
        call.state = "ongoing"
        call.record["call_status"] = "ongoing"
        return legs.answered(self.name, call_id)


def _check_call(body: Json) -> None:
    for name, value in body.items():
        if name not in _CALL_FIELDS or not isinstance(value, _CALL_FIELDS[name]):
            raise Refusal(400, f"{_BAD_FORMAT} ({name})")
    if not body.get("agent_id"):
        raise Refusal(400, f"{_BAD_FORMAT} (agent_id)")
    if not all(isinstance(value, str) for value in body.get("retell_llm_dynamic_variables", {}).values()):
        raise Refusal(400, f"{_BAD_FORMAT} (retell_llm_dynamic_variables: every value must be a string)")
    if body.get("direction", "inbound") not in {"inbound", "outbound"}:
        raise Refusal(400, f"{_BAD_FORMAT} (direction)")
    for name in ("from_number", "to_number"):
        if name in body and not E164.fullmatch(body[name]):
            raise Refusal(400, f"{_BAD_FORMAT} ({name}: not E.164)")


def _pick_version(versions: list[Json], wanted: object) -> Json:
    """A version by number, "latest" or "latest_published"; raises Refusal (422) where there is none."""
    if wanted == "latest":
        return versions[-1]
    if wanted == "latest_published":
        wanted = next((version["version"] for version in reversed(versions) if version["is_published"]), None)
    if isinstance(wanted, int) and 0 <= wanted < len(versions):
        return versions[wanted]
    raise Refusal(422, "Cannot find the requested version of the agent.")
