"""`callrouter backup check`: whether a restored database and these keys belong together. Changes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import typer

from crypto import Keyring, OpenError
from router.calls.fallback import open_fallback
from router.cli.setup import fail, read_settings, use_database, with_database
from router.own_address import WHAT_TO_DO, WHAT_WAITS
from router.settings import Settings, reveal
from router.store.continuing import is_continued
from router.store.numbers.numbers import each_fallback_url
from router.store.public_addresses import list_addresses
from router.store.rotation import each_sealed
from router.store.schema import connect_to_schema

backup = typer.Typer(no_args_is_help=True, help="Backups of the database and the keys.")

_MOST_LINES = 50


@backup.callback()
def _group() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@backup.command("check")
def check() -> None:
    """Prove that this database opens with these keys. Changes nothing."""
    settings = with_database(read_settings())
    use_database(settings.dsn, _check(settings))


async def _check(settings: Settings) -> None:
    connection = await connect_to_schema(settings.dsn)
    try:
        closed = [
            *await _open_all(connection, Keyring.parse(reveal(settings.platform_keys))),
            *await _open_fallbacks(connection, Keyring.parse(reveal(settings.fallback_keys), derives=False)),
        ]
        _show_spool(settings.data_dir / "spool")
        await _show_address(connection, settings)
        if not await is_continued(connection):
            closed.append(
                "DATABASE_URL: the database was restored, moved or taken over by another server: run `callrouter migrate` first"
            )
    finally:
        connection.terminate()
    if closed:
        rest = len(closed) - _MOST_LINES
        fail(*closed[:_MOST_LINES], *([f"and {rest} more"] if rest > 0 else []))
    typer.echo("The database opens with these keys.")


async def _open_all(connection: asyncpg.Connection, keyring: Keyring) -> list[str]:
    """A line for each value that does not open."""
    closed, opened = [], Counter[str]()
    async with connection.transaction(readonly=True):
        async for place, identity, value in each_sealed(connection):
            where = ".".join(place.column)
            try:
                keyring.open_bytes(value, *place.context(*identity))
            except OpenError:
                which = ", ".join(map(str, identity))
                closed.append(f"CALLROUTER_PLATFORM_KEYS: {where} of {which} does not open{_sealed_under(value)}")
            else:
                opened[where] += 1
    for where, count in sorted(opened.items()):
        typer.echo(f"{where}: {count} open")
    return closed


async def _open_fallbacks(connection: asyncpg.Connection, keyring: Keyring) -> list[str]:
    closed, opened = [], 0
    async with connection.transaction(readonly=True):
        async for e164, url in each_fallback_url(connection):
            sealed = parse_qs(urlsplit(url).query).get("t", [""])[0]
            try:
                open_fallback(keyring, sealed)
            except OpenError:
                closed.append(
                    f"CALLROUTER_FALLBACK_KEYS: the fallback address of {e164} does not open{_sealed_under(sealed)}"
                )
            else:
                opened += 1
    typer.echo(f"fallback addresses: {opened} open")
    return closed


def _sealed_under(envelope: str) -> str:
    """Which key it needs: the id stands in front of it, readable."""
    version, _, rest = envelope.partition(".")
    key_id, dot, _ = rest.partition(".")
    return f": it needs the key {key_id}" if version.isdigit() and dot else ""


def _show_spool(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    typer.echo(f"spool: {len(files)} files with records of calls; `callrouter serve` writes them to the database")


async def _show_address(connection: asyncpg.Connection, settings: Settings) -> None:
    present = next((one.address for one in await list_addresses(connection) if one.present), None)
    if present in (None, settings.base_url):
        typer.echo(f"public address: {present or 'none yet'}")
        return
    typer.echo(
        f"public address: {present}, while CALLROUTER_PUBLIC_URL is {settings.base_url}. {WHAT_WAITS}: {WHAT_TO_DO}"
    )
