"""Looking at one key: asking its owner with a real request, and what the answer means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ErrorKind, KeyCheck, ProviderError
from adapters.carrier import Account, Carrier
from adapters.portable import Lines
from adapters.provider import Provider
from adapters.registry import Providers
from crypto import Secret
from router.accounts import CARRIER, SUBACCOUNT
from router.store.keys.health import DueKey, Finding
from router.vault import Vault

_SECONDS: Final = 8.0
_GRACE: Final = 0.5  # for an adapter to end by itself


class UntoldError(Exception):
    """The key's owner did not say: it cannot be asked now, or its answer makes no sense. `seconds` to wait, if it said."""

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class KeyChecks:
    """Asks keys' owners, with a real request, what each key is worth."""

    providers: Providers
    carrier: Carrier
    vault: Vault

    async def look_at(self, key: DueKey) -> Finding:
        """What its owner says of the key. Raises UntoldError, and OpenError for one that we cannot read."""
        opened = self.vault.open_key(key)
        try:
            async with asyncio.timeout(_SECONDS + _GRACE):
                if key.kind in (CARRIER, SUBACCOUNT):
                    return await self._look_at_account(Account(key.account_sid or "", opened))
                return await self._look_at_voice_key(key.kind, opened)
        except TimeoutError:
            raise UntoldError from None
        except ProviderError as error:
            match error.kind:
                case ErrorKind.KEY_REJECTED:
                    return Finding("failing", error.said or "it refuses the key")
                case ErrorKind.OUT_OF_CREDIT:
                    return Finding("out_of_credit", error.said or None)
            raise UntoldError(error.retry_after) from None

    async def _look_at_voice_key(self, kind: str, key: Secret) -> Finding:
        provider = self.providers[kind]
        client = provider.open(key, _SECONDS)
        check = await provider.calls.check_key(client)
        lines = await _count_lines(provider, client) if check.status == "valid" else None
        return _found(check, check.balance, lines)

    async def _look_at_account(self, account: Account) -> Finding:
        check = await self.carrier.check_account(account, _SECONDS)
        return _found(check, check.balance)


async def _count_lines(provider: Provider[Any], client: Any) -> Lines | None:
    """None also where it cannot be told now: the key itself was fine a moment ago."""
    if provider.count_lines is None:
        return None
    try:
        return await provider.count_lines(client)
    except ProviderError:
        return None


def _found(check: KeyCheck, balance: float | None, lines: Lines | None = None) -> Finding:
    problem = None
    if check.status == "out_of_credit":
        problem = "no credit is left" if balance is None else f"the balance is {balance:.2f} US dollars"
    return Finding(check.status, problem, balance, lines)
