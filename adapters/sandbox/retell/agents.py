"""Stand-in for Retell's agents: versions of which published ones never change.

Retell docs, Setup versioning for agents; Create draft agent version; Publish agent. That an agent keeps its response
engine once it has versions, and the words of these refusals, are as people met them.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_id
from adapters.sandbox.retell.org import BAD_FORMAT, RetellOrg, RetellPart, asked_version, page_of, pick_version

_VOICES = ("11labs-", "cartesia-", "custom_voice_", "minimax-", "openai-", "retell-")
_SHORTEST, _LONGEST = 60_000, 7_200_000  # milliseconds of a call


class Agents(RetellPart):
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/create-agent", self._create, "assistants"),
            Endpoint("POST", "/v2/list-agents", self._list, "assistants"),
            Endpoint("GET", "/get-agent/{id}", lambda asked: JSONResponse(self._version(asked)), "assistants"),
            Endpoint("GET", "/list-agent-versions/{id}", self._list_versions, "assistants"),
            Endpoint("PATCH", "/update-agent/{id}", self._update, "assistants"),
            Endpoint("POST", "/create-agent-version/{id}", self._create_version, "assistants"),
            Endpoint("POST", "/publish-agent-version/{id}", self._publish, "assistants"),
            Endpoint("DELETE", "/delete-agent/{id}", self._delete, "assistants"),
        ]

    def add(self, org: RetellOrg, body: Json) -> Json:
        agent_id = new_id("agent_", 28)
        agent = {"language": "en-US", **body, "agent_id": agent_id, "version": 0, "is_published": False}
        org.agents[agent_id] = [agent | self._touched()]
        return org.agents[agent_id][0]

    def publish(self, org: RetellOrg, agent: Json) -> None:
        agent["is_published"] = True
        llm = _llm_of(org, agent)
        if llm is not None:
            llm["is_published"] = True

    def _create(self, asked: Asked) -> Response:
        org, body = self._orgs.asking(asked), asked.json()
        engine = body.get("response_engine")
        if not isinstance(engine, dict) or not body.get("voice_id"):
            raise Refusal(400)
        _check(body)
        if engine.get("type") == "retell-llm":
            versions = org.llms.get(str(engine.get("llm_id")))
            if versions is None:
                raise Refusal(422)
            body = {**body, "response_engine": {"version": versions[-1]["version"], **engine}}
        return JSONResponse(self.add(org, body), 201)

    def _list(self, asked: Asked) -> Response:
        query = (asked.json().get("filter_criteria") or {}).get("query", "") if asked.raw else ""
        found = [
            self._summary(versions[-1])
            for agent_id, versions in self._orgs.asking(asked).agents.items()
            if query.lower() in str(versions[-1].get("agent_name") or "").lower() or query in agent_id
        ]
        return JSONResponse(page_of(found, "agent_id", asked.query))

    def _summary(self, agent: Json) -> Json:
        return {
            "agent_id": agent["agent_id"],
            "agent_name": agent.get("agent_name") or "",
            "channel": "voice",
            "is_suspended": False,
            "tags": {},
            "user_modified_timestamp": agent["last_modification_timestamp"],
        }

    def _versions(self, asked: Asked) -> list[Json]:
        versions = self._orgs.asking(asked).agents.get(asked.parameters["id"])
        if versions is None:
            raise Refusal(404)
        return versions

    def _version(self, asked: Asked) -> Json:
        return pick_version(self._versions(asked), asked_version(asked))

    def _list_versions(self, asked: Asked) -> Response:
        names = ("version", "is_published", "last_modification_timestamp", "base_version", "version_title")
        versions = [{name: one[name] for name in names if name in one} for one in self._versions(asked)]
        return JSONResponse(page_of(versions, "version", asked.query))

    def _update(self, asked: Asked) -> Response:
        draft, body = self._version(asked), asked.json()
        if draft["is_published"] and set(body) - {"version_title"}:
            raise Refusal(422, "Cannot update published agent other than version title")
        if "response_engine" in body and len(self._versions(asked)) > 1:
            raise Refusal(400, "Cannot update response engine after agent versions have been created")
        _check(body)
        draft.update(body, **self._touched())
        return JSONResponse(draft)

    def _create_version(self, asked: Asked) -> Response:
        org, versions = self._orgs.asking(asked), self._versions(asked)
        base = pick_version(versions, asked.json().get("base_version"))
        changes: Json = {"version": len(versions), "base_version": base["version"], "is_published": False}
        llm = _llm_of(org, base)
        if llm is not None:
            of_llm = org.llms[llm["llm_id"]]
            of_llm.append(llm | {"version": len(of_llm), "is_published": False} | self._touched())
            changes["response_engine"] = base["response_engine"] | {"version": of_llm[-1]["version"]}
        versions.append({name: value for name, value in base.items() if name != "version_title"} | changes)
        versions[-1].update(self._touched())
        return JSONResponse(versions[-1], 201)

    def _publish(self, asked: Asked) -> Response:
        body = asked.json()
        version: Any = body.get("version")
        if not isinstance(version, int) or set(body) - {"version", "version_title", "version_description"}:
            raise Refusal(400)
        agent = pick_version(self._versions(asked), version)
        if agent["is_published"]:
            raise Refusal(400, "The version is published already.")
        self.publish(self._orgs.asking(asked), agent)
        return Response(status_code=200)

    def _delete(self, asked: Asked) -> Response:
        self._versions(asked)
        del self._orgs.asking(asked).agents[asked.parameters["id"]]
        return Response(status_code=204)


def _llm_of(org: RetellOrg, agent: Json) -> Json | None:
    """The version of the LLM that a version of an agent speaks with, while both are there."""
    engine = agent["response_engine"]
    versions = org.llms.get(str(engine.get("llm_id")))
    return None if versions is None else versions[int(engine.get("version") or 0)]


def _check(body: Json) -> None:
    longest = body.get("max_call_duration_ms", _LONGEST)
    if not isinstance(longest, int) or not _SHORTEST <= longest <= _LONGEST:
        raise Refusal(400, f"{BAD_FORMAT} (max_call_duration_ms)")
    if "voice_id" in body and not str(body["voice_id"]).startswith(_VOICES):
        raise Refusal(404, f"Cannot find requested voice {body['voice_id']}.")
    if body.get("language") == []:
        raise Refusal(400, f"{BAD_FORMAT} (language)")
