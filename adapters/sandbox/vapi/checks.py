"""What Vapi's validation complains about in a call or a number, in the words of its NestJS error lists.

Sources: Vapi's OpenAPI (CreateCallDTO, CreateCustomerDTO, CreateTwilioPhoneNumberDTO) and the
bypass request of its docs (Calls: Handling with Vapi and Twilio).
"""

from __future__ import annotations

import uuid

from adapters.phone import is_e164
from adapters.sandbox.api import Json, Refusal
from adapters.sandbox.vapi.assistant_checks import ASSISTANT_FIELDS

_CALL_FIELDS = frozenset(
    "assistantId assistant squadId squad workflowId workflow assistantOverrides squadOverrides workflowOverrides"
    " assistantVersion phoneNumberId phoneNumber phoneCallProviderBypassEnabled customerId customer customers name"
    " schedulePlan transport".split()
)
_CUSTOMER_FIELDS = frozenset(
    "number numberE164CheckEnabled extension name email externalId sipUri assistantOverrides".split()
)
_NUMBER_FIELDS = frozenset(
    "provider number twilioAccountSid twilioAuthToken twilioApiKey twilioApiSecret smsEnabled name assistantId"
    " squadId workflowId server fallbackDestination hooks numberDesiredAreaCode sipUri authentication credentialId"
    " numberE164CheckEnabled".split()
)
NAME_LENGTH = 40
NAME_TOO_LONG = "name must be shorter than or equal to 40 characters"
_CALLER_LENGTH = range(3, 41)


def accept(complaints: list[str]) -> None:
    if complaints:
        raise Refusal(400, complaints)


def _unknown_fields(body: Json, known: frozenset[str], prefix: str = "") -> list[str]:
    return [f"{prefix}property {name} should not exist" for name in body if name not in known]


def of_call(body: Json) -> list[str]:
    complaints = _unknown_fields(body, _CALL_FIELDS)
    complaints += [
        f"{name} must be a UUID"
        for name in ("assistantId", "phoneNumberId", "squadId")
        if name in body and not _is_uuid(body[name])
    ]
    if not any(name in body for name in ("assistantId", "assistant", "squadId", "squad", "workflowId", "workflow")):
        complaints.append("Need Either `assistantId`, `assistant`, `squadId`, `squad`, `workflowId`, Or `workflow`")
    if "phoneNumberId" not in body:
        complaints.append("Need Either `phoneNumberId` Or `phoneNumber`")
    overrides = body.get("assistantOverrides", {})
    if not isinstance(overrides, dict):
        complaints.append("assistantOverrides must be an object")
        overrides = {}
    complaints += _unknown_fields(overrides, ASSISTANT_FIELDS | {"variableValues"}, "assistantOverrides.")
    complaints += [
        f"assistantOverrides.{name} must be an object"
        for name in ("metadata", "variableValues")
        if not isinstance(overrides.get(name, {}), dict)
    ]
    if len(str(body.get("name", ""))) > NAME_LENGTH:
        complaints.append(NAME_TOO_LONG)
    return complaints + _of_customer(body.get("customer"))


def _of_customer(customer: object) -> list[str]:
    if not isinstance(customer, dict):
        return ["customer must be an object"]
    complaints = _unknown_fields(customer, _CUSTOMER_FIELDS, "customer.")
    number = customer.get("number")
    if not isinstance(number, str) or len(number) not in _CALLER_LENGTH:
        complaints.append(
            "customer.number must be longer than or equal to 3 and shorter than or equal to 40 characters"
        )
    elif customer.get("numberE164CheckEnabled", True) and not is_e164(number):
        complaints.append(
            "customer.number must be a valid phone number in the E.164 format."
            " Hot tip, you may be missing the country code (Eg. US: +1)."
        )
    complaints += [
        f"customer.{name} must be shorter than or equal to 40 characters"
        for name in ("name", "externalId")
        if len(str(customer.get(name, ""))) > NAME_LENGTH
    ]
    return complaints


def of_number_change(body: Json) -> list[str]:
    return _unknown_fields(body, _NUMBER_FIELDS - {"provider"}) + _of_number_settings(body)


def of_number(body: Json) -> list[str]:
    complaints = _unknown_fields(body, _NUMBER_FIELDS) + _of_number_settings(body)
    needed = {"twilio": ("number", "twilioAccountSid"), "vapi": (), "byo-phone-number": ("credentialId",)}
    provider = body.get("provider")
    if provider not in needed:
        return [*complaints, f"provider must be one of the following values: {', '.join(needed)}"]
    complaints += [f"{name} should not be empty" for name in needed[provider] if not body.get(name)]
    opened = body.get("twilioAuthToken") or (body.get("twilioApiKey") and body.get("twilioApiSecret"))
    if provider == "twilio" and not opened:
        complaints.append("Need Either `twilioAuthToken` Or `twilioApiKey` And `twilioApiSecret`")
    return complaints


def _of_number_settings(body: Json) -> list[str]:
    complaints = []
    if len(str(body.get("name", ""))) > NAME_LENGTH:
        complaints.append(NAME_TOO_LONG)
    fallback = body.get("fallbackDestination")
    if fallback is None:
        return complaints
    if not isinstance(fallback, dict) or fallback.get("type") not in ("number", "sip"):
        return [*complaints, "fallbackDestination.type must be one of the following values: number, sip"]
    if fallback["type"] == "number" and not is_e164(fallback.get("number")):
        complaints.append("fallbackDestination.number must be a valid phone number in the E.164 format")
    return complaints


def _is_uuid(value: object) -> bool:
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False
