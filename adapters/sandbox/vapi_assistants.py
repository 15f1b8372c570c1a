"""The part of the stand-in for Vapi that keeps assistants, and the files with what they know.

Sources: Vapi's OpenAPI (CreateAssistantDTO, UpdateAssistantDTO, File) and its docs (Knowledge base).
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Operation, Orgs, Refusal
from adapters.sandbox.vapi_assistant_checks import of_assistant
from adapters.sandbox.vapi_checks import accept
from adapters.sandbox.vapi_org import VapiOrg, change, keep, org_of, owned, page

_NAME_LENGTH = 40


class Assistants:
    """/assistant and /file."""

    def __init__(self, orgs: Orgs[VapiOrg], clock: Clock) -> None:
        self._orgs = orgs
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/assistant", self._list, _listing),
            Endpoint("POST", "/assistant", self._create, "assistants"),
            Endpoint("GET", "/assistant/{id}", self._get, "assistants"),
            Endpoint("PATCH", "/assistant/{id}", self._update, "assistants"),
            Endpoint("DELETE", "/assistant/{id}", self._delete, "assistants"),
            Endpoint("GET", "/file", self._list_files, "assistants"),
            Endpoint("POST", "/file", self._upload, "assistants"),
            Endpoint("GET", "/file/{id}", self._get_file, "assistants"),
            Endpoint("PATCH", "/file/{id}", self._rename_file, "assistants"),
            Endpoint("DELETE", "/file/{id}", self._delete_file, "assistants"),
        ]

    def _list(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        return JSONResponse(page(org, org.assistants, asked))

    def _create(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        accept(of_assistant(asked.json(), org.files))
        return JSONResponse(keep(org, org.assistants, asked.json(), self._clock()), 201)

    def _get(self, asked: Asked) -> Response:
        return JSONResponse(owned(org_of(self._orgs, asked).assistants, asked))

    def _update(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        assistant = owned(org.assistants, asked)
        accept(of_assistant(asked.json(), org.files))
        return JSONResponse(change(org, assistant, asked.json(), self._clock()))

    def _delete(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        return JSONResponse(org.assistants.pop(owned(org.assistants, asked)["id"]))

    def _list_files(self, asked: Asked) -> Response:
        """All of them: this list has no pages."""
        return JSONResponse(list(org_of(self._orgs, asked).files.values()))

    def _upload(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        parts = asked.body if isinstance(asked.body, list) else []
        sent = [part for part in parts if isinstance(part, dict) and part.get("name") == "file"]
        if len(sent) != 1 or not sent[0].get("filename"):
            raise Refusal(400, "File Is Required.")
        return JSONResponse(keep(org, org.files, _file(sent[0]), self._clock()), 201)

    def _get_file(self, asked: Asked) -> Response:
        return JSONResponse(owned(org_of(self._orgs, asked).files, asked))

    def _rename_file(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        body = asked.json()
        if set(body) - {"name"} or len(str(body.get("name", ""))) > _NAME_LENGTH:
            raise Refusal(400, ["name must be shorter than or equal to 40 characters"])
        return JSONResponse(change(org, owned(org.files, asked), body, self._clock()))

    def _delete_file(self, asked: Asked) -> Response:
        org = org_of(self._orgs, asked)
        return JSONResponse(org.files.pop(owned(org.files, asked)["id"]))


def _file(part: Json) -> Json:
    return {
        "object": "file",
        "status": "done",
        "name": part["filename"][:_NAME_LENGTH],
        "originalName": part["filename"],
        "bytes": len(part["content"].encode()),
        "mimetype": part["content_type"],
        "metadata": {"text": part["content"]},  # for tests to look at; at Vapi the text is behind an address
    }


def _listing(query: Mapping[str, str]) -> Operation:
    """A list of one assistant is how a key is tried (Vapi docs: API keys)."""
    return "check" if query.get("limit") == "1" else "assistants"
