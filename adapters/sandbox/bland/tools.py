"""The part of the stand-in for Bland that keeps custom tools. It never calls one.

Source: Bland docs (Create, List and Delete Custom Tool).
"""

from __future__ import annotations

import re

from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, is_https, new_uuid
from adapters.sandbox.bland.org import BlandOrg, refuse_unknown

_RESERVED = re.compile(
    "input|speak|transfer|switch|wait|finish|press|button|say|pause|record|play|dial|hang", re.IGNORECASE
)
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str, "label": str, "description": str, "speech": str, "url": str, "method": str, "headers": dict,
    "body": (dict, str), "query": dict, "input_schema": dict, "response": dict, "timeout": (int, float), "public": bool,
}  # fmt: skip


class Tools(Part[BlandOrg]):
    prefix = "/v1/tools"
    operation = "assistants"

    @endpoint("GET")
    def _list(self, org: BlandOrg, _asked: Asked) -> Json:
        return {"status": "success", "tools": list(org.tools.values())}

    @endpoint("POST")
    def _create(self, org: BlandOrg, asked: Asked) -> Json:
        tool = _checked_tool(asked.json())
        tool_id = f"TL-{new_uuid()}"
        org.tools[tool_id] = {
            "tool_id": tool_id, "label": tool.pop("label", None), "public": tool.pop("public", False), "tool": tool
        }  # fmt: skip
        return {"status": "success", "tool_id": tool_id}

    @endpoint("GET", "/{id}")
    def _get(self, org: BlandOrg, asked: Asked) -> Json:
        tool = asked.find(org.tools, message="Tool not found")
        return {"data": None, "errors": None, "status": "success", "tool": tool}

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: BlandOrg, asked: Asked) -> Json:
        asked.pop(org.tools, message="Tool not found")
        return {"status": "success", "message": "Tool has been deleted."}


def _checked_tool(body: Json) -> Json:
    refuse_unknown(body, frozenset(_FIELDS))
    for name, value in body.items():
        if not isinstance(value, _FIELDS[name]):
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
