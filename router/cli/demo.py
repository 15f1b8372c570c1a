"""`callrouter demo`, which `make run` runs: everything on one machine.

That is the service, an embedded database, a sandbox that simulates Twilio and the providers, and an agency with three
clients, set up through the real API.
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import SecretStr
from rich.console import Console

from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import Customer, DemoWorld, demo_world
from router.app import create_app
from router.cli.call import DEMO_FILE, data_dir
from router.cli.listening import listen
from router.cli.serve import DrainingServer, Host, Port, serving_config
from router.cli.setup import exit_when_told, fail, prepare_database, read_settings
from router.health import ServiceHealth
from router.settings import Settings, env_name, reveal

_AGENCY: Final = "Demo agency"
_CLIENTS: Final = ("Acme Plumbing", "Bright Dental", "Corner Bakery")
_OWNER_PHONE: Final = "+15005550123"

# The only settings that the demo takes from the environment: it has its own database, keys, providers and carrier.
_TIMING: Final = ("answer_deadline", "handoff_timeout", "sip_timeout", "ring_budget")
_HEEDED: Final = ("host", "port", "log_level", "log_format", "log_numbers", *_TIMING)


def demo(host: Host = None, port: Port = None) -> None:
    """Run everything on this machine, with a demo agency that you can call. Stop it with Ctrl-C."""
    home = data_dir(os.environ)
    settings = read_settings(_heeded(os.environ), host=host, port=port, data_dir=home / "demo")
    exit_when_told()
    with _only_one(settings.data_dir):
        listening, settings = listen(settings)
        notes = home / DEMO_FILE
        try:
            asyncio.run(_run(prepare_database(settings), listening, notes))
        except (DemoError, httpx.HTTPError) as error:
            fail(f"the demo cannot be set up: {error}")
        finally:
            notes.unlink(missing_ok=True)


class DemoError(Exception):
    """The demo could not be set up; the text says what was refused."""


def _heeded(environ: Mapping[str, str]) -> dict[str, str]:
    names = map(env_name, _HEEDED)
    return {name: environ[name] for name in names if name in environ}


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two demos would delete each other's agency and notes."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail("a demo is already running: stop it, or start this one with another CALLROUTER_DATA_DIR and --port")
        yield


async def _run(settings: Settings, listening: socket.socket, notes: Path) -> None:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox())
        world = demo_world(sandbox.state)
        settings = _point_at(settings, sandbox, world)
        health = ServiceHealth()
        config = serving_config(lambda: create_app(settings, health), settings)
        server = DrainingServer(config, health, drain_delay=0)
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.05)
        try:
            token = await provision(settings.base_url, reveal(settings.admin_token), world)
            _write_notes(notes, settings, sandbox, world)
            _greet(settings, sandbox, world, token)
        except (DemoError, httpx.HTTPError):
            told_to_stop = server.should_exit
            server.should_exit = True
            await serving
            if not told_to_stop:
                raise
        await serving


def _point_at(settings: Settings, sandbox: RunningSandbox, world: DemoWorld) -> Settings:
    return settings.model_copy(
        update={
            "providers": {
                name: f"{sandbox.url}/{name.removesuffix('_url')}" if name.endswith("_url") else value
                for name, value in settings.providers.items()
            },
            "twilio_url": f"{sandbox.url}/twilio",
            "twilio_account_sid": world.account_sid,
            "twilio_auth_token": SecretStr(world.auth_token),
            "public_url": f"http://{_reachable(settings.host)}:{settings.port}",
        }
    )


def _reachable(host: str) -> str:
    """The address at which this machine reaches itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host  # noqa: PLR2004


class _Api:
    """A client of the real API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = await self._client.request(method, path, json=body)
        if reply.is_error:
            raise DemoError(f"{method} {path} answered {reply.status_code}: {reply.json().get('detail', '')}")
        return reply.json() if reply.content else None


async def provision(router_url: str, admin_token: str, world: DemoWorld) -> str:
    """Set up the demo agency from scratch and return a token for it. Raises DemoError and httpx.HTTPError."""
    headers = {"Authorization": f"Bearer {admin_token}"}
    async with httpx.AsyncClient(base_url=f"{router_url}/v1", headers=headers, timeout=15) as client:
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
    """Write down what `callrouter call` needs to know about a running demo."""
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
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("\n[bold green]callrouter is up.[/] Stop it with Ctrl-C.\n")
    console.print(f"  console     {settings.base_url}/console")
    console.print(f"  sign in as  {token}   # the demo agency's token, for the console and the API")
    console.print(f"  API         {settings.base_url}/v1  ({settings.base_url}/docs)")
    console.print(f"  probes      {settings.base_url}/readyz  {settings.base_url}/metrics")
    console.print(f"  sandbox     {sandbox.url}")
    console.print("\nPlace a call from this directory, in another terminal:\n")
    command = _call_command(os.environ)
    for name, customer in zip(_CLIENTS, (world.vapi, world.retell, world.bland), strict=True):
        console.print(f"  {command} --to {customer.number}   # {name}, answered by {customer.provider}", markup=False)
    fault = f"{command} --to {world.vapi.number} --provider-fault vapi=503"
    console.print(f"  {fault}   # the next provider takes over\n", markup=False)


def _call_command(environ: Mapping[str, str]) -> str:
    """The command to type in another terminal, which has neither our virtual environment nor our variables."""
    folder = environ.get("CALLROUTER_DATA_DIR")
    setting = f"CALLROUTER_DATA_DIR={shlex.quote(folder)} " if folder else ""
    return f"{setting}{_program(environ)} call"


def _program(environ: Mapping[str, str]) -> str:
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(_from_here(Path(sys.executable)))} -m router"
    if "VIRTUAL_ENV" not in environ and shutil.which(started.name) == str(started):
        return started.name
    return shlex.quote(_from_here(started))


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
