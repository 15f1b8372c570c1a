"""Who gets in, how long, and what a form must prove."""

from __future__ import annotations

import json

import pytest

from tests.router.api.client import ADMIN_TOKEN, Agency, Api
from tests.router.console.browsing import Browser, PageSeen
from tests.router.console.conftest import SessionsInMemory
from tests.support.api_service import Clock, Services
from tests.support.local_http import local_client

pytestmark = pytest.mark.anyio

COOKIE = "callrouter_console"


async def test_a_token_opens_its_agencys_pages_and_is_never_written_on_one(stranger: Browser, agency: Agency):
    page = await stranger.sign_in(agency.token)
    assert page.path == f"/console/{agency.id}/keys"
    assert "Bright Voice" in page.words
    assert agency.token not in page.text
    assert agency.token not in stranger.http.cookies[COOKIE]


@pytest.mark.parametrize("token", ["", "callrouter_wrong", "ü", "x" * 5000])
async def test_an_unknown_token_gets_an_error_and_is_not_shown_again(stranger: Browser, token: str):
    page = await stranger.sign_in(token)
    assert page.status == 422
    assert "This token does not exist" in page.words
    assert page.tree.find("input", id="f-token").attributes.get("aria-invalid") == "true"
    assert not token or token not in page.text


async def test_a_form_far_too_large_to_sign_in_with_is_not_read(stranger: Browser, agency: Agency):
    """16 kB hold any token: who sends more has not proven anything yet."""
    page = await stranger.open("/console/sign-in")
    refused = await stranger.fill_in(page, "/sign-in", token=agency.token + " " * 16_384)
    assert (refused.status, refused.path) == (403, "/console/sign-in")


async def test_the_operator_chooses_an_agency_or_makes_one(stranger: Browser, agency: Agency):
    page = await stranger.sign_in(ADMIN_TOKEN)
    assert (page.path, page.heading) == ("/console/agencies", "Agencies")
    assert "Bright Voice" in page.words
    made = await stranger.fill_in(page, "/agencies", name="Second Agency")
    assert "Second Agency" in made.words
    assert made.path.endswith("/keys")
    assert agency.id not in made.path


async def test_an_agencys_token_sees_no_other_agency(browser: Browser, api: Api, agency: Agency):
    other = await api.new_agency("Other Voice")
    page = await browser.open(f"/console/{other.id}/keys")
    assert page.status == 404
    assert "Other Voice" not in page.text
    chosen = await browser.open("/console/agencies")
    assert chosen.path == f"/console/{agency.id}/keys"


async def test_signing_in_leads_to_the_page_that_was_asked_for(stranger: Browser, agency: Agency):
    page = await stranger.open(f"/console/{agency.id}/keys")
    assert page.heading == "Sign in"
    inside = await stranger.fill_in(page, "/sign-in", token=agency.token)
    assert inside.path == f"/console/{agency.id}/keys"


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/console/", "/docs", "\\\\evil.example", "/console/\\evil", "console/x"],
)
async def test_signing_in_never_leads_out_of_the_console(stranger: Browser, agency: Agency, elsewhere: str):
    page = await stranger.open("/console/sign-in", params={"next": elsewhere})
    inside = await stranger.fill_in(page, "/sign-in", token=agency.token, next=elsewhere)
    assert inside.path == f"/console/{agency.id}/keys"


async def test_signing_out_ends_the_session_for_a_copied_cookie_too(browser: Browser):
    copied = browser.http.cookies[COOKIE]
    page = await browser.open("keys")
    out = await browser.fill_in(page, "/sign-out")
    assert "You are signed out" in out.words
    async with local_client(base_url=browser.http.base_url, cookies={COOKIE: copied}) as thief:
        assert (await Browser(thief, browser.agency_id).open("keys")).heading == "Sign in"


async def test_a_session_ends_after_twelve_hours(browser: Browser, clock: Clock):
    clock.move(hours=11, minutes=59)
    assert (await browser.open("keys")).heading == "API keys"
    clock.move(minutes=1)
    assert (await browser.open("keys")).heading == "Sign in"


async def test_a_token_that_was_deleted_ends_the_session(browser: Browser, api: Api, agency: Agency):
    [token] = (await api.get(f"{agency.path}/tokens"))["items"]
    await api.delete(f"{agency.path}/tokens/{token['id']}", 200)
    page = await browser.open("keys")
    assert page.heading == "Sign in"
    assert "no longer valid" in page.words


async def test_a_forged_cookie_is_refused(stranger: Browser, services: Services, agency: Agency):
    honest = {"id": "a", "form": "b", "began": "2026-03-02T12:00:00+00:00", "token": agency.token, "admin": False}
    forged = [
        json.dumps(honest),
        services.keyring.seal(json.dumps(honest), "reply"),
        services.keyring.seal(json.dumps(honest), "session")[:-2] + "AA",
        "1.k.x",
    ]
    for value in forged:
        stranger.http.cookies.clear()
        page = await stranger.open(f"/console/{agency.id}/keys", headers={"cookie": f'{COOKIE}="{value}"'})
        assert page.heading == "Sign in"


