"""Invitations: a link that signs one person in, once."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser, read_fields
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio


async def invite(browser: Browser, **values: str) -> str:
    """The link's path and query."""
    page = await browser.open("tokens")
    made = await browser.fill_in(page, "/tokens/invite", person_name="Anna", **values)
    url = urlsplit(made.tree.find("div", role="status").find("code").text)
    assert parse_qs(url.query)["t"][0] not in (await browser.open("tokens")).text
    return f"{url.path}?{url.query}"


async def test_an_invited_person_signs_in_with_a_token_of_their_own(
    browser: Browser, stranger: Browser, api: Api, agency: Agency
):
    link = await invite(browser, person_role="read", person_expires_at="2026-04-01")
    assert "Anna" in (await browser.open("tokens")).tree.find("section", **{"aria-labelledby": "invitations"}).text
    for _ in range(2):  # mail scanners open links
        page = await stranger.open(link)
    assert "Sign in as Anna" in page.heading
    joined = await stranger.fill_in(page, "/join")
    token = joined.tree.find("code").text
    own = await api.get("/v1/token", token=token)
    assert (own["agency_id"], own["role"], own["expires_at"]) == (agency.id, "read", "2026-04-01T00:00:00Z")
    assert (await stranger.open(f"/console/{agency.id}/calls")).heading == "Calls"
    assert (await stranger.open(link)).status == 410
    tokens = {one["id"]: one for one in (await api.get(f"{agency.path}/tokens"))["items"]}
    assert tokens[tokens[own["name"]]["made_by"]]["name"] == "tests"
    assert (await api.get(f"{agency.path}/invitations"))["items"] == []
    audit = [(one["actor"], one["action"]) for one in (await api.get(f"{agency.path}/audit"))["items"]]
    assert {(own["name"], "invitation.used"), (own["name"], "console.signed_in")} <= {*audit}


async def test_of_two_who_use_a_link_at_once_one_gets_in(browser: Browser, stranger: Browser, api: Api, agency: Agency):
    page = await stranger.open(await invite(browser))
    values = read_fields(page.form("/join"))
    answers = await asyncio.gather(*(stranger.send("/console/join", values) for _ in range(4)))
    assert sorted(one.status for one in answers) == [200, 410, 410, 410]
    assert len((await api.get(f"{agency.path}/tokens"))["items"]) == 2


async def test_a_link_ends_after_a_day_when_withdrawn_and_with_the_token_that_made_it(
    browser: Browser, stranger: Browser, services: Services, api: Api, agency: Agency
):
    withdrawn = await invite(browser)
    question = await browser.fill_in(await browser.open("tokens"), "/delete")
    assert "no longer works" in (await browser.fill_in(question, "")).words
    assert (await stranger.open(withdrawn)).status == 410
    maker = await api.post(f"{agency.path}/tokens", {"name": "Lost phone"})
    made = await api.post(f"{agency.path}/invitations", {"name": "Thief"}, token=maker["token"])
    await api.delete(f"{agency.path}/tokens/{maker['id']}", 200)
    assert (await stranger.open(f"/console/join?{urlsplit(made['url']).query}")).status == 410
    link = await invite(browser)
    services.clock.move(days=1)
    assert (await stranger.open(link)).status == 410


async def test_a_form_from_elsewhere_and_too_many_wrong_links_are_refused(browser: Browser, stranger: Browser):
    page = await stranger.open(await invite(browser))
    values = read_fields(page.form("/join"))
    assert (await stranger.send("/console/join", values | {"form_token": "x"})).status == 403
    assert (await stranger.send("/console/join", values, origin="https://evil.example")).status == 403
    statuses = [(await stranger.open(f"/console/join?t=wrong{place}")).status for place in range(11)]
    assert (statuses[0], statuses[-1]) == (410, 429)
    assert (await stranger.fill_in(page, "/join")).status == 200
