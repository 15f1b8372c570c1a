"""Finds out why an account's requests are refused: its token no longer works, or our public URL is not the one called.

Several wrong signatures in a row for a number that we know hardly have another cause. The token is then checked with the
carrier in the background, at most once a minute for each account, so that forged requests cannot make us ask more often.

A request that is signed with a shared key which we don't have is looked into at once: if the carrier knows its call, the
request was the carrier's own, and the account's key is marked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from cachetools import FIFOCache, TTLCache

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier
from crypto import OpenError
from router.accounts import SUBACCOUNT
from router.clock import Clock
from router.keys.letters import KEY_FAILING
from router.mail import post
from router.store.keys.versions import StoredKey, list_account_keys_in_use, note_check, note_proven, note_unproven
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
_NO_SHARED_KEY: Final = (
    "Twilio signs requests of account {account} with a shared key that is not set here: add its id and secret, or remove "
    "the account's webhook rule"
)
_WRONG_TOKEN: Final = "Twilio refuses the token of account {account}: set the account's current auth token"  # noqa: S105


@dataclass(slots=True)
class TokenWatch:
    """Counts checked signatures by account and number. No `note` method waits."""

    database: Database
    vault: Vault
    carrier: Carrier
    platform: Account | None
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    _wrong: FIFOCache[tuple[str, str], int] = field(default_factory=lambda: FIFOCache(_MOST_NUMBERS), init=False)
    _checked: TTLCache[str, None] = field(init=False)  # accounts
    _unproven: FIFOCache[str, None] = field(default_factory=lambda: FIFOCache(_MOST_NUMBERS), init=False)  # accounts
    _checks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._checked = TTLCache(_MOST_NUMBERS, CHECK_EVERY_SECONDS, self.monotonic)

    def note_right(self, account_sid: str, number: str) -> None:
        self._wrong.pop((account_sid, number), None)
        if account_sid in self._unproven:
            del self._unproven[account_sid]
            self._start(self._forget_unproven(account_sid))

    def note_wrong(self, account_sid: str, number: str) -> None:
        name = account_sid, number
        self._wrong[name] = self._wrong.get(name, 0) + 1
        due = self._wrong[name] >= WRONG_IN_A_ROW and account_sid not in self._checked
        if due and len(self._checks) < _MOST_CHECKS:
            self._wrong[name] = 0
            self._checked[account_sid] = None
            self._start(self._look_into(account_sid, number))

    def note_unknown_key(self, account_sid: str, number: str, call_sid: str) -> None:
        """A request was refused that is signed with a shared key which we don't have."""
        mark = f"{account_sid} shared key"
        if mark not in self._checked and len(self._checks) < _MOST_CHECKS:
            self._checked[mark] = None
            self._start(self._look_into_unknown_key(account_sid, number, call_sid))

    async def aclose(self) -> None:
        for task in tuple(self._checks):
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work), name="token-check")
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _look_into(self, account_sid: str, number: str) -> None:
        if not await is_number_of_account(self.database.settings, account_sid, number):
            return
        if self.platform is not None and self.platform.sid == account_sid:
            await self._check_platform(self.platform)
            return
        for key in await list_account_keys_in_use(self.database.settings, account_sid):
            await self._check_key(key)

    async def _look_into_unknown_key(self, account_sid: str, number: str, call_sid: str) -> None:
        if not await is_number_of_account(self.database.settings, account_sid, number):
            return
        if self.platform is not None and self.platform.sid == account_sid:
            if await self._knows_call(self.platform, call_sid):
                _warn("CALLROUTER_TWILIO_SHARED_KEYS", _NO_SHARED_KEY, account_sid)
            return
        for key in await list_account_keys_in_use(self.database.settings, account_sid):
            with suppress(OpenError):
                if await self._knows_call(Account(account_sid, self.vault.open_key(key)), call_sid):
                    await self._mark_unproven(key)

    async def _knows_call(self, account: Account, call_sid: str) -> bool:
        try:
            return await self.carrier.find_call(account, call_sid, _CHECK_SECONDS) is not None
        except ProviderError:
            return False

    async def _mark_unproven(self, key: StoredKey) -> None:
        self._unproven[key.account_sid or ""] = None
        async with self.database.settings.acquire() as connection, connection.transaction():
            news = await note_unproven(connection, key, self.clock())
            if news and key.kind != SUBACCOUNT:  # a subaccount belongs to the platform
                ids: dict[str, str | int] = {"agency_id": key.agency_id, "kind": key.kind, "version": key.version}
                await post(connection, KEY_FAILING, ids, once=f"{key.agency_id}/{key.kind}/{key.version}/unproven")
        if news:
            emit(
                "key.failing",
                agency_id=key.agency_id,
                kind=key.kind,
                reason="unknown_shared_key",
                key_version=key.version,
            )

    async def _forget_unproven(self, account_sid: str) -> None:
        await note_proven(self.database.settings, account_sid)

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


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """For a task whose result is not awaited."""
    try:
        await work
    except DATABASE_ERRORS:
        return  # the next wrong signatures start another check
    except Exception as error:  # noqa: BLE001  reported, and nothing depends on it
        emit("request.failed", exception=error, step="token-check")


def _warn(setting: str, message: str, account_sid: str) -> None:
    emit("settings.warning", setting=setting, message=message.format(account=account_sid))
