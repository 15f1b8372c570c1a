"""The part of the stand-in for Bland that keeps knowledge bases.

Source: Bland docs (Create, List and Delete Knowledge Base).
"""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Clock, Endpoint, Refusal, iso
from adapters.sandbox.bland.org import BlandOrg, refuse_unknown
from adapters.sandbox.ids import new_id
from adapters.sandbox.orgs import Orgs, Part

_FIELDS = frozenset({"type", "name", "description", "text"})
_MOST_TEXT = 1_000_000
_MOST_ON_PAGE = 100


class KnowledgeBases(Part[BlandOrg]):
    """/v1/knowledge. `pause`: how long Bland wants between two knowledge bases; `most`: how many an org may have."""

    def __init__(self, orgs: Orgs[BlandOrg], clock: Clock) -> None:
        super().__init__(orgs, clock)
        self.pause = timedelta(0)  # ten seconds in Bland's own words; set by tests
        self.most = 10_000

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/knowledge", self._list, "assistants"),
            Endpoint("POST", "/v1/knowledge/learn", self._learn, "assistants"),
            Endpoint("DELETE", "/v1/knowledge/{id}", self._delete, "assistants"),
        ]

    def _list(self, asked: Asked) -> Response:
        bases = list(self._orgs.asking(asked).knowledge.values())
        page, limit = int(asked.query.get("page", 1)), min(int(asked.query.get("limit", 20)), _MOST_ON_PAGE)
        shown = [{key: value for key, value in base.items() if key != "text"} for base in bases]
        here = shown[(page - 1) * limit : page * limit]
        return JSONResponse({"data": {"kbs": here, "total": len(bases)}, "errors": None})

    def _learn(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        body = asked.json()
        refuse_unknown(body, _FIELDS)
        if body.get("type") != "text":
            raise Refusal(400, "type must be text, web or file; the stand-in reads texts only")
        if not body.get("name") or not isinstance(body.get("text"), str) or not body["text"]:
            raise Refusal(400, "name and text are required")
        if len(body["text"].encode()) > _MOST_TEXT:
            raise Refusal(400, "text must not be larger than 1MB")
        now = self._clock()
        if org.learned_at is not None and now - org.learned_at < self.pause:
            raise Refusal(429, "Please wait 10 seconds between knowledge base uploads.")
        if sum(base["status"] != "DELETED" for base in org.knowledge.values()) >= self.most:
            raise Refusal(400, "You have reached your knowledge base upload limit")
        org.learned_at = now
        base_id = f"kb_{new_id(digits=26).upper()}"
        base = {
            "id": base_id, "name": body["name"], "description": body.get("description"), "type": "TEXT",
            "status": "COMPLETED", "created_at": iso(now), "updated_at": iso(now), "text": body["text"],
        }  # fmt: skip
        org.knowledge[base_id] = base
        shown = {key: value for key, value in base.items() if key != "text"} | {"status": "PROCESSING"}
        return JSONResponse({"data": shown, "errors": None})

    def _delete(self, asked: Asked) -> Response:
        base = self._orgs.asking(asked).knowledge.get(asked.parameters["id"])
        if base is None or base["status"] == "DELETED":
            raise Refusal(404, "KB not found or access denied")
        base["status"] = "DELETED"  # it stays in the list, as Bland's page on deleting says
        answer = {"success": True, "message": "Knowledge base successfully deleted", "knowledge_base_id": base["id"]}
        return JSONResponse({"data": answer, "errors": None})
