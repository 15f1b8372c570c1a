"""A client of the API that holds every answer against the published OpenAPI document."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from jsonschema import Draft202012Validator, FormatChecker

from tests.support.local_http import local_client

ADMIN_TOKEN = "operator-token-of-the-tests"
PUBLIC_URL = "https://calls.example.com"


@dataclass(frozen=True)
class Agency:
    """An agency with a token of its own."""

    id: str
    token: str

    @property
    def path(self) -> str:
        return f"/v1/agencies/{self.id}"


_document: dict[str, Any] = {}


class Api:
    """One server, one token unless a request says otherwise."""

    def __init__(self, http: httpx.AsyncClient, token: str, document: dict[str, Any]) -> None:
        self.http = http
        self.token = token
        self.document = document

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, url: str, token: str, *, has_own_document: bool = False) -> AsyncIterator[Api]:
        """`has_own_document`: the server's operations are not those of the other tests' servers."""
        document = {} if has_own_document else _document
        async with local_client(base_url=url, timeout=30) as http:
            if not document:  # it is large: servers with the same operations share it
                document.update((await http.get("/openapi.json")).raise_for_status().json())
            yield cls(http, token, document)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """The answer, once it was found to be as the document says."""
        sent = {"authorization": f"Bearer {self.token if token is None else token}"} | (headers or {})
        response = await self.http.request(method, path, json=body, headers=sent, params=params)
        self._check(method, path, response)
        return response

    async def get(self, path: str, **options: Any) -> Any:
        return _expect(await self.send("GET", path, **options), 200)

    async def post(self, path: str, body: Any, status: int = 201, **options: Any) -> Any:
        return _expect(await self.send("POST", path, body, **options), status)

    async def put(self, path: str, body: Any, status: int = 200, **options: Any) -> Any:
        return _expect(await self.send("PUT", path, body, **options), status)

    async def patch(self, path: str, body: Any, status: int = 200, **options: Any) -> Any:
        return _expect(await self.send("PATCH", path, body, **options), status)

    async def delete(self, path: str, status: int = 204, **options: Any) -> Any:
        return _expect(await self.send("DELETE", path, **options), status)

    async def refusal(self, method: str, path: str, body: Any = None, **options: Any) -> Problem:
        """The answer, which must be a problem."""
        return Problem.read(await self.send(method, path, body, **options))

    async def new_agency(self, name: str = "Acme Voice") -> Agency:
        agency = await self.post("/v1/agencies", {"name": name})
        token = await self.post(f"/v1/agencies/{agency['id']}/tokens", {"name": "tests"})
        return Agency(agency["id"], token["token"])

    async def new_client(self, agency: Agency, **fields: Any) -> dict[str, Any]:
        return await self.post(f"{agency.path}/clients", {"name": "Bella's Salon", **fields})

    def _check(self, method: str, path: str, response: httpx.Response) -> None:
        """Every answer of an operation is documented, with the body that the document promises."""
        operation = self._operation(method, path)
        if operation is None or response.status_code == 405:
            assert response.status_code in (401, 404, 405)
            return
        described = operation["responses"].get(str(response.status_code))
        assert described is not None, f"{method} {path}: {response.status_code} is not in the document"
        if "$ref" in described:
            described = self.document["components"]["responses"][described["$ref"].rpartition("/")[2]]
        content = described.get("content")
        if content is None:
            assert response.content == b""
            return
        media = response.headers["content-type"].partition(";")[0]
        assert media in content, f"{method} {path}: {media} is not in the document"
        if "schema" in content[media]:
            schema = content[media]["schema"] | {"components": self.document["components"]}
            Draft202012Validator(schema, format_checker=FormatChecker()).validate(response.json())
            self._check_nothing_more(content[media]["schema"], response.json())

    def _check_nothing_more(self, schema: dict[str, Any], body: Any) -> None:
        """The answer has the fields of its schema and no others."""
        properties = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        assert body.keys() <= properties.keys()

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        templates = sorted(self.document["paths"], key=lambda template: template.count("{"))
        for template in templates:
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
                return self.document["paths"][template].get(method.lower())
        return None


@dataclass(frozen=True)
class Problem:
    """An RFC 9457 answer."""

    status: int
    name: str
    detail: str
    fields: tuple[str, ...]
    text: str

    @classmethod
    def read(cls, response: httpx.Response) -> Problem:
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == response.status_code
        assert body["type"].startswith("/problems/")
        fields = tuple(error["field"] for error in body.get("errors", ()))
        return cls(body["status"], body["type"].removeprefix("/problems/"), body["detail"], fields, response.text)


def number_path(agency: Agency, e164: str) -> str:
    return f"{agency.path}/numbers/{quote(e164, safe='')}"


def _expect(response: httpx.Response, status: int) -> Any:
    assert response.status_code == status, response.text
    return response.json() if response.content else None
