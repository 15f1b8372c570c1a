from __future__ import annotations

import pytest

from adapters.sandbox.world import ACCOUNT_SID, NUMBERS, RETELL_KEY, VAPI_KEY
from tests.router.api.client import ADMIN_TOKEN, number_path
from tests.router.console import full_agency

pytestmark = pytest.mark.anyio


async def test_an_agency_begins_without_a_provider_and_says_so(api):
    made = await api.post("/v1/agencies", {"name": "  Acme Voice ", "alert_email": "ops@acme.example"})
    assert made["id"].startswith("agency_")
    assert len(made["id"]) > 20
    assert made == {
        "id": made["id"],
        "name": "Acme Voice",
        "active_provider": None,
        "fallback_providers": None,
        "numbers_from": "provider",
        "alert_email": "ops@acme.example",
        "alert_email_confirmed": True,
        "problems": [],
        "retention_days": None,
        "created_at": "2026-03-02T12:00:00Z",
    }
    assert await api.get(f"/v1/agencies/{made['id']}") == made


async def test_an_agency_may_be_created_to_buy_from_the_carrier(api):
    made = await api.post("/v1/agencies", {"name": "Acme", "numbers_from": "carrier"})
    assert (await api.get(f"/v1/agencies/{made['id']}"))["numbers_from"] == "carrier"


async def test_what_a_change_leaves_out_stays_and_null_clears(api):
    agency = await api.post("/v1/agencies", {"name": "Acme", "alert_email": "ops@acme.example"})
    path = f"/v1/agencies/{agency['id']}"
    renamed = await api.patch(path, {"name": "Acme Voice"})
    assert renamed == agency | {"name": "Acme Voice"}
    assert await api.patch(path, {"alert_email": None}) == renamed | {
        "alert_email": None,
        "alert_email_confirmed": None,
    }
    assert await api.patch(path, {}) == renamed | {"alert_email": None, "alert_email_confirmed": None}


async def test_no_fallback_providers_differs_from_every_fallback_provider(api):
    agency = await api.new_agency()
    assert (await api.patch(agency.path, {"fallback_providers": []}))["fallback_providers"] == []
    assert (await api.get(agency.path))["fallback_providers"] == []
    chosen = await api.patch(agency.path, {"fallback_providers": ["bland", "vapi"]})
    assert chosen["fallback_providers"] == ["bland", "vapi"]
    assert (await api.patch(agency.path, {"fallback_providers": None}))["fallback_providers"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"alert_email": "nobody"}, "alert_email"),
        ({"active_provider": "twilio"}, "active_provider"),
        ({"fallback_providers": ["vapi", "vapi"]}, "fallback_providers"),
        ({"fallback_providers": ["openai"]}, "fallback_providers"),
        ({"fallback_providers": "vapi"}, "fallback_providers"),
        ({"numbers_from": "twilio"}, "numbers_from"),
        ({"numbers_from": None}, "numbers_from"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_is_named(api, body, field):
    agency = await api.new_agency()
    problem = await api.refusal("PATCH", agency.path, body)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))


async def test_a_provider_without_a_key_cannot_become_the_active_one(api):
    agency = await api.new_agency()
    problem = await api.refusal("PATCH", agency.path, {"active_provider": "vapi"})
    assert (problem.status, problem.name) == (422, "no-key")
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY, "activate": False})
    assert (await api.patch(agency.path, {"active_provider": "vapi"}))["active_provider"] == "vapi"
    assert (await api.patch(agency.path, {"active_provider": None}))["active_provider"] is None


async def test_the_provider_before_the_active_one_is_remembered(api, services):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY})
    former = "SELECT former_provider FROM agencies WHERE id = $1"
    assert await services.database.settings.fetchval(former, agency.id) == "vapi"
    await api.patch(agency.path, {"active_provider": "vapi"})
    assert await services.database.settings.fetchval(former, agency.id) == "retell"


async def test_an_agency_sees_itself_in_the_list_and_the_operator_sees_all(api):
    one, other = await api.new_agency("One"), await api.new_agency("Other")
    assert [item["id"] for item in (await api.get("/v1/agencies", token=one.token))["items"]] == [one.id]
    assert {item["id"] for item in (await api.get("/v1/agencies"))["items"]} == {one.id, other.id}


