"""What an import changes: the address that Bland writes on the carrier's number, and the connected account behind it.

Bland docs: Custom Twilio says that the import changes the number's webhook; what the address looks like was seen in use.
Get SIP Config, Delete encrypted key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import Client, number_path
from adapters.bland.inbound import ACCOUNT, account_of, find_settings, write_settings
from adapters.bland.settings import NEUTRAL, is_made_by_hand, marker_on
from adapters.portable import Registration
from adapters.replies import find, list_of
from crypto.secret import Secret

_DOMAIN: Final = "bland.ai"
_NOT_ENABLED: Final = (400, 403)
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,2000}")


class Imports:
    """Whoever knows an address can use the carrier account at Bland: it holds the account's encrypted key."""

    def is_address(self, url: Secret) -> bool:
        return is_import_address(url)

    def read_parts(self, url: Secret) -> Mapping[str, str]:
        return {ACCOUNT: _encrypted_key(url.reveal())} if is_import_address(url) else {}

    async def import_again(self, client: Client, registration: Registration) -> bool:
        e164, account = registration.remote_id, account_of(registration)
        settings = await find_settings(client, e164)
        if account is None or (settings is not None and not _is_ours(settings)):
            return False
        client = client.holding(account)
        await client.look("POST", f"{number_path(e164)}/delete")
        await insert(client, e164, account)
        fallback = (settings or {}).get("fallback_number")
        await write_settings(client, e164, {**NEUTRAL, "fallback_number": fallback})
        return True

    async def is_attached(self, client: Client, e164: str) -> bool | None:
        return await is_attached(client, e164)

    def is_same_account(self, one: Registration, other: Registration) -> bool:
        mine, theirs = account_of(one), account_of(other)
        return mine is not None and theirs is not None and mine == theirs

    async def disconnect(self, client: Client, registration: Registration) -> None:
        account = account_of(registration)
        if account is None:
            return
        try:
            await client.holding(account).ask("POST", "/v1/accounts/delete")
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:  # its answer for an account that is gone
                raise


def is_import_address(url: Secret) -> bool:
    """Whether Bland's import wrote it: a https address of Bland's with an encrypted key."""
    if not _PRINTABLE.fullmatch(url.reveal()):
        return False
    try:
        parts = urlsplit(url.reveal())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    at_bland = host == _DOMAIN or host.endswith(f".{_DOMAIN}")
    names_user = parts.username is not None or parts.password is not None
    return parts.scheme == "https" and at_bland and not names_user and bool(_encrypted_key(url.reveal()))


def _encrypted_key(url: str) -> str:
    """Empty if there is none. A plus sign is part of it, and no space."""
    pairs = (pair.partition("=") for pair in urlsplit(url).query.split("&"))
    return next((unquote(value) for name, _, value in pairs if unquote(name) == ACCOUNT and value), "")


async def insert(client: Client, e164: str, account: Secret) -> bool:
    """Whether it is new at Bland; one that is there already is not an error."""
    answer = await client.holding(account).ask("POST", "/v1/inbound/insert", json={"numbers": [e164]})
    return e164 in list_of(answer.get("inserted"))


async def is_attached(client: Client, e164: str) -> bool | None:
    """None: Bland does not say. SIP may not be enabled for the organisation, or the number may not be there: that is a no."""
    try:
        answer = await client.look("GET", "/v1/sip", query={"phone_number": e164})
    except ProviderError as error:
        return False if error.status in _NOT_ENABLED else None
    if answer is None:
        return False
    data = find(answer, "data")
    return bool(data.get("inbound")) if isinstance(data, dict) else None


def _is_ours(settings: dict[str, object]) -> bool:
    """Whether our assistant, or the one that takes messages, answers the number."""
    ours = marker_on(settings) is not None or settings.get("prompt") in ("", None, NEUTRAL["prompt"])
    return ours and not is_made_by_hand(settings)
