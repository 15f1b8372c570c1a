"""A carrier's numbers at Vapi, imported with the credentials of the carrier's account.

Vapi docs: Phone numbers; its API's schema: CreateTwilioPhoneNumberDTO. Importing points the carrier's number at Vapi, so
our addresses must be written back at the carrier afterwards.
"""

from __future__ import annotations

from typing import Any

from adapters.portable import Copy, Credentials, Registration
from adapters.replies import text
from adapters.vapi.api import Client, path_of


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
        """Updates one that is there already, even if we did not import it: Vapi refuses to import a number twice."""
        settings = {"number": e164, "name": _label(e164), "smsEnabled": False, **_opening(credentials)}
        client = client.hiding(*filter(None, (credentials.auth_token, credentials.api_secret)))
        found = await self.find(client, e164)
        answered_by = _answered_by(copy, fallback)
        put = None
        if found is not None:
            path = path_of("phone-number", found.remote_id)
            put = await client.look("PATCH", path, "id", json={**settings, **answered_by})
        if put is None:
            named = {name: value for name, value in answered_by.items() if value is not None}
            put = await client.ask("POST", "/phone-number", "id", json={"provider": "twilio", **settings, **named})
        return Registration(put["id"], label=_label(e164))

    async def assign(self, client: Client, registration: Registration, copy: Copy | None, fallback: str | None) -> None:
        path = path_of("phone-number", registration.remote_id)
        await client.ask("PATCH", path, "id", json=_answered_by(copy, fallback))

    async def unregister(self, client: Client, registration: Registration) -> None:
        await client.remove(path_of("phone-number", registration.remote_id))


def _label(e164: str) -> str:
    return f"callrouter {e164}"


def _opening(credentials: Credentials) -> dict[str, Any]:
    """What opens the carrier's account: a revocable API key if there is one."""
    account = {"twilioAccountSid": credentials.account_sid}
    if credentials.api_key is not None and credentials.api_secret is not None:
        return {**account, "twilioApiKey": credentials.api_key, "twilioApiSecret": credentials.api_secret}
    return {**account, "twilioAuthToken": credentials.auth_token}


def _answered_by(copy: Copy | None, fallback: str | None) -> dict[str, Any]:
    """Who takes calls that reach Vapi by the number itself; null removes what was set."""
    return {
        "assistantId": copy.remote_id if copy is not None else None,
        "fallbackDestination": {"type": "number", "number": fallback} if fallback is not None else None,
    }
