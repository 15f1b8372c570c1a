"""Who has access to an agency: its tokens."""

from __future__ import annotations

import pytest

from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser

pytestmark = pytest.mark.anyio


async def test_a_token_is_shown_once_and_works(browser: Browser, stranger: Browser, agency: Agency):
    page = await browser.open("tokens")
    made = await browser.fill_in(page, "/tokens", token_name="Anna")
    token = made.tree.find("div", role="status").find("code").text
    assert token.startswith("callrouter_")
    assert token not in (await browser.open("tokens")).text
    assert (await stranger.sign_in(token)).path == f"/console/{agency.id}/keys"


async def test_reloading_the_page_that_shows_a_token_does_not_create_a_second_one(
    browser: Browser, api: Api, agency: Agency
):
    page = await browser.open("tokens")
    for _ in range(2):
        await browser.fill_in(page, "/tokens", token_name="Anna")
    names = [one["name"] for one in (await api.get(f"{agency.path}/tokens"))["items"]]
    assert names.count("Anna") == 1


async def test_a_token_is_deleted_only_after_a_question(browser: Browser, api: Api, agency: Agency):
    other = await api.post(f"{agency.path}/tokens", {"name": "Old laptop"})
    question = await browser.fill_in(await browser.open("tokens"), f"/tokens/{other['id']}/delete")
    assert "locked out" in question.words
    await browser.fill_in(question, "")
    assert [one["name"] for one in (await api.get(f"{agency.path}/tokens"))["items"]] == ["tests"]


async def test_a_token_for_reading_that_expires_is_shown_as_such(browser: Browser, api: Api, agency: Agency):
    page = await browser.open("tokens")
    form = {"token_name": "Anna", "token_role": "read", "token_expires_at": "2026-04-01"}
    await browser.fill_in(page, "/tokens", **form)
    [token] = [one for one in (await api.get(f"{agency.path}/tokens"))["items"] if one["name"] == "Anna"]
    assert (token["role"], token["expires_at"]) == ("read", "2026-04-01T00:00:00Z")
    [shown] = [row for row in (await browser.open("tokens")).tree.find_all("li") if "Anna" in row.text]
    for said in ("Reading only", "by tests", "not used yet", "expires"):
        assert said in shown.text
    page = await browser.open("tokens")
    again = await browser.fill_in(page, "/tokens", **form | {"token_expires_at": "2026-01-01"})
    assert again.tree.find("p", id="e-token_expires_at").text


async def test_tokens_that_a_deleted_one_made_are_named(browser: Browser, api: Api, agency: Agency):
    maker = await api.post(f"{agency.path}/tokens", {"name": "Old laptop"})
    await api.post(f"{agency.path}/tokens", {"name": "Robot"}, token=maker["token"])
    question = await browser.fill_in(await browser.open("tokens"), f"/tokens/{maker['id']}/delete")
    page = await browser.fill_in(question, "")
    assert "“Robot”" in page.tree.find("div", role="status").text
