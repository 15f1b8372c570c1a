"""The part of the stand-in for ElevenLabs that takes calls: registered ones, and who answers their streams.

Sources: ElevenLabs docs (Register Twilio calls; Dynamic variables; Get user subscription). The form of the TwiML is not
documented; this is what public projects show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.responses import Response

from adapters.sandbox import legs
from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, new_id
from adapters.sandbox.audio import serve, silent_mp3
from adapters.sandbox.elevenlabs.org import (
    MONTHLY_CREDITS,
    NO_CREDIT,
    NO_LINE,
    Conversation,
    ElevenLabsOrg,
    check_fields,
    invalid,
)
from adapters.sandbox.legs import LegVerdict
from adapters.sandbox.talks import DEMO

STREAM_HOST = "api.us.elevenlabs.io"
_STREAM = f"wss://{STREAM_HOST}/v1/convai/conversation"
_FIELDS = ("agent_id", "from_number", "to_number", "direction", "conversation_initiation_client_data")
_CLIENT_DATA = (
    "conversation_config_override", "custom_llm_extra_body", "user_id", "source_info", "branch_id", "environment",
    "starting_workflow_node_id", "dynamic_variables",
)  # fmt: skip
_AUDIO = "ulaw_8000"
_RECORDED_SECONDS = 20.0
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Calls(Part[ElevenLabsOrg]):
    """Registered calls, the account's credits, and the far end of streams."""

    @endpoint("POST", "/v1/convai/twilio/register-call", "handoff")
    def _register(self, org: ElevenLabsOrg, asked: Asked) -> Response:
        variables = _checked(asked.json())
        agent_id = asked.json()["agent_id"]
        if agent_id not in org.agents:
            raise Refusal(404, f"Agent {agent_id} not found.")
        if not org.has_credit:
            raise Refusal(401, NO_CREDIT)
        if not org.has_free_line:
            raise Refusal(429, NO_LINE)
        conversation_id = new_id("conv_", 28)
        org.calls[conversation_id] = Conversation(agent_id, variables)
        return Response(
            '<?xml version="1.0" encoding="UTF-8"?><Response><Connect>'
            f'<Stream url="{_STREAM}"><Parameter name="conversation_id" value="{conversation_id}"/></Stream>'
            "</Connect></Response>",
            media_type="text/html",
        )

    @endpoint("GET", "/v1/convai/conversations/{id}/audio")
    def _play(self, org: ElevenLabsOrg, asked: Asked) -> Response:
        self._check_known(org, asked)
        return serve(silent_mp3(_RECORDED_SECONDS), "audio/mpeg", asked.headers.get("range"))

    @endpoint("DELETE", "/v1/convai/conversations/{id}")
    def _delete(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        self._check_known(org, asked)
        org.forgotten.add(asked.id)
        return {}

    def _check_known(self, org: ElevenLabsOrg, asked: Asked) -> None:
        is_known = asked.id in org.calls or asked.id.startswith(DEMO)
        if not is_known or asked.id in org.forgotten:
            raise Refusal(404)

    @endpoint("GET", "/v1/user/subscription", "check")
    def _subscription(self, org: ElevenLabsOrg, _asked: Asked) -> Json:
        return {
            "tier": "creator",
            "status": "active",
            "character_count": 0 if org.has_credit else MONTHLY_CREDITS,
            "character_limit": MONTHLY_CREDITS,
            "max_credit_limit_extension": 0,
            "can_extend_character_limit": False,
            "allowed_to_extend_character_limit": False,
            "voice_slots_used": 0,
            "professional_voice_slots_used": 0,
            "professional_voice_slots_used_in_workspace": 0,
            "voice_limit": 30,
            "voice_add_edit_counter": 0,
            "professional_voice_limit": 1,
            "can_extend_voice_limit": False,
            "can_use_instant_voice_cloning": True,
            "can_use_professional_voice_cloning": True,
            "current_overage": {"amount": "0", "currency": "usd"},
            "open_invoices": [],
            "has_open_invoices": False,
        }

    def answer_stream(self, url: str, parameters: Mapping[str, str]) -> LegVerdict:
        """A stream is taken once, for the registered call that it names, by an agent that speaks the carrier's format and
        has a value for every variable.
        """
        if url != _STREAM or urlsplit(url).query:
            return legs.rejected("elevenlabs", legs.NOT_FOUND, f"no conversation at {url}")
        named = parameters.get("conversation_id", "")
        org = next((one for one in self._customers if named in one.calls), None)
        if org is None or (agent := org.agents.get(org.calls[named].agent_id)) is None:
            return legs.rejected("elevenlabs", legs.NOT_FOUND, f"no such conversation: {named}")
        call = org.calls[named]
        if call.state == "answered":
            return legs.rejected("elevenlabs", legs.BUSY, "the conversation has begun already", named)
        if problem := _problem(agent["conversation_config"], call.variables):
            return legs.rejected("elevenlabs", legs.NOT_ACCEPTABLE, problem, named)
        call.state = "answered"
        return legs.answered("elevenlabs", named)


def _checked(body: Json) -> Json:
    """The call's variables."""
    check_fields("body", body, _FIELDS, ("agent_id", "from_number", "to_number"))
    for name in ("agent_id", "from_number", "to_number"):
        if not isinstance(body[name], str):
            raise invalid(f"body.{name}", "Input should be a valid string")
    if body.get("direction", "inbound") not in ("inbound", "outbound"):
        raise invalid("body.direction", "Input should be 'inbound' or 'outbound'")
    data = check_fields("body.client_data", body.get("conversation_initiation_client_data") or {}, _CLIENT_DATA)
    variables = data.get("dynamic_variables") or {}
    for name, value in check_fields("body.dynamic_variables", variables, variables).items():
        if name.startswith("system__"):
            raise invalid(f"body.dynamic_variables.{name}", "The prefix system__ is reserved")
        if not isinstance(value, str | int | float | None):
            raise invalid(f"body.dynamic_variables.{name}", "Input should be a string, number or boolean")
    return dict(variables)


def _problem(config: Json, variables: Json) -> str:
    """Why a conversation breaks off at once; empty if it doesn't."""
    formats = (config["tts"].get("agent_output_audio_format"), config["asr"].get("user_input_audio_format"))
    if formats != (_AUDIO, _AUDIO):
        return f"the agent is not set to {_AUDIO}"
    agent = config["agent"]
    texts = (agent.get("first_message") or "", agent["prompt"].get("prompt") or "")
    needed = {name for text in texts for name in _VARIABLE.findall(text) if not name.startswith("system__")}
    known = set(variables) | set((agent.get("dynamic_variables") or {}).get("dynamic_variable_placeholders") or {})
    return f"Missing required dynamic variables: {min(needed - known)}" if needed - known else ""
