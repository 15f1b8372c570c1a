"""The part of the stand-in for Bland that keeps inbound numbers: imported from a Twilio account, or bought at Bland.

Sources: Bland docs (Update Inbound Number Details, Number Details, Create and Delete Encrypted Key, Upload and Delete
Inbound Numbers, Purchase Inbound Number, SIP Config, Attach SIP Configuration) and Bland's command line program, which releases numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal
from zoneinfo import available_timezones

from adapters.phone import is_e164
from adapters.sandbox.api import Asked, Clock, Json, Part, Refusal, endpoint, is_https, iso, new_id
from adapters.sandbox.bland.calls import REDIRECT_HOST
from adapters.sandbox.bland.org import BlandOrg, as_e164, refuse_unknown
from adapters.sandbox.orgs import CarrierAccount, CarrierAccounts, Orgs

PRICE = 15.0  # US dollars a month

_SETTINGS: dict[str, type | tuple[type, ...]] = {
    "prompt": str, "pathway_id": str, "pathway_version": int, "persona_id": str, "voice": (str, int),
    "background_track": str, "first_sentence": str, "summary_prompt": str, "block_interruptions": bool,
    "interruption_threshold": (int, float), "model": str, "request_data": dict, "tools": list, "language": str,
    "timezone": str, "transfer_phone_number": str, "fallback_number": str, "transfer_list": dict,
    "dynamic_data": (dict, list), "keywords": list, "noise_cancellation": bool, "ignore_button_press": bool,
    "max_duration": int, "webhook": str, "webhook_events": list, "record": bool, "metadata": dict,
    "citation_schema_ids": list, "start_node_id": str,
}  # fmt: skip
_PATHWAY_RESETS = ("prompt", "first_sentence", "dynamic_data", "tools", "transfer_list")
_EVENTS = frozenset({"queue", "call", "latency", "webhook", "tool", "dynamic_data", "citations"})
_LANGUAGE = re.compile(r"auto|babel|[a-z]{2}(-[A-Z]{2}|-419|-Hans|-Hant|-Latn)?")
_VALUES: dict[str, Callable[[Any], bool]] = {
    "webhook": lambda url: not url or is_https(url),
    "webhook_events": _EVENTS.issuperset,
    "max_duration": lambda minutes: minutes > 0,
    "timezone": lambda zone: zone in available_timezones(),
    "language": lambda tag: bool(_LANGUAGE.fullmatch(tag)),
    "model": lambda model: model in {"base", "turbo"},
}
_ORDER = frozenset({"area_code", "prompt", "country_code", "webhook", "phone_number"})
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_AREA_CODE = re.compile(r"[2-9]\d{2}")


class InboundNumbers(Part[BlandOrg]):
    """`purchase_path`: which of the two documented paths sells numbers. `import_writes`: when an import changes the
    number's address at Twilio; "late" waits for `write_late`.
    """

    operation = "numbers"

    def __init__(self, orgs: Orgs[BlandOrg], carrier: CarrierAccounts, clock: Clock) -> None:
        super().__init__(orgs, clock)
        self._carrier = carrier
        self.purchase_path = "/numbers/purchase"
        self.import_writes: Literal["at once", "late", "never"] = "at once"
        self._late: list[Callable[[], None]] = []

    def add(self, org: BlandOrg, e164: str, **settings: object) -> str:
        """An inbound number of the org's; its E.164 form."""
        org.numbers[e164] = {
            "created_at": iso(self._clock()),
            "phone_number": e164,
            "prompt": "You answer the phone.",
            "first_sentence": None,
            "webhook": None,
            "voice_id": 2,
            "dynamic_data": None,
            "tools": [],
            "pathway_id": None,
            "timezone": "America/Los_Angeles",
            "max_duration": 30,
            "fallback_number": None,
            **settings,
        }
        return e164

    @endpoint("GET", "/v1/inbound")
    def _list(self, org: BlandOrg, _asked: Asked) -> Json:
        return {"inbound_numbers": list(org.numbers.values())}

    @endpoint("POST", "/v1/accounts")
    def _connect(self, org: BlandOrg, asked: Asked) -> Json:
        body = asked.json()
        refuse_unknown(body, frozenset({"account_sid", "auth_token", "restricted_account_sid", "s3_role_arn"}))
        sid, token = body.get("account_sid"), body.get("auth_token")
        if not isinstance(sid, str) or not _ACCOUNT_SID.fullmatch(sid):
            raise Refusal(400, "Invalid Account SID")
        account = self._carrier.account_for(sid, token) if isinstance(token, str) else None
        if account is None:
            raise Refusal(400, "Invalid Twilio credentials")
        if account.status != "active":
            raise Refusal(400, "Twilio account is not active")
        encrypted_key = new_id("enc-", 96)
        org.accounts[encrypted_key] = account.sid
        return {"status": "success", "encrypted_key": encrypted_key, "s3_external_id": None}

    @endpoint("POST", "/v1/accounts/delete")
    def _disconnect(self, org: BlandOrg, asked: Asked) -> Json:
        if org.accounts.pop(asked.headers.get("encrypted_key", ""), None) is None:
            raise Refusal(400, "Error deleting Twilio credentials")
        return {"status": "success"}

    @endpoint("POST", "/v1/inbound/insert")
    def _insert(self, org: BlandOrg, asked: Asked) -> Json:
        """Bland docs: numbers that are there already, or not on that account, are left out of `inserted`."""
        encrypted_key = asked.headers.get("encrypted_key", "")
        account = self._carrier.accounts.get(org.accounts.get(encrypted_key, ""))
        if account is None:
            raise Refusal(400, "Invalid encrypted_key")
        wanted = asked.json().get("numbers")
        if not isinstance(wanted, list) or not all(map(is_e164, wanted)):
            raise Refusal(400, "numbers must be an array of phone numbers")
        inserted = [e164 for e164 in wanted if self._take(org, account, e164, encrypted_key)]
        message = "Successfully inserted numbers" if inserted else "No numbers were inserted"
        return {"status": "success", "message": message, "inserted": inserted}

    def _take(self, org: BlandOrg, account: CarrierAccount, e164: str, encrypted_key: str) -> bool:
        """Bland replaces the number's voice URL, trunk and application by its own URL."""
        at_twilio = account.number_called(e164)
        if at_twilio is None or any(e164 in other.numbers for other in self._customers):
            return False
        self.add(org, e164, prompt="")
        org.uploaded[e164] = account.sid
        url = _import_address(encrypted_key, org)
        write = partial(
            at_twilio.update, voice_url=url, voice_method="POST", trunk_sid=None, voice_application_sid=None
        )
        if self.import_writes == "at once":
            write()
        elif self.import_writes == "late":
            self._late.append(write)
        return True

    def bring(self, org: BlandOrg, account: CarrierAccount, e164: str) -> str:
        encrypted_key = new_id("enc-", 96)
        org.accounts[encrypted_key] = account.sid
        self._take(org, account, e164, encrypted_key)
        return _import_address(encrypted_key, org)

    def write_late(self) -> None:
        """The addresses of earlier imports arrive at Twilio."""
        while self._late:
            self._late.pop()()

    @endpoint("GET", "/v1/sip")
    def _show_sip(self, org: BlandOrg, asked: Asked) -> Json:
        e164 = asked.query.get("phone_number", "")
        if not org.sip_enabled:
            raise Refusal(403, "SIP_NOT_ENABLED")
        if e164 not in org.numbers:
            raise Refusal(404)
        mode = org.attached.get(e164)
        inbound = {"number": e164, "direction": "inbound", "options": {"auth_mode": mode}} if mode else None
        return {"data": {"inbound": inbound, "outbound": None}, "errors": None}

    @endpoint("POST", "/v1/sip/attach")
    def _attach(self, org: BlandOrg, asked: Asked) -> Json:
        """Bland docs, Set up a trunk: numbers bought from Bland cannot be attached."""
        body = asked.json()
        refuse_unknown(body, frozenset({"phone_number", "phone_numbers", "directions", "service"}))
        if not org.sip_enabled:
            raise Refusal(403, "SIP_NOT_ENABLED")
        wanted = body.get("phone_numbers") or [body.get("phone_number")]
        inbound = [each for each in body.get("directions") or () if each.get("type") == "inbound"]
        if body.get("service") != "sip" or not inbound:
            raise Refusal(400, 'service must be "sip", with a direction')
        mode = inbound[0].get("auth_mode", "ip")
        if mode not in {"ip", "register"}:
            raise Refusal(400, "auth_mode must be ip or register")
        org.attached.update({e164: mode for e164 in wanted if e164 in org.uploaded})
        configured = [e164 for e164 in wanted if e164 in org.attached]
        failed = [e164 for e164 in wanted if e164 not in org.attached]
        return {"data": {"configured": configured, "failed": failed}, "errors": None}

    @endpoint("POST", "/v1/inbound/purchase")
    @endpoint("POST", "/numbers/purchase")
    def _purchase(self, org: BlandOrg, asked: Asked) -> Json:
        if asked.path != self.purchase_path:
            raise Refusal(404, f"Cannot POST {asked.path}")
        body = asked.json()
        refuse_unknown(body, _ORDER)
        if body.get("country_code", "US") not in {"US", "CA"}:
            raise Refusal(400, "Only US and CA country codes supported for now.")
        if not _AREA_CODE.fullmatch(str(body.get("area_code", "415"))):
            raise Refusal(400, "area_code must have three digits")
        if org.balance < PRICE:
            raise Refusal(402)
        e164 = body.get("phone_number") or self._free_number(str(body.get("area_code", "415")))
        if not is_e164(e164) or any(e164 in other.numbers for other in self._customers):
            raise Refusal(400, "This number is not available")
        org.balance -= PRICE
        self.add(org, e164, prompt=body.get("prompt", ""), webhook=body.get("webhook"))
        return {"phone_number": e164}

    def _free_number(self, area_code: str) -> str:
        taken = {e164 for org in self._customers for e164 in org.numbers}
        return next(e164 for line in range(10_000) if (e164 := f"+1{area_code}556{line:04d}") not in taken)

    @endpoint("GET", "/v1/inbound/{number}", "handoff")
    def _get(self, org: BlandOrg, asked: Asked) -> Json:
        return org.numbers[_number_of(org, asked)]

    @endpoint("POST", "/v1/inbound/{number}", "assistants")
    def _update(self, org: BlandOrg, asked: Asked) -> Json:
        e164, body = _number_of(org, asked), asked.json()
        _prove_account(org, e164, asked)
        _check_settings(org, body)
        org.numbers[e164].update(body)
        if body.get("pathway_id"):
            org.numbers[e164].update(dict.fromkeys(_PATHWAY_RESETS))
        return {"status": "success", "message": f"Successfully updated number {e164}.", "updates": dict(body)}

    @endpoint("POST", "/v1/inbound/{number}/delete")
    def _remove(self, org: BlandOrg, asked: Asked) -> Json:
        e164 = _number_of(org, asked)
        if e164 not in org.uploaded:
            raise Refusal(400, "encrypted_key is required")
        _prove_account(org, e164, asked)
        del org.numbers[e164], org.uploaded[e164]
        org.attached.pop(e164, None)
        return {"status": "success", "message": f"Successfully deleted number from database: {e164}"}

    @endpoint("DELETE", "/v1/inbound/{number}")
    def _release(self, org: BlandOrg, asked: Asked) -> Json:
        e164 = _number_of(org, asked)
        if e164 in org.uploaded:
            raise Refusal(400, "This number was not purchased from Bland")
        del org.numbers[e164]
        return {"status": "success", "message": f"Released {e164}"}


