"""Stand-in for Retell's knowledge bases: made by a multipart form, and read in before they are of use.

Retell docs: Create knowledge base; its OpenAPI's states of one.
"""

from __future__ import annotations

import json
from typing import Any

from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, new_id
from adapters.sandbox.retell.org import BAD_FORMAT, KnowledgeBase, RetellOrg

_NAME_BELOW = 40


class KnowledgeBases(Part[RetellOrg]):
    operation = "assistants"

    @endpoint("POST", "/create-knowledge-base", status=201)
    def _create(self, org: RetellOrg, asked: Asked) -> Json:
        if not isinstance(asked.body, list):
            raise Refusal(400, f"{BAD_FORMAT} (a multipart form is wanted)")
        fields = {part["name"]: part["content"] for part in asked.body if part["filename"] is None}
        name, texts = fields.get("knowledge_base_name", ""), _texts(fields.get("knowledge_base_texts", "[]"))
        if not 0 < len(name) < _NAME_BELOW:
            raise Refusal(400, "Knowledge base name must be less than 40 characters.")
        kb_id = new_id("knowledge_base_", 16)
        record = {"knowledge_base_id": kb_id, "knowledge_base_name": name, "status": "in_progress"}
        org.knowledge_bases[kb_id] = KnowledgeBase(record, texts, org.knowledge_looks, org.knowledge_outcome)
        return record

    @endpoint("GET", "/list-knowledge-bases")
    def _list(self, org: RetellOrg, _asked: Asked) -> list[Json]:
        return [_look(base) for base in org.knowledge_bases.values()]

    @endpoint("GET", "/get-knowledge-base/{id}")
    def _get(self, org: RetellOrg, asked: Asked) -> Json:
        return _look(asked.find(org.knowledge_bases, 422))

    @endpoint("DELETE", "/delete-knowledge-base/{id}")
    def _delete(self, org: RetellOrg, asked: Asked) -> None:
        asked.pop(org.knowledge_bases, 422)


def _look(one: KnowledgeBase) -> Json:
    """Each look brings it closer to its outcome."""
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
