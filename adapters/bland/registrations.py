"""Carriers' numbers at Bland: a carrier account is connected once, and its numbers uploaded.

Bland docs: Create encrypted key, Upload inbound numbers, Delete inbound number. Uploading a number changes its address
at the carrier, which the caller must keep and undo: see `imports`. A new number takes messages until its assistant is put on it.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.bland.api import Client, number_path
from adapters.bland.imports import insert, is_attached
from adapters.bland.inbound import (
    ACCOUNT,
    account_of,
    find_settings,
    read_settings,
    set_fallback,
    take_messages,
    write_settings,
)
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.portable import Copy, Credentials, Registration
from crypto.secret import Secret

_CUT: Final = re.compile(r"encrypted|credential", re.IGNORECASE)
_ENCRYPTED: Final = re.compile(r"[\x21-\x7e]{1,4000}")


class Registrations:
    """The assistant comes with `put_copy`. Calls are dialled by SIP if the number was attached there, else redirected."""

    async def find(self, client: Client, e164: str) -> Registration | None:
        return None if await find_settings(client, e164) is None else Registration(e164, await _mode(client, e164))

    async def register(
        self, client: Client, e164: str, credentials: Credentials, _copy: Copy | None, fallback: str | None
    ) -> Registration:
        """Connects the account unless `connection` says that it is; a number that is there already keeps its settings."""
        account, taken = await _upload(client, e164, credentials)
        client = client.holding(account)
        settings = await find_settings(client, e164)
        if settings is None:
            raise bad_request(f"Bland did not take {e164}; is it on the Twilio account that was connected?")
        if taken and marker_on(settings) is None and not is_made_by_hand(settings):
            await write_settings(client, e164, {**NEUTRAL, "fallback_number": fallback})
        else:
            await set_fallback(client, e164, settings, fallback)
        parts = {ACCOUNT: account.reveal()}
        return Registration(e164, await _mode(client, e164), parts, imported=taken)

    async def assign(self, client: Client, registration: Registration, copy: Copy | None, fallback: str | None) -> None:
        """With a copy, `put_copy` has put the assistant there; without one, the number takes messages."""
        if copy is None:
            await take_messages(client, registration)
        client = client.holding(account_of(registration))
        e164 = registration.remote_id
        await set_fallback(client, e164, await read_settings(client, e164), fallback)

    async def unregister(self, client: Client, registration: Registration) -> None:
        path = f"{number_path(registration.remote_id)}/delete"
        await client.holding(account_of(registration)).look("POST", path)


async def _mode(client: Client, e164: str) -> str:
    return "sip" if await is_attached(client, e164) else "redirect"


async def _upload(client: Client, e164: str, credentials: Credentials) -> tuple[Secret, bool]:
    """The account's encrypted key, and whether the number is new at Bland. A connection that was cut there is renewed."""
    # The key never stands in a variable of its own: tracebacks may show those.
    account = Secret(credentials.connection.get(ACCOUNT, ""))
    if account:
        try:
            return account, await insert(client, e164, account)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST or not _CUT.search(error.said):
                raise
    account = await _connect(client, credentials)
    return account, await insert(client, e164, account)


async def _connect(client: Client, credentials: Credentials) -> Secret:
    """The encrypted key by which Bland knows the account from now on. Bland shows it only once."""
    body = {"account_sid": credentials.account_sid, "auth_token": credentials.auth_token}
    answer = await client.hiding(credentials.auth_token).ask("POST", "/v1/accounts", json=body)
    encrypted = answer.get("encrypted_key")
    if not isinstance(encrypted, str) or not _ENCRYPTED.fullmatch(encrypted):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return Secret(encrypted)
