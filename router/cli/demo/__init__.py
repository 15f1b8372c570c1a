"""`callrouter demo`, which `make run` runs: everything on one machine.

That is the service, an embedded database, a sandbox that simulates Twilio and the providers, and an agency with three
clients, set up through the real API. Database and sandbox belong together: both are kept until `--fresh`.
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from pydantic import SecretStr

from adapters.sandbox.carrier import SandboxError, Script
from adapters.sandbox.pages import DemoPages
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.state import Sandbox
from adapters.sandbox.world import DemoWorld, demo_world
from crypto.secret import Secret
from router.app import create_app
from router.cli.call import DEMO_FILE, TALK_SECONDS, Target, data_dir, place
from router.cli.demo.agency import DemoAgency, DemoError, add_receiver, history_lines, provision
from router.cli.demo.greeting import greet, write_notes
from router.cli.demo.history import write_history
from router.cli.demo.keeping import Kept, keep, read_kept
from router.cli.listening import listen
from router.cli.serve import DrainingServer, Host, Port, serving_config
from router.cli.setup import exit_when_told, fail, prepare_database, read_settings
from router.clock import utc_now
from router.health import ServiceHealth
from router.settings import Settings, env_name, reveal

__all__ = ["demo", "provision"]

# The only settings that the demo takes from the environment: it has its own database, keys, providers and carrier.
_TIMING: Final = ("answer_deadline", "handoff_timeout", "sip_timeout", "ring_budget")
_HEEDED: Final = ("host", "port", "log_level", "log_format", "log_numbers", *_TIMING)
_KEPT_EVERY: Final = 2.0  # seconds

Fresh = Annotated[bool, typer.Option("--fresh", help="Start over: forget the demo's agencies, keys and calls.")]


def demo(host: Host = None, port: Port = None, fresh: Fresh = False) -> None:
    """Run everything on this machine, with a demo agency that you can call. Stop it with Ctrl-C."""
    home = data_dir(os.environ)
    settings = read_settings(_heeded(os.environ), host=host, port=port, data_dir=home / "demo")
    exit_when_told()
    with _only_one(settings.data_dir):
        listening, settings = listen(settings)
        settings = settings.model_copy(update={"public_url": f"http://{_reachable(settings.host)}:{settings.port}"})
        kept = None if fresh else read_kept(settings.data_dir, settings.base_url)
        if kept is None:
            _forget(settings.data_dir)
        notes = home / DEMO_FILE
        try:
            asyncio.run(_run(prepare_database(settings), listening, notes, kept))
        except (DemoError, httpx.HTTPError) as error:
            fail(f"the demo cannot be set up: {error}")
        finally:
            notes.unlink(missing_ok=True)


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


def _forget(folder: Path) -> None:
    for name in ("postgres", "spool"):
        shutil.rmtree(folder / name, ignore_errors=True)


async def _run(settings: Settings, listening: socket.socket, notes: Path, kept: Kept | None) -> None:
    async with AsyncExitStack() as stack:
        state = kept.sandbox if kept else Sandbox()
        world = kept.world if kept else demo_world(state)
        sandbox = await stack.enter_async_context(_serve_sandbox(state, world, kept.sandbox_port if kept else 0))
        settings = _point_at(settings, sandbox, world)
        health = ServiceHealth()
        config = serving_config(lambda: create_app(settings, health), settings)
        server = DrainingServer(config, health, drain_delay=0)
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.05)
        try:
            agency = kept.agency if kept else await _set_up(settings, sandbox, world)
            write_notes(notes, settings, sandbox, world, agency)
            greet(settings, sandbox, world, agency, is_kept=kept is not None)
            _place_test_calls(settings, sandbox, world, agency)
        except (DemoError, httpx.HTTPError):
            told_to_stop = server.should_exit
            server.should_exit = True
            await serving
            if not told_to_stop:
                raise
        else:
            await stack.enter_async_context(_keeping(settings, sandbox, world, agency))
        await serving


async def _set_up(settings: Settings, sandbox: RunningSandbox, world: DemoWorld) -> DemoAgency:
    token = reveal(settings.admin_token)
    agency = await provision(settings.base_url, token, world)
    lines = history_lines(agency, world)
    await write_history(settings.dsn, sandbox.state, world.account_sid, agency.id, lines, utc_now())
    await add_receiver(settings.base_url, token, agency, f"{sandbox.url}{DemoPages.RECEIVER}")
    return agency


@asynccontextmanager
async def _serve_sandbox(state: Sandbox, world: DemoWorld, port: int) -> AsyncIterator[RunningSandbox]:
    """At the port that it had, if that is free: webhooks are sent there."""
    good = {one.provider: one.key for one in world.customers}
    pages = DemoPages.of(state, good, {one.provider: one.key for one in world.broke})
    async with AsyncExitStack() as stack:
        sandbox = None
        with suppress(OSError):
            sandbox = await stack.enter_async_context(running_sandbox(port=port, state=state, more=pages.routes()))
        if sandbox is None:
            sandbox = await stack.enter_async_context(running_sandbox(state=state, more=pages.routes()))
        yield sandbox


@asynccontextmanager
async def _keeping(
    settings: Settings, sandbox: RunningSandbox, world: DemoWorld, agency: DemoAgency
) -> AsyncIterator[None]:
    """Keep the sandbox on disk while the block runs, and once more at its end."""
    port = int(sandbox.url.rpartition(":")[2])

    def write() -> None:
        keep(settings.data_dir, Kept(sandbox.state, world, agency, settings.base_url, port))

    async def write_often() -> None:
        while True:
            write()
            await asyncio.sleep(_KEPT_EVERY)

    writing = asyncio.create_task(write_often())
    try:
        yield
    finally:
        writing.cancel()
        write()


def _place_test_calls(settings: Settings, sandbox: RunningSandbox, world: DemoWorld, agency: DemoAgency) -> None:
    """A test call rings somebody's phone, who picks up and is put through: from then on, the simulated carrier has it."""
    target = Target(
        settings.base_url, world.account_sid, Secret(world.auth_token), sandbox.url, webhooks=agency.webhooks
    )
    going_on: set[asyncio.Task[None]] = set()

    async def go_through(caller: str, to: str) -> None:
        with suppress(SandboxError):
            await place(target, to, caller, Script(ai_talks=TALK_SECONDS), {})

    def dial(caller: str, to: str) -> None:
        call = asyncio.create_task(go_through(caller, to))
        going_on.add(call)
        call.add_done_callback(going_on.discard)

    sandbox.state.on_dial = dial


def _point_at(settings: Settings, sandbox: RunningSandbox, world: DemoWorld) -> Settings:
    urls: dict[str, Any] = {
        name: f"{sandbox.url}/{name.removesuffix('_url')}" if name.endswith("_url") else value
        for name, value in settings.providers.items()
    }
    return settings.model_copy(
        update={
            "providers": urls,
            "twilio_url": f"{sandbox.url}/twilio",
            "twilio_account_sid": world.account_sid,
            "twilio_auth_token": SecretStr(world.auth_token),
            "private_endpoints": "on",  # the receiver is on this machine
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
