"""A carrier's numbers are uploaded to Bland with their account's own key; Bland's own are bought once and given back."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.bland import BLAND
from adapters.bland.settings import NEUTRAL
from adapters.facets import NumberOrder
from adapters.portable import Copy, Credentials, NativeNumber, Registration
from adapters.provider import Provider
from adapters.sandbox.bland.numbers import PRICE
from adapters.sandbox.bland.org import BlandOrg
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.twilio.records import Account
from crypto.secret import Secret
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import ACME, KEY, LIMIT, PLAIN, WIRING, DyingHttp, Killed, on
from tests.adapters.refusals import error_of
from tests.support.adapters import bland_at

pytestmark = pytest.mark.anyio

NUMBER, SECOND = "+14155550101", "+14155550102"
OURS = "https://calls.example.com/webhooks/twilio/voice"
OWNER = "+14155550190"


@pytest.fixture
def account(box: RunningSandbox) -> Account:
    account = box.state.twilio.add_account()
    for e164 in (NUMBER, SECOND):
        box.state.twilio.add_number(account, e164, voice_url=OURS)
    return account


@pytest.fixture
def credentials(account: Account) -> Credentials:
    return Credentials(account.sid, Secret(account.auth_token))


def connected(credentials: Credentials, registration: Registration) -> Credentials:
    return Credentials(credentials.account_sid, credentials.auth_token, connection=registration.parts)


async def register(bland: Provider[Any], credentials: Credentials, e164: str = NUMBER) -> Registration:
    return await bland.registrations.register(bland.open(KEY, LIMIT), e164, credentials, Copy(None), OWNER)


async def test_a_number_is_uploaded_and_points_at_bland_from_then_on(
    bland: Provider[Any], org: BlandOrg, account: Account, credentials: Credentials
):
    registration = await register(bland, credentials)
    assert (registration.remote_id, registration.mode, registration.imported) == (NUMBER, "redirect", True)
    assert org.accounts == {registration.parts["encrypted_key"]: account.sid}
    at_twilio = account.number_called(NUMBER)
    assert at_twilio is not None
    assert bland.imports.is_address(Secret(at_twilio["voice_url"]))
    assert {name: org.numbers[NUMBER][name] for name in NEUTRAL} == dict(NEUTRAL), "a caller can leave a message"
    assert org.numbers[NUMBER]["fallback_number"] == OWNER, "who rings in Bland's maintenance windows"


async def test_what_opens_the_account_shows_in_no_print(bland: Provider[Any], org: BlandOrg, credentials: Credentials):
    registration = await register(bland, credentials)
    (encrypted_key,) = org.accounts
    assert encrypted_key not in repr(registration)
    assert encrypted_key not in repr(connected(credentials, registration))


async def test_an_account_is_connected_once(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg, credentials: Credentials
):
    first = await register(bland, credentials)
    second = await register(bland, connected(credentials, first), SECOND)
    assert second.parts == first.parts
    assert len(org.accounts) == 1
    assert len(box.state.requests_to("bland", "/v1/accounts")) == 1


async def test_a_connection_that_was_cut_at_bland_is_made_anew(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    first = await register(bland, credentials)
    org.accounts.clear()
    second = await register(bland, connected(credentials, first), SECOND)
    assert list(org.accounts) == [second.parts["encrypted_key"]]
    assert second.parts != first.parts


async def test_the_assistant_is_put_on_uploaded_numbers_with_the_key_of_their_account(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    registration = await register(bland, credentials)
    refused = await error_of(bland.assistants.put_copy(bland.open(KEY, LIMIT), PLAIN, WIRING, None, on(NUMBER)))
    assert refused.kind is ErrorKind.BAD_REQUEST
    copy = await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, [registration])
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.assistants.delete_copy(
        bland.open(KEY, LIMIT), copy, []
    )  # found by its marker, yet not ours to change without that key
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.assistants.delete_copy(bland.open(KEY, LIMIT), copy, [registration])
    assert org.numbers[NUMBER]["prompt"] == NEUTRAL["prompt"]


async def test_a_number_that_is_there_already_keeps_its_assistant_and_gets_a_new_key(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    first = await register(bland, credentials)
    await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, [first])
    assert await bland.registrations.find(bland.open(KEY, LIMIT), NUMBER) == Registration(NUMBER, "redirect")
    again = await register(bland, credentials)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.assistants.put_copy(bland.open(KEY, LIMIT), PLAIN, WIRING, None, [again])
    assert org.numbers[NUMBER]["prompt"] == PLAIN.prompt


async def test_a_number_that_is_not_there_is_not_found(bland: Provider[Any], org: BlandOrg):
    assert await bland.registrations.find(bland.open(KEY, LIMIT), NUMBER) is None
    assert not org.numbers


async def test_a_number_that_is_not_on_the_account_is_refused(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    error = await error_of(register(bland, credentials, "+14155550199"))
    assert (error.kind, "+14155550199" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert not org.numbers


async def test_a_wrong_token_says_so(bland: Provider[Any], org: BlandOrg, account: Account):
    error = await error_of(register(bland, Credentials(account.sid, Secret("wrong"))))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Invalid Twilio credentials")
    assert not org.accounts


@pytest.mark.parametrize("answered", [False, True], ids=["before the request", "before its answer"])
@pytest.mark.parametrize("lives", range(4))
async def test_a_process_may_die_while_it_registers(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg, credentials: Credentials, lives: int, answered: bool
):
    dying = DyingHttp(lives, answered=answered)
    with pytest.raises(Killed):
        await register(bland_at(dying, f"{box.url}/bland", SIP), credentials)
    await dying.aclose()
    registration = await register(bland, credentials)
    assert list(org.numbers) == [NUMBER]
    await bland.assistants.put_copy(bland.open(KEY, LIMIT), PLAIN, WIRING, None, [registration])
    assert org.numbers[NUMBER]["prompt"] == PLAIN.prompt


async def test_a_registration_without_an_assistant_takes_messages(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    registration = await register(bland, credentials)
    copy = await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, [registration])
    await bland.registrations.assign(bland.open(KEY, LIMIT), registration, copy, OWNER)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.registrations.assign(bland.open(KEY, LIMIT), registration, None, OWNER)
    assert org.numbers[NUMBER]["prompt"] == NEUTRAL["prompt"]
    assert org.numbers[NUMBER]["fallback_number"] == OWNER


BY_PATHWAY = dict.fromkeys(("prompt", "first_sentence", "dynamic_data", "tools", "transfer_list")) | {
    "pathway_id": "p1"
}


@pytest.mark.parametrize("made", [{}, {"prompt": "Mine"}, BY_PATHWAY, {"persona_id": "x"}])
async def test_the_fallback_number_follows_the_owners_phone_and_changes_nothing_else(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials, made: dict[str, Any]
):
    registration = await register(bland, credentials)
    org.numbers[NUMBER].update(made)
    for phone in ("+14155550191", None, OWNER):
        before = dict(org.numbers[NUMBER])
        await bland.registrations.assign(bland.open(KEY, LIMIT), registration, Copy(None), phone)
        assert org.numbers[NUMBER] == before | {"fallback_number": phone}


async def test_a_number_without_a_prompt_gets_one_with_its_fallback_and_a_persona_stays(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    registration = await register(bland, credentials)
    org.numbers[NUMBER].update(prompt=None, persona_id="persona", fallback_number=None)
    await bland.registrations.assign(bland.open(KEY, LIMIT), registration, Copy(None), OWNER)
    assert (org.numbers[NUMBER]["prompt"], org.numbers[NUMBER]["fallback_number"]) == (None, None)


async def test_calls_are_dialled_by_sip_only_if_bland_says_that_the_number_is_attached(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg, credentials: Credentials
):
    client = bland.open(KEY, LIMIT)
    assert (await register(bland, credentials)).mode == "redirect"
    assert await bland.imports.is_attached(client, NUMBER) is False
    box.state.bland.attach(org, NUMBER)
    assert (await register(bland, credentials)).mode == "sip"
    assert await bland.imports.is_attached(client, NUMBER) is True
    org.sip_enabled = False
    assert (await register(bland, credentials)).mode == "redirect"
    assert await bland.imports.is_attached(client, NUMBER) is False
    org.sip_enabled = True
    assert await bland.imports.is_attached(client, SECOND) is False, "it is not there"
    box.state.faults.set("bland", {"fault": "503", "operation": "all"})
    assert await bland.imports.is_attached(client, NUMBER) is None


async def test_an_import_is_made_again_unless_people_have_set_the_number_up(
    bland: Provider[Any], org: BlandOrg, account: Account, credentials: Credentials
):
    client, at_twilio = bland.open(KEY, LIMIT), account.number_called(NUMBER)
    assert at_twilio is not None
    registration = await register(bland, credentials)
    at_twilio["voice_url"] = OURS
    assert not (await register(bland, connected(credentials, registration))).imported
    assert at_twilio["voice_url"] == OURS, "Bland writes nothing for a number that it has"
    assert await bland.imports.import_again(client, registration)
    assert bland.imports.is_address(Secret(at_twilio["voice_url"]))
    assert org.numbers[NUMBER]["fallback_number"] == OWNER
    at_twilio["voice_url"] = OURS
    org.numbers[NUMBER].update(prompt="Written by hand")
    assert not await bland.imports.import_again(client, registration)
    assert (at_twilio["voice_url"], org.numbers[NUMBER]["prompt"]) == (OURS, "Written by hand")


async def test_an_account_that_no_number_needs_is_disconnected_once_and_again(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    first = await register(bland, credentials)
    second = await register(bland, connected(credentials, first), SECOND)
    assert bland.imports.is_same_account(first, second)
    assert not bland.imports.is_same_account(first, Registration(NUMBER))
    for _ in range(2):
        await bland.imports.disconnect(bland.open(KEY, LIMIT), first)
        assert not org.accounts
    await bland.imports.disconnect(bland.open(KEY, LIMIT), Registration(NUMBER))


async def test_a_registration_that_is_gone_cannot_be_assigned(bland: Provider[Any], org: BlandOrg):
    assert not org.numbers
    error = await error_of(bland.registrations.assign(bland.open(KEY, LIMIT), Registration(NUMBER), Copy(None), OWNER))
    assert error.kind is ErrorKind.BAD_REQUEST


async def test_a_registration_is_taken_away_once_and_again(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    registration = await register(bland, credentials)
    await bland.registrations.unregister(bland.open(KEY, LIMIT), registration)
    assert not org.numbers
    await bland.registrations.unregister(bland.open(KEY, LIMIT), registration)


@pytest.mark.parametrize("place", ["/numbers/purchase", "/v1/inbound/purchase"])
async def test_a_number_is_bought_at_whichever_place_exists(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg, place: str
):
    box.state.bland.numbers.purchase_path = place
    bought = await bland.shop.buy(
        bland.open(KEY, LIMIT), NumberOrder("US", "212", "callrouter client_1", Copy(None), WIRING, OWNER)
    )
    assert bought.e164.startswith("+1212")
    assert org.balance == 25.0 - PRICE
    assert await bland.shop.list_numbers(bland.open(KEY, LIMIT)) == [bought]
    assert org.numbers[bought.e164]["prompt"] == NEUTRAL["prompt"], "until its assistant is put on it"
    assert org.numbers[bought.e164]["webhook"] == WIRING.webhook_url
    assert box.state.answer_leg("number", bought.e164).result == "answered"


async def test_a_purchase_that_is_refused_or_fails_is_not_tried_at_the_other_place(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg
):
    org.balance = 1.0
    poor = await error_of(bland.shop.buy(bland.open(KEY, LIMIT), NumberOrder("US", None, "label", None, WIRING, None)))
    assert poor.kind is ErrorKind.OUT_OF_CREDIT
    box.state.faults.set("bland", {"fault": "503", "operation": "all"})
    failed = await error_of(
        bland.shop.buy(bland.open(KEY, LIMIT), NumberOrder("US", None, "label", None, WIRING, None))
    )
    assert failed.kind is ErrorKind.PROVIDER_ERROR
    assert [asked.path for asked in box.state.requests] == ["/numbers/purchase"] * 2


async def test_numbers_of_other_countries_are_not_asked_for(bland: Provider[Any], box: RunningSandbox):
    error = await error_of(bland.shop.buy(bland.open(KEY, LIMIT), NumberOrder("GB", None, "label", None, WIRING, None)))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Bland sells no numbers in GB")
    assert not box.state.requests


async def test_a_number_that_goes_to_another_client_does_not_keep_the_former_assistant(
    bland: Provider[Any], box: RunningSandbox, org: BlandOrg
):
    box.state.bland.add_number(org, NUMBER)
    native = NativeNumber(NUMBER, NUMBER)
    former = await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, on(NUMBER))
    await bland.shop.assign(bland.open(KEY, LIMIT), native, former, WIRING, OWNER)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.shop.assign(bland.open(KEY, LIMIT), native, Copy(None, {"marker": "client_2"}), WIRING, OWNER)
    assert org.numbers[NUMBER]["prompt"] == NEUTRAL["prompt"]
    assert org.numbers[NUMBER]["webhook"] == WIRING.webhook_url
    error = await error_of(bland.shop.assign(bland.open(KEY, LIMIT), NativeNumber(SECOND, SECOND), None, WIRING, None))
    assert error.kind is ErrorKind.BAD_REQUEST


async def test_a_native_number_is_released_once_and_again(bland: Provider[Any], box: RunningSandbox, org: BlandOrg):
    box.state.bland.add_number(org, NUMBER)
    for _ in range(2):
        await bland.shop.release(bland.open(KEY, LIMIT), NativeNumber(NUMBER, NUMBER))
        assert not org.numbers


async def test_a_number_that_bland_keeps_is_not_called_released(
    bland: Provider[Any], org: BlandOrg, credentials: Credentials
):
    await register(bland, credentials)  # uploaded ones are refused without the key of their account
    error = await error_of(bland.shop.release(bland.open(KEY, LIMIT), NativeNumber(NUMBER, NUMBER)))
    assert (error.kind, "dashboard" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert NUMBER in org.numbers


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("https://server.aws.dc8.bland.ai/incoming?encrypted_key=a%2Fb+c%3D&user_id=u", {"encrypted_key": "a/b+c="}),
        ("https://us.api.bland.ai/incoming?region=dc8&encrypted_key=abc", {"encrypted_key": "abc"}),
        ("https://us.api.bland.ai/incoming?encrypted_key=&encrypted_key=abc", {"encrypted_key": "abc"}),
        ("https://us.api.bland.ai/incoming?encrypted_key=", {}),
        ("https://us.api.bland.ai/incoming?not_encrypted_key=abc", {}),
        ("https://bland.ai.example.com/incoming?encrypted_key=abc", {}),
        ("", {}),
    ],
)
def test_the_address_of_an_import_says_what_changes_to_the_number_need(address: str, parts: dict[str, str]):
    assert BLAND.imports is not None
    assert BLAND.imports.read_parts(Secret(address)) == parts
