"""The part of the stand-in for Bland that keeps custom tools. It calls none: the calls themselves are played elsewhere.

Source: Bland docs (Create, List and Delete Custom Tool).
"""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.bland.org import BlandOrg, is_https, refuse_unknown
from adapters.sandbox.ids import new_uuid
from adapters.sandbox.orgs import Part

_RESERVED = re.compile(
    "input|speak|transfer|switch|wait|finish|press|button|say|pause|record|play|dial|hang", re.IGNORECASE
)
_FIELDS = {
    "name": str, "label": str, "description": str, "speech": str, "url": str, "method": str, "headers": dict,
    "body": (dict, str), "query": dict, "input_schema": dict, "response": dict, "timeout": (int, float), "public": bool,
}  # fmt: skip


class Tools(Part[BlandOrg]):
    """/v1/tools."""

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/tools", self._list, "assistants"),
            Endpoint("POST", "/v1/tools", self._create, "assistants"),
            Endpoint("GET", "/v1/tools/{id}", self._get, "assistants"),
            Endpoint("DELETE", "/v1/tools/{id}", self._delete, "assistants"),
        ]

    def _list(self, asked: Asked) -> Response:
        tools = self._orgs.asking(asked).tools.values()
        return JSONResponse({"status": "success", "tools": list(tools)})

    def _create(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        tool = _checked_tool(asked.json())
        tool_id = f"TL-{new_uuid()}"
        org.tools[tool_id] = {
            "tool_id": tool_id, "label": tool.pop("label", None), "public": tool.pop("public", False), "tool": tool
        }  # fmt: skip
        return JSONResponse({"status": "success", "tool_id": tool_id})

    def _tool(self, asked: Asked) -> tuple[BlandOrg, Json]:
        org = self._orgs.asking(asked)
        tool = org.tools.get(asked.parameters["id"])
        if tool is None:
            raise Refusal(404, "Tool not found")
        return org, tool

    def _get(self, asked: Asked) -> Response:
        return JSONResponse({"data": None, "errors": None, "status": "success", "tool": self._tool(asked)[1]})

    def _delete(self, asked: Asked) -> Response:
        org, tool = self._tool(asked)
        del org.tools[tool["tool_id"]]
        return JSONResponse({"status": "success", "message": "Tool has been deleted."})


def _checked_tool(body: Json) -> Json:
    refuse_unknown(body, frozenset(_FIELDS))
    for name, value in body.items():
        if not isinstance(value, _FIELDS[name]):  # type: ignore[arg-type]
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
