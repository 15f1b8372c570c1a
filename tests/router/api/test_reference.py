"""/docs and /problems: pages for people, which load nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from router.api.problems import KINDS

pytestmark = pytest.mark.anyio


class Page(HTMLParser):
    """Collects what a browser would load or jump to. Nothing may stand inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[name] for name in ("href", "src") if name in found]
        assert tag != "style"
        assert tag != "script" or found["src"]
        assert not any(name.startswith("on") or name == "style" for name in found)


async def test_the_document_and_the_page_are_there_without_a_token(api):
    for path in ("/openapi.json", "/docs"):
        assert (await api.http.get(path)).status_code == 200


async def test_all_that_the_page_loads_is_served_here(api):
    page = Page((await api.http.get("/docs")).text)
    assert {"docs/assets/swagger-ui-bundle.js", "docs/assets/docs.js"} <= set(page.links)
    for link in page.links:
        assert (await api.http.get(f"/{link}")).status_code == 200, link


async def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(api):
    policy = (await api.http.get("/docs")).headers["content-security-policy"]
    allowed = dict(one.split(" ", 1) for one in policy.split("; "))
    assert allowed.pop("img-src") == "'self' data:"
    assert set(allowed.values()) == {"'none'", "'self'"}
    assert allowed["default-src"] == "'none'"


@pytest.mark.parametrize("name", KINDS)
async def test_a_problem_has_a_page_that_says_what_to_do(api, name):
    response = await api.http.get(f"/problems/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert KINDS[name].title in response.text
    for link in Page(response.text).links:
        assert (await api.http.get(f"/problems/{link}")).status_code == 200


async def test_a_problem_that_there_is_not_leads_to_those_that_there_are(api):
    response = await api.http.get("/problems/nothing")
    assert response.status_code == 404
    assert {f"{name}" for name in KINDS} <= set(Page(response.text).links)
