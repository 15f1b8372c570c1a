"""The part of the stand-in for Vapi that keeps files, which hold what assistants know.

Sources: Vapi's OpenAPI (File) and its docs (Knowledge base).
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.orgs import Part
from adapters.sandbox.vapi.org import VapiOrg, change, keep, owned

_NAME_LENGTH = 40


class Files(Part[VapiOrg]):
    """/file."""

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/file", self._list, "assistants"),
            Endpoint("POST", "/file", self._upload, "assistants"),
            Endpoint("GET", "/file/{id}", self._get, "assistants"),
            Endpoint("PATCH", "/file/{id}", self._rename, "assistants"),
            Endpoint("DELETE", "/file/{id}", self._delete, "assistants"),
        ]

    def _list(self, asked: Asked) -> Response:
        """All of them: this list has no pages."""
        return JSONResponse(list(self._orgs.asking(asked).files.values()))

    def _upload(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        parts = asked.body if isinstance(asked.body, list) else []
        sent = [part for part in parts if isinstance(part, dict) and part.get("name") == "file"]
        if len(sent) != 1 or not sent[0].get("filename"):
            raise Refusal(400, "File Is Required.")
        return JSONResponse(keep(org, org.files, _file(sent[0]), self._clock()), 201)

    def _get(self, asked: Asked) -> Response:
        return JSONResponse(owned(self._orgs.asking(asked).files, asked))

    def _rename(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        body = asked.json()
        if set(body) - {"name"} or len(str(body.get("name", ""))) > _NAME_LENGTH:
            raise Refusal(400, ["name must be shorter than or equal to 40 characters"])
        return JSONResponse(change(org, owned(org.files, asked), body, self._clock()))

    def _delete(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
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
