"""The webhook of an agency's workspace to which agents report their calls. Agents name it by its id.

ElevenLabs docs: Create, list and delete workspace webhook; Post-call webhooks. A webhook's address never changes: another
token in it makes another webhook. Its signing secret is shown once and not kept here, because the token in the address
proves reports as well.
"""

from __future__ import annotations

from typing import Any, Final

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.client import LISTS
from adapters.elevenlabs.api import Client
from adapters.portable import Wiring
from adapters.replies import find, read_objects
from crypto.secret import Secret

_PATH: Final = "/v1/workspace/webhooks"
_ID: Final = "webhook_id"
_NAME: Final = "callrouter"


async def keep_webhook(client: Client, wiring: Wiring) -> str:
    """Its id. Creates it unless it is there. One that was disabled, perhaps for failures, is replaced."""
    return await find_webhook(client, wiring) or await _create(client, wiring)


async def find_webhook(client: Client, wiring: Wiring) -> str | None:
    """The id of the one in use."""
    return next((one[_ID] for one in await _list(client) if _reports_to(one, wiring)), None)


async def delete_unused_webhook(client: Client, webhook_id: str) -> None:
    """Other assistants may share it. One that is not ours stays, and so does one of which ElevenLabs doesn't say that
    nothing uses it.
    """
    for one in await _list(client):
        if one[_ID] == webhook_id and one.get("name") == _NAME and one.get("usage") == []:
            await client.remove(f"{_PATH}/{webhook_id}")


def _reports_to(webhook: dict[str, Any], wiring: Wiring) -> bool:
    disabled = webhook.get("is_disabled") or webhook.get("is_auto_disabled")
    return webhook.get("webhook_url") == wiring.webhook_url and not disabled


async def _list(client: Client) -> list[dict[str, Any]]:
    reply = await client.send("GET", _PATH, query={"include_usages": "true"}, max_bytes=LISTS)
    return read_objects(reply, find(client.read(reply), "webhooks"), (_ID,))


async def _create(client: Client, wiring: Wiring) -> str:
    settings = {"auth_type": "hmac", "name": _NAME, "webhook_url": Secret(wiring.webhook_url)}
    try:
        return str((await client.ask("POST", _PATH, _ID, json={"settings": settings}))[_ID])
    except ProviderError as error:
        if error.kind is not ErrorKind.KEY_REJECTED:
            raise
        raise bad_request(
            "The key may not create a webhook at ElevenLabs, so we would not hear of the assistant's calls. Give it that"
            " permission, or save a key without restrictions.",
            error.status,
        ) from None
