"""A carrier's numbers at Vapi: imported once, with what can be revoked, and answered also while they point there."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.portable import Copy, Credentials, Registration
from adapters.provider import Provider
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.vapi.org import VapiOrg
from crypto.secret import Secret
from tests.adapters.canary import assert_clean
from tests.adapters.refusals import error_of
from tests.adapters.vapi.examples import KEY, LIMIT, die_when

pytestmark = pytest.mark.anyio

NUMBER = "+15005550155"
FALLBACK = "+14155550123"
OURS = f"callrouter {NUMBER}"


@pytest.fixture
def credentials(box: RunningSandbox) -> Credentials:
    """A carrier account with the number in it, and a key of that account's."""
    account = box.state.twilio.add_account(auth_token=secrets.token_hex(16))
    number = box.state.twilio.add_number(account, NUMBER, voice_url="https://calls.example.com/voice")
    number["sms_url"] = "https://theirs.example/sms"
    api_key = "SK" + secrets.token_hex(16)
    account.api_keys[api_key] = secrets.token_hex(16)
    return Credentials(account.sid, Secret(account.auth_token), api_key, Secret(account.api_keys[api_key]))


@pytest.fixture
def copy(box: RunningSandbox, org: VapiOrg) -> Copy:
    return Copy(box.state.vapi.add_assistant(org))


def at_vapi(org: VapiOrg, registration: Registration) -> dict[str, Any]:
    return org.phone_numbers[registration.remote_id]


def at_twilio(box: RunningSandbox, credentials: Credentials) -> dict[str, Any]:
    number = box.state.twilio.accounts[credentials.account_sid].number_called(NUMBER)
    assert number is not None
    return number


async def register(
    vapi: Provider[Any], credentials: Credentials, copy: Copy | None, fallback: str | None = FALLBACK
) -> Registration:
    return await vapi.registrations.register(vapi.open(KEY, LIMIT), NUMBER, credentials, copy, fallback)


async def test_a_number_is_imported_with_the_key_that_can_be_revoked(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox, credentials: Credentials, copy: Copy
):
    registration = await register(vapi, credentials, copy)

    imported = at_vapi(org, registration)
    assert (imported["provider"], imported["number"]) == ("twilio", NUMBER)
    assert imported["twilioApiKey"] == credentials.api_key
    assert credentials.auth_token.reveal() not in str(imported)
    assert imported["assistantId"] == copy.remote_id
    assert imported["fallbackDestination"] == {"type": "number", "number": FALLBACK}
    assert at_twilio(box, credentials)["sms_url"] == "https://theirs.example/sms"


async def test_without_such_a_key_it_is_imported_with_the_accounts_token(
    vapi: Provider[Any], org: VapiOrg, credentials: Credentials, copy: Copy
):
    token_alone = replace(credentials, api_key=None, api_secret=None)
    imported = at_vapi(org, await register(vapi, token_alone, copy))

    assert imported["twilioAuthToken"] == credentials.auth_token.reveal()
    assert "twilioApiKey" not in imported


async def test_a_number_may_have_neither_assistant_nor_fallback(
    vapi: Provider[Any], org: VapiOrg, credentials: Credentials
):
    imported = at_vapi(org, await register(vapi, credentials, None, None))
    assert not {"assistantId", "fallbackDestination"} & imported.keys()


async def test_a_number_is_never_imported_twice(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox, credentials: Credentials, copy: Copy
):
    """Whether it was us before, in a process that died, or somebody by hand."""
    by_hand = box.state.vapi.add_phone_number(org, NUMBER, credentials.account_sid)

    assert await register(vapi, credentials, copy) == Registration(by_hand, label=OURS)
    assert await register(vapi, credentials, None, None) == Registration(by_hand, label=OURS)
    assert list(org.phone_numbers) == [by_hand]
    assert not {"assistantId", "fallbackDestination"} & org.phone_numbers[by_hand].keys()


async def test_an_import_whose_answer_never_came_is_found(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox, credentials: Credentials, copy: Copy
):
    look = {"fault": "late", "operation": "numbers", "seconds": 0, "times": 1}
    box.state.faults.set("vapi", [look, {"fault": "late", "operation": "numbers", "seconds": 60, "times": 1}])
    await die_when(register(vapi, credentials, copy), lambda: org.phone_numbers)

    found = await vapi.registrations.find(vapi.open(KEY, LIMIT), NUMBER)
    assert found == await register(vapi, credentials, copy)
    assert len(org.phone_numbers) == 1


async def test_a_registration_is_found_on_any_page_and_only_among_the_carriers_numbers(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox
):
    mine = box.state.vapi.add_phone_number(org, NUMBER)
    for each in range(150):
        box.state.vapi.add_phone_number(org, f"+1500556{each:04d}")
    own = box.state.vapi.add_phone_number(org, "+14155559999")
    org.phone_numbers[own]["provider"] = "vapi"

    assert await vapi.registrations.find(vapi.open(KEY, LIMIT), NUMBER) == Registration(mine)
    assert await vapi.registrations.find(vapi.open(KEY, LIMIT), "+15005550999") is None
    assert await vapi.registrations.find(vapi.open(KEY, LIMIT), "+14155559999") is None


async def test_another_assistant_or_fallback_is_set_on_the_same_registration(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox, credentials: Credentials, copy: Copy
):
    registration = await register(vapi, credentials, None)
    at_twilio(box, credentials)["voice_url"] = "https://calls.example.com/voice"
    await vapi.registrations.assign(vapi.open(KEY, LIMIT), registration, copy, None)

    assert at_vapi(org, registration)["assistantId"] == copy.remote_id
    assert "fallbackDestination" not in at_vapi(org, registration)
    assert at_twilio(box, credentials)["voice_url"] == "https://calls.example.com/voice"


@pytest.mark.usefixtures("org")
async def test_a_registration_that_is_gone_cannot_be_assigned(vapi: Provider[Any], copy: Copy):
    error = await error_of(vapi.registrations.assign(vapi.open(KEY, LIMIT), Registration("0" * 36), copy, FALLBACK))
    assert error.kind is ErrorKind.BAD_REQUEST


async def test_a_registration_may_be_taken_away_twice(
    vapi: Provider[Any], org: VapiOrg, credentials: Credentials, copy: Copy
):
    registration = await register(vapi, credentials, copy)
    for _ in range(2):
        await vapi.registrations.unregister(vapi.open(KEY, LIMIT), registration)
        assert org.phone_numbers == {}


async def test_credentials_that_do_not_open_the_account_are_refused_and_shown_to_nobody(
    vapi: Provider[Any], org: VapiOrg, credentials: Credentials, copy: Copy
):
    wrong = replace(credentials, api_secret=Secret("s3cret-canary-7d20e95bc81f46"))
    error = await error_of(register(vapi, wrong, copy))

    assert error.kind is ErrorKind.BAD_REQUEST
    assert "Credentials Are Not Valid" in error.said
    assert_clean(error, "s3cret-canary-7d20e95bc81f46")
    assert_clean(error, credentials.auth_token.reveal())
    assert org.phone_numbers == {}
