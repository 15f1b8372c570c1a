"""Numbers that Retell sells, and who answers them. Carriers' numbers need no registration: each call is registered.

Retell docs: Create, list, update, delete phone number; Inbound call webhook.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.facets import NumberOrder
from adapters.phone import is_e164
from adapters.portable import Copy, NativeNumber, Wiring
from adapters.replies import text
from adapters.retell.api import Client
from crypto.secret import Secret

_AREA_CODE: Final = re.compile(r"[2-9][0-9]{2}")
_IMPORTED: Final = "custom"


class Shop:
    """Sells numbers that Retell itself answers."""

    sells_in: Final = ("US", "CA")
    area_codes_in: Final = ("US",)
    rings_fallback: Final = "while your outage mode is on at Retell"
    labels_purchases: Final = True
    sets_fallback_later: Final = False

    async def list_numbers(self, client: Client) -> list[NativeNumber]:
        items = [item async for item in client.list_all("GET", "/v2/list-phone-numbers")]
        return [_native(item) for item in items if item.get("phone_number_type") != _IMPORTED]

    async def buy(self, client: Client, order: NumberOrder) -> NativeNumber:
        answering = _answering(order.copy, order.wiring, order.fallback)
        body = {"country_code": order.country, "nickname": order.label, **answering}
        if order.area_code is not None:
            body["area_code"] = _area_code(order.country, order.area_code)
        return _native(await client.hiding(order.wiring.secret).ask("POST", "/create-phone-number", json=body))

    async def assign(
        self, client: Client, number: NativeNumber, copy: Copy | None, wiring: Wiring, fallback: str | None
    ) -> None:
        body = _answering(copy, wiring, fallback)
        await client.hiding(wiring.secret).ask("PATCH", _path("update", number), json=body)

    async def release(self, client: Client, number: NativeNumber) -> None:
        await client.remove(_path("delete", number))


def _answering(copy: Copy | None, wiring: Wiring, fallback: str | None) -> dict[str, Any]:
    """The agent answers even if we don't; the webhook lets us add to the call's data or choose another agent."""
    agent_id = None if copy is None else copy.remote_id
    agent = {"agent_id": agent_id, "agent_version": "latest_published", "weight": 1}
    return {
        "inbound_agents": [] if agent_id is None else [agent],
        "inbound_webhook_url": Secret(wiring.webhook_url),
        "fallback_number": fallback,
    }


def _area_code(country: str, area_code: str) -> int:
    if country != "US":
        raise bad_request("Retell lets you choose an area code for US numbers only.")
    if not _AREA_CODE.fullmatch(area_code):
        raise bad_request("A US area code has three digits and begins with 2 to 9.")
    return int(area_code)


def _native(item: dict[str, Any]) -> NativeNumber:
    e164 = item.get("phone_number")
    if not is_e164(e164):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return NativeNumber(e164, e164, text(item.get("nickname")))


def _path(verb: str, number: NativeNumber) -> str:
    return f"/{verb}-phone-number/{quote(number.remote_id, safe='')}"
