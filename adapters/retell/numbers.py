"""Numbers that Retell sells, and who answers them. Carriers' numbers need no counterpart: each call is registered.

Retell docs: Create, list, update, delete phone number; Inbound call webhook.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from adapters.base import ErrorKind, ProviderError
from adapters.phone import is_e164
from adapters.portable import Copy, Counterpart, Credentials, NativeNumber, Wiring
from adapters.replies import text
from adapters.retell.api import Api
from crypto.secret import Secret

_AREA_CODE: Final = re.compile(r"[2-9][0-9]{2}")
_IMPORTED: Final = "custom"


class Numbers:
    """NumberHost at Retell."""

    _api: Api
    registers_numbers: Final = False
    sells_in: Final = ("US", "CA")

    async def find_counterpart(self, e164: str, key: Secret, limit: float) -> Counterpart | None:  # noqa: ARG002
        return None

    async def register_number(
        self,
        e164: str,  # noqa: ARG002 - see above, here and below
        credentials: Credentials,  # noqa: ARG002
        copy: Copy | None,  # noqa: ARG002
        fallback: str | None,  # noqa: ARG002
        key: Secret,  # noqa: ARG002
        limit: float,  # noqa: ARG002
    ) -> Counterpart:
        raise _needless()

    async def assign_counterpart(
        self,
        counterpart: Counterpart,  # noqa: ARG002
        copy: Copy | None,  # noqa: ARG002
        fallback: str | None,  # noqa: ARG002
        key: Secret,  # noqa: ARG002
        limit: float,  # noqa: ARG002
    ) -> None:
        raise _needless()

    async def unregister_number(self, counterpart: Counterpart, key: Secret, limit: float) -> None:
        """There never was one."""

    async def list_native(self, key: Secret, limit: float) -> list[NativeNumber]:
        asker = self._api.asker(key, limit)
        items = [item async for item in asker.list_all("GET", "/v2/list-phone-numbers")]
        return [_native(item) for item in items if item.get("phone_number_type") != _IMPORTED]

    async def buy_native(
        self,
        country: str,
        area_code: str | None,
        label: str,
        copy: Copy | None,
        wiring: Wiring,
        fallback: str | None,
        key: Secret,
        limit: float,
    ) -> NativeNumber:
        body = {"country_code": country, "nickname": label, **_answering(copy, wiring, fallback)}
        if area_code is not None:
            body["area_code"] = _area_code(country, area_code)
        asker = self._api.asker(key, limit, wiring.secret)
        return _native(await asker.ask("POST", "/create-phone-number", json=body))

    async def assign_native(
        self, number: NativeNumber, copy: Copy | None, wiring: Wiring, fallback: str | None, key: Secret, limit: float
    ) -> None:
        asker = self._api.asker(key, limit, wiring.secret)
        await asker.ask("PATCH", _path("update", number), json=_answering(copy, wiring, fallback))

    async def release_native(self, number: NativeNumber, key: Secret, limit: float) -> None:
        await self._api.asker(key, limit).remove(_path("delete", number))


def _answering(copy: Copy | None, wiring: Wiring, fallback: str | None) -> dict[str, Any]:
    """The agent answers also when we don't; the webhook lets us say more about the call, or choose another agent."""
    agent_id = None if copy is None else copy.remote_id
    agent = {"agent_id": agent_id, "agent_version": "latest_published", "weight": 1}
    return {
        "inbound_agents": [] if agent_id is None else [agent],
        "inbound_webhook_url": Secret(wiring.webhook_url),
        "fallback_number": fallback,
    }


def _area_code(country: str, area_code: str) -> int:
    if country != "US":
        raise ProviderError(ErrorKind.BAD_REQUEST, said="Retell lets an area code be chosen for US numbers only.")
    if not _AREA_CODE.fullmatch(area_code):
        raise ProviderError(ErrorKind.BAD_REQUEST, said="A US area code has three digits, and begins with 2 to 9.")
    return int(area_code)


def _native(item: dict[str, Any]) -> NativeNumber:
    e164 = item.get("phone_number")
    if not is_e164(e164):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return NativeNumber(e164, e164, text(item.get("nickname")))


def _path(verb: str, number: NativeNumber) -> str:
    return f"/{verb}-phone-number/{quote(number.remote_id, safe='')}"


def _needless() -> ProviderError:
    return ProviderError(ErrorKind.BAD_REQUEST, said="Retell takes calls to a carrier's number without a registration.")
