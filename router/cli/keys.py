"""`callrouter keys new|rotate` and `callrouter migrate`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from crypto import Keyring, new_key_entry
from router.cli.setup import direct_name, fail, read_settings, use_database, wait_for_database, with_database
from router.settings import reveal
from router.store.connecting import open_connection
from router.store.rotation import Rotation, rotate_all
from router.store.schema import check_schema, migrate

keys = typer.Typer(no_args_is_help=True, help="Platform keys.")


@keys.command("new")
def new() -> None:
    """Print a new key for CALLROUTER_PLATFORM_KEYS or CALLROUTER_FALLBACK_KEYS."""
    typer.echo(new_key_entry())


@keys.command("rotate")
def rotate() -> None:
    """Reseal everything under the first platform key while calls continue. Safe to repeat or interrupt."""
    settings = with_database(read_settings())
    use_database(settings.dsn, _rotate(settings.dsn, Keyring.parse(reveal(settings.platform_keys))))


async def _rotate(dsn: str, keyring: Keyring) -> None:
    await check_schema(dsn)
    connection = await open_connection(dsn)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Resealing", total=None)

        def show(rotation: Rotation) -> None:
            progress.update(task, total=rotation.total, completed=rotation.done + rotation.unreadable)

        rotation = await rotate_all(connection, keyring, show)
    await connection.close()
    typer.echo(f"{rotation.done} of {rotation.total} sealed values use the platform key {keyring.active_id}.")
    if rotation.unreadable:
        fail(
            f"CALLROUTER_PLATFORM_KEYS: {rotation.unreadable} sealed values cannot be opened with any of these keys "
            "and were left unchanged"
        )


def migrate_command(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a database that does not respond.")] = 0.0,
) -> None:
    """Migrate the database to the newest schema."""
    settings = with_database(read_settings())
    wait_for_database(settings.direct_dsn, wait, direct_name(settings))
    use_database(settings.direct_dsn, migrate(settings.direct_dsn), name=direct_name(settings))
    typer.echo("The database has the newest schema.")
