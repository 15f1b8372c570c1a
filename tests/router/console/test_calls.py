"""Calls, messages, and who would take a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from adapters.sandbox.world import ACCOUNT_SID
from tests.router.api.client import Agency, Api
from tests.router.api.test_calls import BEGAN, file_call, file_voicemail
from tests.router.console.browsing import Browser
from tests.router.console.full_agency import FullAgency, fill
from tests.support.api_service import Services
from tests.support.local_http import local_client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def full(api: Api, services, sandbox) -> FullAgency:
    return await fill(api, services, sandbox)


@pytest.fixture
async def visitor(console_url: str, full: FullAgency) -> AsyncIterator[Browser]:
    async with local_client(base_url=console_url, timeout=30) as http:
        browser = Browser(http, full.agency.id)
        await browser.sign_in(full.agency.token)
        yield browser


async def test_a_call_tells_its_story_in_words(visitor: Browser):
    page = await visitor.open("calls/call_1")
    story = page.tree.find("ol", **{"class": "story"}).text
    assert "Could not take the call" in story
    assert "The provider did not answer in time" in story
    assert "12 ms" in story
    assert "1 min 02 s" in page.words
    assert "$0.1250" in page.words
    assert page.tree.find_all("audio"), "the message that was left"


async def test_calls_beyond_a_page_are_on_the_next_one(browser: Browser, services: Services, agency: Agency):
    for number in range(51):
        await file_call(services, agency, f"call_{number}", number, from_number=f"+141555501{number:02d}")
    first = await browser.open("calls")
    assert len(first.tree.find("tbody").find_all("tr")) == 50
    [older] = [link for link in first.tree.find_all("a") if link.text == "Older"]
    last = await browser.open(older.attributes["href"])
    assert [row.find("a").attributes["href"].rpartition("/")[2] for row in last.tree.find("tbody").find_all("tr")] == [
        "call_0"
    ]
    assert "In progress" in last.words


async def test_a_search_can_be_shared_paged_and_downloaded(browser: Browser, services: Services, agency: Agency):
    for number in range(52):
        told = "Water is leaking." if number else "Nothing of note."
        await file_call(services, agency, f"call_{number}", number, transcript=told, ended_at=BEGAN)
    first = await browser.open("calls?q=leaking&outcome=")
    assert first.tree.find("input", id="f-q").attributes["value"] == "leaking"
    [older] = [link for link in first.tree.find_all("a") if link.text == "Older"]
    last = await browser.open(older.attributes["href"])
    assert len(last.tree.find("tbody").find_all("tr")) == 1
    [sheet] = [link for link in first.tree.find_all("a") if link.text == "Download as CSV"]
    file = await browser.http.get(sheet.attributes["href"])
    assert len(file.text.splitlines()) == 1 + 51
    assert "No such calls" in (await browser.open("calls?q=elephant")).words
    refused = await browser.open("calls?caller=nobody&q=leaking")
    assert "phone number" in refused.tree.find("div", role="alert").text


async def test_a_message_is_played_with_the_cookie_alone_also_from_the_middle(visitor: Browser):
    [audio] = (await visitor.open("voicemails")).tree.find_all("audio")
    whole = await visitor.http.get(audio.attributes["src"])
    assert whole.status_code == 200
    assert whole.headers["content-type"] == "audio/mpeg"
    assert whole.headers["accept-ranges"] == "bytes"
    part = await visitor.http.get(audio.attributes["src"], headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"].startswith("bytes 100-199/")


async def test_another_agency_cannot_play_the_message(browser: Browser, stranger: Browser, full: FullAgency):
    address = f"/console/{full.agency.id}/voicemails/voicemail_1/audio"
    assert (await browser.http.get(address)).status_code == 404
    assert (await browser.http.get(browser.address("voicemails/voicemail_1/audio"))).status_code == 404
    assert (await stranger.http.get(address)).status_code == 303


async def test_a_message_is_deleted_only_after_a_question(visitor: Browser, api: Api, full: FullAgency, sandbox):
    question = await visitor.fill_in(await visitor.open("voicemails"), "/voicemail_1/delete")
    assert "Delete this message?" in question.words
    assert len(sandbox.state.twilio.accounts[ACCOUNT_SID].recordings) == 1
    page = await visitor.fill_in(question, "")
    assert "No messages" in page.words
    assert (await api.get(f"{full.agency.path}/voicemails"))["items"] == []
    assert sandbox.state.twilio.accounts[ACCOUNT_SID].recordings == {}


async def test_a_call_is_deleted_only_after_a_question(visitor: Browser, api: Api, full: FullAgency, sandbox):
    question = await visitor.fill_in(await visitor.open("calls/call_1"), "/call_1/delete")
    assert question.heading == "Delete this call?"
    assert len((await api.get(f"{full.agency.path}/calls"))["items"]) == 1
    assert "No calls yet" in (await visitor.fill_in(question, "")).words
    assert (await api.get(f"{full.agency.path}/calls"))["items"] == []
    assert sandbox.state.twilio.accounts[ACCOUNT_SID].recordings == {}


async def test_a_message_that_cannot_be_deleted_now_stays_and_says_why(visitor: Browser, sandbox):
    sandbox.state.faults.set("twilio", "503")
    question = await visitor.fill_in(await visitor.open("voicemails"), "/voicemail_1/delete")
    page = await visitor.fill_in(question, "")
    assert page.status == 503
    assert "Twilio could not be asked" in page.tree.find("div", role="alert").text
    assert page.tree.find_all("audio")


async def test_messages_show_what_was_said(browser: Browser, services: Services, agency: Agency):
    await file_call(services, agency, "call_1")
    for number, transcript in enumerate(("Please call me back.", None)):
        at = BEGAN + timedelta(minutes=number)
        await file_voicemail(services, agency, f"voicemail_{number}", f"RE{number}", transcript=transcript, at=at)
    page = await browser.open("voicemails")
    assert "Please call me back." in page.words
    assert "No transcript." in page.words


async def test_it_explains_who_would_take_a_call_in_words(visitor: Browser, full: FullAgency):
    page = await visitor.open("explain", params={"to": full.number, "from": "+14155550123"})
    rungs = page.tree.find("ol", **{"class": "ladder"}).find_all("li")
    assert len(rungs) >= 3
    assert "Voicemail" in page.tree.find("ol").text
    assert sum("Takes the call" in rung.text for rung in rungs) == 1


@pytest.mark.parametrize("asked", [{"to": "x"}, {"to": "+14155550000"}, {"to": "+15005550101", "from": "nobody"}])
async def test_a_malformed_number_gets_an_error(visitor: Browser, asked):
    page = await visitor.open("explain", params=asked)
    assert page.status == 200
    assert page.tree.find("div", role="alert").text


async def test_a_withheld_caller_is_called_so(browser: Browser, services: Services, agency: Agency):
    await file_call(services, agency, "call_1", from_number="withheld")
    for page in ("calls", "calls/call_1"):
        assert "withheld number" in (await browser.open(page)).words


async def test_a_withheld_caller_can_be_asked_about(visitor: Browser, full: FullAgency):
    page = await visitor.open(f"explain?to={full.number.replace('+', '%2B')}&from=anonymous")
    assert "from withheld number" in page.words


@pytest.mark.parametrize(("at", "taken_by"), [("2026-03-02T09:30", "Owner's phone"), ("2026-03-02T12:45", "Voicemail")])
async def test_another_time_is_asked_about_in_the_clients_zone(visitor: Browser, full: FullAgency, at, taken_by):
    page = await visitor.open("explain", params={"to": full.number, "at": at})
    assert f"at {at.replace('T', ' ')} (Europe/London)" in page.words
    (taking,) = [
        rung.text for rung in page.tree.find("ol", **{"class": "ladder"}).find_all("li") if "Takes" in rung.text
    ]
    assert taking.strip().startswith(taken_by)


async def test_a_time_that_is_none_gets_an_error(visitor: Browser, full: FullAgency):
    page = await visitor.open("explain", params={"to": full.number, "at": "soon"})
    assert page.tree.find("div", role="alert").text
