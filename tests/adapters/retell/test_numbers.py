"""Numbers that Retell sells: bought once, answered by whom we say, given back."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.facets import NumberOrder
from adapters.http import Http
from adapters.portable import Copy, NativeNumber
from adapters.provider import Provider
from tests.adapters.canary import assert_clean
from tests.adapters.loopback import reply, serving
from tests.adapters.refusals import KEY, error_of
from tests.adapters.retell.conftest import TOKEN, WEBHOOK, WIRING, Account
from tests.support.adapters import retell_at

pytestmark = pytest.mark.anyio

LIMIT = 10.0
FALLBACK = "+14155550100"


@pytest.fixture
async def copy(account: Account, box) -> Copy:
    return Copy(box.state.retell.add_assistant(account.org))


async def buy(account: Account, copy: Copy | None = None, country: str = "US", area_code: str | None = "212"):
    host: Provider[Any] = account.retell
    return await host.shop.buy(
        host.open(account.key, LIMIT), NumberOrder(country, area_code, "client_1", copy, WIRING, FALLBACK)
    )


async def test_a_bought_number_is_answered_by_the_clients_agent(account: Account, copy: Copy):
    number = await buy(account, copy)
    assert number.e164.startswith("+1212")
    assert (number.remote_id, number.label) == (number.e164, "client_1")
    stands = account.org.numbers[number.e164]
    assert stands["inbound_agents"] == [{"agent_id": copy.remote_id, "agent_version": "latest_published", "weight": 1}]
    assert (stands["inbound_webhook_url"], stands["fallback_number"]) == (WEBHOOK, FALLBACK)


async def test_a_number_can_be_bought_before_there_is_an_agent(account: Account):
    number = await buy(account)
    assert account.org.numbers[number.e164]["inbound_agents"] == []


async def test_a_canadian_number_comes_without_a_choice_of_area(account: Account, box):
    assert (await buy(account, country="CA", area_code=None)).e164.startswith("+1")
    box.state.requests.clear()
    error = await error_of(buy(account, country="CA", area_code="416"))
    assert (error.kind, error.said) == (
        ErrorKind.BAD_REQUEST,
        "Retell lets you choose an area code for US numbers only.",
    )
    assert not box.state.requests


@pytest.mark.parametrize("area_code", ["", "12", "112", "2125", "abc", "٢١٢"])
async def test_an_invalid_area_code_costs_nothing(account: Account, box, area_code: str):
    error = await error_of(buy(account, area_code=area_code))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert not box.state.requests


async def test_without_credit_nothing_is_bought(account: Account):
    account.org.balance = 0
    error = await error_of(buy(account))
    assert error.kind is ErrorKind.OUT_OF_CREDIT
    assert account.org.numbers == {}


async def test_all_bought_numbers_are_listed_and_no_imported_ones(account: Account):
    bought = [await buy(account) for _ in range(3)]
    for place in range(120):
        e164 = f"+44207946{place:04}"
        account.org.numbers[e164] = {"phone_number": e164, "phone_number_type": "custom"}
    assert sorted(
        await account.retell.shop.list_numbers(account.retell.open(account.key, LIMIT)), key=lambda one: one.e164
    ) == sorted(bought, key=lambda one: one.e164)


async def test_a_number_is_given_to_another_agent(account: Account, copy: Copy):
    number = await buy(account)
    await account.retell.shop.assign(account.retell.open(account.key, LIMIT), number, copy, WIRING, None)
    stands = account.org.numbers[number.e164]
    assert [agent["agent_id"] for agent in stands["inbound_agents"]] == [copy.remote_id]
    assert (stands["fallback_number"], stands["nickname"]) == (None, "client_1")


async def test_a_number_that_is_gone_cannot_be_assigned(account: Account, copy: Copy):
    gone = NativeNumber("+14155550199", "+14155550199")
    error = await error_of(
        account.retell.shop.assign(account.retell.open(account.key, LIMIT), gone, copy, WIRING, None)
    )
    assert (error.kind, error.status) == (ErrorKind.BAD_REQUEST, 404)


async def test_a_number_is_given_back_once_or_twice(account: Account):
    number = await buy(account)
    for _ in range(2):
        await account.retell.shop.release(account.retell.open(account.key, LIMIT), number)
    assert account.org.numbers == {}


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"phone_number": 7}, {"phone_number": "+1415/../x"}, {"phone_number": ""}, b"<html>"],
)
async def test_a_purchase_whose_answer_makes_no_sense_is_told_as_that(http: Http, answer: object):
    async with serving(reply(201, answer)) as server:
        retell = retell_at(http, server.url, "")
        asking = retell.shop.buy(retell.open(KEY, LIMIT), NumberOrder("US", None, "c", None, WIRING, None))
        error = await error_of(asking)
    assert error.kind is ErrorKind.MALFORMED_REPLY
    assert len(server.asked) == 1


async def test_the_number_stands_encoded_in_the_address(http: Http):
    number = NativeNumber("+14155550199", "+14155550199")
    async with serving(reply(200, {"phone_number": number.e164})) as server:
        retell = retell_at(http, server.url, "")
        await retell.shop.assign(retell.open(KEY, LIMIT), number, None, WIRING, None)
    assert (server.last.method, server.last.target) == ("PATCH", "/update-phone-number/%2B14155550199")


async def test_a_refusal_that_repeats_our_address_does_not_tell_its_token(http: Http):
    said = {"status": "error", "message": f"cannot reach {WEBHOOK}"}
    async with serving(reply(400, said)) as server:
        retell = retell_at(http, server.url, "")
        asking = retell.shop.buy(retell.open(KEY, LIMIT), NumberOrder("US", None, "c", None, WIRING, None))
        error = await error_of(asking)
    assert error.said.startswith("cannot reach https://calls.example.com/")
    assert TOKEN not in error.said
    assert_clean(error)
