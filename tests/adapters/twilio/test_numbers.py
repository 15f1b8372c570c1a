"""Numbers: what can be bought, what an account has, and where its calls go."""

from __future__ import annotations

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import AvailableNumber, CarrierNumber, NumberGone, PapersRequired
from tests.adapters.twilio.examples import ACCOUNT, ADDRESSES, E164, HOME, NUMBER, NUMBER_SID, URLS

pytestmark = pytest.mark.anyio

NAMED = CarrierNumber(NUMBER_SID, E164, **URLS, friendly_name="Acme Plumbing")
SHOP = f"{HOME}/AvailablePhoneNumbers"
OFFER = {
    "phone_number": "+14155550100",
    "locality": "San Francisco",
    "region": "CA",
    "iso_country": "US",
    "address_requirements": "none",
    "capabilities": {"voice": True, "SMS": True, "MMS": False},
}


def country(*kinds: str) -> dict[str, object]:
    return {"country_code": "US", "subresource_uris": {kind: f"/x/{kind}" for kind in kinds}}


def offers(*records: object) -> dict[str, object]:
    return {"available_phone_numbers": list(records)}


class TestSearch:
    async def test_a_local_number_is_what_a_client_wants(self, twilio, scripted):
        scripted.answers_in_turn(country("toll_free", "mobile", "local"), offers(OFFER))

        found = await twilio.search_numbers(ACCOUNT, "US", "415", 5, 5)

        assert found == [AvailableNumber("+14155550100", "US", "San Francisco", "CA", "local", "none")]
        first, second = scripted.asked
        assert first.target == f"{SHOP}/US.json"
        assert (second.path, second.query) == (
            f"{SHOP}/US/Local.json",
            {"VoiceEnabled": "true", "PageSize": "5", "AreaCode": "415"},
        )

    async def test_a_country_without_local_numbers_offers_others(self, twilio, scripted):
        mobile = OFFER | {"phone_number": "+37060000100", "locality": None, "region": None}
        scripted.answers_in_turn(country("toll_free", "national", "mobile"), offers(), offers(mobile))

        found = await twilio.search_numbers(ACCOUNT, "LT", None, 5, 5)

        assert [(offer.e164, offer.kind, offer.locality) for offer in found] == [("+37060000100", "national", None)]
        assert [asked.path for asked in scripted.asked[1:]] == [f"{SHOP}/LT/Mobile.json", f"{SHOP}/LT/National.json"]

    async def test_an_area_code_abroad_is_looked_for_at_the_beginning(self, twilio, scripted):
        london, elsewhere = OFFER | {"phone_number": "+442079460000"}, OFFER | {"phone_number": "+441614420200"}
        scripted.answers_in_turn(country("local", "mobile"), offers(elsewhere, london))

        found = await twilio.search_numbers(ACCOUNT, "GB", "20", 5, 5)

        assert [offer.e164 for offer in found] == ["+442079460000"]
        assert scripted.asked[1].query["Contains"] == "4420"

    async def test_an_area_code_that_is_sold_out_is_not_replaced_by_a_toll_free_number(self, twilio, scripted):
        scripted.answers_in_turn(country("local", "toll_free"), offers())

        assert await twilio.search_numbers(ACCOUNT, "US", "415", 5, 5) == []
        assert len(scripted.asked) == 2

    async def test_a_country_where_none_is_sold_has_none(self, twilio, scripted):
        scripted.answers(404, {"code": 20404, "message": "not found"})

        assert await twilio.search_numbers(ACCOUNT, "AQ", None, 5, 5) == []

    async def test_no_more_than_asked_for(self, twilio, scripted):
        scripted.answers_in_turn(country("local"), offers(OFFER, OFFER, OFFER))

        assert len(await twilio.search_numbers(ACCOUNT, "US", None, 2, 5)) == 2

    async def test_only_numbers_that_take_calls_are_offered(self, twilio, scripted):
        silent = OFFER | {"capabilities": {"voice": False, "SMS": True}}
        odd = [OFFER | {"phone_number": value} for value in (None, 7, "+1", "14155550100", "+14155550100\n", "+44201")]
        scripted.answers_in_turn(country("local"), offers(silent, *odd, None, "x"))

        assert await twilio.search_numbers(ACCOUNT, "US", None, 5, 5) == []

    @pytest.mark.parametrize(
        ("said", "needs"),
        [("none", "none"), ("any", "any"), ("local", "local"), ("foreign", "foreign"), ("odd", "any")],
    )
    async def test_what_a_country_asks_for_is_told_before(self, twilio, scripted, said, needs):
        scripted.answers_in_turn(country("local"), offers(OFFER | {"address_requirements": said}))

        [found] = await twilio.search_numbers(ACCOUNT, "US", None, 5, 5)
        assert found.needs_address == needs

    @pytest.mark.parametrize(
        ("place", "area_code"),
        [("us", None), ("../", None), ("USA", None), ("US", "4a5"), ("US", ""), ("US", "12345678")],
    )
    async def test_an_invalid_country_or_area_code_is_not_searched(self, twilio, scripted, place, area_code):
        with pytest.raises(ProviderError) as caught:
            await twilio.search_numbers(ACCOUNT, place, area_code, 5, 5)
        assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert scripted.asked == []

    @pytest.mark.parametrize("answer", [{}, {"subresource_uris": None}, {"subresource_uris": ["local"]}, []])
    async def test_a_country_without_kinds_is_malformed(self, twilio, scripted, answer):
        scripted.answers(200, answer)

        with pytest.raises(ProviderError) as caught:
            await twilio.search_numbers(ACCOUNT, "US", None, 5, 5)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY


