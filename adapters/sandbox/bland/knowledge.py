"""The part of the stand-in for Bland that keeps knowledge bases.

Source: Bland docs (Create, List and Delete Knowledge Base).
"""

from __future__ import annotations

from datetime import timedelta

from adapters.sandbox.api import Asked, Clock, Json, Part, Refusal, endpoint, iso, new_id
from adapters.sandbox.bland.org import BlandOrg, refuse_unknown
from adapters.sandbox.orgs import Orgs

_FIELDS = frozenset({"type", "name", "description", "text"})
_MOST_TEXT = 1_000_000
_MOST_ON_PAGE = 100


class KnowledgeBases(Part[BlandOrg]):
    """`pause`: how long Bland wants between two knowledge bases; `most`: how many an org may have."""

    operation = "assistants"

    def __init__(self, orgs: Orgs[BlandOrg], clock: Clock) -> None:
        super().__init__(orgs, clock)
        self.pause = timedelta(0)  # ten seconds in Bland's own words; set by tests
        self.most = 10_000

    @endpoint("GET", "/v1/knowledge")
    def _list(self, org: BlandOrg, asked: Asked) -> Json:
        page, limit = int(asked.query.get("page", 1)), min(int(asked.query.get("limit", 20)), _MOST_ON_PAGE)
        here = list(org.knowledge.values())[(page - 1) * limit : page * limit]
        return {"data": {"kbs": [_show(base) for base in here], "total": len(org.knowledge)}, "errors": None}

    @endpoint("POST", "/v1/knowledge/learn")
    def _learn(self, org: BlandOrg, asked: Asked) -> Json:
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
        return {"data": _show(base) | {"status": "PROCESSING"}, "errors": None}

    @endpoint("DELETE", "/v1/knowledge/{id}")
    def _delete(self, org: BlandOrg, asked: Asked) -> Json:
        there = {base_id: base for base_id, base in org.knowledge.items() if base["status"] != "DELETED"}
        base = asked.find(there, message="KB not found or access denied")
        base["status"] = "DELETED"  # it stays in the list, as Bland's page on deleting says
        answer = {"success": True, "message": "Knowledge base successfully deleted", "knowledge_base_id": base["id"]}
        return {"data": answer, "errors": None}


def _show(base: Json) -> Json:
    return {name: value for name, value in base.items() if name != "text"}
