"""What holds of every page, whatever the agency has."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.sandbox.world import AUTH_TOKEN, RETELL_KEY, VAPI_KEY
from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser, PageSeen
from tests.router.console.full_agency import MARKUP, FullAgency, fill
from tests.support.local_http import local_client

pytestmark = pytest.mark.anyio

EMPTY_PAGES = (
    "keys",
    "clients",
    "clients/new",
    "numbers",
    "numbers/new",
    "calls",
    "voicemails",
    "figures",
    "explain",
    "webhooks",
    "activity",
    "alerts",
    "tokens",
    "settings",
)


@pytest.fixture
async def full(api: Api, services, sandbox) -> FullAgency:
    return await fill(api, services, sandbox)


@pytest.fixture
async def visitor(console_url: str, full: FullAgency) -> AsyncIterator[Browser]:
    async with local_client(base_url=console_url, timeout=30) as http:
        browser = Browser(http, full.agency.id)
        await browser.sign_in(full.agency.token)
        yield browser


async def test_every_page_of_an_empty_agency_is_well_formed(browser: Browser):
    for name in EMPTY_PAGES:
        page = await browser.open(name)
        assert page.status == 200, name
        check_page(page)


async def test_every_page_of_a_full_agency_is_well_formed_and_accessible(visitor: Browser, full: FullAgency):
    for name in full.pages:
        page = await visitor.open(name)
        assert page.status == 200, name
        if not name.endswith("/sync"):
            check_page(page)


async def test_nothing_that_people_entered_becomes_markup(visitor: Browser, full: FullAgency):
    shown = 0
    for name in full.pages:
        page = await visitor.open(name)
        assert MARKUP not in page.text, name
        assert "<img" not in page.text, name
        assert "49}}" not in page.text
        shown += page.words.count(MARKUP)
    assert shown > 20


async def test_no_page_holds_a_secret(visitor: Browser, full: FullAgency):
    secrets = (VAPI_KEY, RETELL_KEY, AUTH_TOKEN, full.agency.token, visitor.http.cookies["callrouter_console"])
    for name in full.pages:
        page = await visitor.open(name)
        assert not any(secret in page.text for secret in secrets), name


async def test_another_agencys_pages_cannot_be_seen_or_used(browser: Browser, full: FullAgency, api: Api):
    """Neither under its own address, nor its things under the visitor's."""
    form_token = (await browser.open("keys")).form("/sign-out").find("input", name="form_token").attributes["value"]
    yes = {"form_token": form_token, "confirmed": "yes", "name": "Stolen", "client_id": full.client["id"]}
    for name in full.pages:
        assert (await browser.open(f"/console/{full.agency.id}/{name}")).status == 404, name
    for thing in (f"clients/{full.client['id']}", f"numbers/{full.number}", f"calls/{full.call}"):
        assert (await browser.open(thing)).status == 404, thing
    writes = (
        "settings",
        "tokens",
        "keys/vapi/delete",
        f"clients/{full.client['id']}",
        f"clients/{full.client['id']}/delete",
        f"numbers/{full.number}/delete",
        f"voicemails/{full.voicemail}/delete",
    )
    for write in writes:
        assert (await browser.send(f"/console/{full.agency.id}/{write}", yes)).status == 404, write
    for write in writes[3:]:
        assert (await browser.send(write, yes)).status == 404, write
    assert (await api.get(f"{full.agency.path}/clients"))["items"] == [full.client]
    assert len((await api.get(f"{full.agency.path}/keys"))["items"]) == 2


async def test_the_navigation_marks_the_current_page(visitor: Browser, full: FullAgency):
    for name in full.pages:
        if name.endswith("/sync"):
            continue
        current = [
            link.text
            for nav in (await visitor.open(name)).tree.find_all("nav")
            for link in nav.find_all("a")
            if link.attributes.get("aria-current") == "page"
        ]
        assert current, name


async def test_unknown_addresses_are_not_found(visitor: Browser, full: FullAgency, agency: Agency):
    for name in (
        "nothing",
        "clients/client_nobody",
        "numbers/%2B1%2F..",
        "calls/x%3Fy",
        "keys/nobody/plan",
    ):
        page = await visitor.open(name)
        assert page.status == 404, name
        assert "Page not found" in page.words
    assert full.agency.id != agency.id


def check_page(page: PageSeen) -> None:
    """One heading, landmarks, a label for every field, one id for one thing, and nothing that the policy forbids."""
    tree = page.tree
    assert len(tree.find_all("h1")) == 1
    assert len(tree.find_all("main")) == 1
    assert tree.find("html").attributes["lang"] == "en"
    assert tree.find("title").text.endswith("· callrouter")
    assert tree.find("a", **{"class": "skip"}).attributes["href"] == "#content"
    labels = {one.attributes.get("for") for one in tree.find_all("label")}
    for kind in ("input", "select", "textarea"):
        for one in tree.find_all(kind):
            if one.attributes.get("type") != "hidden" and "__number__" not in one.attributes.get("id", ""):
                assert "aria-label" in one.attributes or one.attributes.get("id") in labels, one.attributes
    assert not tree.find_all("style")
    for script in tree.find_all("script"):
        assert script.attributes.get("src")
    every = list(walk(tree))
    ids = [one.attributes["id"] for one in every if "id" in one.attributes and "__number__" not in one.attributes["id"]]
    assert len(ids) == len(set(ids)), [one for one in ids if ids.count(one) > 1]
    for one in every:
        assert not any(name == "style" or name.startswith("on") for name in one.attributes), one.attributes
        for name in ("aria-describedby", "aria-labelledby"):
            for target in one.attributes.get(name, "").split():
                assert target in ids or "__number__" in target, target
    for form in tree.find_all("form"):
        if form.attributes.get("method") == "post":
            assert form.find("input", name="form_token")


def walk(element):
    for child in element.children:
        yield child
        yield from walk(child)
