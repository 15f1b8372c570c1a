"""The part of the stand-in for Vapi that keeps assistants, and the files that hold what they know.

Sources: Vapi's OpenAPI (CreateAssistantDTO, UpdateAssistantDTO, File) and its docs (Knowledge base).
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Json, Refusal, endpoint
from adapters.sandbox.vapi.assistant_checks import of_assistant
from adapters.sandbox.vapi.checks import NAME_LENGTH, NAME_TOO_LONG, accept
from adapters.sandbox.vapi.org import Collection, VapiOrg


class Assistants(Collection):
    prefix = "/assistant"
    operation = "assistants"

    def records(self, org: VapiOrg) -> dict[str, Json]:
        return org.assistants

    @endpoint("GET", operation=lambda query: "check" if query.get("limit") == "1" else "assistants")
    def _list(self, org: VapiOrg, asked: Asked) -> list[Json]:
        """A list of one assistant is how a key is checked (Vapi docs: API keys)."""
        return super()._list(org, asked)

    @endpoint("POST", status=201)
    def _create(self, org: VapiOrg, asked: Asked) -> Json:
        accept(of_assistant(asked.json(), org.files))
        return self.keep(org, asked.json())

    @endpoint("PATCH", "/{id}")
    def _update(self, org: VapiOrg, asked: Asked) -> Json:
        assistant = asked.find(org.assistants)
        accept(of_assistant(asked.json(), org.files))
        return self.change(org, assistant, asked.json())

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: VapiOrg, asked: Asked) -> Json | Response:
        """An assistant of which a squad uses a fixed version stays (AssistantPinnedConflictResponseDTO)."""
        if asked.find(org.assistants)["id"] in org.pinned:
            message = "Assistant is pinned by 1 squad. Remove the pin first."
            return JSONResponse({"error": "assistant_pinned", "message": message}, 409)
        return super()._delete(org, asked)


class Files(Collection):
    prefix = "/file"
    operation = "assistants"

    def records(self, org: VapiOrg) -> dict[str, Json]:
        return org.files

    def _list(self, org: VapiOrg, asked: Asked) -> list[Json]:  # noqa: ARG002
        """All of them: this list has no pages."""
        return list(org.files.values())

    @endpoint("POST", status=201)
    def _upload(self, org: VapiOrg, asked: Asked) -> Json:
        parts = asked.body if isinstance(asked.body, list) else []
        sent = [part for part in parts if isinstance(part, dict) and part.get("name") == "file"]
        if len(sent) != 1 or not sent[0].get("filename"):
            raise Refusal(400, "File Is Required.")
        return self.keep(org, _describe_file(sent[0]))

    @endpoint("PATCH", "/{id}")
    def _rename(self, org: VapiOrg, asked: Asked) -> Json:
        body = asked.json()
        if set(body) - {"name"} or len(str(body.get("name", ""))) > NAME_LENGTH:
            raise Refusal(400, [NAME_TOO_LONG])
        return self.change(org, asked.find(org.files), body)


def _describe_file(part: Json) -> Json:
    return {
        "object": "file",
        "status": "done",
        "name": part["filename"][:NAME_LENGTH],
        "originalName": part["filename"],
        "bytes": len(part["content"].encode()),
        "mimetype": part["content_type"],
        "metadata": {"text": part["content"]},  # for tests to look at; Vapi serves the text at a URL
    }
