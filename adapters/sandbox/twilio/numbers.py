"""Numbers: those for sale, buying one, and the IncomingPhoneNumber resource.

Source: Twilio docs, AvailablePhoneNumber and IncomingPhoneNumber resources; error dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime

from adapters.phone import is_e164
from adapters.sandbox.api import Asked, Json, Refusal, endpoint, new_id
from adapters.sandbox.carrier.addresses import web_url_fault
from adapters.sandbox.twilio.paging import page_of
from adapters.sandbox.twilio.records import ROOT, Account
from adapters.sandbox.twilio.register import TwilioPart, not_found
from adapters.sandbox.twilio.stock import (
    COUNTRIES,
    SHELVES,
    Shelf,
    describe_country,
    describe_offer,
    is_wanted,
    shelf_of,
)

_CHANGEABLE = (
    "friendly_name voice_url voice_method voice_fallback_url voice_fallback_method status_callback"
    " status_callback_method sms_url sms_method trunk_sid voice_application_sid"
).split()
_UNSET = (
    "voice_application_sid sms_application_sid trunk_sid address_sid bundle_sid identity_sid emergency_address_sid"
).split()
_LONGEST_NAME = 64
_LONGEST_URL = 4000
_NEEDS_ADDRESS, _NEEDS_LOCAL_ADDRESS, _NEEDS_BUNDLE = 21631, 21615, 21649


class Numbers(TwilioPart):
    """For sale, and of an account."""

    prefix = f"{ROOT}/{{account}}"

    @endpoint("GET", "/AvailablePhoneNumbers.json")
    def _list_countries(self, account: Account, asked: Asked) -> Json:
        home = f"{ROOT}/{account.sid}"
        countries = [describe_country(home, country) for country in COUNTRIES]
        return {"countries": countries, "uri": asked.path}

    @endpoint("GET", "/AvailablePhoneNumbers/{country}.json")
    def _show_country(self, account: Account, asked: Asked) -> Json:
        if asked.parameters["country"] not in COUNTRIES:
            raise Refusal(404, not_found(asked))
        return describe_country(f"{ROOT}/{account.sid}", asked.parameters["country"])

    @endpoint("GET", "/AvailablePhoneNumbers/{country}/{kind}.json")
    def _search(self, _account: Account, asked: Asked) -> Json:
        """Without pages: the next search shows other numbers anyway."""
        country, kind = asked.parameters["country"], asked.parameters["kind"]
        shelves = [shelf for shelf in SHELVES if (shelf.country, shelf.kind) == (country, kind)]
        if not shelves:
            raise Refusal(404, not_found(asked))
        if asked.query.get("ExcludeAllAddressRequired") == "true":
            shelves = [shelf for shelf in shelves if shelf.address == "none"]
        query, size = dict(asked.query), int(asked.query.get("PageSize", 30))
        found = [describe_offer(shelf, e164) for shelf, e164 in self._for_sale(shelves) if is_wanted(e164, query)]
        return {"available_phone_numbers": found[:size], "uri": asked.path}

    def _for_sale(self, shelves: list[Shelf]) -> Iterator[tuple[Shelf, str]]:
        taken = {number["phone_number"] for account in self._register for number in account.numbers.values()}
        return ((shelf, e164) for shelf in shelves for e164 in shelf if e164 not in taken)

    @endpoint("GET", "/IncomingPhoneNumbers.json")
    def _list(self, account: Account, asked: Asked) -> Json:
        wanted = asked.query.get("PhoneNumber")
        found = [number for number in account.numbers.values() if wanted in (None, number["phone_number"])]
        return page_of("incoming_phone_numbers", found, asked)

    @endpoint("POST", "/IncomingPhoneNumbers.json", status=201)
    def _buy(self, account: Account, asked: Asked) -> Json:
        """All checks come before the number is taken and paid for."""
        form = asked.form()
        shelf, e164 = self._choose(form)
        _check_papers(shelf, form)
        changes = number_changes(form, {"voice_url": ""})
        payer = self._register.payer(account)
        if payer.balance < shelf.price:
            raise Refusal(402, "The account has not enough money for this number")
        payer.balance -= shelf.price
        number = new_number(account.sid, e164, new_id("PN"), "", self._clock())
        number.update(changes, address_requirements=shelf.address)
        account.numbers[number["sid"]] = number
        return number

    def _choose(self, form: dict[str, str]) -> tuple[Shelf, str]:
        e164 = form.get("PhoneNumber")
        if e164 is None:
            north_america = [shelf for shelf in SHELVES if shelf.kind == "Local" and shelf.country in {"US", "CA"}]
            wanted = {"AreaCode": form.get("AreaCode", "")}
            found = next((offer for offer in self._for_sale(north_america) if is_wanted(offer[1], wanted)), None)
            if found is None:
                raise Refusal(400, "No phone numbers found in this area code", 21452)
            return found
        if not is_e164(e164):
            raise Refusal(400, f"{e164} is not a valid number", 21421)
        shelf = shelf_of(e164)
        if shelf is None or (shelf, e164) not in set(self._for_sale([shelf])):
            raise Refusal(400, f"{e164} is not available", 21422)
        return shelf, e164

    @endpoint("GET", "/IncomingPhoneNumbers/{id}.json")
    def _show(self, account: Account, asked: Asked) -> Json:
        return asked.find(account.numbers, message=not_found(asked))

    @endpoint("POST", "/IncomingPhoneNumbers/{id}.json")
    def _update(self, account: Account, asked: Asked) -> Json:
        number = self._show(account, asked)
        changes = number_changes(asked.form(), number)
        number.update(changes, date_updated=format_datetime(self._clock()))
        return number

    @endpoint("DELETE", "/IncomingPhoneNumbers/{id}.json")
    def _release(self, account: Account, asked: Asked) -> None:
        asked.pop(account.numbers, message=not_found(asked))


def _check_papers(shelf: Shelf, form: dict[str, str]) -> None:
    if shelf.bundle and not form.get("BundleSid"):
        raise Refusal(400, "This number requires an approved regulatory bundle", _NEEDS_BUNDLE)
    if shelf.address != "none" and not form.get("AddressSid"):
        code = _NEEDS_LOCAL_ADDRESS if shelf.address == "local" else _NEEDS_ADDRESS
        raise Refusal(400, "This number requires an address and AddressSid is empty", code)


def new_number(account_sid: str, e164: str, sid: str, voice_url: str, now: datetime) -> Json:
    written = format_datetime(now)
    return {
        "sid": sid,
        "account_sid": account_sid,
        "friendly_name": e164,
        "phone_number": e164,
        "voice_url": voice_url,
        "voice_method": "POST",
        "voice_fallback_url": "",
        "voice_fallback_method": "POST",
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
        "status_callback": "",
        "status_callback_method": "POST",
        "sms_url": "",
        "sms_method": "POST",
        "sms_fallback_url": "",
        "sms_fallback_method": "POST",
        "address_requirements": "none",
        "emergency_status": "Inactive",
        "emergency_address_status": "unregistered",
        "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        "beta": False,
        "origin": "twilio",
        "status": "in-use",
        "api_version": "2010-04-01",
        "date_created": written,
        "date_updated": written,
        "uri": f"{ROOT}/{account_sid}/IncomingPhoneNumbers/{sid}.json",
        **dict.fromkeys(_UNSET),
    }


def number_changes(form: dict[str, str], number: Json) -> Json:
    """A number's new fields from a form; raises Refusal for what Twilio refuses."""
    names = {name.title().replace("_", ""): name for name in _CHANGEABLE}  # a form says VoiceUrl, a record voice_url
    changes: Json = {names[field]: value for field, value in form.items() if field in names}
    for name, value in changes.items():
        if name.endswith("_method") and value not in {"GET", "POST"}:
            raise Refusal(400, f"{name} must be GET or POST", 21403)
        if name.endswith(("_url", "_callback")) and value and web_url_fault(value):
            raise Refusal(400, f"{name} is not a valid URL: {value}", 21402)
        if len(value) > _LONGEST_URL:  # documented for StatusCallback
            raise Refusal(400, f"{name} is too long", 21609)
        if name.endswith("_sid"):
            changes[name] = value or None
    if len(form.get("FriendlyName", "")) > _LONGEST_NAME:
        raise Refusal(400, "FriendlyName is too long")
    if changes.get("voice_fallback_url") and not (number | changes)["voice_url"]:
        raise Refusal(400, "A fallback URL needs a primary URL", 21405)
    return changes
