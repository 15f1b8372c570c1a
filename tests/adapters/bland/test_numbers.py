"""A carrier's numbers are uploaded to Bland with their account's own key; Bland's own are bought once and given back."""

from __future__ import annotations

import pytest

from adapters.base import ErrorKind
from adapters.bland import Bland
from adapters.bland.settings import NEUTRAL
from adapters.features import all_offers
from adapters.portable import Copy, Counterpart, Credentials, NativeNumber
from adapters.sandbox.bland import BlandOrg
from adapters.sandbox.bland.numbers import PRICE
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.twilio import Account
from crypto.secret import Secret
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import ACME, KEY, LIMIT, PLAIN, WIRING, DyingHttp, Killed, on
from tests.adapters.refusals import error_of

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


def connected(credentials: Credentials, counterpart: Counterpart) -> Credentials:
    return Credentials(credentials.account_sid, credentials.auth_token, connection=counterpart.parts)


async def register(bland: Bland, credentials: Credentials, e164: str = NUMBER) -> Counterpart:
    return await bland.register_number(e164, credentials, Copy(None), OWNER, KEY, LIMIT)


async def test_a_number_is_uploaded_and_points_at_bland_from_then_on(
    bland: Bland, org: BlandOrg, account: Account, credentials: Credentials
):
    counterpart = await register(bland, credentials)
    assert (counterpart.remote_id, counterpart.mode) == (NUMBER, "sip")
    assert org.accounts == {counterpart.parts["encrypted_key"]: account.sid}
    at_twilio = account.number_called(NUMBER)
    assert at_twilio is not None
    assert at_twilio["voice_url"].startswith("https://server.aws.dc8.bland.ai/incoming?")
    assert {name: org.numbers[NUMBER][name] for name in NEUTRAL} == dict(NEUTRAL), "a caller can leave a message"
    assert org.numbers[NUMBER]["fallback_number"] is None, "Bland would send all calls there"


async def test_what_opens_the_account_shows_in_no_print(bland: Bland, org: BlandOrg, credentials: Credentials):
    counterpart = await register(bland, credentials)
    (encrypted_key,) = org.accounts
    assert encrypted_key not in repr(counterpart)
    assert encrypted_key not in repr(connected(credentials, counterpart))


async def test_an_account_is_connected_once(bland: Bland, box: RunningSandbox, org: BlandOrg, credentials: Credentials):
    first = await register(bland, credentials)
    second = await register(bland, connected(credentials, first), SECOND)
    assert second.parts == first.parts
    assert len(org.accounts) == 1
    assert len(box.state.requests_to("bland", "/v1/accounts")) == 1


async def test_a_connection_that_was_cut_at_bland_is_made_anew(bland: Bland, org: BlandOrg, credentials: Credentials):
    first = await register(bland, credentials)
    org.accounts.clear()
    second = await register(bland, connected(credentials, first), SECOND)
    assert list(org.accounts) == [second.parts["encrypted_key"]]
    assert second.parts != first.parts


