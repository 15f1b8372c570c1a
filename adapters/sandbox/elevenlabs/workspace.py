"""The parts of the stand-in for ElevenLabs that keep documents and webhooks of the workspace. It sends no reports.

Sources: ElevenLabs' OpenAPI (Create document from text, list and delete knowledge base documents; workspace webhooks).
"""

from __future__ import annotations

from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, is_https, new_id
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg, access_of, check_fields, invalid, page_of


class Documents(Part[ElevenLabsOrg]):
    prefix = "/v1/convai/knowledge-base"
    operation = "assistants"

    @endpoint("GET")
    def _list(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        return page_of("documents", org.documents.values(), asked)

    @endpoint("POST", "/text")
    def _create(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        body = check_fields("body", asked.json(), ("text", "name", "parent_folder_id"), ("text",))
        if not body["text"]:
            raise invalid("body.text", "String should have at least 1 character")
        document_id, now = new_id("", 20), int(self._clock().timestamp())
        name = body.get("name") or "Text"
        org.texts[document_id] = body["text"]
        org.documents[document_id] = {
            "type": "text",
            "id": document_id,
            "name": name,
            "metadata": {
                "created_at_unix_secs": now,
                "last_updated_at_unix_secs": now,
                "size_bytes": len(body["text"].encode()),
            },
            "supported_usages": ["prompt", "auto"],
            "access_info": access_of(org),
            "dependent_agents": [],
        }
        return {"id": document_id, "name": name, "folder_path": []}

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        asked.find(org.documents)
        if any(one["id"] == asked.id for prompt in org.prompts() for one in prompt.get("knowledge_base", [])):
            raise Refusal(400, "The document is used by 1 agent. Remove it there, or use force.")
        del org.documents[asked.id], org.texts[asked.id]
        return {}


class Webhooks(Part[ElevenLabsOrg]):
    prefix = "/v1/workspace/webhooks"
    operation = "assistants"

    @endpoint("GET")
    def _list(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        shown = [dict(one) for one in org.webhooks.values()]
        if asked.query.get("include_usages") == "true":
            shown = [one | {"usage": _usage(org, one["webhook_id"])} for one in shown]
        return {"webhooks": shown}

    @endpoint("POST")
    def _create(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        settings = check_fields("body", asked.json(), ("settings",), ("settings",))["settings"]
        known = ("auth_type", "name", "webhook_url", "request_headers")
        check_fields("body.settings", settings, known, ("auth_type", "name", "webhook_url"))
        if settings["auth_type"] != "hmac":
            raise invalid("body.settings.auth_type", "Input should be 'hmac'")
        if not is_https(settings["webhook_url"]):
            raise invalid("body.settings.webhook_url", "URL must be https")
        webhook_id = new_id("", 32)
        org.webhooks[webhook_id] = {
            "name": settings["name"],
            "webhook_id": webhook_id,
            "webhook_url": settings["webhook_url"],
            "is_disabled": False,
            "is_auto_disabled": False,
            "created_at_unix": int(self._clock().timestamp()),
            "auth_type": "hmac",
        }
        return {"webhook_id": webhook_id, "webhook_secret": new_id("wsec_", 32)}

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: ElevenLabsOrg, asked: Asked) -> Json:
        asked.pop(org.webhooks)
        return {"status": "ok"}


def _usage(org: ElevenLabsOrg, webhook_id: str) -> list[Json]:
    overrides = (agent["platform_settings"].get("workspace_overrides") or {} for agent in org.agents.values())
    in_use = any((one.get("webhooks") or {}).get("post_call_webhook_id") == webhook_id for one in overrides)
    return [{"usage_type": "ConvAI Agent Settings"}] if in_use else []