async def test_a_form_without_this_sessions_token_changes_nothing(browser: Browser):
    for token in ("", "wrong", None):
        values = {"name": "Stolen"} | ({"form_token": token} if token is not None else {})
        page = await browser.send("/console/sign-out", values)
        assert page.status == 403
        assert "Nothing was changed" in page.words
    assert (await browser.open("keys")).heading == "API keys"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_form_from_another_site_is_refused_even_with_the_right_token(browser: Browser, origin: str):
    form_token = (await browser.open("keys")).form("/sign-out").find("input", name="form_token").attributes["value"]
    page = await browser.send("/console/sign-out", {"form_token": form_token}, origin=origin)
    assert page.status == 403


async def test_another_sessions_form_token_is_refused(browser: Browser, stranger: Browser, agency: Agency):
    theirs = await stranger.sign_in(agency.token)
    form_token = theirs.form("/sign-out").find("input", name="form_token").attributes["value"]
    assert (await browser.send("/console/sign-out", {"form_token": form_token})).status == 403


async def test_too_many_wrong_tokens_have_to_wait_a_minute_and_a_right_one_never_does(
    stranger: Browser, agency: Agency, clock: Clock
):
    for _ in range(10):
        assert (await stranger.sign_in("callrouter_wrong")).status == 422
    refused = await stranger.sign_in("callrouter_wrong")
    assert refused.status == 429
    assert "Wait a minute" in refused.words
    assert (await stranger.sign_in(agency.token)).heading == "API keys"
    await stranger.fill_in(await stranger.open("/console"), "/sign-out")
    clock.move(minutes=1)
    assert (await stranger.sign_in("callrouter_wrong")).status == 422


async def test_a_sign_in_is_on_record(stranger: Browser, agency: Agency, api: Api, ended: SessionsInMemory):
    await stranger.sign_in("callrouter_wrong")
    assert ended.begun == []
    await stranger.sign_in(agency.token)
    [token] = (await api.get(f"{agency.path}/tokens"))["items"]
    assert ended.begun == [(token["id"], agency.id, "127.0.0.1")]


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(stranger: Browser):
    response = await stranger.http.get("/console/sign-in")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/console" in cookie


async def test_every_page_forbids_what_it_does_not_need(browser: Browser):
    for page in ("/console/sign-in", "keys", "/console/nowhere", f"/console/{browser.agency_id}/nowhere"):
        response = await browser.http.get(browser.address(page))
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "same-origin"


async def test_without_its_database_the_page_says_that_calls_go_on(browser: Browser, ended: SessionsInMemory):
    ended.away = True
    page = await browser.open("keys")
    assert page.status == 503
    assert "Calls go on" in page.words


async def test_when_the_api_has_no_database_the_page_says_that_calls_go_on(browser: Browser, services: Services):
    await services.database.settings.close()
    page = await browser.open("keys")
    assert page.status == 503
    assert "Calls go on" in page.words
    assert (await browser.open("/console/sign-in")).status == 503, (
        "the session is on record, and the API is asked first"
    )


async def test_a_form_may_not_be_endless(browser: Browser):
    page = await browser.send("/console/sign-out", {"form_token": "x" * (4 << 20)})
    assert page.status == 403


async def test_stylesheet_script_and_icon_are_there_for_everybody(stranger: Browser):
    page = await stranger.open("/console/sign-in")
    addresses = [one.attributes["href"] for one in page.tree.find_all("link")] + [
        one.attributes["src"] for one in page.tree.find_all("script")
    ]
    assert len(addresses) == 3
    for address in addresses:
        response = await stranger.http.get(address)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    assert (await stranger.http.get("/console/static/nothing.css")).status_code == 404


class TestBehindHttps:
    @pytest.fixture
    def public_url(self) -> str:
        return "https://calls.example.com/router"

    async def test_the_cookie_goes_over_https_only_and_addresses_carry_the_path(self, stranger: Browser):
        response = await stranger.http.get("/console/sign-in")
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Secure-callrouter_console=")
        assert cookie.endswith("; Secure")
        assert "Path=/router/console" in cookie
        page = PageSeen.read(response)
        assert page.tree.find("form").attributes["action"] == "/router/console/sign-in"

    async def test_forms_come_from_the_public_address(self, stranger: Browser, agency: Agency):
        response = await stranger.http.get("/console/sign-in")
        cookie = response.headers["set-cookie"].partition(";")[0]
        form_token = PageSeen.read(response).tree.find("input", name="form_token").attributes["value"]
        sent = {"form_token": form_token, "token": agency.token}
        headers = {"cookie": cookie, "origin": "https://calls.example.com"}
        inside = await stranger.http.post("/console/sign-in", data=sent, headers=headers)
        assert inside.headers["location"] == f"/router/console/{agency.id}"
