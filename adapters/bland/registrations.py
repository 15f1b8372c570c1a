"""Carriers' numbers at Bland: a carrier account is connected once, and its numbers uploaded.

Bland docs: Create encrypted key, Upload inbound numbers, Delete inbound number. To upload a number rewrites its address
at the carrier, which is for the caller to undo. A new number takes messages until its assistant is put on it.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import Client, is_gone, number_path
from adapters.bland.inbound import (
    ACCOUNT,
    account_of,
    find_settings,
    read_settings,
    take_messages,
    write_settings,
)
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.portable import Copy, Credentials, Registration
from crypto.secret import Secret

_CUT: Final = re.compile(r"encrypted|credential", re.IGNORECASE)
_ENCRYPTED: Final = re.compile(r"[\x21-\x7e]{1,4000}")


class Registrations:
    """Fallback numbers are not set: by Bland's docs a number that has one sends all its calls there. The assistant comes
    with `put_copy`.
    """

    async def find(self, client: Client, e164: str) -> Registration | None:
        if await find_settings(client, e164) is None:
            return None
        return Registration(e164, "sip")

    async def register(
        self, client: Client, e164: str, credentials: Credentials, _copy: Copy | None, _fallback: str | None
    ) -> Registration:
        """Connects the account unless `connection` says that it is; a number that is there already stays as it is."""
        account, taken = await _upload(client, e164, credentials)
        settings = await find_settings(client, e164, account)
        if settings is None:
            raise ProviderError(
                ErrorKind.BAD_REQUEST,
                said=f"Bland did not take {e164}; is it on the Twilio account that was connected?",
            )
        if taken and marker_on(settings) is None and not is_made_by_hand(settings):
            await write_settings(client, e164, NEUTRAL, account)
        return Registration(e164, "sip", {ACCOUNT: account.reveal()})

    async def assign(
        self, client: Client, registration: Registration, copy: Copy | None, _fallback: str | None
    ) -> None:
        """`put_copy` has put the assistant there; without one the number takes messages."""
        if copy is None:
            await take_messages(client, registration)
        else:
            await read_settings(client, registration.remote_id, account_of(registration))

    async def unregister(self, client: Client, registration: Registration) -> None:
        path = f"{number_path(registration.remote_id)}/delete"
        try:
            await client.ask("POST", path, account=account_of(registration))
        except ProviderError as error:
            if not is_gone(error):
                raise


async def _upload(client: Client, e164: str, credentials: Credentials) -> tuple[Secret, bool]:
    """The account's encrypted key, and whether the number is new at Bland. A connection that somebody cut there is made
    again.
    """
    account = _connected(credentials)
    if account is not None:
        try:
            return account, await _insert(client, e164, account)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST or not _CUT.search(error.said):
                raise
    account = await _connect(client, credentials)
    return account, await _insert(client, e164, account)


async def _connect(client: Client, credentials: Credentials) -> Secret:
    """The encrypted key by which Bland knows the account from now on. It is shown this once."""
    body = {"account_sid": credentials.account_sid, "auth_token": credentials.auth_token}
    answer = await client.hiding(credentials.auth_token).ask("POST", "/v1/accounts", json=body)
    encrypted = answer.get("encrypted_key")
    if not isinstance(encrypted, str) or not _ENCRYPTED.fullmatch(encrypted):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return Secret(encrypted)


async def _insert(client: Client, e164: str, account: Secret) -> bool:
    """Whether it is new at Bland; one that is there already is no mistake."""
    answer = await client.ask("POST", "/v1/inbound/insert", json={"numbers": [e164]}, account=account)
    inserted = answer.get("inserted")
    return isinstance(inserted, list) and e164 in inserted


def _connected(credentials: Credentials) -> Secret | None:
    """The encrypted key of the account, if another of its numbers is at Bland already."""
    return Secret(credentials.connection[ACCOUNT]) if credentials.connection.get(ACCOUNT) else None
