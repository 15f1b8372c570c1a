"""What the demo tells: people, what to try; and `callrouter call`, what it needs to know."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from adapters.sandbox.pages import DemoPages
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import DemoWorld
from router.cli.demo.agency import CLIENTS, DemoAgency
from router.settings import Settings, reveal


def write_notes(path: Path, settings: Settings, sandbox: RunningSandbox, world: DemoWorld, agency: DemoAgency) -> None:
    """Write down what `callrouter call` needs to know about a running demo."""
    notes = {
        "router_url": settings.base_url,
        "sandbox_url": sandbox.url,
        "account_sid": world.account_sid,
        "auth_token": world.auth_token,
        "webhooks": agency.webhooks,
        "numbers": [
            {"e164": customer.number, "client": name, "provider": customer.provider}
            for name, customer in zip(CLIENTS, world.customers, strict=True)
        ],
    }
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(notes, file, indent=2)


def greet(settings: Settings, sandbox: RunningSandbox, world: DemoWorld, agency: DemoAgency, *, is_kept: bool) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("\n[bold green]callrouter is up.[/] Stop it with Ctrl-C.\n")
    console.print(f"  console     {settings.base_url}/console")
    console.print(f"  sign in as  {agency.token}   # the demo agency's token, for the console and the API")
    console.print(f"  or as       {reveal(settings.admin_token)}   # the operator's token, for all agencies")
    console.print(f"  API         {settings.base_url}/v1  ({settings.base_url}/docs)")
    console.print(f"  probes      {settings.base_url}/readyz  {settings.base_url}/metrics")
    console.print(f"  sandbox     {sandbox.url}   # the keys that it takes; lets providers fail")
    console.print(f"  webhooks    {sandbox.url}{DemoPages.RECEIVER}   # a receiver that shows what has arrived")
    if is_kept:
        console.print("\nAgencies and calls are those of the last time; --fresh starts over.")
    console.print("\nPlace a call from this directory, in another terminal:\n")
    command = _call_command(os.environ)
    for name, customer in zip(CLIENTS, world.customers, strict=True):
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
