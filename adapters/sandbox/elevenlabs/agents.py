"""The part of the stand-in for ElevenLabs that keeps agents.

Sources: ElevenLabs' OpenAPI (Create, get, update, delete and list agents) and docs (Agent tools deprecation). What an
update keeps is not documented: here it keeps the fields that it doesn't name, at every depth, and replaces maps whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from adapters.sandbox.api import Asked, Json, Part, endpoint, new_id
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg, access_of, check_fields, invalid, page_of

_FIELDS = ("name", "conversation_config", "platform_settings", "workflow", "tags", "version_description")
_CONFIG: Mapping[str, tuple[str, ...]] = {
    "asr": ("quality", "provider", "user_input_audio_format", "keywords"),
    "turn": ("turn_timeout", "initial_wait_time", "silence_end_call_timeout", "turn_eagerness", "turn_model"),
    "tts": (
        "model_id", "voice_id", "supported_voices", "expressive_mode", "agent_output_audio_format", "stability", "speed",
        "similarity_boost", "text_normalisation_type", "pronunciation_dictionary_locators",
    ),
    "conversation": ("text_only", "max_duration_seconds", "client_events", "monitoring_enabled"),
    "vad": ("background_voice_detection",),
    "agent": (
        "first_message", "language", "dynamic_variables", "disable_first_message_interruptions", "prompt",
        "max_conversation_duration_message",
    ),
}  # fmt: skip
_PROMPT = (
    "prompt", "llm", "temperature", "max_tokens", "tool_ids", "built_in_tools", "knowledge_base", "rag", "timezone",
    "custom_llm", "ignore_default_personality", "backup_llm_config",
)  # fmt: skip
_BUILT_IN = (
    "end_call", "language_detection", "transfer_to_agent", "transfer_to_number", "skip_turn", "play_keypad_touch_tone",
    "voicemail_detection",
)  # fmt: skip
_SETTINGS = (
    "evaluation", "widget", "data_collection", "overrides", "workspace_overrides", "auth", "call_limits",
    "queueing_config", "privacy",
)  # fmt: skip
_AUDIO = frozenset({"pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000", "ulaw_8000"})
_EVENTS = frozenset(
    {"transcript", "audio", "call_initiation_failure", "answering_machine_detection"}
    | {"unredacted_transcript", "unredacted_audio"}
)
_WHOLE = frozenset({"language_presets", "dynamic_variable_placeholders"})  # maps
_DEFAULTS: Json = {
    "asr": {"quality": "high", "user_input_audio_format": "pcm_16000"},
    "tts": {
        "model_id": "eleven_flash_v2",
        "voice_id": "cjVigY5qzO86Huf0OWal",
        "agent_output_audio_format": "pcm_16000",
        "stability": 0.5,
        "similarity_boost": 0.8,
        "speed": 1.0,
    },
    "conversation": {"text_only": False, "max_duration_seconds": 600},
    "language_presets": {},
    "agent": {"first_message": "", "language": "en", "prompt": {"prompt": "", "tool_ids": [], "knowledge_base": []}},
}


class Agents(Part[ElevenLabsOrg]):
    prefix = "/v1/convai/agents"
    operation = "assistants"

    @endpoint("POST", "/create")
    def _create(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        body = asked.json()
        check_fields("body", body, _FIELDS, ("conversation_config",))
        return {"agent_id": self.add(org, body)}

    @endpoint("GET", operation=lambda query: "check" if query.get("page_size") == "1" else "assistants")
    def _list(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        """A list of one agent is how a key is checked."""
        return page_of("agents", (_summary(org, agent) for agent in org.agents.values()), asked)

    @endpoint("GET", "/{id}")
    def _get(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        return asked.find(org.agents)

    @endpoint("PATCH", "/{id}")
    def _update(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        agent, body = asked.find(org.agents), asked.json()
        _check(org, body)
        agent |= _merged({name: agent.get(name) for name in body}, body)
        agent["metadata"]["updated_at_unix_secs"] = int(self._clock().timestamp())
        return agent

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: ElevenLabsOrg, asked: Asked) -> None:
        asked.pop(org.agents)

    def add(self, org: ElevenLabsOrg, body: Json) -> str:
        """The new agent's id. ElevenLabs' own defaults are for browsers: 16 kHz, and callers queue."""
        _check(org, body)
        agent_id, now = new_id("agent_", 28), int(self._clock().timestamp())
        org.agents[agent_id] = {
            "agent_id": agent_id,
            "name": body.get("name") or "New agent",
            "conversation_config": _merged(deepcopy(_DEFAULTS), body["conversation_config"]),
            "platform_settings": _merged({"queueing_config": {"enabled": True}}, body.get("platform_settings") or {}),
            "tags": body.get("tags") or [],
            "metadata": {"created_at_unix_secs": now, "updated_at_unix_secs": now},
            "access_info": access_of(org),
        }
        return agent_id


def _summary(org: ElevenLabsOrg, agent: Json) -> Json:
    times = agent["metadata"]
    voice = agent["conversation_config"]["tts"]["voice_id"]
    shown = {name: agent[name] for name in ("agent_id", "name", "tags")}
    return {**shown, **times, "voice_id": voice, "access_info": access_of(org), "archived": False}


def _merged(old: object, new: Json) -> Json:
    kept = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        kept[name] = _merged(kept.get(name), value) if isinstance(value, dict) and name not in _WHOLE else value
    return kept


def _check(org: ElevenLabsOrg, body: Json) -> None:
    check_fields("body", body, _FIELDS)
    config = check_fields("conversation_config", body.get("conversation_config") or {}, (*_CONFIG, "language_presets"))
    for name, known in _CONFIG.items():
        check_fields(f"conversation_config.{name}", config.get(name) or {}, known)
    for place, given in (
        ("tts", config.get("tts", {}).get("agent_output_audio_format", "ulaw_8000")),
        ("asr", config.get("asr", {}).get("user_input_audio_format", "ulaw_8000")),
    ):
        if given not in _AUDIO:
            raise invalid(f"conversation_config.{place}", "Input should be a known audio format")
    seconds = config.get("conversation", {}).get("max_duration_seconds", 1)
    if not isinstance(seconds, int) or seconds < 1:
        raise invalid("conversation_config.conversation.max_duration_seconds", "Input should be a positive integer")
    _check_prompt(org, config.get("agent", {}).get("prompt") or {})
    _check_settings(org, body.get("platform_settings") or {})


def _check_prompt(org: ElevenLabsOrg, given: object) -> None:
    place = "conversation_config.agent.prompt"
    prompt = check_fields(place, given, _PROMPT)
    for name in ("tool_ids", "knowledge_base"):
        if not isinstance(prompt.get(name, []), list):
            raise invalid(f"{place}.{name}", "Input should be a valid list")
    if unknown := [one for one in prompt.get("tool_ids", []) if one not in org.tools]:
        raise invalid(f"{place}.tool_ids", f"Tool {unknown[0]} not found")
    for one in prompt.get("knowledge_base", []):
        check_fields(f"{place}.knowledge_base", one, ("type", "name", "id", "usage_mode"), ("type", "name", "id"))
        if one["id"] not in org.documents:
            raise invalid(f"{place}.knowledge_base", f"Document {one['id']} not found")
    built_in = check_fields(f"{place}.built_in_tools", prompt.get("built_in_tools") or {}, _BUILT_IN)
    for name, tool in built_in.items():
        if tool is not None and tool.get("params", {}).get("system_tool_type") != name:
            raise invalid(f"{place}.built_in_tools.{name}", "params.system_tool_type does not fit")


def _check_settings(org: ElevenLabsOrg, given: object) -> None:
    settings = check_fields("platform_settings", given, _SETTINGS)
    place = "platform_settings.workspace_overrides"
    known = ("webhooks", "conversation_initiation_client_data_webhook")
    override = check_fields(place, settings.get("workspace_overrides") or {}, known).get("webhooks") or {}
    names = ("post_call_webhook_id", "events", "transcript_format", "exclude_transcript", "send_audio")
    check_fields(f"{place}.webhooks", override, names)
    if not set(override.get("events", [])) <= _EVENTS:
        raise invalid(f"{place}.webhooks.events", "Input should be a known event")
    if (webhook := override.get("post_call_webhook_id")) is not None and webhook not in org.webhooks:
        raise invalid(f"{place}.webhooks", f"Webhook {webhook} not found")
