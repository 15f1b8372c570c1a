"""An inbound number at Bland: reading its settings, writing some of them, and leaving it to nobody.

Bland docs: Number details, Update inbound number details, List inbound numbers. What the settings say is decided in
`settings`; whose number it is, by whoever calls this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import LISTS, Client, is_gone, listed, number_path
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.phone import is_e164
from adapters.portable import Registration, Wiring
from crypto.secret import Secret

ACCOUNT: Final = "encrypted_key"
"""The part of a registration without which Bland lets nobody change a number that is on a carrier's account."""


async def find_settings(client: Client, e164: str, account: Secret | None = None) -> dict[str, Any] | None:
    """None if this key has no such number."""
    if not is_e164(e164):
        raise ProviderError(ErrorKind.BAD_REQUEST, said="a number at Bland is written like +14155550100")
    try:
        answer = await client.ask("GET", number_path(e164), account=account)
    except ProviderError as error:
        if is_gone(error):
            return None
        raise
    inner = answer.get("data")
    return inner if isinstance(inner, dict) else answer


async def read_settings(client: Client, e164: str, account: Secret | None = None) -> dict[str, Any]:
    """Raises ProviderError(BAD_REQUEST) if this key has no such number."""
    settings = await find_settings(client, e164, account)
    if settings is None:
        raise ProviderError(ErrorKind.BAD_REQUEST, said=f"Bland has no number {e164} for this key")
    return settings


async def list_numbers(client: Client) -> list[tuple[str, dict[str, Any]]]:
    """All numbers that the key owns there, with what Bland shows of their settings."""
    answer = await client.ask("GET", "/v1/inbound", max_bytes=LISTS)
    numbers = ((each.get("phone_number"), each) for each in listed(answer, "inbound_numbers"))
    return [(e164, settings) for e164, settings in numbers if is_e164(e164)]


async def write_settings(client: Client, e164: str, changes: Mapping[str, Any], account: Secret | None = None) -> None:
    """`changes` must hold a prompt: Bland wants one every time. What Bland does not take is a BAD_REQUEST."""
    answer = await client.ask("POST", number_path(e164), json=changes, account=account)
    failed = answer.get("failed_updates")
    if isinstance(failed, dict) and (ours := sorted(failed.keys() & changes.keys())):
        raise ProviderError(ErrorKind.BAD_REQUEST, said=f"Bland did not take {', '.join(ours)} for {e164}")


async def free_number(client: Client, number: Registration, marker: str | None, wiring: Wiring | None = None) -> None:
    """It takes messages from now on: a prompt cannot be empty. Left alone if it is gone, was given something else
    by hand, or has an assistant of ours that is not `marker`'s.
    """
    account = account_of(number)
    settings = await find_settings(client, number.remote_id, account)
    if settings is None or is_made_by_hand(settings) or marker_on(settings) not in {None, marker}:
        return
    freed = {"pathway_id": None} if settings.get("pathway_id") else {}
    webhook = {}
    if wiring is not None:
        client, webhook = client.hiding(wiring.secret), {"webhook": Secret(wiring.webhook_url)}
    await write_settings(client, number.remote_id, {**NEUTRAL, **webhook, **freed}, account)


async def take_messages(client: Client, number: Registration, wiring: Wiring | None = None) -> None:
    """Whichever assistant of ours was on it."""
    settings = await read_settings(client, number.remote_id, account_of(number))
    await free_number(client, number, marker_on(settings), wiring)


def account_of(number: Registration) -> Secret | None:
    """The encrypted key of the account that the number is on; None for a number of Bland's own."""
    encrypted = number.parts.get(ACCOUNT)
    return Secret(encrypted) if encrypted else None
