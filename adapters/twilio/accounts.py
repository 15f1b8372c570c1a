"""Twilio accounts, the subaccounts of the platform's one, and API keys.

A subaccount is created and closed with the main account's credentials, which go only to Twilio. A reply that names the
main account as a subaccount is refused, so that its token can never pass for one that may be given away.
Twilio docs: Usage / API / Account, Subaccounts; IAM / API keys (v2010).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from adapters.base import ErrorKind, KeyCheck, ProviderError
from adapters.carrier import Account, ApiKey
from adapters.replies import find, text
from adapters.twilio.rest import Resource, check_sid, home, malformed_record, read_sid, read_time
from crypto.secret import Secret

_LAST: Final = datetime.max.replace(tzinfo=UTC)


class Accounts(Resource):
    """`CarrierAccounts`."""

    async def check_account(self, account: Account, limit: float) -> KeyCheck:
        """Raises key_rejected also for an account that is suspended or closed."""
        answer = await self._rest.ask(account, "GET", f"{home(account)}.json", limit)
        status = find(answer, "status")
        if status in ("suspended", "closed"):
            raise ProviderError(ErrorKind.KEY_REJECTED, status=200, said=f"the Twilio account is {status}")
        if status != "active":
            raise malformed_record()
        return KeyCheck("valid")

    async def find_subaccount(self, main: Account, friendly_name: str, limit: float) -> Account | None:
        """A suspended one is open, too, but an active one comes first."""
        path = "/Accounts.json"
        records = self._rest.records(main, path, {"FriendlyName": friendly_name}, "accounts", limit)
        found = [record async for record in records if _is_open_child(record, main, friendly_name)]
        return _read_subaccount(min(found, key=_age), main) if found else None

    async def create_subaccount(self, main: Account, friendly_name: str, limit: float) -> Account:
        answer = await self._rest.ask(main, "POST", "/Accounts.json", limit, {"FriendlyName": friendly_name})
        return _read_subaccount(answer, main)

    async def close_subaccount(self, main: Account, sid: str, limit: float) -> None:
        check_sid("AC", sid)
        if sid.lower() == main.sid.lower():
            raise ProviderError(ErrorKind.BAD_REQUEST, said="this is the main account, not a subaccount")
        await self._rest.ask(main, "POST", f"/Accounts/{sid}.json", limit, {"Status": "closed"})

    async def create_api_key(self, account: Account, friendly_name: str, limit: float) -> ApiKey:
        path = f"{home(account)}/Keys.json"
        answer = await self._rest.ask(account, "POST", path, limit, {"FriendlyName": friendly_name})
        sid, secret = read_sid("SK", answer), text(find(answer, "secret"))
        if secret is None:
            raise malformed_record()
        return ApiKey(sid, Secret(secret))

    async def find_api_keys(self, account: Account, friendly_name: str, limit: float) -> list[str]:
        records = self._rest.records(account, f"{home(account)}/Keys.json", {}, "keys", limit)
        return [read_sid("SK", record) async for record in records if find(record, "friendly_name") == friendly_name]

    async def delete_api_key(self, account: Account, key_sid: str, limit: float) -> None:
        check_sid("SK", key_sid)
        await self._rest.delete(account, f"{home(account)}/Keys/{key_sid}.json", limit)


def _is_open_child(record: Any, main: Account, friendly_name: str) -> bool:
    """Twilio's filter is not trusted with the owner, nor with more than the beginning of the name."""
    return bool(
        find(record, "friendly_name") == friendly_name
        and find(record, "status") != "closed"
        and find(record, "owner_account_sid") == main.sid
        and find(record, "sid") != main.sid
    )


def _age(record: Any) -> tuple[bool, datetime, str]:
    made_at = read_time(find(record, "date_created")) or _LAST
    return find(record, "status") != "active", made_at, str(find(record, "sid"))


def _read_subaccount(record: Any, main: Account) -> Account:
    sid, token = read_sid("AC", record), text(find(record, "auth_token"))
    if token is None or sid.lower() == main.sid.lower() or find(record, "owner_account_sid") != main.sid:
        raise malformed_record()
    return Account(sid, Secret(token))
