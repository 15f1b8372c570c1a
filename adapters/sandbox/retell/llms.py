"""Stand-in for Retell's LLMs: what an agent says and does, in versions that share their numbers with the agent's.

Retell docs, Setup versioning for agents: a published LLM cannot be changed; a new draft of the agent brings a new draft
of its LLM under the same id. The fields are those of retell-sdk 6.
"""

from __future__ import annotations

import re

from adapters.sandbox.api import Asked, Json, Refusal, endpoint, new_id
from adapters.sandbox.retell.org import BAD_FORMAT, RetellOrg, RetellPart, asked_version, page_of, pick_version

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SPEAKERS = ("agent", "user")
_FIELDS = frozenset(
    "backup_model begin_after_user_silence_ms begin_message default_dynamic_variables general_prompt general_tools"
    " is_transfer_llm kb_config knowledge_base_ids mcps model model_config model_high_priority model_temperature"
    " model_ultrafast s2s_model start_speaker starting_state states tool_call_strict_mode".split()
)


class Llms(RetellPart):
    operation = "assistants"

    def add(self, org: RetellOrg, body: Json) -> Json:
        llm_id = new_id("llm_", 28)
        llm = {"model": "gpt-4.1", **body, "llm_id": llm_id, "version": 0, "is_published": False, **self._touched()}
        org.llms[llm_id] = [llm]
        return llm

    @endpoint("POST", "/create-retell-llm", status=201)
    def _create(self, org: RetellOrg, asked: Asked) -> Json:
        body = asked.json()
        if body.get("start_speaker") not in _SPEAKERS:
            raise Refusal(400, f"{BAD_FORMAT} (start_speaker)")
        _check(org, body)
        return self.add(org, body)

    @endpoint("GET", "/v2/list-retell-llms")
    def _list(self, org: RetellOrg, asked: Asked) -> Json:
        return page_of([versions[-1] for versions in org.llms.values()], "llm_id", asked.query)

    @endpoint("GET", "/get-retell-llm/{id}")
    def _version(self, org: RetellOrg, asked: Asked) -> Json:
        return pick_version(asked.find(org.llms, 422), asked_version(asked))

    @endpoint("PATCH", "/update-retell-llm/{id}")
    def _update(self, org: RetellOrg, asked: Asked) -> Json:
        llm, body = self._version(org, asked), asked.json()
        if llm["is_published"]:
            raise Refusal(400, "Cannot update published LLM")
        _check(org, body)
        llm.update(body, **self._touched())
        return llm

    @endpoint("DELETE", "/delete-retell-llm/{id}")
    def _delete(self, org: RetellOrg, asked: Asked) -> None:
        asked.find(org.llms)
        engines = [version["response_engine"] for agent in org.agents.values() for version in agent]
        used = any(engine.get("llm_id") == asked.id for engine in engines)
        if used and asked.query.get("force_delete") != "true":
            raise Refusal(400, "The Retell LLM is in use by an agent.")
        del org.llms[asked.id]


def _check(org: RetellOrg, body: Json) -> None:
    if unknown := sorted(body.keys() - _FIELDS):
        raise Refusal(400, f"{BAD_FORMAT} ({unknown[0]})")
    tools = body.get("general_tools") or []
    names = [tool.get("name") for tool in tools]
    if not all(isinstance(name, str) and _TOOL_NAME.fullmatch(name) for name in names):
        raise Refusal(400, f"{BAD_FORMAT} (general_tools: name)")
    if len(set(names)) != len(names):
        raise Refusal(400, "Tool names must be unique.")
    for tool in tools:
        if tool.get("type") == "custom" and not str(tool.get("url", "")).startswith(("http://", "https://")):
            raise Refusal(400, f"{BAD_FORMAT} (general_tools: url)")
        parameters = tool.get("parameters", {"type": "object", "properties": {}})
        if parameters.get("type") != "object" or not isinstance(parameters.get("properties"), dict):
            raise Refusal(400, f"{BAD_FORMAT} (general_tools: parameters)")
    if not set(body.get("knowledge_base_ids") or ()) <= set(org.knowledge_bases):
        raise Refusal(422, "Cannot find the requested knowledge base.")
    if not all(isinstance(value, str) for value in (body.get("default_dynamic_variables") or {}).values()):
        raise Refusal(400, f"{BAD_FORMAT} (default_dynamic_variables: every value must be a string)")
