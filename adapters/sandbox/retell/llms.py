"""Stand-in for Retell's LLMs: what an agent says and does, in versions that share their numbers with the agent's.

Retell docs, Setup versioning for agents: a published LLM cannot be changed; a new draft of the agent brings a new draft
of its LLM under the same id.
"""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_id
from adapters.sandbox.retell.org import BAD_FORMAT, RetellOrg, RetellPart, asked_version, page_of, pick_version

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SPEAKERS = ("agent", "user")


class Llms(RetellPart):
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/create-retell-llm", self._create, "assistants"),
            Endpoint("GET", "/v2/list-retell-llms", self._list, "assistants"),
            Endpoint("GET", "/get-retell-llm/{id}", lambda asked: JSONResponse(self._version(asked)), "assistants"),
            Endpoint("PATCH", "/update-retell-llm/{id}", self._update, "assistants"),
            Endpoint("DELETE", "/delete-retell-llm/{id}", self._delete, "assistants"),
        ]

    def add(self, org: RetellOrg, body: Json) -> Json:
        llm_id = new_id("llm_", 28)
        llm = {"model": "gpt-4.1", **body, "llm_id": llm_id, "version": 0, "is_published": False, **self._touched()}
        org.llms[llm_id] = [llm]
        return llm

    def _create(self, asked: Asked) -> Response:
        org, body = self._orgs.asking(asked), asked.json()
        if body.get("start_speaker") not in _SPEAKERS:
            raise Refusal(400, f"{BAD_FORMAT} (start_speaker)")
        _check(org, body)
        return JSONResponse(self.add(org, body), 201)

    def _list(self, asked: Asked) -> Response:
        latest = [versions[-1] for versions in self._orgs.asking(asked).llms.values()]
        return JSONResponse(page_of(latest, "llm_id", asked.query))

    def _version(self, asked: Asked) -> Json:
        versions = self._orgs.asking(asked).llms.get(asked.parameters["id"])
        if versions is None:
            raise Refusal(422)
        return pick_version(versions, asked_version(asked))

    def _update(self, asked: Asked) -> Response:
        llm, body = self._version(asked), asked.json()
        if llm["is_published"]:
            raise Refusal(400, "Cannot update published LLM")
        _check(self._orgs.asking(asked), body)
        llm.update(body, **self._touched())
        return JSONResponse(llm)

    def _delete(self, asked: Asked) -> Response:
        org, llm_id = self._orgs.asking(asked), asked.parameters["id"]
        if llm_id not in org.llms:
            raise Refusal(404)
        used = any(
            version["response_engine"].get("llm_id") == llm_id for agent in org.agents.values() for version in agent
        )
        if used and asked.query.get("force_delete") != "true":
            raise Refusal(400, "The Retell LLM is in use by an agent.")
        del org.llms[llm_id]
        return Response(status_code=204)


def _check(org: RetellOrg, body: Json) -> None:
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
