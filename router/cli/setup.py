"""What commands do before their own work: read settings, start the embedded database, see that the schema fits.

Mistakes end the command with one line each: exit code 2 for wrong settings, 1 for what failed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import asyncpg
import typer
from pydantic import SecretStr

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring, KeyringError, new_key_entry
from router.mail import SmtpUrlError, read_smtp_url, sender_mistake
from router.settings import Settings, SettingsError, env_name, generate_missing, load_settings
from router.store.embedded import EmbeddedMissingError, start_embedded
from router.store.pool import AWAY_ERRORS, DATABASE_ERRORS
from router.store.schema import SchemaError, check_schema, migrate

FAILED: Final = 1
WRONG_USAGE: Final = 2
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_KEYRINGS: Final = ("platform_keys", "fallback_keys")
_CONNECT_SECONDS: Final = 10.0
_REFUSALS: Final = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


def fail(*lines: str, code: int = FAILED) -> NoReturn:
    """End the command with a line for each thing that is wrong."""
    for line in lines:
        typer.echo(f"callrouter: {line}", err=True)
    raise typer.Exit(code)


def exit_when_told() -> None:
    """While a command is still starting, being told to stop is no failure: it ends with exit code 0."""
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)


def ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    ignore_signals()
    logging.disable()  # what is left half done complains, and nobody needs to hear it
    raise SystemExit(0)


def read_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment; those that may be generated are."""
    checks = {
        **dict.fromkeys(_KEYRINGS, keyring_mistake),
        "database_url": _dsn_mistake,
        "smtp_url": _smtp_mistake,
        "mail_from": sender_mistake,
    }
    try:
        settings = load_settings(environ, checks=checks, declared=settings_of(PROVIDERS), **overrides)
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
    check_keyrings(settings, *_KEYRINGS)
    return settings


def keyring_mistake(text: str) -> str | None:
    """What is wrong with a keyring setting. Names the entry, never the key."""
    try:
        Keyring.parse(text)
    except KeyringError as error:
        return str(error)
    return None


def _dsn_mistake(text: str) -> str | None:
    """The rest of an address's form is the driver's to judge, once it is used."""
    if text.startswith(("postgres://", "postgresql://")):
        return None
    return "must be an address like postgres://user:password@host:5432/name"


def _smtp_mistake(text: str) -> str | None:
    """What is wrong with the mail server's address. Names no part of it."""
    try:
        read_smtp_url(text)
    except SmtpUrlError as error:
        return str(error)
    return None


def check_keyrings(settings: Settings, *names: str) -> None:
    problems = []
    for name in names:
        value: SecretStr | None = getattr(settings, name)
        if mistake := keyring_mistake(value.get_secret_value() if value else ""):
            problems.append(f"{env_name(name)}: {mistake}")
    if problems:
        fail(*problems, code=WRONG_USAGE)


def check_data_dir(folder: Path) -> None:
    """Whatever the database, records of calls go there while it is away."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(f"CALLROUTER_DATA_DIR: cannot be used ({error.strerror})", code=WRONG_USAGE)


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
    except OSError as error:
        fail(f"CALLROUTER_DATA_DIR: the embedded PostgreSQL cannot use it ({error.strerror})", code=WRONG_USAGE)
    except (subprocess.SubprocessError, RuntimeError) as error:
        fail(f"CALLROUTER_DATA_DIR: the embedded PostgreSQL does not start, see {data_dir}/postgres/log ({error})")


def prepare_schema(settings: Settings) -> None:
    """Migrate an embedded database; refuse an outdated external one, and one that refuses us.

    One that does not answer is no reason not to start: the service says so, and goes on with what it remembers.
    """
    if settings.embedded:
        use_database(settings.dsn, migrate(settings.dsn))
    else:
        use_database(settings.dsn, check_schema(settings.dsn), needed=False)


def use_database(dsn: str, work: Coroutine[Any, Any, None], *, needed: bool = True) -> None:
    """Run what needs the database; whatever is wrong with that ends the command.

    `needed` False: but not a database that is away.
    """
    try:
        asyncio.run(_reach(dsn))
        asyncio.run(work)
    except SchemaError as error:
        fail(f"DATABASE_URL: {error}")
    except DATABASE_ERRORS as error:
        if needed or not isinstance(error, AWAY_ERRORS) or isinstance(error, _REFUSALS):
            fail(f"DATABASE_URL: {_explain(error)}")
    finally:
        work.close()


async def _reach(dsn: str) -> None:
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
    except ValueError:  # its text may hold parts of the address
        fail("DATABASE_URL: the driver cannot read this address, its port or its options", code=WRONG_USAGE)
    await connection.close()


def _explain(error: BaseException) -> str:
    """What the server itself said, if it did; else only the kind: other texts may hold addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError):
            return f"the database refuses ({str(cause).partition(chr(10))[0]})"
        cause = cause.__cause__
    return f"the database does not answer ({type(error).__name__})"
