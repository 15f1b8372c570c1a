"""An inbound number at Bland: reading its settings, changing some, and taking an assistant off it.

Bland docs: Number details, Update inbound number details, List inbound numbers. What the settings say is in `settings`.
A number on a carrier's account takes a client that holds the account (`Client.holding`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.base import GoneError, bad_request
from adapters.bland.api import Client, listed, number_path
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.client import LISTS
from adapters.phone import is_e164
from adapters.portable import Registration, Wiring
from adapters.replies import find
from crypto.secret import Secret

ACCOUNT: Final = "encrypted_key"
"""The part of a registration that every change to a number on a carrier's account needs."""


async def find_settings(client: Client, e164: str) -> dict[str, Any] | None:
    """None if this key has no such number."""
    if not is_e164(e164):
        raise bad_request("a number at Bland is written like +14155550100")
    answer = await client.look("GET", number_path(e164))
    inner = find(answer, "data")
    return inner if isinstance(inner, dict) else answer


async def read_settings(client: Client, e164: str) -> dict[str, Any]:
    """Raises GoneError if this key has no such number."""
    settings = await find_settings(client, e164)
    if settings is None:
        raise GoneError(f"Bland has no number {e164} for this key")
    return settings


async def list_numbers(client: Client) -> list[tuple[str, dict[str, Any]]]:
    """All numbers that the key owns there, with what Bland shows of their settings."""
    answer = await client.ask("GET", "/v1/inbound", max_bytes=LISTS)
    numbers = ((each.get("phone_number"), each) for each in listed(answer, "inbound_numbers"))
    return [(e164, settings) for e164, settings in numbers if is_e164(e164)]


async def write_settings(client: Client, e164: str, changes: Mapping[str, Any]) -> None:
    """`changes` must have a prompt or pathway: Bland requires it. Raises ProviderError(BAD_REQUEST) if it took only part."""
    answer = await client.ask("POST", number_path(e164), json=changes)
    failed = answer.get("failed_updates")
    if isinstance(failed, dict) and (ours := sorted(failed.keys() & changes.keys())):
        raise bad_request(f"Bland did not take {', '.join(ours)} for {e164}")


async def set_fallback(client: Client, e164: str, settings: Mapping[str, Any], fallback: str | None) -> None:
    """The phone that rings in Bland's maintenance windows. `settings`: those that the number has now."""
    required = {name: settings[name] for name in ("pathway_id", "prompt") if settings.get(name)}
    if settings.get("fallback_number") == fallback or (settings.get("persona_id") and not required):
        return  # a prompt would replace the persona
    name, value = next(iter(required.items()), ("prompt", NEUTRAL["prompt"]))
    await write_settings(client, e164, {name: value, "fallback_number": fallback})


async def free_number(client: Client, number: Registration, marker: str | None, wiring: Wiring | None = None) -> None:
    """Let it take messages: a prompt cannot be empty. Nothing changes if it is gone, was set up by hand since, or has
    another assistant of ours than `marker`'s.
    """
    client = client.holding(account_of(number))
    settings = await find_settings(client, number.remote_id)
    if settings is None or is_made_by_hand(settings) or marker_on(settings) not in {None, marker}:
        return
    freed = {"pathway_id": None} if settings.get("pathway_id") else {}
    webhook = {}
    if wiring is not None:
        client, webhook = client.hiding(wiring.secret), {"webhook": Secret(wiring.webhook_url)}
    await write_settings(client, number.remote_id, {**NEUTRAL, **webhook, **freed})


async def take_messages(client: Client, number: Registration, wiring: Wiring | None = None) -> None:
    """As `free_number`, for any assistant of ours."""
    settings = await read_settings(client.holding(account_of(number)), number.remote_id)
    await free_number(client, number, marker_on(settings), wiring)


def account_of(number: Registration) -> Secret | None:
    """The encrypted key of the account that the number is on; None for a number of Bland's own."""
    encrypted = number.parts.get(ACCOUNT)
    return Secret(encrypted) if encrypted else None
