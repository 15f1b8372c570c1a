"""Finds out why an account's requests are refused: its token no longer works, or our public URL is not the one called.

Several wrong signatures in a row for a number that we know hardly have another cause. The token is then checked with the
carrier in the background, at most once a minute for each account, so that forged requests cannot make us ask more often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cachetools import FIFOCache, TTLCache

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier
from crypto import OpenError
from router.clock import Clock
from router.store.keys.versions import StoredKey, list_account_keys_in_use, note_check
from router.store.numbers.numbers import is_number_of_account
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import emit
from router.vault import Vault

WRONG_IN_A_ROW: Final = 3
CHECK_EVERY_SECONDS: Final = 60.0
_CHECK_SECONDS: Final = 8.0
_MOST_NUMBERS: Final = 10_000
_MOST_CHECKS: Final = 10  # at once
_WRONG_ADDRESS: Final = (
    "Twilio accepts the token of account {account} but signs its requests for another address: set this to the address "
    "that the account's numbers call (or, after a rotation, make the saved token the account's primary one)"
)
_WRONG_TOKEN: Final = "Twilio refuses the token of account {account}: set the account's current auth token"  # noqa: S105


@dataclass(slots=True)
class TokenWatch:
    """Counts checked signatures by account and number. Neither `note` method waits."""

    database: Database
    vault: Vault
    carrier: Carrier
    platform: Account | None
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    _wrong: FIFOCache[tuple[str, str], int] = field(default_factory=lambda: FIFOCache(_MOST_NUMBERS), init=False)
    _checked: TTLCache[str, None] = field(init=False)  # accounts
    _checks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._checked = TTLCache(_MOST_NUMBERS, CHECK_EVERY_SECONDS, self.monotonic)

    def note_right(self, account_sid: str, number: str) -> None:
        self._wrong.pop((account_sid, number), None)

    def note_wrong(self, account_sid: str, number: str) -> None:
        name = account_sid, number
        self._wrong[name] = self._wrong.get(name, 0) + 1
        due = self._wrong[name] >= WRONG_IN_A_ROW and account_sid not in self._checked
        if due and len(self._checks) < _MOST_CHECKS:
            self._wrong[name] = 0
            self._checked[account_sid] = None
            task = asyncio.create_task(self._look_into(account_sid, number), name="token-check")
            self._checks.add(task)
            task.add_done_callback(self._checks.discard)

    async def aclose(self) -> None:
        for task in tuple(self._checks):
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)

    async def _look_into(self, account_sid: str, number: str) -> None:
        try:
            if not await is_number_of_account(self.database.settings, account_sid, number):
                return
            if self.platform is not None and self.platform.sid == account_sid:
                await self._check_platform(self.platform)
                return
            for key in await list_account_keys_in_use(self.database.settings, account_sid):
                await self._check_key(key)
        except DATABASE_ERRORS:
            return  # the next wrong signatures start another check
        except Exception as error:  # noqa: BLE001  the task's result is not awaited
            emit("request.failed", exception=error, step="token-check")

    async def _check_platform(self, account: Account) -> None:
        match await self._ask(account):
            case True:
                _warn("CALLROUTER_PUBLIC_URL", _WRONG_ADDRESS, account.sid)
            case False:
                _warn("CALLROUTER_TWILIO_AUTH_TOKEN", _WRONG_TOKEN, account.sid)

    async def _check_key(self, key: StoredKey) -> None:
        sid = key.account_sid or ""
        try:
            token = self.vault.open_key(key)
        except OpenError:
            return
        works = await self._ask(Account(sid, token))
        if works is None:
            return
        changed = await note_check(self.database.settings, key, "valid" if works else "failing", self.clock())
        if works:
            _warn("CALLROUTER_PUBLIC_URL", _WRONG_ADDRESS, sid)
        elif changed:
            emit(
                "key.failing",
                agency_id=key.agency_id,
                kind=key.kind,
                reason=ErrorKind.KEY_REJECTED.value,
                key_version=key.version,
            )

    async def _ask(self, account: Account) -> bool | None:
        """Whether the carrier accepts the token; None if it cannot be asked."""
        try:
            await self.carrier.check_account(account, _CHECK_SECONDS)
        except ProviderError as error:
            return False if error.kind is ErrorKind.KEY_REJECTED else None
        return True


def _warn(setting: str, message: str, account_sid: str) -> None:
    emit("settings.warning", setting=setting, message=message.format(account=account_sid))
