"""`callrouter doctor`: checks a whole installation and explains how to fix each problem. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from adapters.base import ErrorKind, ProviderError
from adapters.http import Http
from adapters.registry import PROVIDERS, Declarations, Providers
from adapters.twilio import Twilio
from crypto import Keyring
from router.accounts import Accounts
from router.app.outside import platform_account
from router.cli.doctor.addresses import look_at_addresses
from router.cli.doctor.assistants import AssistantCheck
from router.cli.doctor.findings import Finding, as_json, fine, hint, problem, show
from router.cli.doctor.live import LiveCheck
from router.cli.doctor.numbers import NumberCheck
from router.cli.doctor.records import look_at_records
from router.cli.setup import FAILED, direct_name, read_settings, with_database
from router.own_address import SETTING, WHAT_TO_DO, WHAT_WAITS
from router.settings import Settings, reveal
from router.store.connecting import goes_through_pooler
from router.store.pool import DATABASE_ERRORS
from router.store.public_addresses import list_addresses
from router.store.schema import SchemaError, connect_to_schema
from router.vault import Vault

__all__ = ["doctor"]

_SECONDS: Final = 8.0


def doctor(
    as_json_: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    live_call: Annotated[
        bool,
        typer.Option("--live-call", help="Also place one real call per provider, at the usual cost of such calls."),
    ] = False,
) -> None:
    """Check settings, database, keys, addresses and numbers, and explain how to fix each problem. Changes nothing."""
    settings = with_database(read_settings())
    findings = asyncio.run(examine(settings, live_call=live_call))
    if as_json_:
        sys.stdout.write(json.dumps(as_json(findings), indent=2, ensure_ascii=False) + "\n")
    else:
        show(findings, Console(highlight=False, soft_wrap=True))
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(FAILED)


async def examine(settings: Settings, *, live_call: bool = False, providers: Declarations = PROVIDERS) -> list[Finding]:
    """Run all checks concurrently. A check that cannot be made is a finding, too."""
    looked = await asyncio.gather(
        look_at_addresses(settings, providers),
        _look_at_platform(settings),
        _look_at_database(settings, providers, live_call=live_call),
    )
    return [*_look_at_settings(settings), *(finding for part in looked for finding in part)]


def _look_at_settings(settings: Settings) -> list[Finding]:
    checks = (
        (
            settings.twilio_account_sid is None,
            "CALLROUTER_TWILIO_ACCOUNT_SID",
            "not set: only agencies with their own Twilio account can have numbers",
            "set it and CALLROUTER_TWILIO_AUTH_TOKEN, unless this is intended",
        ),
        (
            settings.smtp_url is None,
            "CALLROUTER_SMTP_URL",
            "not set: no emails about voicemail messages or failing keys are sent",
            "set it and CALLROUTER_MAIL_FROM",
        ),
        (
            settings.log_numbers == "full",
            "CALLROUTER_LOG_NUMBERS",
            "phone numbers are logged in full",
            "set it to masked",
        ),
    )
    findings = [hint(name, message, mend) for applies, name, message, mend in checks if applies]
    return findings or [fine("settings", "complete")]


def _judge_address(ours: str, present: str | None) -> list[Finding]:
    if present is None:
        return []
    if present == ours:
        return [fine(SETTING, "is the address that the database has")]
    return [problem(SETTING, f"is {ours}, but this database belongs to {present}. {WHAT_WAITS}", WHAT_TO_DO)]


async def _look_at_platform(settings: Settings) -> list[Finding]:
    """A real request to Twilio: without a working token, every call to a number of the platform's account is refused."""
    platform, name = platform_account(settings), "CALLROUTER_TWILIO_AUTH_TOKEN"
    if platform is None:
        return []
    http = Http()
    try:
        await Twilio(http, settings.twilio_url).check_account(platform, _SECONDS)
    except ProviderError as error:
        said = f" ({error.said})" if error.said else ""
        if error.kind is ErrorKind.KEY_REJECTED:
            mend = "set it to the primary auth token of this account; until then its calls get 403, and so the fallback"
            return [problem(name, f"Twilio rejects the token of account {platform.sid}{said}", mend)]
        return [problem(name, f"the token of account {platform.sid} could not be tested: {error}{said}", "try again")]
    finally:
        await http.aclose()
    return [fine(name, f"Twilio accepts the token of account {platform.sid}")]


async def _look_at_direct_address(settings: Settings) -> list[Finding]:
    """Notices from the database and migrations need it."""
    name = direct_name(settings)
    try:
        pooled = await goes_through_pooler(settings.direct_dsn, _SECONDS)
    except DATABASE_ERRORS as error:
        return [problem(name, f"the database does not respond ({type(error).__name__})", "check this address")]
    if not pooled:
        return []
    mend = "set CALLROUTER_DATABASE_DIRECT_URL to an address of the database that does not go through the pooler"
    return [problem(name, "leads to a pooler: changes and jobs are noticed late or never, and it cannot migrate", mend)]


async def _look_at_database(settings: Settings, declarations: Declarations, *, live_call: bool) -> list[Finding]:
    try:
        connection = await connect_to_schema(settings.dsn)
    except SchemaError as error:
        return [problem("DATABASE_URL", str(error), "until then, `callrouter serve` refuses to start")]
    except DATABASE_ERRORS as error:
        mend = "check that it runs and accepts connections; calls continue with cached routes meanwhile"
        return [problem("DATABASE_URL", f"the database does not respond ({type(error).__name__})", mend)]
    http = Http()
    try:
        keyring = Keyring.parse(reveal(settings.platform_keys))
        present = next((one.address for one in await list_addresses(connection) if one.present), None)
        carrier, platform = Twilio(http, settings.twilio_url), platform_account(settings)
        providers, vault = Providers(declarations, http, settings.providers), Vault(keyring)
        live = LiveCheck(connection, carrier, providers, Accounts(connection, vault, platform).open, vault)
        return [
            fine("DATABASE_URL", "the database has the schema that this version needs"),
            *await _look_at_direct_address(settings),
            *await look_at_records(connection, keyring, settings.data_dir, declarations),
            *await AssistantCheck(connection, vault, providers).look(),
            *_judge_address(settings.base_url, present),
            *await NumberCheck(
                keyring, carrier, platform, settings.base_url, is_open=present not in (None, settings.base_url)
            ).look(connection),
            *(await live.look() if live_call else ()),
        ]
    finally:
        await http.aclose()
        connection.terminate()
