"""Numbers at Vapi: a carrier's numbers, imported with what opens the carrier's account. Vapi's own are not sold by us.

Vapi docs: Phone numbers; its API's schema: CreateTwilioPhoneNumberDTO. Importing points the carrier's number at Vapi:
whoever imports writes our addresses back at the carrier.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Copy, Counterpart, Credentials, NativeNumber, Wiring
from adapters.replies import text
from adapters.vapi.api import Api, is_gone, path_of
from crypto.secret import Secret

_NOT_SOLD: Final = "Vapi's own numbers are not sold here: buy one on Twilio, and it is registered at Vapi."


class Numbers:
    """NumberHost at Vapi."""

    _api: Api
    registers_numbers: Final = True
    sells_in: Final[tuple[str, ...]] = ()

    async def find_counterpart(self, e164: str, key: Secret, limit: float) -> Counterpart | None:
        async for number in self._api.list_all("/phone-number", key, limit):
            if number.get("number") == e164 and number.get("provider") == "twilio":
                return Counterpart(number["id"], label=text(number.get("name")))
        return None

    async def register_number(
        self, e164: str, credentials: Credentials, copy: Copy | None, fallback: str | None, key: Secret, limit: float
    ) -> Counterpart:
        """One that is there is brought up to date, whoever imported it: Vapi refuses to import a number twice."""
        settings = {"number": e164, "name": _label(e164), "smsEnabled": False, **_opening(credentials)}
        hide = [credentials.auth_token, *([credentials.api_secret] if credentials.api_secret is not None else [])]
        found = await self.find_counterpart(e164, key, limit)
        if found is not None:
            body = {**settings, **_answered_by(copy, fallback)}
            try:
                await self._api.ask("PATCH", path_of("phone-number", found.remote_id), key, limit, json=body, hide=hide)
            except ProviderError as error:
                if not is_gone(error):
                    raise
            else:
                return replace(found, label=_label(e164))
        body = {"provider": "twilio", **settings, **_named(_answered_by(copy, fallback))}
        made = await self._api.ask("POST", "/phone-number", key, limit, json=body, hide=hide)
        return Counterpart(made["id"], label=_label(e164))

    async def assign_counterpart(
        self, counterpart: Counterpart, copy: Copy | None, fallback: str | None, key: Secret, limit: float
    ) -> None:
        body = _answered_by(copy, fallback)
        await self._api.ask("PATCH", path_of("phone-number", counterpart.remote_id), key, limit, json=body)

    async def unregister_number(self, counterpart: Counterpart, key: Secret, limit: float) -> None:
        await self._api.remove(path_of("phone-number", counterpart.remote_id), key, limit)

    async def list_native(self, key: Secret, limit: float) -> list[NativeNumber]:  # noqa: ARG002 - none is ours
        return []

    async def buy_native(
        self,
        country: str,  # noqa: ARG002
        area_code: str | None,  # noqa: ARG002
        label: str,  # noqa: ARG002
        copy: Copy | None,  # noqa: ARG002
        wiring: Wiring,  # noqa: ARG002
        fallback: str | None,  # noqa: ARG002
        key: Secret,  # noqa: ARG002
        limit: float,  # noqa: ARG002
    ) -> NativeNumber:
        raise ProviderError(ErrorKind.BAD_REQUEST, said=_NOT_SOLD)

    async def assign_native(
        self,
        number: NativeNumber,  # noqa: ARG002
        copy: Copy | None,  # noqa: ARG002
        wiring: Wiring,  # noqa: ARG002
        fallback: str | None,  # noqa: ARG002
        key: Secret,  # noqa: ARG002
        limit: float,  # noqa: ARG002
    ) -> None:
        raise ProviderError(ErrorKind.BAD_REQUEST, said=_NOT_SOLD)

    async def release_native(self, number: NativeNumber, key: Secret, limit: float) -> None:  # noqa: ARG002
        raise ProviderError(ErrorKind.BAD_REQUEST, said=_NOT_SOLD)


def _label(e164: str) -> str:
    return f"callrouter {e164}"


def _opening(credentials: Credentials) -> dict[str, Any]:
    """What opens the carrier's account: what can be revoked, where there is such a thing."""
    if credentials.api_key is not None and credentials.api_secret is not None:
        opening: dict[str, Any] = {"twilioApiKey": credentials.api_key, "twilioApiSecret": credentials.api_secret}
    else:
        opening = {"twilioAuthToken": credentials.auth_token}
    return {"twilioAccountSid": credentials.account_sid, **opening}


def _answered_by(copy: Copy | None, fallback: str | None) -> dict[str, Any]:
    """Who takes calls that reach Vapi by the number itself; null takes away what was set."""
    return {
        "assistantId": copy.remote_id if copy is not None else None,
        "fallbackDestination": {"type": "number", "number": fallback} if fallback is not None else None,
    }


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
