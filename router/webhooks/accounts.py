"""Which auth tokens may have signed for an account: the platform's, and agencies' own, remembered sealed.

A token is opened for the one check and dropped. Nothing here is told by the request but the AccountSid, which
proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from adapters.base import Account
from adapters.twilio import Form, verify
from crypto import OpenError, Secret
from router.calls.memory import RouteMemory
from router.store.guard import Guard
from router.store.keys.account_tokens import SealedToken, find_account_tokens
from router.store.pool import AWAY_ERRORS, Database
from router.vault import Vault


class UnknownAccountError(Exception):
    """No token for this account: it is none of ours."""


class WrongSignatureError(Exception):
    """No token of this account made this signature."""


class UnverifiableError(Exception):
    """The database is away and no token is at hand."""


class Accounts:
    """Verifies Twilio's requests."""

    def __init__(
        self,
        *,
        database: Database,
        guard: Guard,
        memory: RouteMemory,
        vault: Vault,
        platform: Account | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._guard = guard
        self._memory = memory
        self._vault = vault
        self._platform = platform
        self._clock = clock

    async def verify(
        self, account_sid: str, url: str, form: Form, signature: str, *, reload: bool = False
    ) -> tuple[SealedToken, ...] | None:
        """The sealed tokens that prove the request; None if the platform's own does.

        A remembered token that does not fit may be an old one: they are loaded once more before a refusal.
        Raises UnknownAccountError, WrongSignatureError or UnverifiableError.
        """
        if self._platform is not None and account_sid == self._platform.sid:
            if verify((self._platform.auth_token,), url, form, signature):
                return None
            raise WrongSignatureError
        known = None if reload else self._memory.find_tokens(account_sid)
        if known is not None:
            proving = self._proving(known, url, form, signature)
            if proving:
                return proving
        loaded = await self._load(account_sid)
        proving = self._proving(loaded, url, form, signature)
        if proving:
            return proving
        raise WrongSignatureError if loaded else UnknownAccountError

    async def _load(self, account_sid: str) -> tuple[SealedToken, ...]:
        asked = self._memory.now()
        try:
            tokens = await self._guard.ask(
                lambda: find_account_tokens(self._database.calls, account_sid, self._clock())
            )
        except AWAY_ERRORS:
            raise UnverifiableError from None
        self._memory.keep_tokens(account_sid, tokens, asked)
        return tokens

    def _proving(
        self, tokens: tuple[SealedToken, ...], url: str, form: Form, signature: str
    ) -> tuple[SealedToken, ...]:
        return tuple(
            token
            for token in tokens
            if (secret := self._open(token)) is not None and verify((secret,), url, form, signature)
        )

    def _open(self, token: SealedToken) -> Secret | None:
        """None for one that does not open: as good as wrong."""
        try:
            return self._vault.open_key(token)
        except OpenError:
            return None
