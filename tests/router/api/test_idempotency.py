from __future__ import annotations

import asyncio

import pytest

from adapters.sandbox.world import VAPI_KEY

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "order-66"}


async def test_a_repeat_gets_the_same_answer_and_nothing_is_done_twice(api):
    first = await api.send("POST", "/v1/agencies", {"name": "Acme"}, headers=KEY)
    again = await api.send("POST", "/v1/agencies", {"name": "Acme"}, headers=KEY)
    assert (again.status_code, again.json()) == (first.status_code, first.json()) == (201, first.json())
    assert len((await api.get("/v1/agencies"))["items"]) == 1


async def test_a_token_that_is_shown_once_is_in_the_repeated_answer_and_not_in_the_database(api, services):
    agency = await api.new_agency()
    first = await api.post(f"{agency.path}/tokens", {"name": "Laptop"}, headers=KEY)
    assert await api.post(f"{agency.path}/tokens", {"name": "Laptop"}, headers=KEY) == first
    (row,) = await services.database.settings.fetch("SELECT idempotency_keys::text AS text FROM idempotency_keys")
    assert first["token"] not in row["text"]


async def test_five_at_once_do_the_work_once(api, sandbox):
    agency = await api.new_agency()
    body = {"key": VAPI_KEY}
    sent = [api.send("PUT", f"{agency.path}/keys/vapi", body, headers=KEY) for _ in range(5)]
    answers = await asyncio.gather(*sent)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["version"] for answer in answers} == {1}
    assert len(sandbox.state.requests_to("vapi")) == 1


async def test_the_same_key_with_another_body_is_a_conflict(api):
    await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY)
    problem = await api.refusal("POST", "/v1/agencies", {"name": "Other"}, headers=KEY)
    assert (problem.status, problem.name) == (409, "conflict")


async def test_the_order_of_fields_does_not_make_a_different_body(api):
    first = await api.post("/v1/agencies", {"name": "Acme", "alert_email": None}, headers=KEY)
    assert await api.post("/v1/agencies", {"alert_email": None, "name": "Acme"}, headers=KEY) == first


async def test_the_same_key_of_another_token_or_address_is_another_key(api):
    one, other = await api.new_agency(), await api.new_agency()
    body = {"name": "Bella"}
    made = [
        await api.post(f"{one.path}/clients", body, headers=KEY, token=one.token),
        await api.post(f"{one.path}/clients", body, headers=KEY),
        await api.post(f"{other.path}/clients", body, headers=KEY, token=other.token),
    ]
    assert len({client["id"] for client in made}) == 3


async def test_a_repeated_deletion_is_not_a_404(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    path = f"{agency.path}/clients/{client['id']}"
    await api.delete(path, headers=KEY)
    await api.delete(path, headers=KEY)
    assert (await api.refusal("DELETE", path)).status == 404


async def test_a_refusal_is_repeated_too(api, sandbox):
    agency = await api.new_agency()
    first = await api.refusal("PUT", f"{agency.path}/keys/vapi", {"key": "wrong"}, headers=KEY)
    assert await api.refusal("PUT", f"{agency.path}/keys/vapi", {"key": "wrong"}, headers=KEY) == first
    assert first.name == "key-rejected"
    assert len(sandbox.state.requests_to("vapi")) == 1


async def test_what_a_provider_could_not_answer_may_be_tried_again_under_the_same_key(api, sandbox):
    agency = await api.new_agency()
    sandbox.state.faults.set("vapi", "503")
    assert (await api.refusal("PUT", f"{agency.path}/keys/vapi", {"key": VAPI_KEY}, headers=KEY)).status == 503
    sandbox.state.faults.clear()
    assert (await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY}, headers=KEY))["version"] == 1


async def test_an_invalid_body_does_not_use_up_the_key(api):
    assert (await api.refusal("POST", "/v1/agencies", {"name": ""}, headers=KEY)).status == 422
    await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY)


async def test_after_a_day_the_key_is_free_again(api, clock, services):
    first = await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY)
    clock.move(hours=23)
    assert await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY) == first
    clock.move(hours=2)
    assert (await api.post("/v1/agencies", {"name": "Other"}, headers=KEY))["id"] != first["id"]
    assert await services.database.settings.fetchval("SELECT count(*) FROM idempotency_keys") == 1


async def test_work_that_a_crash_cut_short_is_done_by_the_repeat(api, clock, services):
    """Its claim is there and its answer is not; what it did was rolled back with the answer."""
    await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY)
    await services.database.settings.execute("UPDATE idempotency_keys SET status = NULL, reply = NULL")
    clock.move(seconds=61)
    await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY)
    assert len((await api.get("/v1/agencies"))["items"]) == 2


async def test_an_answer_that_cannot_be_opened_any_more_is_not_done_again(api, services):
    await api.post("/v1/agencies", {"name": "Acme"}, headers=KEY)
    await services.database.settings.execute("UPDATE idempotency_keys SET reply = '1.gone.AAAA'")
    assert (await api.refusal("POST", "/v1/agencies", {"name": "Acme"}, headers=KEY)).name == "conflict"
    assert len((await api.get("/v1/agencies"))["items"]) == 1


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "ü"])
async def test_a_key_must_be_short_visible_ascii(api, key):
    problem = await api.refusal("POST", "/v1/agencies", {"name": "Acme"}, headers={"Idempotency-Key": key.encode()})
    assert (problem.status, problem.fields) == (422, ("Idempotency-Key",))
