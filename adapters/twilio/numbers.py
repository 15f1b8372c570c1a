"""Phone numbers at Twilio: what is for sale, what an account has, and where its calls go.

Twilio docs: Phone Numbers / AvailablePhoneNumber and IncomingPhoneNumber resources; error dictionary.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, get_args
from urllib.parse import urlencode

import phonenumbers

from adapters.base import bad_request
from adapters.carrier import Account, AddressNeed, AvailableNumber, CarrierNumber
from adapters.phone import is_e164
from adapters.replies import find, text
from adapters.twilio.rest import MAX_NAME, Resource, check_sid, home, malformed_record, read_sid

Kind = Literal["local", "mobile", "national", "toll_free"]
_KINDS: Final[dict[Kind, str]] = {"local": "Local", "mobile": "Mobile", "national": "National", "toll_free": "TollFree"}
"""From the most local kind to the least, with its name in an address."""

_ADDRESSES: Final[dict[str, AddressNeed]] = {need: need for need in get_args(AddressNeed)}
_WITH_AREA_CODES: Final = frozenset({"US", "CA"})  # where the AreaCode parameter works
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_AREA_CODE: Final = re.compile(r"[0-9]{1,6}")


class Numbers(Resource):
    """`CarrierNumbers`."""

    async def search_numbers(
        self, account: Account, country: str, area_code: str | None, count: int, limit: float
    ) -> list[AvailableNumber]:
        """`area_code` has digits only, without a leading zero; with one, only the most local kind is looked at."""
        _check_search(country, area_code)
        shop = f"{home(account)}/AvailablePhoneNumbers/{country}"
        offer = await self._rest.ask_for(account, f"{shop}.json", limit)
        if offer is None:
            return []
        there = find(offer, "subresource_uris")
        if not isinstance(there, dict):
            raise malformed_record()
        kinds = [kind for kind in _KINDS if kind in there]
        for kind in kinds[:1] if area_code else kinds:
            query = urlencode(_query(country, area_code, count))
            answer = await self._rest.ask_for(account, f"{shop}/{_KINDS[kind]}.json?{query}", limit)
            if found := _read_offers(answer, country, area_code, kind):
                return found[:count]
        return []

    async def buy_number(
        self,
        account: Account,
        e164: str,
        *,
        voice_url: str,
        fallback_url: str,
        status_url: str,
        friendly_name: str,
        limit: float,
    ) -> CarrierNumber:
        form = {"PhoneNumber": e164, "FriendlyName": friendly_name[:MAX_NAME]}
        form |= _addresses(voice_url, fallback_url, status_url)
        path = f"{home(account)}/IncomingPhoneNumbers.json"
        number = _read_number(await self._rest.ask(account, "POST", path, limit, form))
        if number.e164 != e164:
            raise malformed_record()
        return number

    async def find_number(self, account: Account, e164: str, limit: float) -> CarrierNumber | None:
        query = urlencode({"PhoneNumber": e164})
        answer = await self._rest.ask(account, "GET", f"{home(account)}/IncomingPhoneNumbers.json?{query}", limit)
        found = find(answer, "incoming_phone_numbers")
        if not isinstance(found, list):
            raise malformed_record()
        # Twilio's filter also finds numbers that merely contain what is asked for.
        return next((_read_number(item) for item in found if find(item, "phone_number") == e164), None)

    async def find_number_by_sid(self, account: Account, number_sid: str, limit: float) -> CarrierNumber | None:
        answer = await self._rest.ask_for(account, _path(account, number_sid), limit)
        return None if answer is None else _read_number(answer)

    async def configure_number(
        self, account: Account, number_sid: str, *, voice_url: str, fallback_url: str, status_url: str, limit: float
    ) -> CarrierNumber:
        form = _addresses(voice_url, fallback_url, status_url)
        # Either of these, once set, makes Twilio ignore VoiceUrl.
        form |= {"TrunkSid": "", "VoiceApplicationSid": ""}
        return _read_number(await self._rest.ask(account, "POST", _path(account, number_sid), limit, form))

    async def release_number(self, account: Account, number_sid: str, limit: float) -> None:
        await self._rest.delete(account, _path(account, number_sid), limit)


def _path(account: Account, number_sid: str) -> str:
    check_sid("PN", number_sid)
    return f"{home(account)}/IncomingPhoneNumbers/{number_sid}.json"


def _addresses(voice_url: str, fallback_url: str, status_url: str) -> dict[str, str]:
    return {
        "VoiceUrl": voice_url,
        "VoiceMethod": "POST",
        "VoiceFallbackUrl": fallback_url,
        "VoiceFallbackMethod": "POST",
        "StatusCallback": status_url,
        "StatusCallbackMethod": "POST",
    }


def _check_search(country: str, area_code: str | None) -> None:
    if not _COUNTRY.fullmatch(country):
        raise bad_request("a country is two capital letters (ISO 3166-1)")
    if area_code is not None and not _AREA_CODE.fullmatch(area_code):
        raise bad_request("an area code is at most six digits")


def _query(country: str, area_code: str | None, count: int) -> dict[str, str]:
    query = {"VoiceEnabled": "true", "PageSize": str(count)}
    if area_code is None:
        return query
    if country in _WITH_AREA_CODES:
        return query | {"AreaCode": area_code}
    return query | {"Contains": f"{phonenumbers.country_code_for_region(country)}{area_code}"}


def _read_offers(answer: Any, country: str, area_code: str | None, kind: Kind) -> list[AvailableNumber]:
    """Leaves out numbers that take no calls, and those with the area code's digits in another place."""
    if answer is None:
        return []
    records = find(answer, "available_phone_numbers")
    if not isinstance(records, list):
        raise malformed_record()
    beginning = f"+{phonenumbers.country_code_for_region(country)}{area_code or ''}"
    return [
        offer
        for record in records
        if find(record, "capabilities", "voice") is not False
        and (offer := _read_offer(record, country, kind))
        and offer.e164.startswith(beginning)
    ]


def _read_offer(record: Any, country: str, kind: Kind) -> AvailableNumber | None:
    e164 = find(record, "phone_number")
    if not is_e164(e164):
        return None
    return AvailableNumber(
        e164=e164,
        country=country,
        locality=text(find(record, "locality")),
        region=text(find(record, "region")),
        kind=kind,
        # An unknown word does not permit buying without an address.
        needs_address=_ADDRESSES.get(text(find(record, "address_requirements")) or "none", "any"),
    )


def _read_number(item: Any) -> CarrierNumber:
    sid, e164 = read_sid("PN", item), text(find(item, "phone_number"))
    if e164 is None:
        raise malformed_record()
    return CarrierNumber(
        sid=sid,
        e164=e164,
        voice_url=text(find(item, "voice_url")) or "",
        fallback_url=text(find(item, "voice_fallback_url")) or "",
        status_url=text(find(item, "status_callback")) or "",
        trunk_sid=text(find(item, "trunk_sid")),
        application_sid=text(find(item, "voice_application_sid")),
        voice_method=text(find(item, "voice_method")) or "POST",
        fallback_method=text(find(item, "voice_fallback_method")) or "POST",
        status_method=text(find(item, "status_callback_method")) or "POST",
        friendly_name=text(find(item, "friendly_name")) or "",
    )
