from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.sandbox.world import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    BLAND_KEY,
    BROKE_KEYS,
    NUMBERS,
    RETELL_KEY,
    VAPI_KEY,
)
from crypto import Secret
from router.store.keys.versions import find_key_in_use
from router.store.sealed import key_context, webhook_secret_context, webhook_token_context
from tests.router.api.client import ADMIN_TOKEN, PUBLIC_URL, number_path

pytestmark = pytest.mark.anyio

KEYS = {"vapi": VAPI_KEY, "retell": RETELL_KEY, "bland": BLAND_KEY}
OWN_SID, OWN_TOKEN = "AC" + "0e" * 16, "token-of-the-agencys-own-account"


@pytest.fixture
async def own_account(sandbox):
    return sandbox.state.twilio.add_account(OWN_SID, OWN_TOKEN)


async def rows(services, agency, kind):
    return await services.database.settings.fetch(
        "SELECT * FROM keys WHERE agency_id = $1 AND kind = $2 ORDER BY version", agency.id, kind
    )


@pytest.mark.parametrize("kind", KEYS)
async def test_a_key_that_works_is_saved_and_its_provider_becomes_the_active_one(api, kind, sandbox, captured_events):
    agency = await api.new_agency()
    saved = await api.put(f"{agency.path}/keys/{kind}", {"key": KEYS[kind]})
    token = parse_qs(urlsplit(saved["webhook_url"]).query)["token"][0]
    assert saved == {
        "kind": kind,
        "last4": KEYS[kind][-4:],
        "status": "valid",
        "problem": None,
        "failing_since": None,
        "checked_at": "2026-03-02T12:00:00Z",
        "balance": 25.0 if kind == "bland" else None,
        "lines": None,
        "version": 1,
        "active": True,
        "sync": {"state": "idle", "done": 0, "total": 0, "failed": 0},
        "webhook_url": f"{PUBLIC_URL}/webhooks/{kind}/{agency.id}?token={token}",
        "webhooks_signed": False if kind == "retell" else None,
    }
    assert len(sandbox.state.requests_to(kind)) == 1
    assert (await api.get(agency.path))["active_provider"] == kind
    assert await api.get(f"{agency.path}/keys") == {"items": [saved], "next_cursor": None}
    assert await api.get(f"{agency.path}/keys/{kind}") == saved
    line = captured_events.only("key.saved")
    assert (line["agency_id"], line["kind"], line["version"], line["active"]) == (agency.id, kind, 1, True)


async def test_a_twilio_account_is_checked_and_saved_but_does_not_become_active(api, own_account):
    agency = await api.new_agency()
    body = {"account_sid": own_account.sid, "auth_token": own_account.auth_token}
    saved = await api.put(f"{agency.path}/keys/twilio", body)
    assert saved["webhook_url"] == f"{PUBLIC_URL}/webhooks/twilio/voice"
    assert (saved["kind"], saved["last4"], saved["status"], saved["active"]) == ("twilio", "ount", "valid", False)
    assert (await api.get(agency.path))["active_provider"] is None


async def test_a_key_saved_without_activating_does_not_change_who_answers(api):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    saved = await api.put(f"{agency.path}/keys/bland", {"key": BLAND_KEY, "activate": False})
    assert saved["active"] is False
    assert (await api.get(agency.path))["active_provider"] == "vapi"
    assert [key["kind"] for key in (await api.get(f"{agency.path}/keys"))["items"]] == ["vapi", "bland"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("vapi", {"key": "canary-key-that-is-wrong"}),
        ("retell", {"key": "canary-key-that-is-wrong"}),
        ("bland", {"key": "canary-key-that-is-wrong"}),
        ("twilio", {"account_sid": OWN_SID, "auth_token": "canary-key-that-is-wrong"}),
    ],
)
async def test_a_refused_key_is_not_saved_and_its_owner_learns_where_to_find_the_right_one(
    api, kind, body, captured_events, services
):
    agency = await api.new_agency()
    problem = await api.refusal("PUT", f"{agency.path}/keys/{kind}", body)
    assert (problem.status, problem.name) == (422, "key-rejected")
    assert kind in problem.detail.lower()
    assert "dashboard" in problem.detail or "console" in problem.detail
    assert "canary" not in problem.text
    assert "canary" not in captured_events.text()
    assert captured_events.only("key.rejected")["reason"] == "key_rejected"
    assert await rows(services, agency, kind) == []


