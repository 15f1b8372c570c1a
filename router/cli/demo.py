"""`callrouter demo`: everything on one machine — the service, an embedded database, the sandbox of the four outside
APIs, and an agency with three clients whose keys were saved through the real API. What `make run` runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from rich.console import Console

from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import Customer, DemoWorld, demo_world
from router.app import create_app
from router.cli.call import DEMO_FILE
from router.cli.serve import DrainingServer, Host, Port, configure_logging_of, listen, serving_config
from router.cli.setup import fail, prepare_schema, read_settings, with_database
from router.hygiene import forbid_core_dumps, restart_with_hygiene
from router.settings import Settings

_AGENCY = "Demo agency"
_CLIENTS = ("Acme Plumbing", "Bright Dental", "Corner Bakery")
_OWNER_PHONE = "+15005550123"


def demo(host: Host = None, port: Port = None) -> None:
    """Run everything on this machine, with a demo agency to call. Stop it with Ctrl-C."""
    own = read_settings(host=host, port=port)
    restart_with_hygiene()
    forbid_core_dumps()
    base = own.model_copy(update={"data_dir": own.data_dir / "demo", "database_url": None, "workers": 1})
    base.data_dir.mkdir(parents=True, exist_ok=True)
    settings = with_database(base)
    prepare_schema(settings)
    configure_logging_of(settings)
    notes = own.data_dir / DEMO_FILE
    try:
        asyncio.run(_run(settings, listen(settings), notes))
    except (DemoError, httpx.HTTPError) as error:
        fail(f"the demo cannot be set up: {error}")
    finally:
        notes.unlink(missing_ok=True)


class DemoError(Exception):
    """The demo could not be set up; the text says what was refused."""


async def _run(settings: Settings, listening: socket.socket, notes: Path) -> None:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox())
        world = demo_world(sandbox.state)
        settings = _point_at(settings, sandbox, world)
        server = DrainingServer(serving_config(create_app(settings), settings), drain_delay=0)
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.05)
        try:
            token = await _provision(settings, world)
            _write_notes(notes, settings, sandbox, world)
            _greet(settings, sandbox, world, token)
        except (DemoError, httpx.HTTPError):
            server.should_exit = True
            await serving
            raise
        await serving


def _point_at(settings: Settings, sandbox: RunningSandbox, world: DemoWorld) -> Settings:
    return settings.model_copy(
        update={
            "vapi_url": f"{sandbox.url}/vapi",
            "retell_url": f"{sandbox.url}/retell",
            "bland_url": f"{sandbox.url}/bland",
            "twilio_url": f"{sandbox.url}/twilio",
            "twilio_account_sid": world.account_sid,
            "twilio_auth_token": SecretStr(world.auth_token),
            "public_url": f"http://{settings.host}:{settings.port}",
            "fallback_url": None,
        }
    )


class _Api:
    """The real API, asked as any operator would."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = await self._client.request(method, path, json=body)
        if reply.is_error:
            raise DemoError(f"{method} {path} answered {reply.status_code}: {reply.json().get('detail', '')}")
        return reply.json() if reply.content else None


async def _provision(settings: Settings, world: DemoWorld) -> str:
    """Set the demo agency up from scratch and return a token of its own."""
    assert settings.admin_token is not None  # noqa: S101  (read_settings has seen to it)
    headers = {"Authorization": f"Bearer {settings.admin_token.get_secret_value()}"}
    async with httpx.AsyncClient(base_url=f"{settings.base_url}/v1", headers=headers, timeout=15) as client:
        api = _Api(client)
        for agency in (await api.ask("GET", "/agencies"))["items"]:
            if agency["name"] == _AGENCY:
                await api.ask("DELETE", f"/agencies/{agency['id']}")
        agency = await api.ask("POST", "/agencies", {"name": _AGENCY})
        home = f"/agencies/{agency['id']}"
        customers = (world.vapi, world.retell, world.bland)
        for customer in reversed(customers):
            await api.ask("PUT", f"{home}/keys/{customer.provider}", {"key": customer.key})
        for name, customer in zip(_CLIENTS, customers, strict=True):
            await _add_client(api, home, name, customer, customers if customer is world.vapi else (customer,))
        token = await api.ask("POST", f"{home}/tokens", {"name": "demo"})
    return str(token["token"])


async def _add_client(api: _Api, home: str, name: str, first: Customer, linked: tuple[Customer, ...]) -> None:
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


def _write_notes(path: Path, settings: Settings, sandbox: RunningSandbox, world: DemoWorld) -> None:
    """What `callrouter call` needs to know of a running demo."""
    notes = {
        "router_url": settings.base_url,
        "sandbox_url": sandbox.url,
        "account_sid": world.account_sid,
        "auth_token": world.auth_token,
        "numbers": [
            {"e164": customer.number, "client": name, "provider": customer.provider}
            for name, customer in zip(_CLIENTS, (world.vapi, world.retell, world.bland), strict=True)
        ],
    }
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(notes, file, indent=2)


def _greet(settings: Settings, sandbox: RunningSandbox, world: DemoWorld, token: str) -> None:
    console = Console(stderr=True, highlight=False)
    console.print("\n[bold green]callrouter is up.[/] Stop it with Ctrl-C.\n")
    console.print(f"  API         {settings.base_url}/v1  ({settings.base_url}/docs)")
    console.print(f"  probes      {settings.base_url}/readyz  {settings.base_url}/metrics")
    console.print(f"  sandbox     {sandbox.url}")
    console.print(f"  demo token  {token}")
    console.print("\nPlace a call, in another terminal:\n")
    for name, customer in zip(_CLIENTS, (world.vapi, world.retell, world.bland), strict=True):
        console.print(f"  callrouter call --to {customer.number}   # {name}, answered by {customer.provider}")
    console.print(f"  callrouter call --to {world.vapi.number} --provider-fault vapi=503\n")
