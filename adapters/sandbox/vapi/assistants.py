"""The part of the stand-in for Vapi that keeps assistants. Source: Vapi's OpenAPI (CreateAssistantDTO, UpdateAssistantDTO)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Operation
from adapters.sandbox.orgs import Part
from adapters.sandbox.vapi.assistant_checks import of_assistant
from adapters.sandbox.vapi.checks import accept
from adapters.sandbox.vapi.org import VapiOrg, change, keep, owned, page


class Assistants(Part[VapiOrg]):
    """/assistant."""

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/assistant", self._list, _listing),
            Endpoint("POST", "/assistant", self._create, "assistants"),
            Endpoint("GET", "/assistant/{id}", self._get, "assistants"),
            Endpoint("PATCH", "/assistant/{id}", self._update, "assistants"),
            Endpoint("DELETE", "/assistant/{id}", self._delete, "assistants"),
        ]

    def _list(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        return JSONResponse(page(org, org.assistants, asked))

    def _create(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        accept(of_assistant(asked.json(), org.files))
        return JSONResponse(keep(org, org.assistants, asked.json(), self._clock()), 201)

    def _get(self, asked: Asked) -> Response:
        return JSONResponse(owned(self._orgs.asking(asked).assistants, asked))

    def _update(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        assistant = owned(org.assistants, asked)
        accept(of_assistant(asked.json(), org.files))
        return JSONResponse(change(org, assistant, asked.json(), self._clock()))

    def _delete(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        return JSONResponse(org.assistants.pop(owned(org.assistants, asked)["id"]))


def _listing(query: Mapping[str, str]) -> Operation:
    """A list of one assistant is how a key is tried (Vapi docs: API keys)."""
    return "check" if query.get("limit") == "1" else "assistants"
