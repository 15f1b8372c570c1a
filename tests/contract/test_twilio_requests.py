"""Twilio's own client is the judge: it sends what we send, and it reads from the sandbox what we made there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client

from adapters.base import ProviderError
from adapters.carrier import Account, NumberGone, PapersRequired
from adapters.http import Http
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import demo_world
from adapters.twilio import Twilio
from crypto.secret import Secret
from tests.adapters.twilio.examples import (
    ACCOUNT,
    CALL,
    CALL_SID,
    CHILD,
    E164,
    KEY_SID,
    NUMBER,
    NUMBER_SID,
    RECORDING,
    RECORDING_SID,
    SID,
    SINCE,
    SUBACCOUNT,
    TOKEN,
    URLS,
    every,
)
from tests.support.scripted_twilio import Detour, scripted_twilio

pytestmark = pytest.mark.anyio

ADDRESSES = {
    "voice_url": URLS["voice_url"],
    "voice_method": "POST",
    "voice_fallback_url": URLS["fallback_url"],
    "voice_fallback_method": "POST",
    "status_callback": URLS["status_url"],
    "status_callback_method": "POST",
}
PAGE = {"page_size": 250, "limit": 250}
DAY = date(2026, 11, 25)
OURS_AND_THEIRS: dict[str, tuple[Any, Callable[[Twilio], Awaitable[object]], Callable[[Client], object]]] = {
    "check an account": (
        SUBACCOUNT,
        lambda ours: ours.check_account(ACCOUNT, 5),
        lambda theirs: theirs.api.accounts(SID).fetch(),
    ),
    "make a subaccount": (
        SUBACCOUNT,
        lambda ours: ours.create_subaccount(ACCOUNT, "agency_1", 5),
        lambda theirs: theirs.api.accounts.create(friendly_name="agency_1"),
    ),
    "find a subaccount": (
        {"accounts": [SUBACCOUNT]},
        lambda ours: ours.find_subaccount(ACCOUNT, "agency_1", 5),
        lambda theirs: theirs.api.accounts.list(friendly_name="agency_1", **PAGE),
    ),
    "close a subaccount": (
        SUBACCOUNT,
        lambda ours: ours.close_subaccount(ACCOUNT, CHILD, 5),
        lambda theirs: theirs.api.accounts(CHILD).update(status="closed"),
    ),
    "make a key": (
        {"sid": KEY_SID, "secret": "s"},
        lambda ours: ours.create_api_key(ACCOUNT, "vapi", 5),
        lambda theirs: theirs.new_keys.create(friendly_name="vapi"),
    ),
    "find keys": (
        {"keys": []},
        lambda ours: ours.find_api_keys(ACCOUNT, "vapi", 5),
        lambda theirs: theirs.keys.list(**PAGE),
    ),
    "delete a key": (
        None,
        lambda ours: ours.delete_api_key(ACCOUNT, KEY_SID, 5),
        lambda theirs: theirs.keys(KEY_SID).delete(),
    ),
    "search numbers": (
        [{"subresource_uris": {"local": ""}}, {"available_phone_numbers": []}],
        lambda ours: ours.search_numbers(ACCOUNT, "US", "415", 5, 5),
        lambda theirs: [
            theirs.available_phone_numbers("US").fetch(),
            theirs.available_phone_numbers("US").local.list(area_code=415, voice_enabled=True, page_size=5, limit=5),
        ],
    ),
    "search mobile numbers abroad": (
        [{"subresource_uris": {"mobile": ""}}, {"available_phone_numbers": []}],
        lambda ours: ours.search_numbers(ACCOUNT, "GB", "77", 5, 5),
        lambda theirs: [
            theirs.available_phone_numbers("GB").fetch(),
            theirs.available_phone_numbers("GB").mobile.list(contains="4477", voice_enabled=True, page_size=5, limit=5),
        ],
    ),
    "buy a number": (
        NUMBER,
        lambda ours: ours.buy_number(ACCOUNT, E164, **URLS, friendly_name="Acme", limit=5),
        lambda theirs: theirs.incoming_phone_numbers.create(phone_number=E164, friendly_name="Acme", **ADDRESSES),
    ),
    "find a number": (
        NUMBER,
        lambda ours: ours.find_number_by_sid(ACCOUNT, NUMBER_SID, 5),
        lambda theirs: theirs.incoming_phone_numbers(NUMBER_SID).fetch(),
    ),
    "configure a number": (
        NUMBER,
        lambda ours: ours.configure_number(ACCOUNT, NUMBER_SID, **URLS, limit=5),
        lambda theirs: theirs.incoming_phone_numbers(NUMBER_SID).update(
            trunk_sid="", voice_application_sid="", **ADDRESSES
        ),
    ),
    "release a number": (
        None,
        lambda ours: ours.release_number(ACCOUNT, NUMBER_SID, 5),
        lambda theirs: theirs.incoming_phone_numbers(NUMBER_SID).delete(),
    ),
    "redirect a call": (
        CALL,
        lambda ours: ours.redirect_call(ACCOUNT, CALL_SID, E164, fallback_url="https://f/", seconds=60, limit=5),
        lambda theirs: theirs.calls(CALL_SID).update(
            url=E164, method="POST", fallback_url="https://f/", fallback_method="POST", time_limit=60
        ),
    ),
    "end a call": (
        CALL,
        lambda ours: ours.end_call(ACCOUNT, CALL_SID, 5),
        lambda theirs: theirs.calls(CALL_SID).update(status="completed"),
    ),
    "limit a call": (
        CALL,
        lambda ours: ours.limit_call(ACCOUNT, CALL_SID, 60, 5),
        lambda theirs: theirs.calls(CALL_SID).update(time_limit=60),
    ),
    "find a call": (
        CALL,
        lambda ours: ours.find_call(ACCOUNT, CALL_SID, 5),
        lambda theirs: theirs.calls(CALL_SID).fetch(),
    ),
    "list calls": (
        {"calls": [CALL]},
        lambda ours: every(ours.list_calls(ACCOUNT, E164, SINCE, 5)),
        lambda theirs: theirs.calls.list(to=E164, start_time_after=DAY, **PAGE),
    ),
    "list recordings": (
        {"recordings": [RECORDING]},
        lambda ours: every(ours.list_recordings(ACCOUNT, CALL_SID, SINCE, 5)),
        lambda theirs: theirs.recordings.list(call_sid=CALL_SID, date_created_after=DAY, **PAGE),
    ),
    "delete a recording": (
        None,
        lambda ours: ours.delete_recording(ACCOUNT, RECORDING_SID, 5),
        lambda theirs: theirs.recordings(RECORDING_SID).delete(),
    ),
}


@pytest.mark.parametrize("name", OURS_AND_THEIRS)
async def test_twilios_own_client_sends_the_same(name: str) -> None:
    answer, ours, theirs = OURS_AND_THEIRS[name]
    async with scripted_twilio() as scripted:
        http, detour = Http(), Detour(scripted.base_url)
        if answer is None:
            scripted.answers(204)
        else:
            scripted.answers_in_turn(*(answer * 2 if isinstance(answer, list) else [answer]))
        await ours(Twilio(http, scripted.base_url))
        count = len(scripted.asked)
        await asyncio.to_thread(theirs, Client(SID, TOKEN, http_client=detour))
        await http.aclose()
        detour.close()

    sent = [(asked.method, asked.path, asked.authorization, asked.query, dict(asked.form)) for asked in scripted.asked]
    assert sent[:count] == sent[count:]


@pytest.fixture
async def box() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        demo_world(running.state)
        yield running


@pytest.fixture
def main(box: RunningSandbox) -> Account:
    [account] = box.state.twilio.accounts.values()
    return Account(account.sid, Secret(account.auth_token))


@pytest.fixture
async def ours(box: RunningSandbox) -> AsyncIterator[Twilio]:
    http = Http()
    yield Twilio(http, f"{box.url}/twilio")
    await http.aclose()


@pytest.fixture
def client_of(box: RunningSandbox) -> Any:
    detours: list[Detour] = []

    def make(account: Account) -> Client:
        detours.append(Detour(f"{box.url}/twilio"))
        return Client(account.sid, account.auth_token.reveal(), http_client=detours[-1])

    yield make
    for detour in detours:
        detour.close()


async def test_a_subaccount_of_ours_is_one_for_twilios_client_too(ours: Twilio, main: Account, client_of: Any) -> None:
    made = await ours.create_subaccount(main, "agency_1", 5)
    await ours.create_subaccount(main, "agency_2", 5)
    again = await ours.find_subaccount(main, "agency_1", 5)
    assert again is not None
    assert (again.sid, again.auth_token.reveal()) == (made.sid, made.auth_token.reveal())

    child = await asyncio.to_thread(client_of(made).api.accounts(made.sid).fetch)
    assert (child.owner_account_sid, child.friendly_name, child.status) == (main.sid, "agency_1", "active")
    listed = await asyncio.to_thread(client_of(main).api.accounts.list, friendly_name="agency_2")
    assert [account.sid for account in listed] != [made.sid]

    await asyncio.to_thread(client_of(main).api.accounts(made.sid).update, status="suspended")
    suspended = await ours.find_subaccount(main, "agency_1", 5)
    assert suspended is not None
    assert suspended.sid == made.sid
    await ours.close_subaccount(main, made.sid, 5)
    assert await ours.find_subaccount(main, "agency_1", 5) is None


async def test_a_subaccounts_token_opens_nothing_else(ours: Twilio, main: Account, client_of: Any) -> None:
    child = client_of(await ours.create_subaccount(main, "agency_1", 5))
    other = await ours.create_subaccount(main, "agency_2", 5)
    for sid in (main.sid, other.sid):
        with pytest.raises(TwilioRestException) as refused:
            await asyncio.to_thread(child.api.accounts(sid).fetch)
        assert refused.value.status == 401
    with pytest.raises(TwilioRestException):
        await asyncio.to_thread(child.api.accounts.create, friendly_name="mine")


async def test_an_api_key_of_ours_opens_its_account_until_it_is_deleted(
    ours: Twilio, main: Account, client_of: Any
) -> None:
    account = await ours.create_subaccount(main, "agency_1", 5)
    key = await ours.create_api_key(account, "for vapi", 5)
    assert await ours.find_api_keys(account, "for vapi", 5) == [key.sid]
    [read] = await asyncio.to_thread(client_of(account).keys.list)
    assert (read.sid, read.friendly_name) == (key.sid, "for vapi")

    with_key = client_of(Account(key.sid, key.secret))
    numbers = with_key.api.accounts(account.sid).incoming_phone_numbers
    assert await asyncio.to_thread(numbers.list) == []
    with pytest.raises(TwilioRestException):  # a key makes no other key
        await asyncio.to_thread(with_key.api.accounts(account.sid).new_keys.create, friendly_name="more")

    await ours.delete_api_key(account, key.sid, 5)
    await ours.delete_api_key(account, key.sid, 5)
    with pytest.raises(TwilioException, match="HTTP 401"):
        await asyncio.to_thread(numbers.list)


async def test_a_number_of_ours_is_read_back_by_twilios_client(ours: Twilio, main: Account, client_of: Any) -> None:
    account = await ours.create_subaccount(main, "agency_1", 5)
    [offer] = await ours.search_numbers(account, "US", "415", 1, 5)
    bought = await ours.buy_number(account, offer.e164, **URLS, friendly_name="Acme", limit=5)

    read = await asyncio.to_thread(client_of(account).incoming_phone_numbers(bought.sid).fetch)
    assert (read.phone_number, read.friendly_name, read.capabilities["voice"]) == (offer.e164, "Acme", True)
    assert (read.voice_url, read.voice_method) == (URLS["voice_url"], "POST")
    assert (read.voice_fallback_url, read.status_callback) == (URLS["fallback_url"], URLS["status_url"])
    assert await ours.find_number_by_sid(account, bought.sid, 5) == bought

    await asyncio.to_thread(read.update, voice_method="GET", trunk_sid="TK" + "1" * 32)
    drifted = await ours.find_number(account, offer.e164, 5)
    assert drifted is not None
    assert (drifted.voice_method, drifted.trunk_sid) == ("GET", "TK" + "1" * 32)

    await ours.release_number(account, bought.sid, 5)
    await ours.release_number(account, bought.sid, 5)
    with pytest.raises(TwilioRestException):
        await asyncio.to_thread(client_of(account).incoming_phone_numbers(bought.sid).fetch)


async def test_a_number_is_sold_once_and_paid_by_the_main_account(ours: Twilio, main: Account, client_of: Any) -> None:
    account = await ours.create_subaccount(main, "agency_1", 5)
    before = float((await asyncio.to_thread(client_of(main).balance.fetch)).balance)
    offers = await ours.search_numbers(account, "US", "415", 2, 5)
    await ours.buy_number(account, offers[0].e164, **URLS, friendly_name="Acme", limit=5)
    with pytest.raises(NumberGone):
        await ours.buy_number(main, offers[0].e164, **URLS, friendly_name="Acme", limit=5)

    theirs = client_of(main).available_phone_numbers("US").local
    left = await asyncio.to_thread(theirs.list, area_code=415, voice_enabled=True, limit=1)
    assert [number.phone_number for number in left] == [offers[1].e164]
    after = float((await asyncio.to_thread(client_of(main).balance.fetch)).balance)
    assert after == pytest.approx(before - 1.15)


async def test_without_money_nothing_is_bought(ours: Twilio, main: Account, box: RunningSandbox) -> None:
    box.state.twilio.accounts[main.sid].balance = 1.0
    [offer] = await ours.search_numbers(main, "US", "212", 1, 5)
    with pytest.raises(ProviderError) as refused:
        await ours.buy_number(main, offer.e164, **URLS, friendly_name="Acme", limit=5)
    assert refused.value.kind == "out_of_credit"
    assert await ours.find_number(main, offer.e164, 5) is None


@pytest.mark.parametrize("country", ["GB", "DE", "AU"])
async def test_a_number_that_needs_an_address_is_not_bought_without(ours: Twilio, main: Account, country: str) -> None:
    [offer] = await ours.search_numbers(main, country, None, 1, 5)
    assert offer.needs_address != "none"
    with pytest.raises(PapersRequired):
        await ours.buy_number(main, offer.e164, **URLS, friendly_name="Acme", limit=5)


@pytest.mark.parametrize(("country", "kind"), [("LT", "mobile"), ("FR", "national")])
async def test_a_country_without_local_numbers_sells_others(
    ours: Twilio, main: Account, country: str, kind: str
) -> None:
    [offer] = await ours.search_numbers(main, country, None, 1, 5)
    assert (offer.kind, offer.country) == (kind, country)
    bought = await ours.buy_number(main, offer.e164, **URLS, friendly_name="Acme", limit=5)
    assert bought.e164 == offer.e164


async def test_recordings_are_listed_alike(ours: Twilio, main: Account, box: RunningSandbox, client_of: Any) -> None:
    for number in range(3):
        box.state.twilio.add_recording(main.sid, CALL_SID, f"RE{number:032x}", 7)
    box.state.twilio.add_recording(main.sid, "CA" + "9" * 32, "RE" + "9" * 32, 7)

    mine = await every(ours.list_recordings(main, CALL_SID, SINCE.replace(year=2020), 5))
    theirs = await asyncio.to_thread(client_of(main).recordings.list, call_sid=CALL_SID, page_size=2)

    assert [recording.sid for recording in mine] == [recording.sid for recording in theirs]
    assert len(mine) == 3
    assert await every(ours.list_recordings(main, None, SINCE.replace(year=2100), 5)) == []
