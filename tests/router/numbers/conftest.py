"""Agencies that buy numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import ACCOUNT_SID
from router.store.numbers.purchases import Order
from tests.router.api.client import Agency, Api
from tests.support.api_service import (
    Clock,
    Services,
    api,
    bulkheads,
    captured_events,
    circuits,
    clock,
    platform_keys,
    sandbox,
    services,
)

__all__ = ["api", "bulkheads", "captured_events", "circuits", "clock", "platform_keys", "sandbox", "services"]

OWN_SID = "AC" + "0e" * 16
OWN_TOKEN = "own-token-canary-0e0e0e0e0e0e0e0e"
OWNER = "+14155550188"


@dataclass
class Market:
    """An agency with one client, and all that a test looks at."""

    api: Api
    sandbox: RunningSandbox
    services: Services
    clock: Clock
    agency: Agency
    client: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{self.agency.path}/numbers"

    def order(self, **fields: Any) -> dict[str, Any]:
        return {"country": "US", "client_id": self.client["id"], **fields}

    def stored_order(self, area_code: str | None, e164: str | None, carrier: str = "twilio") -> Order:
        return Order(self.agency.id, self.client["id"], carrier, "US", area_code, e164)

    async def buy(self, status: int = 201, **fields: Any) -> Any:
        options = {"headers": fields.pop("headers")} if "headers" in fields else {}
        return await self.api.post(self.path, self.order(**fields), status, token=self.agency.token, **options)

    async def refused(self, **fields: Any) -> Any:
        return await self.api.refusal("POST", self.path, self.order(**fields), token=self.agency.token)

    async def numbers(self) -> list[dict[str, Any]]:
        return (await self.api.get(self.path))["items"]

    async def use_own_account(self) -> Any:
        """The agency's own Twilio account, as the sandbox has it."""
        account = self.sandbox.state.twilio.accounts.get(OWN_SID)
        if account is None:
            account = self.sandbox.state.twilio.add_account(OWN_SID, OWN_TOKEN)
        await self.api.put(f"{self.agency.path}/keys/twilio", {"account_sid": OWN_SID, "auth_token": OWN_TOKEN})
        return account

    def subaccounts(self) -> list[Any]:
        return [each for each in self.sandbox.state.twilio.accounts.values() if each.parent == ACCOUNT_SID]

    def sold(self) -> list[str]:
        """All numbers that Twilio's stand-in has on subaccounts and on the agency's own account."""
        accounts = [*self.subaccounts(), *filter(None, [self.sandbox.state.twilio.accounts.get(OWN_SID)])]
        return [number["phone_number"] for account in accounts for number in account.numbers.values()]


@pytest.fixture
async def market(api: Api, sandbox: RunningSandbox, services: Services, clock: Clock) -> Market:
    agency = await api.new_agency()
    client = await api.new_client(agency, personal_phone=OWNER, routing={"on_failure": "ring_through"})
    return Market(api, sandbox, services, clock, agency, client)
