"""Numbers at Vapi: a carrier's numbers, imported with what opens the carrier's account. Vapi's own are not sold by us.

Vapi docs: Phone numbers; its API's schema: CreateTwilioPhoneNumberDTO. Importing points the carrier's number at Vapi:
whoever imports writes our addresses back at the carrier.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.base import ProviderError
from adapters.portable import Copy, Credentials, Registration
from adapters.replies import text
from adapters.vapi.api import Client, is_gone, path_of


class Registrations:
    """Imports carriers' numbers."""

    async def find(self, client: Client, e164: str) -> Registration | None:
        async for number in client.list_all("/phone-number"):
            if number.get("number") == e164 and number.get("provider") == "twilio":
                return Registration(number["id"], label=text(number.get("name")))
        return None

    async def register(
        self, client: Client, e164: str, credentials: Credentials, copy: Copy | None, fallback: str | None
    ) -> Registration:
        """One that is there is brought up to date, whoever imported it: Vapi refuses to import a number twice."""
        settings = {"number": e164, "name": _label(e164), "smsEnabled": False, **_opening(credentials)}
        client = client.hiding(*filter(None, (credentials.auth_token, credentials.api_secret)))
        found = await self.find(client, e164)
        if found is not None:
            body = {**settings, **_answered_by(copy, fallback)}
            try:
                await client.ask("PATCH", path_of("phone-number", found.remote_id), json=body)
            except ProviderError as error:
                if not is_gone(error):
                    raise
            else:
                return replace(found, label=_label(e164))
        body = {"provider": "twilio", **settings, **_named(_answered_by(copy, fallback))}
        made = await client.ask("POST", "/phone-number", json=body)
        return Registration(made["id"], label=_label(e164))

    async def assign(self, client: Client, registration: Registration, copy: Copy | None, fallback: str | None) -> None:
        body = _answered_by(copy, fallback)
        await client.ask("PATCH", path_of("phone-number", registration.remote_id), json=body)

    async def unregister(self, client: Client, registration: Registration) -> None:
        await client.remove(path_of("phone-number", registration.remote_id))


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
