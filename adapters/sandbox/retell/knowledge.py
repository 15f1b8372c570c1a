"""Stand-in for Retell's knowledge bases: made by a multipart form, and read in before they are of use.

Retell docs: Create knowledge base; its OpenAPI's states of one.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_id
from adapters.sandbox.orgs import Part
from adapters.sandbox.retell.org import BAD_FORMAT, KnowledgeBase, RetellOrg

_NAME_BELOW = 40


class KnowledgeBases(Part[RetellOrg]):
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/create-knowledge-base", self._create, "assistants"),
            Endpoint("GET", "/list-knowledge-bases", self._list, "assistants"),
            Endpoint("GET", "/get-knowledge-base/{id}", self._get, "assistants"),
            Endpoint("DELETE", "/delete-knowledge-base/{id}", self._delete, "assistants"),
        ]

    def _create(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        if not isinstance(asked.body, list):
            raise Refusal(400, f"{BAD_FORMAT} (a multipart form is wanted)")
        fields = {part["name"]: part["content"] for part in asked.body if part["filename"] is None}
        name, texts = fields.get("knowledge_base_name", ""), _texts(fields.get("knowledge_base_texts", "[]"))
        if not 0 < len(name) < _NAME_BELOW:
            raise Refusal(400, "Knowledge base name must be less than 40 characters.")
        kb_id = new_id("knowledge_base_", 16)
        record = {"knowledge_base_id": kb_id, "knowledge_base_name": name, "status": "in_progress"}
        made = KnowledgeBase(record, texts, org.knowledge_looks, org.knowledge_outcome)
        org.knowledge_bases[kb_id] = made
        return JSONResponse(record, 201)

    def _list(self, asked: Asked) -> Response:
        return JSONResponse([_look(one) for one in self._orgs.asking(asked).knowledge_bases.values()])

    def _one(self, asked: Asked) -> KnowledgeBase:
        found = self._orgs.asking(asked).knowledge_bases.get(asked.parameters["id"])
        if found is None:
            raise Refusal(422)
        return found

    def _get(self, asked: Asked) -> Response:
        return JSONResponse(_look(self._one(asked)))

    def _delete(self, asked: Asked) -> Response:
        self._one(asked)
        del self._orgs.asking(asked).knowledge_bases[asked.parameters["id"]]
        return Response(status_code=204)


def _look(one: KnowledgeBase) -> Json:
    """Looking at it lets its time pass."""
    if one.looks_left > 0:
        one.looks_left -= 1
        return one.record
    one.record["status"] = one.outcome
    if one.outcome == "complete":
        one.record["knowledge_base_sources"] = [
            {"type": "text", "source_id": f"source_{place}", "title": text["title"], "content_url": "https://x.example"}
            for place, text in enumerate(one.texts)
        ]
    return one.record


def _texts(written: str) -> list[Any]:
    try:
        texts = json.loads(written)
    except ValueError:
        texts = None
    if not isinstance(texts, list) or not all(isinstance(one, dict) and set(one) == {"title", "text"} for one in texts):
        raise Refusal(400, f"{BAD_FORMAT} (knowledge_base_texts)")
    return texts
