"""`callrouter move` and `callrouter adopt`: what a database with another public address than ours is to us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress as Bar

from router.app import make_service
from router.cli.setup import fail, read_settings, refuse, use_database, with_database
from router.clock import utc_now
from router.health import ServiceHealth
from router.moving import Moving, Progress
from router.own_address import SETTING
from router.settings import Settings
from router.store.pool import connect
from router.store.public_addresses import Unmoved, adopt, list_addresses
from router.store.schema import check_schema

_STALLED_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5
_MOST_LINES: Final = 50


def move(
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds without progress after which the rest is left to the service's jobs.")
    ] = _STALLED_SECONDS,
) -> None:
    """Lead every number, assistant and webhook to CALLROUTER_PUBLIC_URL. Safe to repeat or interrupt."""
    settings = _settings_with_address()
    use_database(settings.dsn, _move(settings, patience))


def adopt_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Declare this database a copy of one that is in use elsewhere. Changes nothing outside."""
    settings = _settings_with_address()
    if not yes:
        typer.confirm(
            "Numbers, assistants and registrations stay with the original, and cannot be changed from here any more. "
            "Continue?",
            abort=True,
        )
    use_database(settings.dsn, _adopt(settings))


def _settings_with_address() -> Settings:
    settings = read_settings()
    if settings.public_url is None:
        refuse(f"{SETTING}: not set: set it to the address at which Twilio and the providers reach the service")
    return with_database(settings)


async def _move(settings: Settings, patience: float) -> None:
    await check_schema(settings.dsn)
    service = make_service(settings, ServiceHealth())
    moving = service.areas.moving
    async with service.doing_jobs():
        before = service.areas.address.differing
        await moving.begin()
        first = await moving.look()
        last = await _carry_on(moving, first, patience) if first.waiting else first
    moved = len(first.unmoved) - len(last.unmoved)
    what = f"{last.numbers} numbers and {last.assistants} assistants"
    if not first.unmoved and before is None:
        typer.echo(f"Nothing is left to move: {what} lead to {settings.base_url}.")
    elif not last.unmoved:
        typer.echo(f"Moved to {settings.base_url}: {moved} changed, {what} lead there.")
    else:
        typer.echo(f"Moved to {settings.base_url}: {moved} of {len(first.unmoved)} changed.")
        _tell_rest(last.failed, "cannot be moved ({reason}): fix that, and run `callrouter move` again")
        _tell_rest(last.waiting, "is not moved yet: the service tries again; `callrouter move` shows what is left")
        fail(f"{len(last.unmoved)} not moved")


async def _carry_on(moving: Moving, first: Progress, patience: float) -> Progress:
    """Until nothing waits, or nothing has changed for a while."""
    console = Console(stderr=True)
    progress, changed_at = first, time.monotonic()
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Moving", total=len(first.unmoved))
        while progress.waiting and time.monotonic() - changed_at <= patience:
            await moving.carry_on()
            now = await moving.look()
            if len(now.waiting) != len(progress.waiting):
                changed_at = time.monotonic()
            progress = now
            bar.update(task, completed=len(first.unmoved) - len(progress.waiting))
            if progress.waiting:
                await asyncio.sleep(_PAUSE_SECONDS)
    return progress


def _tell_rest(rest: Sequence[Unmoved], what: str) -> None:
    for one in rest[:_MOST_LINES]:
        typer.echo(f"{one.name} {what.format(reason=one.reason)}", err=True)
    if len(rest) > _MOST_LINES:
        typer.echo(f"and {len(rest) - _MOST_LINES} more", err=True)


async def _adopt(settings: Settings) -> None:
    await check_schema(settings.dsn)
    connection = await connect(settings.dsn)
    try:
        present = next((one for one in await list_addresses(connection) if one.present), None)
        if present is None or present.address == settings.base_url:
            typer.echo(f"Nothing to adopt: this database belongs to {settings.base_url} already.")
            return
        async with connection.transaction():
            await adopt(connection, settings.base_url, utc_now())
    finally:
        connection.terminate()
    typer.echo(
        f"This database is a copy of that of {present.address}, and belongs to {settings.base_url} now. Its numbers, "
        "assistants and registrations stay with the original; nothing outside was changed."
    )
