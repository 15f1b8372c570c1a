"""Bland's custom tools and knowledge bases, as the stand-in keeps them.

Sources: Bland docs (Create, List and Delete Custom Tool; Create, List and Delete Knowledge Base). Tools are for calls
that somebody else plays: the stand-in calls none.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Orgs, Refusal, fresh_hex, iso
from adapters.sandbox.bland_org import BlandOrg, is_https, org_of, refuse_unknown

_RESERVED = re.compile(
    "input|speak|transfer|switch|wait|finish|press|button|say|pause|record|play|dial|hang", re.IGNORECASE
)
_TOOL_FIELDS = {
    "name": str, "label": str, "description": str, "speech": str, "url": str, "method": str, "headers": dict,
    "body": (dict, str), "query": dict, "input_schema": dict, "response": dict, "timeout": (int, float), "public": bool,
}  # fmt: skip
_BASE_FIELDS = frozenset({"type", "name", "description", "text"})
_MOST_TEXT = 1_000_000
_MOST_ON_PAGE = 100


class BlandParts:
    """/v1/tools and /v1/knowledge. `pause`: how long Bland wants between two knowledge bases; `most_bases` per org."""

    def __init__(self, orgs: Orgs[BlandOrg], clock: Clock) -> None:
        self._orgs = orgs
        self._clock = clock
        self.pause = timedelta(0)  # ten seconds in Bland's own words; set by tests
        self.most_bases = 10_000

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/tools", self._list_tools, "assistants"),
            Endpoint("POST", "/v1/tools", self._create_tool, "assistants"),
            Endpoint("GET", "/v1/tools/{id}", self._get_tool, "assistants"),
            Endpoint("DELETE", "/v1/tools/{id}", self._delete_tool, "assistants"),
            Endpoint("GET", "/v1/knowledge", self._list_knowledge, "assistants"),
            Endpoint("POST", "/v1/knowledge/learn", self._learn, "assistants"),
            Endpoint("DELETE", "/v1/knowledge/{id}", self._delete_knowledge, "assistants"),
        ]

    def _list_tools(self, asked: Asked) -> Response:
        tools = org_of(self._orgs, asked, "assistants").tools.values()
        return JSONResponse({"status": "success", "tools": list(tools)})

    def _create_tool(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked, "assistants")
        tool = _checked_tool(asked.json())
        tool_id = f"TL-{uuid.uuid4()}"
        org.tools[tool_id] = {
            "tool_id": tool_id, "label": tool.pop("label", None), "public": tool.pop("public", False), "tool": tool
        }  # fmt: skip
        return JSONResponse({"status": "success", "tool_id": tool_id})

    def _tool(self, asked: Asked) -> tuple[BlandOrg, Json]:
        org = org_of(self._orgs, asked, "assistants")
        tool = org.tools.get(asked.parameters["id"])
        if tool is None:
            raise Refusal(404, "Tool not found")
        return org, tool

    def _get_tool(self, asked: Asked) -> Response:
        return JSONResponse({"data": None, "errors": None, "status": "success", "tool": self._tool(asked)[1]})

    def _delete_tool(self, asked: Asked) -> Response:
        org, tool = self._tool(asked)
        del org.tools[tool["tool_id"]]
        return JSONResponse({"status": "success", "message": "Tool has been deleted."})

    def _list_knowledge(self, asked: Asked) -> Response:
        bases = list(org_of(self._orgs, asked, "assistants").knowledge.values())
        page, limit = int(asked.query.get("page", 1)), min(int(asked.query.get("limit", 20)), _MOST_ON_PAGE)
        shown = [{key: value for key, value in base.items() if key != "text"} for base in bases]
        here = shown[(page - 1) * limit : page * limit]
        return JSONResponse({"data": {"kbs": here, "total": len(bases)}, "errors": None})

    def _learn(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked, "assistants")
        body = asked.json()
        refuse_unknown(body, _BASE_FIELDS)
        if body.get("type") != "text":
            raise Refusal(400, "type must be text, web or file; the stand-in reads texts only")
        if not body.get("name") or not isinstance(body.get("text"), str) or not body["text"]:
            raise Refusal(400, "name and text are required")
        if len(body["text"].encode()) > _MOST_TEXT:
            raise Refusal(400, "text must not be larger than 1MB")
        now = self._clock()
        if org.learned_at is not None and now - org.learned_at < self.pause:
            raise Refusal(429, "Please wait 10 seconds between knowledge base uploads.")
        if sum(base["status"] != "DELETED" for base in org.knowledge.values()) >= self.most_bases:
            raise Refusal(400, "You have reached your knowledge base upload limit")
        org.learned_at = now
        base_id = fresh_hex("kb_", 26).upper().replace("KB_", "kb_")
        base = {
            "id": base_id, "name": body["name"], "description": body.get("description"), "type": "TEXT",
            "status": "COMPLETED", "created_at": iso(now), "updated_at": iso(now), "text": body["text"],
        }  # fmt: skip
        org.knowledge[base_id] = base
        shown = {key: value for key, value in base.items() if key != "text"} | {"status": "PROCESSING"}
        return JSONResponse({"data": shown, "errors": None})

    def _delete_knowledge(self, asked: Asked) -> Response:
        base = org_of(self._orgs, asked, "assistants").knowledge.get(asked.parameters["id"])
        if base is None or base["status"] == "DELETED":
            raise Refusal(404, "KB not found or access denied")
        base["status"] = "DELETED"  # it stays in the list, as Bland's page on deleting says
        answer = {"success": True, "message": "Knowledge base successfully deleted", "knowledge_base_id": base["id"]}
        return JSONResponse({"data": answer, "errors": None})


def _checked_tool(body: Json) -> Json:
    refuse_unknown(body, frozenset(_TOOL_FIELDS))
    for name, value in body.items():
        if not isinstance(value, _TOOL_FIELDS[name]):  # type: ignore[arg-type]
            raise Refusal(400, f"{name} is of the wrong type")
    for name in ("name", "description", "url"):
        if not body.get(name):
            raise Refusal(400, f"{name} is required")
    if reserved := _RESERVED.search(body["name"]):
        raise Refusal(400, f"name must not include {reserved[0]}")
    if not is_https(body["url"]):
        raise Refusal(400, "url must begin with https://")
    if body.get("method", "GET") not in {"GET", "POST"}:
        raise Refusal(400, "method must be GET or POST")
    return dict(body)