FAULTS = "404 408 429 500 503 reset garbage html empty redirect huge".split()


@pytest.mark.parametrize("kind", KEYS)
async def test_whatever_a_provider_answers_instead_nothing_is_saved_and_the_key_before_stays(
    api, kind, sandbox, services
):
    agency = await api.new_agency()
    before = await api.put(f"{agency.path}/keys/{kind}", {"key": KEYS[kind]})
    for fault in FAULTS:
        sandbox.state.faults.set(kind, fault)
        problem = await api.refusal("PUT", f"{agency.path}/keys/{kind}", {"key": BROKE_KEYS[kind]})
        assert (problem.status, problem.name) == (503, "provider-unreachable"), fault
        assert BROKE_KEYS[kind] not in problem.text
        assert await api.get(f"{agency.path}/keys/{kind}") == before
    (row,) = await rows(services, agency, kind)
    assert services.keyring.open(row["sealed"], *key_context(agency.id, kind, 1)) == Secret(KEYS[kind])


@pytest.mark.parametrize("kind", KEYS)
async def test_a_key_that_is_echoed_back_reaches_neither_the_answer_nor_the_log(api, kind, sandbox, captured_events):
    agency = await api.new_agency()
    sandbox.state.faults.set(kind, "echo-key")
    problem = await api.refusal("PUT", f"{agency.path}/keys/{kind}", {"key": "canary-0123456789"})
    assert problem.status == 503
    for text in (problem.text, captured_events.text()):
        assert "canary-0123456789" not in text


@pytest.mark.parametrize("kind", ["vapi", "bland"])
async def test_a_working_key_without_credit_is_saved_as_out_of_credit(api, kind, sandbox):
    agency = await api.new_agency()
    if kind == "vapi":
        sandbox.state.faults.set("vapi", "wallet")
    saved = await api.put(f"{agency.path}/keys/{kind}", {"key": BROKE_KEYS[kind]})
    assert (saved["status"], saved["active"]) == ("out_of_credit", True)


async def test_a_new_key_is_a_new_version_and_the_address_for_webhooks_stays(api, services, clock):
    agency = await api.new_agency()
    first = await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    clock.move(hours=1)
    second = await api.put(f"{agency.path}/keys/vapi", {"key": BROKE_KEYS["vapi"]})
    assert (second["version"], second["last4"]) == (2, BROKE_KEYS["vapi"][-4:])
    assert second["webhook_url"] == first["webhook_url"]
    old, new = await rows(services, agency, "vapi")
    assert (old["retired_at"], new["retired_at"]) == (clock.now, None)
    assert services.keyring.open(new["sealed"], *key_context(agency.id, "vapi", 2)) == Secret(BROKE_KEYS["vapi"])


async def test_a_version_that_was_retired_over_a_day_ago_is_erased(api, services, clock):
    agency = await api.new_agency()
    for hours in (0, 1, 23.5, 1):
        clock.move(hours=hours)
        await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    assert [row["version"] for row in await rows(services, agency, "vapi")] == [2, 3, 4]


async def test_a_compromised_key_is_erased_at_once_and_versions_count_on(api, services):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    saved = await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY, "compromised": True})
    assert saved["version"] == 2
    assert [row["version"] for row in await rows(services, agency, "vapi")] == [2]
    await api.delete(f"{agency.path}/keys/vapi")
    assert (await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY}))["version"] == 3


async def test_a_deleted_key_is_gone_in_all_its_versions(api, services, captured_events):
    agency = await api.new_agency()
    for _ in range(2):
        await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await api.delete(f"{agency.path}/keys/vapi", token=agency.token)
    assert await rows(services, agency, "vapi") == []
    assert (await api.refusal("DELETE", f"{agency.path}/keys/vapi")).status == 404
    assert captured_events.only("key.deleted")["kind"] == "vapi"


