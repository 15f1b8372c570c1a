"""`callrouter keys new|rotate` and `callrouter migrate`."""

from __future__ import annotations

import asyncio

import asyncpg
import typer
from rich.console import Console
from rich.progress import Progress

from crypto import Keyring, OpenError, new_key_entry
from router.cli.setup import fail, read_settings, with_database
from router.store.pool import DATABASE_ERRORS
from router.store.rotation import Rotation, rotate_all
from router.store.schema import check_schema, migrate

keys = typer.Typer(no_args_is_help=True, help="Platform keys.")


@keys.command("new")
def new() -> None:
    """Print a fresh entry for CALLROUTER_PLATFORM_KEYS or CALLROUTER_FALLBACK_KEYS."""
    typer.echo(new_key_entry())


@keys.command("rotate")
def rotate() -> None:
    """Seal everything again under the active platform key, while calls go on. Safe to repeat or interrupt."""
    settings = with_database(read_settings())
    assert settings.platform_keys is not None  # noqa: S101  (read_settings has seen to it)
    keyring = Keyring.parse(settings.platform_keys.get_secret_value())
    try:
        asyncio.run(_rotate(settings.dsn, keyring))
    except OpenError as error:
        fail(f"CALLROUTER_PLATFORM_KEYS: {error}")
    except DATABASE_ERRORS as error:
        fail(f"DATABASE_URL: the database does not answer ({type(error).__name__})")


async def _rotate(dsn: str, keyring: Keyring) -> None:
    await check_schema(dsn)
    connection = await asyncpg.connect(dsn)
    unreadable = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Sealing again", total=None)

        def show(rotation: Rotation) -> None:
            nonlocal unreadable
            unreadable = rotation.unreadable
            progress.update(task, total=rotation.total, completed=rotation.done)

        rotation = await rotate_all(connection, keyring, show)
    await connection.close()
    typer.echo(f"{rotation.done} of {rotation.total} sealed values are under the key {keyring.active_id}.")
    if rotation.unreadable:
        fail(f"{rotation.unreadable} sealed values do not open with any key of the keyring; they were left as they are")


def migrate_command() -> None:
    """Bring the database to the newest schema."""
    settings = with_database(read_settings())
    try:
        asyncio.run(migrate(settings.dsn))
    except DATABASE_ERRORS as error:
        fail(f"DATABASE_URL: the database does not answer ({type(error).__name__})")
    typer.echo("The database has the newest schema.")
