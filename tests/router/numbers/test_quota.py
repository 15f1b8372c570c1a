"""How many numbers an agency may buy in 24 hours: three, in these tests."""

from __future__ import annotations

import asyncio

import pytest

from tests.router.api.client import ADMIN_TOKEN

pytestmark = pytest.mark.anyio

OFFERED = [f"+1415555{number:04}" for number in range(100, 108)]


async def buy_all(market, *, token=None):
    """Every number on offer at once: the statuses, and the refusals' answers."""
    answers = await asyncio.gather(
        *(
            market.api.send("POST", market.path, market.order(e164=e164), token=token or market.agency.token)
            for e164 in OFFERED
        )
    )
    return sorted(answer.status_code for answer in answers), [each for each in answers if each.status_code == 429]


async def test_purchases_that_come_at_once_stay_within_the_quota(market):
    statuses, refused = await buy_all(market)
    assert statuses == [201] * 3 + [429] * (len(OFFERED) - 3)
    assert len(market.sold()) == 3
    assert {each.headers["retry-after"] for each in refused} == {str(24 * 3600)}
    assert "may buy 3 numbers in 24 hours" in refused[0].json()["detail"]


@pytest.mark.parametrize("own_account", [False, True])
async def test_the_next_number_can_be_bought_a_day_after_the_first(market, clock, own_account):
    if own_account:
        await market.use_own_account()
    for _ in range(3):
        await market.buy()
        clock.move(hours=1)
    answer = await market.api.send("POST", market.path, market.order(), token=market.agency.token)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, str(21 * 3600))
    clock.move(hours=21)
    await market.buy()
    assert (await market.refused()).status == 429


async def test_a_released_number_was_bought_all_the_same(market):
    for _ in range(3):
        bought = await market.buy()
        await market.api.delete(f"{market.path}/%2B{bought['e164'][1:]}")
    assert (await market.refused()).status == 429


async def test_a_purchase_that_failed_does_not_count(market):
    market.sandbox.state.faults.set("twilio", {"fault": "422"})
    for _ in range(3):
        assert (await market.refused(e164=OFFERED[0])).status != 429
    market.sandbox.state.faults.clear()
    for _ in range(3):
        await market.buy()


async def test_the_same_request_again_is_answered_beyond_the_quota(market):
    headers = {"Idempotency-Key": "buy-1"}
    first = await market.buy(headers=headers)
    await market.buy()
    await market.buy()
    assert await market.buy(headers=headers) == first


async def test_another_agency_has_a_quota_of_its_own(market):
    for _ in range(3):
        await market.buy()
    other = await market.api.new_agency("Other")
    client = await market.api.new_client(other)
    order = {"country": "US", "client_id": client["id"]}
    await market.api.post(f"{other.path}/numbers", order, token=other.token)


async def test_the_operator_buys_beyond_it_and_what_the_operator_bought_counts(market):
    statuses, _ = await buy_all(market, token=ADMIN_TOKEN)
    assert statuses == [201] * len(OFFERED)
    assert (await market.refused()).status == 429
