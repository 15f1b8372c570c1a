"""Looking at one key: asking its owner with a real request, and what the answer means."""

from __future__ import annotations

import asyncio
from typing import Final

from adapters.base import Account, ErrorKind, KeyCheck, ProviderError
from adapters.portable import Lines
from crypto import OpenError, Secret
from router.services import CARRIER, SUBACCOUNT, ApiServices
from router.store.keys.health import DueKey, Finding
from router.store.sealed import open_key
from router.telemetry import emit, metrics

_SECONDS: Final = 8.0
_GRACE: Final = 0.5  # for an adapter to end by itself


class UntoldError(Exception):
    """The key's owner did not say: it cannot be asked now, or its answer makes no sense. `seconds` to wait, if it said."""

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__()
        self.seconds = seconds


async def look_at(services: ApiServices, key: DueKey) -> Finding:
    """What its owner says of the key. Raises UntoldError, and OpenError for one that we cannot read."""
    opened = _open(services, key)
    try:
        async with asyncio.timeout(_SECONDS + _GRACE):
            if key.kind in (CARRIER, SUBACCOUNT):
                return await _look_at_account(services, Account(key.account_sid or "", opened))
            return await _look_at_voice_key(services, key.kind, opened)
    except TimeoutError:
        raise UntoldError from None
    except ProviderError as error:
        match error.kind:
            case ErrorKind.KEY_REJECTED:
                return Finding("failing", error.said or "it refuses the key")
            case ErrorKind.OUT_OF_CREDIT:
                return Finding("out_of_credit", error.said or None)
        raise UntoldError(error.retry_after) from None


async def _look_at_voice_key(services: ApiServices, kind: str, key: Secret) -> Finding:
    check = await services.voice[kind].check_key(key, _SECONDS)
    lines = await _count_lines(services, kind, key) if check.status == "valid" else None
    return _found(check, check.balance, lines)


async def _look_at_account(services: ApiServices, account: Account) -> Finding:
    check = await services.carrier.check_account(account, _SECONDS)
    return _found(check, check.balance)


def _found(check: KeyCheck, balance: float | None, lines: Lines | None = None) -> Finding:
    problem = None
    if check.status == "out_of_credit":
        problem = "no credit is left" if balance is None else f"the balance is {balance:.2f} US dollars"
    return Finding(check.status, problem, balance, lines)


async def _count_lines(services: ApiServices, kind: str, key: Secret) -> Lines | None:
    """None also where it cannot be told now: the key itself was fine a moment ago."""
    teller = services.line_tellers.get(kind)
    if teller is None:
        return None
    try:
        return await teller.count_lines(key, _SECONDS)
    except ProviderError:
        return None


def _open(services: ApiServices, key: DueKey) -> Secret:
    try:
        return open_key(services.keyring, key.sealed, key.agency_id, key.kind, key.version)
    except OpenError:
        metrics.key_unreadable(key.kind)
        emit("key.unreadable", agency_id=key.agency_id, kind=key.kind, key_version=key.version)
        raise
