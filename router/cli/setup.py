"""What commands do before their own work: read settings, start the embedded database, check the schema, set up logs.

Each mistake is one line on standard error. The exit code is 2 for wrong usage or settings, 1 if something failed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import asyncpg
import typer
from pydantic import SecretStr

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring, KeyringError, new_key_entry
from router.environment import clean
from router.mail import SmtpUrlError, read_smtp_url, sender_mistake
from router.settings import Settings, SettingsError, env_name, load_settings, reveal
from router.store.embedded import EmbeddedMissingError, start_embedded
from router.store.pool import AWAY_ERRORS, DATABASE_ERRORS
from router.store.schema import SchemaError, check_schema, migrate
from router.telemetry import configure_logging

FAILED: Final = 1
WRONG_USAGE: Final = 2
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_KEYRINGS: Final = ("platform_keys", "fallback_keys")
_CONNECT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.5
_REFUSALS: Final = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


def fail(*lines: str, code: int = FAILED) -> NoReturn:
    """End the command with one line for each problem."""
    for line in lines:
        typer.echo(f"callrouter: {line}", err=True)
    raise typer.Exit(code)


def refuse(*lines: str) -> NoReturn:
    """End the command because of wrong usage or settings."""
    fail(*lines, code=WRONG_USAGE)


def exit_when_told() -> None:
    """Until the command has started, a signal to stop ends it with exit code 0."""
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)


def ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    ignore_signals()
    logging.disable()  # interrupted work would log errors that mean nothing
    raise SystemExit(0)


def read_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment. With an embedded database, missing secrets are generated."""
    checks = {
        **dict.fromkeys(_KEYRINGS, keyring_mistake),
        "database_url": _dsn_mistake,
        "database_direct_url": _dsn_mistake,
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
        refuse(*error.problems)
    except OSError as error:
        refuse(f"CALLROUTER_DATA_DIR: cannot be used ({error.strerror})")
    _check_generated(settings)
    return settings


def read_variable(environ: Mapping[str, str], name: str) -> str:
    """One setting, for commands that need no others; empty if it is unset."""
    try:
        return clean(environ.get(name, ""))
    except ValueError as error:
        refuse(f"{name}: {error}")


def generate_missing(settings: Settings, make: Mapping[str, Callable[[], str]]) -> Settings:
    """Read unset secrets from files in the data directory that only the owner can read; create those that are missing.

    For an embedded database only: with any other, `load_settings` requires them. Raises SettingsError if a file is
    empty: a new key in its place could not open what the old one sealed.
    """
    found: dict[str, SecretStr] = {}
    folder = settings.data_dir / "secrets"
    for name, new_value in make.items():
        if getattr(settings, name) is None:
            path = folder / name.replace("_", "-")
            value = _read_or_create(path, new_value)
            if not value:
                raise SettingsError(
                    [f"{env_name(name)}: {path} is empty: restore it, or delete it to generate a new secret"]
                )
            found[name] = SecretStr(value)
    return settings.model_copy(update=found)


def find_admin_token(settings: Settings, environ: Mapping[str, str]) -> str:
    """Where the operator's token stands, in words."""
    name = env_name("admin_token")
    if environ.get(f"{name}_FILE"):
        return f"in {environ[f'{name}_FILE']}"
    if environ.get(name) or not settings.embedded:
        return f"in {name}"
    return f"in {settings.data_dir / 'secrets' / 'admin-token'}"


def _read_or_create(path: Path, new_value: Callable[[], str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _create(path, new_value() + "\n")
    return path.read_text().strip()


def _create(path: Path, text: str) -> None:
    """Create the file with all of its content or not at all, even if several processes start at once."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # readable by the owner only
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: use its value
            os.link(draft, path)
    finally:
        Path(draft).unlink()


def _check_generated(settings: Settings) -> None:
    """Keyrings may also come from files in the data directory, which `load_settings` has not seen."""
    mistakes = {name: keyring_mistake(reveal(getattr(settings, name))) for name in _KEYRINGS}
    if problems := [f"{env_name(name)}: {mistake}" for name, mistake in mistakes.items() if mistake]:
        refuse(*problems)


def keyring_mistake(text: str) -> str | None:
    """What is wrong with a keyring setting. Names the entry, never the key."""
    try:
        Keyring.parse(text)
    except KeyringError as error:
        return str(error)
    return None


def _dsn_mistake(text: str) -> str | None:
    """Only the scheme: the driver checks the rest when it connects."""
    if text.startswith(("postgres://", "postgresql://")):
        return None
    return "must be an address like postgres://user:password@host:5432/name"


def _smtp_mistake(text: str) -> str | None:
    """What is wrong with the mail server's address, without any part of it: it may hold a password."""
    try:
        read_smtp_url(text)
    except SmtpUrlError as error:
        return str(error)
    return None


def check_data_dir(folder: Path) -> None:
    """Every service needs it: call records go there while the database is down."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        refuse(f"CALLROUTER_DATA_DIR: cannot be used ({error.strerror})")


def prepare_database(settings: Settings) -> Settings:
    """Get the database ready and configure the log. Returns settings with a DSN."""
    settings = with_database(settings)
    _prepare_schema(settings)
    configure_logging_of(settings)
    return settings


def configure_logging_of(settings: Settings) -> None:
    configure_logging(settings.log_level, settings.log_format, settings.log_numbers)


def with_database(settings: Settings) -> Settings:
    """Settings with a DSN: the given one, or that of the embedded server, which is started."""
    if not settings.embedded:
        return settings
    try:
        dsn = start_embedded(settings.data_dir)
    except EmbeddedMissingError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"CALLROUTER_DATA_DIR: the embedded PostgreSQL cannot use it ({error.strerror})")
    except (subprocess.SubprocessError, RuntimeError) as error:
        log = settings.data_dir / "postgres" / "log"
        fail(f"CALLROUTER_DATA_DIR: the embedded PostgreSQL does not start, see {log} ({error})")
    return settings.model_copy(update={"embedded_dsn": SecretStr(dsn)})


def _prepare_schema(settings: Settings) -> None:
    """Migrate an embedded database; refuse an external one that is outdated or rejects us.

    If it does not respond, the service starts anyway and continues with cached routes.
    """
    if settings.embedded:
        use_database(settings.dsn, migrate(settings.dsn))
    else:
        use_database(settings.dsn, check_schema(settings.dsn), needed=False)


def direct_name(settings: Settings) -> str:
    """The setting that `direct_dsn` comes from."""
    return env_name("database_url" if settings.database_direct_url is None else "database_direct_url")


def use_database(dsn: str, work: Coroutine[Any, Any, None], *, needed: bool = True, name: str = "DATABASE_URL") -> None:
    """Run work that uses the database; an error ends the command, unless the database is down and not `needed`.

    `name` is the setting with the address.
    """
    try:
        asyncio.run(_reach(dsn, name))
        asyncio.run(work)
    except SchemaError as error:
        fail(f"{name}: {error}")
    except DATABASE_ERRORS as error:
        if needed or not isinstance(error, AWAY_ERRORS) or isinstance(error, _REFUSALS):
            fail(f"{name}: {_explain(error)}")
    finally:
        work.close()


def wait_for_database(dsn: str, seconds: float, name: str) -> None:
    """Until it takes connections, or refuses them for good. After that time, whatever follows says what is wrong."""
    asyncio.run(_wait_for(dsn, seconds, name))


async def _wait_for(dsn: str, seconds: float, name: str) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            await _reach(dsn, name)
        except DATABASE_ERRORS as error:
            if not isinstance(error, AWAY_ERRORS) or isinstance(error, _REFUSALS) or time.monotonic() >= until:
                return
        else:
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def _reach(dsn: str, name: str) -> None:
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
    except ValueError:  # its text may hold parts of the address
        refuse(f"{name}: the driver cannot read this address, its port or its options")
    await connection.close()


def _explain(error: BaseException) -> str:
    """The server's own message, or else only the kind of error: other texts may contain addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError):
            return f"the database refuses the connection ({str(cause).partition(chr(10))[0]})"
        cause = cause.__cause__
    return f"the database does not respond ({type(error).__name__})"
