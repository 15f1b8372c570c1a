"""How agencies are doing: who takes their calls, what is wrong, and what is still to be set up."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import BLAND_KEY, NUMBERS, RETELL_KEY, VAPI_KEY
from tests.router.api.client import Agency, Api
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio


async def test_a_new_agency_is_fine_and_has_everything_to_do(api: Api):
    agency = await api.new_agency()
    health = await api.get(f"{agency.path}/health")
    assert (health["state"], health["answers"], health["items"]) == ("good", None, [])
    assert not any(health["setup"].values())


async def use_up_credit(services: Services) -> None:
    await services.database.settings.execute(
        "UPDATE keys SET status = 'out_of_credit', problem = 'the wallet is empty', failing_since = now()"
    )


async def test_an_empty_balance_is_a_problem_and_another_key_stands_in(api: Api, services: Services):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await use_up_credit(services)
    alone = await api.get(f"{agency.path}/health")
    assert (alone["state"], alone["answers"]) == ("bad", None)
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "activate": False})
    health = await api.get(f"{agency.path}/health", token=agency.token)
    assert (health["state"], health["answers"]) == ("bad", "retell")
    (found,) = health["items"]
    assert (found["area"], found["target"], found["name"]) == ("balance", "vapi", "Vapi")
    assert found["since"] is not None
    assert "Top up at Vapi" in found["advice"]


async def test_every_kind_of_trouble_is_told_with_advice(api: Api, services: Services):
    agency = await api.new_agency()
    pool = services.database.settings
    for kind, key in (("vapi", VAPI_KEY), ("retell", RETELL_KEY)):
        await api.put(f"{agency.path}/keys/{kind}", {"key": key})
    client = await api.new_client(agency, name="Acme", assistant={"prompt": "Hello"}, notify_email="a@example.com")
    number = {"e164": NUMBERS[0], "client_id": client["id"], "account": "platform"}
    await api.post(f"{agency.path}/numbers", number)
    endpoint = await api.post(f"{agency.path}/endpoints", {"url": "http://127.0.0.1:9/secret-path"})
    for change in (
        "UPDATE keys SET status = 'failing', problem = 'it was deleted' WHERE kind = 'retell'",
        "UPDATE keys SET balance = 1.5, lines_limit = 10, lines_used = 10 WHERE kind = 'vapi'",
        "UPDATE numbers SET drift = 'VoiceUrl differs'",
        "UPDATE assistants SET state = 'failed', error = 'the voice is unknown' WHERE provider = 'vapi'",
        "UPDATE endpoints SET resting_until = now(), failures = 7",
        "UPDATE clients SET notify_email_problem = 'mailbox full'",
    ):
        await pool.execute(change)
    health = await api.get(f"{agency.path}/health")
    told = {(one["area"], one["severity"], one["target"]) for one in health["items"]}
    assert told >= {
        ("keys", "bad", "retell"),
        ("balance", "warn", "vapi"),
        ("lines", "warn", "vapi"),
        ("numbers", "bad", NUMBERS[0]),
        ("sync", "bad", client["id"]),
        ("deliveries", "warn", endpoint["id"]),
        ("mail", "warn", client["id"]),
    }
    assert all(one["problem"] and one["advice"] for one in health["items"])
    said = " ".join(one["problem"] for one in health["items"])
    for words in ("It was deleted.", "$1.50", "All 10 lines", "VoiceUrl differs.", "7 attempts", "Mailbox full."):
        assert words in said
    reader = await api.post(f"{agency.path}/tokens", {"name": "reader", "role": "read"})
    seen = await api.get(f"{agency.path}/health", token=reader["token"])
    assert "secret-path" in str(health)
    assert "secret-path" not in str(seen)
    setup = {"key": True, "client": True, "assistant": True, "number": True, "call": False, "alerts": True}
    assert health["setup"] == setup


async def test_the_operator_sees_all_agencies_and_no_one_else_does(
    api: Api, services: Services, agency_of_another: Agency
):
    broke = await api.new_agency("Broke")
    await api.put(f"{broke.path}/keys/bland", {"key": BLAND_KEY})
    await use_up_credit(services)
    first = await api.get("/v1/health", params={"limit": 1})
    rest = await api.get("/v1/health", params={"cursor": first["next_cursor"]})
    states = {one["agency_name"]: one["state"] for one in (*first["items"], *rest["items"])}
    assert states == {"Another": "good", "Broke": "bad"}
    assert (await api.refusal("GET", "/v1/health", token=broke.token)).status == 404
    assert (await api.refusal("GET", f"{broke.path}/health", token=agency_of_another.token)).status == 404


async def test_an_address_for_alerts_is_told_to_get_nothing_without_a_mail_server(api: Api, services: Services):
    made = await api.post("/v1/agencies", {"name": "Acme", "alert_email": "ops@acme.example"})
    before = await api.get(f"/v1/agencies/{made['id']}/health")
    assert (before["items"], before["setup"]["alerts"]) == ([], True)
    object.__setattr__(services.areas.health, "sends_mail", False)
    health = await api.get(f"/v1/agencies/{made['id']}/health")
    assert (health["sends_mail"], health["setup"]["alerts"]) == (False, False)
    (found,) = health["items"]
    assert (found["area"], found["name"]) == ("mail", "ops@acme.example")
    assert "no mail server is set" in found["problem"]


@pytest.fixture
async def agency_of_another(api: Api) -> Agency:
    return await api.new_agency("Another")
