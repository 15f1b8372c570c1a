"""Verifies that a request comes from Twilio: its size, form, account and signature, checked in this order.

Nothing is written and no provider is asked before that. A request may be signed with the platform's token or with an
agency's. Agencies' tokens are remembered sealed; each is opened for one check and dropped. The account that a request
names proves nothing until the signature is verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from adapters.carrier import Account
from adapters.twilio import Form, FormError, Scheme, read_form, read_scheme, read_text, request_url, verify
from crypto import OpenError, Secret
from router.bodies import CutOffError, TooLargeError, read_body
from router.calls.memory import RouteMemory
from router.calls.state import Agencies
from router.clock import Clock
from router.keys.shown import UNKNOWN_SHARED_KEY
from router.store.guard import Guard
from router.store.keys.proofs import SealedToken, find_account_tokens
from router.store.numbers.numbers import is_number_of_account
from router.store.pool import AWAY_ERRORS, Database
from router.vault import Vault
from router.webhooks.token_watch import TokenWatch

_MOST_BYTES: Final = 64 * 1024
_REQUIRED: Final = ("CallSid", "AccountSid")
_LONGEST_SID: Final = 64  # characters; Twilio's have 34
_NOTHING_READ: Final[Mapping[str, str]] = {}


class RefusedError(Exception):
    """The request is answered with an HTTP status and a sentence. `params`: what could be read of it."""

    def __init__(self, status: int, reason: str, message: str, params: Mapping[str, str] = _NOTHING_READ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.params = params


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that is proven to come from Twilio."""

    params: Mapping[str, str]
    tokens: tuple[SealedToken, ...] | None  # that fit the signature; None if the platform's does
    form: Form
    urls: tuple[str, ...]  # under each of our public addresses
    signature: str
    scheme: Scheme

    def is_signed_with(self, secret: Secret) -> bool:
        algorithm = self.scheme.algorithm
        return any(verify((secret,), url, self.form, self.signature, algorithm) for url in self.urls)

    @property
    def account_sid(self) -> str:
        return self.params["AccountSid"]

    @property
    def agencies(self) -> Agencies:
        """A token proves a request only for the agency that saved it."""
        return None if self.tokens is None else tuple({token.agency_id for token in self.tokens})

    @property
    def call_sid(self) -> str:
        return self.params["CallSid"]


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies requests under our public address and, while the service moves, under the other one.

    `shared_keys`: the platform's by id, if webhook rules of its account have requests signed with such keys.
    """

    database: Database
    guard: Guard
    memory: RouteMemory
    vault: Vault
    platform: Account | None
    shared_keys: Mapping[str, Secret]
    watch: TokenWatch
    proving: Callable[[], tuple[str, ...]]  # the addresses under which requests may be signed
    clock: Clock

    async def aclose(self) -> None:
        await self.watch.aclose()

    async def verify(self, request: Request) -> Verified:
        """Raises RefusedError."""
        return await self.verify_body(request, await _read_body(request))

    async def verify_body(self, request: Request, body: bytes) -> Verified:
        """For a request whose body has been read. Raises RefusedError."""
        form, params = _read_params(body)
        signature = request.headers.get("x-twilio-signature", "")
        if not signature:
            raise RefusedError(403, "missing_signature", "the X-Twilio-Signature header is missing", params)
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        scheme = read_scheme(request.headers.get("x-twilio-webhooks-signature-settings"))
        if scheme.algorithm is None:
            message = "the request is signed by an algorithm that callrouter does not know: use HMAC_SHA256 in the rule"
            raise RefusedError(403, "unknown_algorithm", message, params)
        target = path.partition(b"?")[0], request.scope["query_string"]
        urls = tuple(request_url(base, *target) for base in self.proving())
        return await self._prove(Verified(params, None, form, urls, signature, scheme), reload=False)

    async def verify_again(self, verified: Verified) -> Verified:
        """Verify with the tokens in the database: a remembered one may have been replaced or deleted.

        Raises RefusedError.
        """
        return await self._prove(verified, reload=True)

    async def refuse_number_of_others(self, asked: Verified) -> None:
        """Raises RefusedError if another agency has set up the called number on this account.

        That agency has erased its token, and the carrier then uses the number's fallback.
        """
        account_sid, number = asked.account_sid, asked.params.get("To", "")
        try:
            known = await self.guard.ask(lambda: is_number_of_account(self.database.calls, account_sid, number))
        except AWAY_ERRORS:
            raise _unverifiable(asked) from None
        if known:
            raise unproven_for_agency(asked)

    async def _prove(self, asked: Verified, *, reload: bool) -> Verified:
        account_sid, number = asked.account_sid, asked.params.get("To", "")
        if self.platform is not None and account_sid == self.platform.sid:
            if not self._has_platform_signed(self.platform, asked):
                raise self._wrong(asked)
            self.watch.note_right(account_sid, number)
            return asked
        known = None if reload else self.memory.find_tokens(account_sid)
        tokens = () if known is None else self._proving(known, asked)
        if not tokens:  # remembered tokens may be outdated: load them before refusing
            loaded = await self._load(asked)
            tokens = self._proving(loaded, asked)
            if not loaded:
                raise RefusedError(403, "unknown_account", "no agency uses this account", asked.params)
        if not tokens:
            raise self._wrong(asked)
        self.watch.note_right(account_sid, number)
        return replace(asked, tokens=tokens)

    def _wrong(self, asked: Verified) -> RefusedError:
        number = asked.params.get("To", "")
        if asked.scheme.is_shared:
            self.watch.note_unknown_key(asked.account_sid, number, asked.call_sid)
            return RefusedError(403, "unknown_shared_key", UNKNOWN_SHARED_KEY, asked.params)
        self.watch.note_wrong(asked.account_sid, number)
        message = "the signature does not fit: check the account's auth token and the public URL"
        return RefusedError(403, "wrong_signature", message, asked.params)

    async def _load(self, asked: Verified) -> tuple[SealedToken, ...]:
        account_sid, began = asked.account_sid, self.memory.now()
        try:
            tokens = await self.guard.ask(lambda: find_account_tokens(self.database.calls, account_sid, self.clock()))
        except AWAY_ERRORS:
            raise _unverifiable(asked) from None
        self.memory.keep_tokens(account_sid, tokens, began)
        return tokens

    def _proving(self, tokens: tuple[SealedToken, ...], asked: Verified) -> tuple[SealedToken, ...]:
        return tuple(token for token in tokens if self._has_signed(token, asked))

    def _has_platform_signed(self, platform: Account, asked: Verified) -> bool:
        shared = self.shared_keys.get(asked.scheme.key_id) if asked.scheme.key_id else None
        if shared is not None and asked.is_signed_with(shared):
            return True
        return asked.is_signed_with(platform.auth_token)

    def _has_signed(self, token: SealedToken, asked: Verified) -> bool:
        """The token, or the shared key of that id that was saved with it. False also for one that does not open."""
        key_id = asked.scheme.key_id
        if key_id and key_id in token.shared_key_ids and token.webhook_sealed is not None:
            with suppress(OpenError):
                if asked.is_signed_with(self.vault.open_shared_key(token, token.webhook_sealed, key_id)):
                    return True
        try:
            return asked.is_signed_with(self.vault.open_key(token))
        except OpenError:
            return False


def unproven_for_agency(asked: Verified) -> RefusedError:
    """The signature is right, but by a token that another agency saved."""
    message = "the agency of this number has saved no token that fits the signature"
    return RefusedError(403, "unknown_account", message, asked.params)


def _unverifiable(asked: Verified) -> RefusedError:
    return RefusedError(503, "unverifiable", "the signature cannot be checked now", asked.params)


async def _read_body(request: Request) -> bytes:
    try:
        return await read_body(request, _MOST_BYTES)
    except TooLargeError:
        raise RefusedError(413, "too_large", "the body is over 64 kB") from None
    except CutOffError:
        raise RefusedError(400, "not_a_form", "the request was cut off") from None


def _read_params(body: bytes) -> tuple[Form, dict[str, str]]:
    try:
        form = read_form(body)
    except FormError as error:
        raise RefusedError(400, "not_a_form", f"the body is not a form: {error}") from None
    # PostgreSQL's text type cannot hold NUL, and Twilio sends none.
    params = {name: value.replace("\0", "") for name, value in read_text(form).items()}
    for name in _REQUIRED:
        if not 0 < len(params.get(name, "")) <= _LONGEST_SID:
            raise RefusedError(400, "missing_field", f"the form has no {name}", params)
    return form, params