async def test_deleting_the_active_providers_key_activates_the_next_provider_with_a_key(api, services):
    agency = await api.new_agency()
    for kind in ("vapi", "bland", "retell"):
        await api.put(f"{agency.path}/keys/{kind}", {"key": KEYS[kind]})
    await api.patch(agency.path, {"fallback_providers": ["bland"]})
    for kind, successor in (("retell", "bland"), ("bland", "vapi"), ("vapi", None)):
        await api.delete(f"{agency.path}/keys/{kind}")
        assert (await api.get(agency.path))["active_provider"] == successor
        former = "SELECT former_provider FROM agencies WHERE id = $1"
        assert await services.database.settings.fetchval(former, agency.id) in (None, "bland")
    assert (await api.get(agency.path))["fallback_providers"] == ["bland"]


async def test_two_saves_at_once_both_end_well(api, services):
    agency = await api.new_agency()
    saves = [api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY}) for _ in range(6)]
    saves += [api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY}) for _ in range(2)]
    saved = await asyncio.gather(*saves)
    assert sorted(key["version"] for key in saved if key["kind"] == "vapi") == [1, 2, 3, 4, 5, 6]
    assert len({key["webhook_url"] for key in saved}) == 2
    in_use = [row["version"] for row in await rows(services, agency, "vapi") if row["retired_at"] is None]
    assert in_use == [6]


async def test_white_space_around_a_pasted_key_is_removed(api, services):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": f"\n {VAPI_KEY}\t "})
    (row,) = await rows(services, agency, "vapi")
    assert services.keyring.open(row["sealed"], *key_context(agency.id, "vapi", 1)) == Secret(VAPI_KEY)


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("vapi", {}, "key"),
        ("vapi", {"key": "  "}, "key"),
        ("vapi", {"key": "canary-\u2013-dash"}, "key"),
        ("vapi", {"key": "canary\nsecond line"}, "key"),
        ("vapi", {"key": ["canary"]}, "key"),
        ("vapi", {"key": "canary" * 200}, "key"),
        ("vapi", {"key": "canary", "activate": "canary"}, "activate"),
        ("vapi", {"key": "canary", "webhook_key": "canary"}, "webhook_key"),
        ("retell", {"key": "canary", "webhook_key": ""}, "webhook_key"),
        ("bland", {"key": "canary", "signing_secret": "\u00fc-canary"}, "signing_secret"),
        ("twilio", {"account_sid": "SK" + "0" * 32, "auth_token": "canary"}, "account_sid"),
        ("twilio", {"account_sid": OWN_SID + "\n", "auth_token": "canary"}, "account_sid"),
        ("twilio", {"account_sid": OWN_SID}, "auth_token"),
    ],
)
async def test_a_key_that_can_be_none_is_refused_unasked_and_not_repeated(
    api, kind, body, field, sandbox, captured_events
):
    agency = await api.new_agency()
    problem = await api.refusal("PUT", f"{agency.path}/keys/{kind}", body)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))
    assert "canary" not in problem.text
    assert "canary" not in captured_events.text()
    assert not sandbox.state.requests


async def test_a_webhook_secret_stays_with_the_next_key_until_it_is_taken_away(api, services):
    agency, path = await api.new_agency(), None
    path = f"{agency.path}/keys/bland"

    async def secret():
        key = await find_key_in_use(services.database.settings, agency.id, "bland")
        if key.webhook_sealed is None:
            return None
        return services.keyring.open(
            key.webhook_sealed, *webhook_secret_context(agency.id, "bland", key.version)
        ).reveal()

    await api.put(path, {"key": BLAND_KEY, "signing_secret": "whsec-1"})
    assert await secret() == "whsec-1"
    await api.put(path, {"key": BLAND_KEY})
    assert await secret() == "whsec-1"
    await api.put(path, {"key": BLAND_KEY, "signing_secret": None})
    assert await secret() is None


async def test_the_token_in_the_webhook_address_is_the_one_that_is_stored(api, services):
    agency = await api.new_agency()
    saved = await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "webhook_key": "key_hooks"})
    (row,) = await rows(services, agency, "retell")
    token = services.keyring.open(row["webhook_token_sealed"], *webhook_token_context(agency.id, "retell"))
    assert saved["webhook_url"].endswith(f"?token={token.reveal()}")
    assert len(token.reveal()) > 43


