"""The part of the stand-in for ElevenLabs that keeps server tools. It never calls one.

Sources: ElevenLabs' OpenAPI (Create, list, update and delete tool; LiteralJsonSchemaProperty) and docs (Server tools).
"""

from __future__ import annotations

import re

from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, is_https, new_id
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg, access_of, check_fields, invalid, page_of

_CONFIG = (
    "type", "name", "description", "response_timeout_secs", "api_schema", "dynamic_variables", "assignments",
    "pre_tool_speech", "interruption_mode", "execution_mode", "tool_call_sound", "tool_error_handling_mode",
)  # fmt: skip
_SCHEMA = (
    "url", "method", "request_headers", "path_params_schema", "query_params_schema", "request_body_schema", "content_type",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIMEOUTS = range(5, 301)
_LITERALS = ("string", "boolean", "integer", "number")
_SOURCES = ("description", "dynamic_variable", "is_system_provided", "constant_value", "is_omitted")


class Tools(Part[ElevenLabsOrg]):
    prefix = "/v1/convai/tools"
    operation = "assistants"

    @endpoint("GET")
    def _list(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        return page_of("tools", org.tools.values(), asked)

    @endpoint("POST")
    def _create(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        config, tool_id = _checked(asked.json()), new_id("tool_", 28)
        stats = {"total_calls": 0, "avg_latency_secs": 0}
        org.tools[tool_id] = {"id": tool_id, "tool_config": config, "access_info": access_of(org), "usage_stats": stats}
        return org.tools[tool_id]

    @endpoint("GET", "/{id}")
    def _get(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        return asked.find(org.tools)

    @endpoint("PATCH", "/{id}")
    def _update(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        tool = asked.find(org.tools)
        tool["tool_config"] = _checked(asked.json())
        return tool

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        asked.find(org.tools)
        if any(asked.id in prompt.get("tool_ids", []) for prompt in org.prompts()):
            raise Refusal(400, "The tool is used by 1 agent. Remove it there, or use force.")
        del org.tools[asked.id]
        return {}


def _checked(body: Json) -> Json:
    check_fields("body", body, ("tool_config", "response_mocks"), ("tool_config",))
    config = check_fields("tool_config", body["tool_config"], _CONFIG, ("type", "name", "description", "api_schema"))
    if config["type"] != "webhook":
        raise invalid("tool_config.type", "the stand-in has webhook tools only")
    if not _NAME.fullmatch(str(config["name"])):
        raise invalid("tool_config.name", "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'")
    if config.get("response_timeout_secs", 20) not in _TIMEOUTS:
        raise invalid("tool_config.response_timeout_secs", "Input should be between 5 and 300")
    api = check_fields("tool_config.api_schema", config["api_schema"], _SCHEMA, ("url",))
    if not is_https(api["url"]):
        raise invalid("tool_config.api_schema.url", "URL must be https")
    if not all(isinstance(value, str) for value in (api.get("request_headers") or {}).values()):
        raise invalid("tool_config.api_schema.request_headers", "Input should be a valid string")
    if (schema := api.get("request_body_schema")) is not None:
        _check_object("request_body_schema", schema)
    return config


def _check_object(place: str, given: object) -> None:
    schema = check_fields(place, given, ("type", "description", "required", "properties"), ("type",))
    properties = check_fields(place, schema.get("properties") or {}, schema.get("properties") or {})
    if schema["type"] != "object" or not set(schema.get("required") or []) <= set(properties):
        raise invalid(place, "required names a property that is not there")
    for name, value in properties.items():
        _check_property(f"{place}.{name}", value)


def _check_property(place: str, given: object) -> None:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "object":
        _check_object(place, given)
    elif kind == "array":
        schema = check_fields(place, given, ("type", "description", "items"), ("items",))
        _check_property(f"{place}.items", schema["items"])
    elif kind in _LITERALS:
        schema = check_fields(place, given, ("type", "enum", *_SOURCES))
        if sum(bool(schema.get(source)) for source in _SOURCES) != 1:
            raise invalid(place, f"Must set exactly one of: {', '.join(_SOURCES)}")
    else:
        raise invalid(f"{place}.type", "Input should be a known type")