async def test_the_assistant_is_put_on_uploaded_numbers_with_the_key_of_their_account(
    bland: Bland, org: BlandOrg, credentials: Credentials
):
    counterpart = await register(bland, credentials)
    refused = await error_of(bland.put_copy(PLAIN, WIRING, None, on(NUMBER), KEY, LIMIT))
    assert refused.kind is ErrorKind.BAD_REQUEST
    copy = await bland.put_copy(ACME, WIRING, None, [counterpart], KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.delete_copy(copy, [], KEY, LIMIT)  # found by its marker, yet not ours to change without that key
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.delete_copy(copy, [counterpart], KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == NEUTRAL["prompt"]


async def test_a_number_that_is_there_already_keeps_its_assistant_and_gets_a_new_key(
    bland: Bland, org: BlandOrg, credentials: Credentials
):
    first = await register(bland, credentials)
    await bland.put_copy(ACME, WIRING, None, [first], KEY, LIMIT)
    assert await bland.find_counterpart(NUMBER, KEY, LIMIT) == Counterpart(NUMBER, "sip")
    again = await register(bland, credentials)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.put_copy(PLAIN, WIRING, None, [again], KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == PLAIN.prompt


async def test_a_number_that_is_not_there_is_not_found(bland: Bland, org: BlandOrg):
    assert await bland.find_counterpart(NUMBER, KEY, LIMIT) is None
    assert not org.numbers


async def test_a_number_that_is_not_on_the_account_is_refused(bland: Bland, org: BlandOrg, credentials: Credentials):
    error = await error_of(register(bland, credentials, "+14155550199"))
    assert (error.kind, "+14155550199" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert not org.numbers


async def test_a_wrong_token_says_so(bland: Bland, org: BlandOrg, account: Account):
    error = await error_of(register(bland, Credentials(account.sid, Secret("wrong"))))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Invalid Twilio credentials")
    assert not org.accounts


@pytest.mark.parametrize("answered", [False, True], ids=["before the request", "before its answer"])
@pytest.mark.parametrize("lives", range(4))
async def test_a_process_may_die_while_it_registers(
    bland: Bland, box: RunningSandbox, org: BlandOrg, credentials: Credentials, lives: int, answered: bool
):
    dying = DyingHttp(lives, answered=answered)
    with pytest.raises(Killed):
        await register(Bland(dying, f"{box.url}/bland", SIP), credentials)
    await dying.aclose()
    counterpart = await register(bland, credentials)
    assert list(org.numbers) == [NUMBER]
    await bland.put_copy(PLAIN, WIRING, None, [counterpart], KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == PLAIN.prompt


async def test_a_counterpart_without_an_assistant_takes_messages(bland: Bland, org: BlandOrg, credentials: Credentials):
    counterpart = await register(bland, credentials)
    copy = await bland.put_copy(ACME, WIRING, None, [counterpart], KEY, LIMIT)
    await bland.assign_counterpart(counterpart, copy, OWNER, KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.assign_counterpart(counterpart, None, OWNER, KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == NEUTRAL["prompt"]
    assert org.numbers[NUMBER]["fallback_number"] is None


async def test_a_counterpart_that_is_gone_cannot_be_assigned(bland: Bland, org: BlandOrg):
    assert not org.numbers
    error = await error_of(bland.assign_counterpart(Counterpart(NUMBER), Copy(None), OWNER, KEY, LIMIT))
    assert error.kind is ErrorKind.BAD_REQUEST


async def test_a_counterpart_is_taken_away_once_and_again(bland: Bland, org: BlandOrg, credentials: Credentials):
    counterpart = await register(bland, credentials)
    await bland.unregister_number(counterpart, KEY, LIMIT)
    assert not org.numbers
    await bland.unregister_number(counterpart, KEY, LIMIT)


@pytest.mark.parametrize("place", ["/numbers/purchase", "/v1/inbound/purchase"])
async def test_a_number_is_bought_at_whichever_place_exists(
    bland: Bland, box: RunningSandbox, org: BlandOrg, place: str
):
    box.state.bland.numbers.purchase_path = place
    bought = await bland.buy_native("US", "212", "callrouter client_1", Copy(None), WIRING, OWNER, KEY, LIMIT)
    assert bought.e164.startswith("+1212")
    assert org.balance == 25.0 - PRICE
    assert await bland.list_native(KEY, LIMIT) == [bought]
    assert org.numbers[bought.e164]["prompt"] == NEUTRAL["prompt"], "until its assistant is put on it"
    assert org.numbers[bought.e164]["webhook"] == WIRING.webhook_url
    assert box.state.answer_leg("number", bought.e164).result == "answered"


async def test_a_purchase_that_is_refused_or_fails_is_not_tried_at_the_other_place(
    bland: Bland, box: RunningSandbox, org: BlandOrg
):
    org.balance = 1.0
    poor = await error_of(bland.buy_native("US", None, "label", None, WIRING, None, KEY, LIMIT))
    assert poor.kind is ErrorKind.OUT_OF_CREDIT
    box.state.faults.set("bland", {"fault": "503", "operation": "all"})
    failed = await error_of(bland.buy_native("US", None, "label", None, WIRING, None, KEY, LIMIT))
    assert failed.kind is ErrorKind.PROVIDER_ERROR
    assert [asked.path for asked in box.state.requests] == ["/numbers/purchase"] * 2


async def test_numbers_of_other_countries_are_not_asked_for(bland: Bland, box: RunningSandbox):
    error = await error_of(bland.buy_native("GB", None, "label", None, WIRING, None, KEY, LIMIT))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Bland sells no numbers in GB")
    assert not box.state.requests
    assert bland.sells_in == all_offers()["bland"].sells_in


async def test_a_number_that_goes_to_another_client_does_not_keep_the_former_assistant(
    bland: Bland, box: RunningSandbox, org: BlandOrg
):
    box.state.bland.add_number(org, NUMBER)
    native = NativeNumber(NUMBER, NUMBER)
    former = await bland.put_copy(ACME, WIRING, None, on(NUMBER), KEY, LIMIT)
    await bland.assign_native(native, former, WIRING, OWNER, KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == ACME.prompt
    await bland.assign_native(native, Copy(None, {"marker": "client_2"}), WIRING, OWNER, KEY, LIMIT)
    assert org.numbers[NUMBER]["prompt"] == NEUTRAL["prompt"]
    assert org.numbers[NUMBER]["webhook"] == WIRING.webhook_url
    error = await error_of(bland.assign_native(NativeNumber(SECOND, SECOND), None, WIRING, None, KEY, LIMIT))
    assert error.kind is ErrorKind.BAD_REQUEST


async def test_a_native_number_is_released_once_and_again(bland: Bland, box: RunningSandbox, org: BlandOrg):
    box.state.bland.add_number(org, NUMBER)
    for _ in range(2):
        await bland.release_native(NativeNumber(NUMBER, NUMBER), KEY, LIMIT)
        assert not org.numbers


async def test_a_number_that_bland_keeps_is_not_called_released(bland: Bland, org: BlandOrg, credentials: Credentials):
    await register(bland, credentials)  # uploaded ones are refused without the key of their account
    error = await error_of(bland.release_native(NativeNumber(NUMBER, NUMBER), KEY, LIMIT))
    assert (error.kind, "dashboard" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert NUMBER in org.numbers


async def test_bland_does_not_tell_how_many_lines_there_are(bland: Bland, box: RunningSandbox):
    assert await bland.count_lines(KEY, LIMIT) is None
    assert not box.state.requests
