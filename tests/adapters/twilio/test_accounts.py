"""Accounts, the platform's subaccounts, and keys that can be taken back."""

from __future__ import annotations

import pytest

from adapters.base import ErrorKind, KeyCheck, ProviderError
from adapters.carrier import Account
from tests.adapters.twilio.examples import (
    ACCOUNT,
    CHILD,
    CHILD_TOKEN,
    HOME,
    KEY_SID,
    SID,
    SUBACCOUNT,
    TOKEN,
)

pytestmark = pytest.mark.anyio

ROOT = "/2010-04-01/Accounts"


async def refused(attempt) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await attempt
    return caught.value


class TestChecks:
    async def test_an_active_account_is_valid(self, twilio, scripted):
        scripted.answers(200, {"sid": SID, "status": "active", "type": "Trial"})

        assert await twilio.check_account(ACCOUNT, 5) == KeyCheck("valid")
        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("GET", f"{HOME}.json")

    @pytest.mark.parametrize("status", ["suspended", "closed"])
    async def test_an_account_that_takes_no_calls_is_refused_with_the_reason(self, twilio, scripted, status):
        scripted.answers(200, {"sid": SID, "status": status})

        error = await refused(twilio.check_account(ACCOUNT, 5))
        assert error.kind == ErrorKind.KEY_REJECTED
        assert error.said == f"the Twilio account is {status}"

    @pytest.mark.parametrize("answer", [{}, {"status": 1}, {"status": ["active"]}, {"status": "asleep"}, [], "active"])
    async def test_an_account_without_a_status_is_malformed(self, twilio, scripted, answer):
        scripted.answers(200, answer)

        assert (await refused(twilio.check_account(ACCOUNT, 5))).kind == ErrorKind.MALFORMED_REPLY


class TestSubaccounts:
    async def test_one_is_made_by_the_main_account_and_comes_with_its_own_token(self, twilio, scripted):
        scripted.answers(201, SUBACCOUNT)

        made = await twilio.create_subaccount(ACCOUNT, "agency_1", 5)

        assert (made.sid, made.auth_token.reveal()) == (CHILD, CHILD_TOKEN)
        assert CHILD_TOKEN not in repr(made)
        [asked] = scripted.asked
        assert (asked.method, asked.target, asked.form) == (
            "POST",
            f"{ROOT}.json",
            [("FriendlyName", "agency_1")],
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"sid": SID, "auth_token": TOKEN},
            {"sid": "AC" + SID[2:].upper()},
            {"owner_account_sid": CHILD},
            {"owner_account_sid": None},
            {"auth_token": None},
            {"auth_token": 7},
            {"sid": "AC1"},
        ],
    )
    async def test_only_our_subaccounts_are_taken_for_ours(self, twilio, scripted, change):
        scripted.answers(201, SUBACCOUNT | change)

        error = await refused(twilio.create_subaccount(ACCOUNT, "agency_1", 5))
        assert error.kind == ErrorKind.MALFORMED_REPLY

    async def test_one_is_found_again_by_its_name(self, twilio, scripted):
        scripted.answers(200, {"accounts": [SUBACCOUNT]})

        found = await twilio.find_subaccount(ACCOUNT, "agency_1", 5)

        assert (found.sid, found.auth_token.reveal()) == (CHILD, CHILD_TOKEN)
        assert scripted.asked[0].path == f"{ROOT}.json"
        assert scripted.asked[0].query["FriendlyName"] == "agency_1"

    @pytest.mark.parametrize(
        "change",
        [
            {"friendly_name": "agency_10"},
            {"status": "closed"},
            {"owner_account_sid": CHILD},
            {"sid": SID, "owner_account_sid": SID},
        ],
    )
    async def test_others_are_not_found(self, twilio, scripted, change):
        scripted.answers(200, {"accounts": [SUBACCOUNT | change, None, 7]})

        assert await twilio.find_subaccount(ACCOUNT, "agency_1", 5) is None

    async def test_of_two_made_at_once_all_find_the_same(self, twilio, scripted):
        later = SUBACCOUNT | {"sid": "AC" + "2" * 32, "date_created": "Wed, 25 Nov 2026 08:00:05 +0000"}
        asleep = SUBACCOUNT | {
            "sid": "AC" + "3" * 32,
            "date_created": "Wed, 25 Nov 2026 07:00:00 +0000",
            "status": "suspended",
        }
        undated = SUBACCOUNT | {"sid": "AC" + "4" * 32, "date_created": "yesterday"}
        for order in ([later, SUBACCOUNT, asleep, undated], [undated, asleep, SUBACCOUNT, later]):
            scripted.answers(200, {"accounts": order})
            assert (await twilio.find_subaccount(ACCOUNT, "agency_1", 5)).sid == CHILD

    async def test_it_is_closed_with_the_main_accounts_token(self, twilio, scripted):
        scripted.answers(200, SUBACCOUNT)

        await twilio.close_subaccount(ACCOUNT, CHILD, 5)

        [asked] = scripted.asked
        assert (asked.method, asked.target, asked.form) == ("POST", f"{ROOT}/{CHILD}.json", [("Status", "closed")])

    @pytest.mark.parametrize("sid", [SID, "AC" + SID[2:].upper()])
    async def test_the_main_account_itself_is_never_closed(self, twilio, scripted, sid):
        error = await refused(twilio.close_subaccount(ACCOUNT, sid, 5))

        assert error.kind == ErrorKind.BAD_REQUEST
        assert scripted.asked == []


class TestApiKeys:
    CHILD_ACCOUNT = Account(CHILD, ACCOUNT.auth_token)

    async def test_a_key_is_made_for_one_account(self, twilio, scripted):
        scripted.answers(201, {"sid": KEY_SID, "friendly_name": "vapi", "secret": "canary-of-the-key"})

        key = await twilio.create_api_key(self.CHILD_ACCOUNT, "vapi", 5)

        assert (key.sid, key.secret.reveal()) == (KEY_SID, "canary-of-the-key")
        assert "canary" not in repr(key)
        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("POST", f"{ROOT}/{CHILD}/Keys.json")
        assert asked.form == [("FriendlyName", "vapi")]

    @pytest.mark.parametrize("answer", [{}, {"sid": KEY_SID}, {"sid": "SK1", "secret": "s"}, {"secret": "s"}])
    async def test_half_a_key_is_malformed(self, twilio, scripted, answer):
        scripted.answers(201, answer)

        error = await refused(twilio.create_api_key(ACCOUNT, "vapi", 5))
        assert error.kind == ErrorKind.MALFORMED_REPLY

    async def test_keys_are_found_by_exactly_their_name(self, twilio, scripted):
        other = "SK" + "e" * 32
        keys = [{"sid": KEY_SID, "friendly_name": "vapi"}, {"sid": other, "friendly_name": "vapi 2"}, None]
        scripted.answers(200, {"keys": keys})

        assert await twilio.find_api_keys(ACCOUNT, "vapi", 5) == [KEY_SID]

    async def test_a_key_is_taken_back(self, twilio, scripted):
        scripted.answers(204)

        await twilio.delete_api_key(ACCOUNT, KEY_SID, 5)

        assert (scripted.asked[0].method, scripted.asked[0].target) == ("DELETE", f"{HOME}/Keys/{KEY_SID}.json")
