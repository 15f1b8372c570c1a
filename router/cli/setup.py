"""What commands do before their own work: read settings, start the embedded database, see that the schema fits.

Mistakes end the command with one line each: exit code 2 for wrong settings, 1 for what failed.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any, NoReturn

import typer
from pydantic import SecretStr

from crypto import Keyring, KeyringError, new_key_entry
from router.settings import Settings, SettingsError, env_name, generate_missing, load_settings
from router.store.embedded import EmbeddedMissingError, start_embedded
from router.store.pool import DATABASE_ERRORS
from router.store.schema import SchemaError, check_schema, migrate

FAILED = 1
WRONG_USAGE = 2


def fail(*lines: str, code: int = FAILED) -> NoReturn:
    """End the command with a line for each thing that is wrong."""
    for line in lines:
        typer.echo(f"callrouter: {line}", err=True)
    raise typer.Exit(code)


def read_settings(**overrides: Any) -> Settings:
    """Settings from the environment; those that may be generated are."""
    try:
        settings = load_settings(**overrides)
        if settings.embedded:
            settings = generate_missing(
                settings,
                {
                    "platform_keys": new_key_entry,
                    "fallback_keys": new_key_entry,
                    "admin_token": lambda: f"admin_{secrets.token_urlsafe(32)}",
                },
            )
    except SettingsError as error:
        fail(*error.problems, code=WRONG_USAGE)
    except OSError as error:
        fail(f"CALLROUTER_DATA_DIR: cannot be used ({error.strerror})", code=WRONG_USAGE)
    check_keyrings(settings, "platform_keys", "fallback_keys")
    return settings


def check_keyrings(settings: Settings, *names: str) -> None:
    problems = []
    for name in names:
        value: SecretStr | None = getattr(settings, name)
        try:
            Keyring.parse(value.get_secret_value() if value else "")
        except KeyringError as error:
            problems.append(f"{env_name(name)}: {error}")
    if problems:
        fail(*problems, code=WRONG_USAGE)


def with_database(settings: Settings) -> Settings:
    """Settings with a DSN: the given one, or that of the embedded server, which is started."""
    if not settings.embedded:
        return settings
    return settings.model_copy(update={"embedded_dsn": SecretStr(join_embedded(settings.data_dir))})


def join_embedded(data_dir: Path) -> str:
    try:
        return start_embedded(data_dir)
    except EmbeddedMissingError as error:
        fail(str(error), code=WRONG_USAGE)


def prepare_schema(settings: Settings) -> None:
    """Migrate an embedded database; refuse an outdated external one."""
    work = migrate if settings.embedded else check_schema
    try:
        asyncio.run(work(settings.dsn))
    except SchemaError as error:
        fail(str(error))
    except DATABASE_ERRORS as error:
        fail(f"DATABASE_URL: the database does not answer ({type(error).__name__})")