class TestPurchase:
    async def buy(self, twilio, friendly_name: str = "Acme Plumbing") -> CarrierNumber:
        return await twilio.buy_number(ACCOUNT, E164, **URLS, friendly_name=friendly_name, limit=5)

    async def test_a_number_points_at_us_from_its_first_moment(self, twilio, scripted):
        scripted.answers(201, NUMBER)

        assert await self.buy(twilio) == NAMED
        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("POST", f"{HOME}/IncomingPhoneNumbers.json")
        assert dict(asked.form) == {"PhoneNumber": E164, "FriendlyName": "Acme Plumbing", **ADDRESSES}

    async def test_a_long_name_is_cut_as_twilio_wants_it(self, twilio, scripted):
        scripted.answers(201, NUMBER)

        await self.buy(twilio, "n" * 100)

        assert dict(scripted.asked[0].form)["FriendlyName"] == "n" * 64

    async def test_a_number_that_somebody_else_has_bought_is_told_apart(self, twilio, scripted):
        scripted.answers(400, {"code": 21422, "message": "not available"})

        with pytest.raises(NumberGone) as caught:
            await self.buy(twilio)
        assert "choose another one" in caught.value.said
        assert (caught.value.kind, caught.value.status) == (ErrorKind.BAD_REQUEST, 400)

    @pytest.mark.parametrize("code", [21613, 21615, 21631, 21649, 21651])
    async def test_a_number_that_needs_papers_is_told_apart(self, twilio, scripted, code):
        scripted.answers(400, {"code": code, "message": "x"})

        with pytest.raises(PapersRequired) as caught:
            await self.buy(twilio)
        assert "address or a regulatory bundle" in caught.value.said

    async def test_any_other_refusal_says_what_twilio_says(self, twilio, scripted):
        scripted.answers(400, {"code": 10002, "message": "Trial accounts cannot do this (Twilio error 21422)"})

        with pytest.raises(ProviderError) as caught:
            await self.buy(twilio)
        assert not isinstance(caught.value, NumberGone | PapersRequired)
        assert caught.value.said.endswith("(Twilio error 10002)")

    async def test_nothing_is_bought_twice(self, twilio, scripted):
        scripted.answers(500)

        with pytest.raises(ProviderError):
            await self.buy(twilio)
        assert len(scripted.asked) == 1

    @pytest.mark.parametrize("change", [{"phone_number": "+15550009999"}, {"phone_number": None}, {"sid": "PN1"}])
    async def test_an_answer_about_another_number_is_malformed(self, twilio, scripted, change):
        scripted.answers(201, NUMBER | change)

        with pytest.raises(ProviderError) as caught:
            await self.buy(twilio)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY


class TestNumbers:
    async def test_a_number_of_the_account_is_found_with_what_it_points_at(self, twilio, scripted):
        scripted.answers(200, {"incoming_phone_numbers": [NUMBER]})

        assert await twilio.find_number(ACCOUNT, E164, 5) == NAMED
        assert scripted.asked[0].target == f"{HOME}/IncomingPhoneNumbers.json?PhoneNumber=%2B15550001111"

    async def test_a_number_is_found_by_its_sid(self, twilio, scripted):
        scripted.answers(200, NUMBER)

        assert await twilio.find_number_by_sid(ACCOUNT, NUMBER_SID, 5) == NAMED
        assert scripted.asked[0].target == f"{HOME}/IncomingPhoneNumbers/{NUMBER_SID}.json"

    async def test_all_that_keeps_calls_from_us_is_seen(self, twilio, scripted):
        meddled = NUMBER | {
            "trunk_sid": "TK1",
            "voice_application_sid": "AP1",
            "voice_url": None,
            "voice_method": "GET",
            "voice_fallback_method": "GET",
            "status_callback_method": "GET",
        }
        scripted.answers(200, {"incoming_phone_numbers": [meddled]})

        number = await twilio.find_number(ACCOUNT, E164, 5)

        assert (number.trunk_sid, number.application_sid, number.voice_url) == ("TK1", "AP1", "")
        assert (number.voice_method, number.fallback_method, number.status_method) == ("GET", "GET", "GET")

    @pytest.mark.parametrize("found", [[], [{**NUMBER, "phone_number": f"{E164}2"}], [None, 1]])
    async def test_a_number_that_only_looks_alike_is_not_found(self, twilio, scripted, found):
        scripted.answers(200, {"incoming_phone_numbers": found})

        assert await twilio.find_number(ACCOUNT, E164, 5) is None

    @pytest.mark.parametrize(
        "answer", [{}, {"incoming_phone_numbers": None}, {"incoming_phone_numbers": [{"phone_number": E164}]}]
    )
    async def test_an_answer_without_numbers_is_malformed(self, twilio, scripted, answer):
        scripted.answers(200, answer)

        with pytest.raises(ProviderError) as caught:
            await twilio.find_number(ACCOUNT, E164, 5)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY

    async def test_a_number_is_pointed_at_us_and_taken_off_trunk_and_application(self, twilio, scripted):
        scripted.answers(200, NUMBER)

        assert await twilio.configure_number(ACCOUNT, NUMBER_SID, **URLS, limit=5) == NAMED
        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("POST", f"{HOME}/IncomingPhoneNumbers/{NUMBER_SID}.json")
        assert dict(asked.form) == {**ADDRESSES, "TrunkSid": "", "VoiceApplicationSid": ""}

    @pytest.mark.parametrize("status", [204, 404])
    async def test_a_number_is_given_back_also_twice(self, twilio, scripted, status):
        scripted.answers(status)

        await twilio.release_number(ACCOUNT, NUMBER_SID, 5)

        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("DELETE", f"{HOME}/IncomingPhoneNumbers/{NUMBER_SID}.json")