async def test_no_row_of_the_database_holds_a_key_in_any_plain_form(api, services, own_account):
    agency = await api.new_agency()
    canaries = [
        VAPI_KEY,
        RETELL_KEY,
        BLAND_KEY,
        OWN_TOKEN,
        "canary-webhook-key",
        "canary-signing-secret",
        "canary-shared-key",
    ]
    repeated = {"Idempotency-Key": "again"}
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY}, headers=repeated)
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "webhook_key": canaries[4]}, headers=repeated)
    await api.put(f"{agency.path}/keys/bland", {"key": BLAND_KEY, "signing_secret": canaries[5]}, headers=repeated)
    twilio = {
        "account_sid": own_account.sid,
        "auth_token": OWN_TOKEN,
        "shared_keys": [{"id": "one", "secret": canaries[6]}],
    }
    saved = await api.put(f"{agency.path}/keys/twilio", twilio, headers=repeated)
    everything = json.dumps(saved) + await dump(services.database.settings)
    for canary in canaries:
        for form in (canary, base64.b64encode(canary.encode()).decode().rstrip("="), canary.encode().hex()):
            assert form not in everything


async def dump(pool) -> str:
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    statements = [f'SELECT string_agg(t::text, chr(10)) FROM "{row["tablename"]}" t' for row in tables]  # noqa: S608
    return "\n".join([await pool.fetchval(statement) or "" for statement in statements])


async def test_an_agency_cannot_save_the_platforms_account_as_its_own(api, sandbox):
    agency = await api.new_agency()
    for sid in (ACCOUNT_SID, "AC" + ACCOUNT_SID[2:].upper()):
        body = {"account_sid": sid, "auth_token": AUTH_TOKEN}
        problem = await api.refusal("PUT", f"{agency.path}/keys/twilio", body)
        assert (problem.status, problem.fields) == (422, ("account_sid",))
    assert not sandbox.state.requests


async def test_a_twilio_key_that_numbers_live_on_can_be_renewed_and_erased_but_not_moved(api, sandbox, own_account):
    sandbox.state.twilio.add_number(own_account, NUMBERS[1])
    other = sandbox.state.twilio.add_account("AC" + "1f" * 16, "token-of-another-account")
    agency = await api.new_agency()
    path = f"{agency.path}/keys/twilio"
    await api.put(path, {"account_sid": OWN_SID, "auth_token": OWN_TOKEN})
    client = await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", {"e164": NUMBERS[1], "client_id": client["id"], "account": "agency"})
    moved = await api.refusal("PUT", path, {"account_sid": other.sid, "auth_token": other.auth_token})
    assert (moved.status, moved.name) == (409, "conflict")
    assert NUMBERS[1] in moved.detail
    own_account.auth_token = "rotated-token"
    assert (await api.put(path, {"account_sid": OWN_SID, "auth_token": "rotated-token"}))["version"] == 2
    await api.delete(path)
    moved = await api.refusal("PUT", path, {"account_sid": other.sid, "auth_token": other.auth_token})
    assert (moved.status, moved.name) == (409, "conflict")
    assert (await api.put(path, {"account_sid": OWN_SID, "auth_token": "rotated-token"}))["version"] == 3
    await api.delete(number_path(agency, NUMBERS[1]))
    assert (await api.put(path, {"account_sid": other.sid, "auth_token": other.auth_token}))["version"] == 4


async def test_a_key_that_was_found_failing_is_shown_as_that_until_it_is_saved_again(api, services, own_account):
    agency = await api.new_agency()
    path, body = f"{agency.path}/keys/twilio", {"account_sid": own_account.sid, "auth_token": own_account.auth_token}
    await api.put(path, body)
    await services.database.settings.execute("UPDATE keys SET status = 'failing'")
    assert (await api.get(path))["status"] == "failing"
    assert (await api.put(path, body))["status"] == "valid"