async def test_an_agency_can_neither_make_nor_delete_agencies(api):
    agency = await api.new_agency()
    assert (await api.refusal("POST", "/v1/agencies", {"name": "Mine"}, token=agency.token)).status == 404
    assert (await api.refusal("DELETE", agency.path, token=agency.token)).status == 404
    assert await api.get(agency.path, token=agency.token)


async def test_a_deleted_agency_is_gone_with_its_tokens_and_its_numbers_are_free(api, sandbox):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", {"e164": NUMBERS[0], "client_id": client["id"], "account": "platform"})
    await api.delete(agency.path)
    assert sandbox.state.twilio.accounts[ACCOUNT_SID].number_called(NUMBERS[0])["voice_url"] == ""
    assert (await api.refusal("GET", agency.path)).status == 404
    assert (await api.refusal("GET", agency.path, token=agency.token)).status == 401
    assert (await api.refusal("DELETE", agency.path)).status == 404
    assert (await api.refusal("GET", number_path(agency, NUMBERS[0]), token=ADMIN_TOKEN)).status == 404


async def test_the_agency_that_has_a_number_is_found_by_it(api):
    (ours, theirs) = [await api.new_agency(name) for name in ("Ours", "Theirs")]
    client = await api.new_client(ours)
    await api.post(f"{ours.path}/numbers", {"e164": NUMBERS[0], "client_id": client["id"], "account": "platform"})

    async def found(**options):
        return [agency["id"] for agency in (await api.get("/v1/agencies", **options))["items"]]

    assert await found(params={"number": NUMBERS[0]}) == [ours.id]
    assert await found(params={"number": NUMBERS[1]}) == []
    assert await found(params={"number": NUMBERS[0]}, token=theirs.token) == []
    problem = await api.refusal("GET", "/v1/agencies", params={"number": "Bella"})
    assert (problem.status, problem.fields) == (422, ("number",))


async def find_rows(pool, text):
    """Every row of every table that has this text in it, by table."""
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = {}
    for (table,) in tables:
        shown = "convert_from(payload, 'UTF8')" if table == "pgqueuer" else "t::text"
        rows = await pool.fetch(f"SELECT {shown} AS text FROM {table} t WHERE position($1 IN {shown}) > 0", text)  # noqa: S608
        if rows:
            found[table] = [row["text"] for row in rows]
    return found


async def test_a_deleted_agency_leaves_one_trace_with_the_operator_and_nothing_else(api, services, sandbox):
    full = await full_agency.fill(api, services, sandbox)
    agency, pool = full.agency, services.database.settings
    for token in (ADMIN_TOKEN, agency.token):
        once = {"idempotency-key": f"once-{token}"}
        await api.post(f"{agency.path}/tokens", {"name": "again"}, token=token, headers=once)
        await api.refusal("DELETE", f"{agency.path}/clients/client_x", token=token, headers=once)
    made = await api.post("/v1/agencies", {"name": "Twin"}, headers={"idempotency-key": "twin"})
    for path in (agency.path, f"/v1/agencies/{made['id']}"):
        await api.delete(path, headers={"idempotency-key": f"delete {path}".replace(" ", "-")})
    for agency_id in (agency.id, made["id"]):
        found = await find_rows(pool, agency_id)
        assert found.keys() == {"audit", "idempotency_keys"}, found
        (trace,), (reply,) = found["audit"], found["idempotency_keys"]
        assert "agency.deleted" in trace
        assert "admin DELETE" in reply, "the operator's own request"
    assert await find_rows(pool, agency.token) == {}
    traces = [entry for entry in (await api.get("/v1/audit"))["items"] if entry["action"] == "agency.deleted"]
    assert {(entry["actor"], entry["target"], entry["address"], entry["agency_id"]) for entry in traces} == {
        ("admin", agency.id, "127.0.0.1", None),
        ("admin", made["id"], "127.0.0.1", None),
    }


async def test_the_operators_audit_log_is_the_operators(api):
    one, other = await api.new_agency("One"), await api.new_agency("Other")
    assert (await api.refusal("GET", "/v1/audit", token=one.token)).status == 404
    first = await api.get("/v1/audit", params={"limit": 2})
    rest = await api.get("/v1/audit", params={"cursor": first["next_cursor"]})
    entries = first["items"] + rest["items"]
    assert {entry["agency_id"] for entry in entries} == {one.id, other.id}
    assert len({entry["id"] for entry in entries}) == len(entries) == 4
