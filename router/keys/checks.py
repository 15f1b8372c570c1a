"""Checks one key with a real request to the system that issued it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from adapters.base import ErrorKind, KeyCheck, ProviderError
from adapters.carrier import Account, Carrier
from adapters.portable import Lines
from adapters.registry import Providers
from crypto import Secret
from router.accounts import CARRIER, SUBACCOUNT
from router.store.keys.health import DueKey, Finding
from router.vault import Vault

_SECONDS: Final = 8.0
_GRACE: Final = 0.5  # for an adapter to end by its own timeout


class UntoldError(Exception):
    """The check gave no result: no answer, or a malformed one. `seconds` to wait, if the answer named a time."""

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class KeyChecks:
    providers: Providers
    carrier: Carrier
    vault: Vault

    async def ask(self, kind: str, key: Secret, account_sid: str | None) -> KeyCheck:
        """Raises ProviderError."""
        try:
            async with asyncio.timeout(_SECONDS + _GRACE):
                if kind in (CARRIER, SUBACCOUNT):
                    return await self.carrier.check_account(Account(account_sid or "", key), _SECONDS)
                provider = self.providers[kind]
                return await provider.calls.check_key(provider.open(key, _SECONDS))
        except TimeoutError:
            raise ProviderError(ErrorKind.TIMEOUT) from None

    async def look_at(self, key: DueKey) -> Finding:
        """Raises UntoldError, and OpenError for a key that cannot be read."""
        opened = self.vault.open_key(key)
        try:
            check = await self.ask(key.kind, opened, key.account_sid)
        except ProviderError as error:
            match error.kind:
                case ErrorKind.KEY_REJECTED:
                    return Finding("failing", error.said or "it refuses the key")
                case ErrorKind.OUT_OF_CREDIT:
                    return Finding("out_of_credit", error.said or None)
            raise UntoldError(error.retry_after) from None
        problem = None
        if check.status == "out_of_credit":
            problem = "no credit is left" if check.balance is None else f"the balance is {check.balance:.2f} US dollars"
        lines = await self._count_lines(key.kind, opened) if check.status == "valid" else None
        return Finding(check.status, problem, check.balance, lines)

    async def _count_lines(self, kind: str, key: Secret) -> Lines | None:
        """None also if the provider cannot be asked now: the key itself has just passed the check."""
        provider = self.providers.get(kind)
        if provider is None or provider.count_lines is None:
            return None
        try:
            async with asyncio.timeout(_SECONDS + _GRACE):
                return await provider.count_lines(provider.open(key, _SECONDS))
        except (ProviderError, TimeoutError):
            return None