async def test_the_sync_figures_count_clients_whose_assistant_is_there(api):
    agency = await api.new_agency()
    one, _ = await api.new_client(agency), await api.new_client(agency)
    await api.new_client(agency, assistant={"prompt": "You answer for Bella's Salon."})
    await api.put(f"{agency.path}/clients/{one['id']}/assistants/vapi", {"remote_id": "a1", "manage": []})
    saved = await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    assert saved["sync"] == {"state": "running", "done": 1, "total": 2, "failed": 0}


async def test_a_key_whose_webhook_token_cannot_be_opened_is_still_shown_and_mended_by_saving(api, services):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await services.database.settings.execute("UPDATE keys SET webhook_token_sealed = '1.gone.AAAA'")
    assert (await api.get(f"{agency.path}/keys"))["items"][0]["webhook_url"] is None
    assert (await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY}))["webhook_url"]


async def test_saving_answers_within_ten_seconds_though_a_provider_never_does(api, sandbox):
    agency = await api.new_agency()
    sandbox.state.faults.set("vapi", "hang")
    async with asyncio.timeout(10):
        problem = await api.refusal("PUT", f"{agency.path}/keys/vapi", {"key": VAPI_KEY}, token=ADMIN_TOKEN)
    assert problem.name == "provider-unreachable"


async def shared_keys_of(services, agency):
    """As stored with the Twilio key in use."""
    key = await find_key_in_use(services.database.settings, agency.id, "twilio")
    if key.webhook_sealed is None:
        return {}
    context = webhook_secret_context(agency.id, "twilio", key.version)
    return json.loads(services.keyring.open(key.webhook_sealed, *context).reveal())


@pytest.mark.usefixtures("own_account")
async def test_shared_keys_stay_with_their_account_until_they_are_replaced_or_cleared(api, services, sandbox):
    agency = await api.new_agency()
    path, token = f"{agency.path}/keys/twilio", {"account_sid": OWN_SID, "auth_token": OWN_TOKEN}
    one, two = {"id": "one", "secret": "shared-1"}, {"id": "two", "secret": "shared-2"}
    for given, kept in [
        ({"shared_keys": [one]}, {"one": "shared-1"}),
        ({}, {"one": "shared-1"}),
        ({"shared_keys": [one, two]}, {"one": "shared-1", "two": "shared-2"}),
        ({"shared_keys": [two]}, {"two": "shared-2"}),
        ({"shared_keys": None}, {}),
        ({"shared_keys": [one]}, {"one": "shared-1"}),
        ({"shared_keys": []}, {}),
        ({}, {}),
        ({"shared_keys": [two]}, {"two": "shared-2"}),
    ]:
        saved = await api.put(path, token | given)
        assert "shared-" not in json.dumps(saved)
        assert saved["shared_keys"] == (await api.get(path))["shared_keys"] == [{"id": name} for name in kept]
        assert await shared_keys_of(services, agency) == kept
    other = sandbox.state.twilio.add_account("AC" + "0f" * 16, "token-of-another-account")
    saved = await api.put(path, {"account_sid": other.sid, "auth_token": other.auth_token})
    assert saved["shared_keys"] == []
    assert await shared_keys_of(services, agency) == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([{"id": "one", "secret": "canary"}, {"id": "one", "secret": "canary-2"}], "shared_keys"),
        ([{"id": str(number), "secret": "canary"} for number in range(11)], "shared_keys"),
        ([{"id": "two words", "secret": "canary"}], "shared_keys.0.id"),
        ([{"id": "", "secret": "canary"}], "shared_keys.0.id"),
        ([{"id": "one", "secret": " "}], "shared_keys.0.secret"),
        ([{"id": "one"}], "shared_keys.0.secret"),
        ([{"secret": "canary"}], "shared_keys.0.id"),
        ([{"id": "one", "secret": "canary\u00e9"}], "shared_keys.0.secret"),
        ("canary", "shared_keys"),
        (["canary"], "shared_keys.0"),
    ],
)
async def test_shared_keys_in_another_form_are_refused_without_being_repeated(api, given, field):
    agency = await api.new_agency()
    body = {"account_sid": OWN_SID, "auth_token": OWN_TOKEN, "shared_keys": given}
    problem = await api.refusal("PUT", f"{agency.path}/keys/twilio", body)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))
    assert "canary" not in problem.text
