from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from openapi_spec_validator import validate

from router.api.app import api_endpoints

pytestmark = pytest.mark.anyio


async def test_the_document_is_valid_openapi(api):
    validate(api.document)
    assert api.document["openapi"].startswith("3.1")


async def test_the_document_names_every_operation_that_is_served_and_no_other(api):
    served = {(one.method.lower(), one.path) for one in api_endpoints(("vapi", "retell", "bland"))}
    described = {(method, path) for path, methods in api.document["paths"].items() for method in methods}
    assert described == served
    ids = [one["operationId"] for methods in api.document["paths"].values() for one in methods.values()]
    assert len(set(ids)) == len(ids)


async def test_the_document_and_the_page_are_there_without_a_token(api):
    for path in ("/openapi.json", "/docs"):
        assert (await api.http.get(path)).status_code == 200


class Page(HTMLParser):
    """Collects what a browser would load, run or jump to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.anchors.add(found.get("id", ""))
        self.links |= {found[name] for name in ("href", "src") if name in found}
        assert not any(name.startswith("on") or name == "style" for name in found)


async def test_the_page_describes_every_operation_and_runs_no_script(api):
    response = await api.http.get("/docs")
    page = Page(response.text)
    ids = {one["operationId"] for methods in api.document["paths"].values() for one in methods.values()}
    assert ids <= page.anchors
    assert "script" not in page.tags
    for link in page.links:
        assert link == "openapi.json" or link.removeprefix("#") in page.anchors, link


async def test_the_pages_policy_allows_its_own_style_and_nothing_else(api):
    response = await api.http.get("/docs")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert re.search(r"<style>.+</style>", response.text, re.DOTALL)


async def test_a_secret_is_marked_as_one(api):
    schemas = api.document["components"]["schemas"]
    secrets = [schemas["VoiceKey"]["properties"]["key"], schemas["TwilioKey"]["properties"]["auth_token"]]
    assert all(secret["writeOnly"] and secret["format"] == "password" for secret in secrets)
