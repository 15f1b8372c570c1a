"""The demo's agency, set up through the real API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from adapters.sandbox.world import Customer, DemoWorld
from router.cli.demo.history import Line

CLIENTS: Final = ("Acme Plumbing", "Bright Dental", "Corner Bakery", "Dover Legal")
_AGENCY: Final = "Demo agency"
_OWNER_PHONE: Final = "+15005550123"


class DemoError(Exception):
    """The demo could not be set up; the text says what was refused."""


@dataclass(frozen=True, slots=True)
class DemoAgency:
    """`clients` are ids by the provider that answers them, `webhooks` the addresses at which providers report calls."""

    id: str
    token: str
    clients: dict[str, str]
    webhooks: dict[str, str]


class _Api:
    """A client of the real API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = await self._client.request(method, path, json=body)
        if reply.is_error:
            raise DemoError(f"{method} {path} answered {reply.status_code}: {reply.json().get('detail', '')}")
        return reply.json() if reply.content else None


async def provision(router_url: str, admin_token: str, world: DemoWorld) -> DemoAgency:
    """Set up the demo agency from scratch. Raises DemoError and httpx.HTTPError."""
    async with _client(router_url, admin_token) as client:
        api = _Api(client)
        for agency in (await api.ask("GET", "/agencies"))["items"]:
            if agency["name"] == _AGENCY:
                await api.ask("DELETE", f"/agencies/{agency['id']}")
        agency = await api.ask("POST", "/agencies", {"name": _AGENCY})
        home = f"/agencies/{agency['id']}"
        customers = world.customers
        for customer in reversed(customers):
            await api.ask("PUT", f"{home}/keys/{customer.provider}", {"key": customer.key})
        clients = {}
        for name, customer in zip(CLIENTS, customers, strict=True):
            linked = customers if customer is world.vapi else (customer,)
            clients[customer.provider] = await _add_client(api, home, name, customer, linked)
        token = await api.ask("POST", f"{home}/tokens", {"name": "demo"})
        keys = (await api.ask("GET", f"{home}/keys"))["items"]
    webhooks = {key["kind"]: key["webhook_url"] for key in keys}
    return DemoAgency(agency["id"], str(token["token"]), clients, webhooks)


async def add_receiver(router_url: str, admin_token: str, agency: DemoAgency, url: str) -> None:
    """Have call events sent to the demo's own receiver. Raises DemoError and httpx.HTTPError."""
    async with _client(router_url, admin_token) as client:
        body = {"url": url, "events": ["*"], "description": "The demo's receiver"}
        await _Api(client).ask("POST", f"/agencies/{agency.id}/endpoints", body)


def history_lines(agency: DemoAgency, world: DemoWorld) -> Sequence[Line]:
    """The clients' numbers, each with the provider that stands in."""
    customers = world.customers
    return [
        Line(agency.clients[one.provider], one.number, one.provider, customers[(place + 1) % len(customers)].provider)
        for place, one in enumerate(customers)
    ]


def _client(router_url: str, admin_token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {admin_token}"}
    return httpx.AsyncClient(base_url=f"{router_url}/v1", headers=headers, timeout=15, trust_env=False)


async def _add_client(api: _Api, home: str, name: str, first: Customer, linked: tuple[Customer, ...]) -> str:
    client = await api.ask(
        "POST",
        f"{home}/clients",
        {
            "name": name,
            "personal_phone": _OWNER_PHONE,
            "provider": first.provider,
            "routing": {"on_failure": "ring_through"},
        },
    )
    await api.ask("POST", f"{home}/numbers", {"e164": first.number, "client_id": client["id"], "account": "platform"})
    for customer in linked:
        if customer.assistant_id is not None:
            path = f"{home}/clients/{client['id']}/assistants/{customer.provider}"
            await api.ask("PUT", path, {"remote_id": customer.assistant_id})
        if customer.registration is not None:
            body = {"remote_id": customer.registration} | ({"mode": customer.mode} if customer.mode else {})
            number = first.number.replace("+", "%2B")
            await api.ask("PUT", f"{home}/numbers/{number}/registrations/{customer.provider}", body)
    return str(client["id"])
