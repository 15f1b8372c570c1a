"""`callrouter doctor`: looks at a whole installation and says how to mend what is wrong. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from adapters.http import Http
from adapters.registry import PROVIDERS, Declarations, Providers
from adapters.twilio import Twilio
from crypto import Keyring
from router.accounts import Accounts
from router.app.outside import platform_account
from router.cli.doctor.addresses import look_at_addresses
from router.cli.doctor.findings import Finding, as_json, fine, hint, problem, show
from router.cli.doctor.live import LiveCheck
from router.cli.doctor.numbers import NumberCheck
from router.cli.doctor.records import look_at_records
from router.cli.setup import FAILED, read_settings, with_database
from router.settings import Settings
from router.store.pool import DATABASE_ERRORS
from router.store.schema import SchemaError, connect_to_schema
from router.vault import Vault

__all__ = ["doctor"]


def doctor(
    as_json_: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    live_call: Annotated[
        bool, typer.Option("--live-call", help="Place one real call per provider, too. It costs what such calls cost.")
    ] = False,
) -> None:
    """Check settings, database, keys, addresses and numbers, and say how to mend what is wrong. Changes nothing."""
    settings = with_database(read_settings())
    findings = asyncio.run(examine(settings, live_call=live_call))
    if as_json_:
        sys.stdout.write(json.dumps(as_json(findings), indent=2, ensure_ascii=False) + "\n")
    else:
        show(findings, Console(highlight=False, soft_wrap=True))
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(FAILED)


async def examine(settings: Settings, *, live_call: bool = False, providers: Declarations = PROVIDERS) -> list[Finding]:
    """Everything at once; what cannot be looked at is a finding, too."""
    looked = await asyncio.gather(
        look_at_addresses(settings, providers), _look_at_database(settings, providers, live_call=live_call)
    )
    return [*_look_at_settings(settings), *(finding for part in looked for finding in part)]


def _look_at_settings(settings: Settings) -> list[Finding]:
    findings = []
    if settings.twilio_account_sid is None:
        findings.append(
            hint(
                "CALLROUTER_TWILIO_ACCOUNT_SID",
                "not set: only agencies with a Twilio account of their own can have numbers",
                "set it and CALLROUTER_TWILIO_AUTH_TOKEN, or leave it so on purpose",
            )
        )
    if settings.smtp_url is None:
        findings.append(
            hint(
                "CALLROUTER_SMTP_URL",
                "not set: nobody gets a mail about a message on the voicemail or a key that fails",
                "set it and CALLROUTER_MAIL_FROM",
            )
        )
    if settings.log_numbers == "full":
        findings.append(hint("CALLROUTER_LOG_NUMBERS", "callers' numbers stand in the log in full", "set it to masked"))
    return findings or [fine("settings", "complete")]


async def _look_at_database(settings: Settings, declarations: Declarations, *, live_call: bool) -> list[Finding]:
    try:
        connection = await connect_to_schema(settings.dsn)
    except SchemaError as error:
        return [problem("DATABASE_URL", str(error), "calls are refused by a service that starts now")]
    except DATABASE_ERRORS as error:
        mend = "look whether it runs and lets us in; calls go on with what the service remembers"
        return [problem("DATABASE_URL", f"the database does not answer ({type(error).__name__})", mend)]
    http = Http()
    try:
        assert settings.platform_keys is not None  # noqa: S101  (read_settings has seen to it)
        keyring = Keyring.parse(settings.platform_keys.get_secret_value())
        carrier, platform = Twilio(http, settings.twilio_url), platform_account(settings)
        check = NumberCheck(
            keyring,
            carrier,
            platform,
            f"{settings.base_url}/webhooks/twilio/voice",
            f"{settings.base_url}/webhooks/twilio/status",
        )
        live = LiveCheck(
            connection,
            carrier,
            Providers(declarations, http, settings.providers),
            Accounts(connection, Vault(keyring), platform).open,
        )
        return [
            fine("DATABASE_URL", "the database has the schema that this version needs"),
            *await look_at_records(connection, keyring, settings.data_dir, declarations),
            *await check.look(connection),
            *(await live.look() if live_call else ()),
        ]
    finally:
        await http.aclose()
        connection.terminate()