def _import_address(encrypted_key: str, org: BlandOrg) -> str:
    return f"https://{REDIRECT_HOST}/incoming?encrypted_key={encrypted_key}&user_id={org.id}&region=dc8"


def _number_of(org: BlandOrg, asked: Asked) -> str:
    e164 = as_e164(asked.parameters["number"])
    if e164 not in org.numbers:
        raise Refusal(404)
    return e164


def _prove_account(org: BlandOrg, e164: str, asked: Asked) -> None:
    """Bland docs, Custom Twilio: changes of uploaded numbers must include the encrypted key."""
    owner = org.uploaded.get(e164)
    if owner is not None and org.accounts.get(asked.headers.get("encrypted_key", "")) != owner:
        raise Refusal(400, "encrypted_key is missing or wrong")


def _check_settings(org: BlandOrg, body: Json) -> None:
    refuse_unknown(body, frozenset(_SETTINGS))
    if not body.get("prompt") and not body.get("pathway_id"):
        raise Refusal(400, "prompt is required")
    given = {name: value for name, value in body.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, _SETTINGS[name]) or _is_bool_as_number(name, value):
            raise Refusal(400, f"{name} is of the wrong type")
        if not _VALUES.get(name, lambda _: True)(value):
            raise Refusal(400, f"{name} is invalid")
    for part in given.get("tools", ()):
        if isinstance(part, str) and part not in org.tools and not _is_alive(org.knowledge.get(part)):
            raise Refusal(400, f"no such tool: {part}")


def _is_bool_as_number(name: str, value: object) -> bool:
    return isinstance(value, bool) and _SETTINGS[name] is not bool


def _is_alive(base: Json | None) -> bool:
    return base is not None and base["status"] != "DELETED"
