"""Saving and erasing agencies' keys.

A key is tried with a real request before it is saved; if the other system refuses it or does not answer, nothing is
saved and the former key stays in use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account
from adapters.registry import Providers
from crypto import OpenError, Secret
from router.accounts import CARRIER
from router.errors import ConflictError, InvalidError, NotFoundError, require
from router.keys.checks import KeyChecks
from router.keys.shown import KeyViews, ShownKey
from router.keys.webhook_tokens import seal_new_token
from router.numbers.leftover_keys import LeftoverKeys
from router.numbers.release import Release
from router.refusals import explain_refusal
from router.store.changes import Author, Changes
from router.store.keys.health import Finding
from router.store.keys.versions import (
    StoredKey,
    erase_key,
    find_key_in_use,
    list_accounts,
    list_keys_in_use,
    replace_key,
    take_version,
)
from router.store.numbers.carrier_keys import Leftover
from router.store.numbers.numbers import list_numbers, want_native_numbers
from router.store.pool import Connection
from router.store.sealed import key_context, webhook_secret_context
from router.store.tenants.agencies import Agency, lock_agency, update_agency
from router.telemetry import emit
from router.vault import Vault
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class NewKey:
    """What an agency saves. `webhook_secret_given`: `webhook_secret` was sent, perhaps to clear what was there.

    `shared_keys`: of a carrier account, by id; they are its webhook secret. `compromised`: all earlier versions are erased
    at once.
    """

    kind: str
    secret: Secret = field(repr=False)
    account_sid: str | None = None
    activate: bool = False
    compromised: bool = False
    webhook_secret: Secret | None = field(default=None, repr=False)
    webhook_secret_given: bool = False
    shared_keys: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keys:
    changes: Changes
    vault: Vault
    providers: Providers
    checks: KeyChecks
    platform: Account | None = field(repr=False)
    wanted: WantedAssistants
    release: Release
    leftover_keys: LeftoverKeys
    views: KeyViews

    async def save(self, agency_id: str, key: NewKey, author: Author) -> ShownKey:
        """Raises DomainError."""
        found = await self._check(agency_id, key)
        async with self.changes.begin(author, agency_id) as change:
            agency = require(await lock_agency(change.connection, agency_id), "agency")
            left: list[Leftover] = []
            if key.account_sid is not None:
                await _protect_numbers(change.connection, agency_id, keep=key.account_sid)
                left = await self._leave_accounts(change.connection, agency_id, keep=key.account_sid)
            stored = await self._store(change.connection, agency_id, key, found)
            if key.activate:
                agency = activate_provider(agency, key.kind)
                await update_agency(change.connection, agency)
            if key.kind != CARRIER:
                await self.wanted.want_after_key(change.connection, agency, stored)
            if key.compromised:
                await want_native_numbers(change.connection, agency_id, key.kind)
            await change.record("key.saved", key.kind)
            shown = change.done(await self.views.show(change.connection, agency, stored))
        await self.leftover_keys.revoke(left)
        emit(
            "key.saved",
            agency_id=agency_id,
            kind=key.kind,
            version=stored.version,
            status=found.status,
            active=shown.active,
        )
        return shown

    async def erase(self, agency_id: str, kind: str, author: Author) -> None:
        """All versions at once. Raises DomainError."""
        if kind != CARRIER:
            await self.release.leave_provider(agency_id, kind)
        async with self.changes.begin(author, agency_id) as change:
            agency = require(await lock_agency(change.connection, agency_id), "agency")
            left = await self._leave_accounts(change.connection, agency_id) if kind == CARRIER else []
            if not await erase_key(change.connection, agency_id, kind):
                raise NotFoundError("key")
            agency = await self._forget_provider(change.connection, agency, kind)
            await self.wanted.end_without_key(change.connection, agency, kind)
            await self.wanted.want_after_switch(change.connection, agency, [agency.active_provider])
            await change.record("key.deleted", kind)
            change.done(None)
        await self.leftover_keys.revoke(left)
        emit("key.deleted", agency_id=agency_id, kind=kind)

    async def _leave_accounts(self, connection: Connection, agency_id: str, keep: str | None = None) -> list[Leftover]:
        """Keep what revokes our API keys in the agency's own accounts whose tokens go."""
        accounts = await list_accounts(connection, agency_id, CARRIER)
        return await self.leftover_keys.leave(connection, agency_id, accounts - {keep})

    async def _check(self, agency_id: str, key: NewKey) -> Finding:
        """Raises InvalidError, KeyRejectedError, UnreachableError."""
        platform = self.platform
        if key.account_sid is not None and platform is not None and platform.sid.lower() == key.account_sid.lower():
            raise InvalidError("account_sid", "is the platform's own account, which no agency may use as its own")
        try:
            check = await self.checks.ask(key.kind, key.secret, key.account_sid)
        except ProviderError as error:
            if error.kind is ErrorKind.OUT_OF_CREDIT:
                return Finding("out_of_credit", error.said or None)
            emit("key.rejected", agency_id=agency_id, kind=key.kind, reason=error.kind.value, status=error.status)
            raise explain_refusal(self.providers.about(key.kind), error) from None
        return Finding(check.status, balance=check.balance)

    async def _store(self, connection: Connection, agency_id: str, key: NewKey, found: Finding) -> StoredKey:
        """Put the new version in use."""
        before = await find_key_in_use(connection, agency_id, key.kind)
        if key.compromised:
            await erase_key(connection, agency_id, key.kind)
        version, now = await take_version(connection, agency_id, key.kind), self.changes.clock()
        webhook_sealed = self._seal_webhook_secret(agency_id, key, before, version)
        stored = StoredKey(
            agency_id=agency_id,
            kind=key.kind,
            version=version,
            sealed=self.vault.keyring.seal(key.secret, *key_context(agency_id, key.kind, version)),
            webhook_sealed=webhook_sealed,
            webhook_token_sealed=None
            if key.kind == CARRIER
            else self._webhook_token(agency_id, key.kind, None if key.compromised else before),
            account_sid=key.account_sid,
            last4=key.secret.last4(),
            status=found.status,
            checked_at=now,
            saved_at=now,
            problem=found.problem,
            balance=found.balance,
            failing_since=None if found.status == "valid" else now,
            signed_at=before.signed_at if before is not None and _kept_webhook_secret(key, before) else None,
            shared_key_ids=() if webhook_sealed is None else _name_shared_keys(key, before),
        )
        await replace_key(connection, stored)
        return stored

    def _seal_webhook_secret(self, agency_id: str, key: NewKey, before: StoredKey | None, version: int) -> str | None:
        """The secret that was sent; else the former one, bound to the new version. A carrier's is of one account."""
        if key.kind != CARRIER and self.providers[key.kind].webhook_secret is None:
            return None
        secret = _join(key.shared_keys) if key.shared_keys else key.webhook_secret
        kept = _kept_webhook_secret(key, before)
        if before is not None and kept is not None:
            try:
                secret = self.vault.open_webhook_secret(before, kept)
            except OpenError:
                return None
        if secret is None:
            return None
        return self.vault.keyring.seal(secret, *webhook_secret_context(agency_id, key.kind, version))

    def _webhook_token(self, agency_id: str, kind: str, before: StoredKey | None) -> str:
        """Kept over versions, because it is part of an address that people gave to the provider. `before` None: new."""
        if before is not None and before.webhook_token_sealed:
            with suppress(OpenError):
                self.vault.open_webhook_token(before)
                return before.webhook_token_sealed
        return seal_new_token(self.vault.keyring, agency_id, kind)

    async def _forget_provider(self, connection: Connection, agency: Agency, kind: str) -> Agency:
        """No call goes to a provider without a key; the next one with a key becomes the active one."""
        if agency.former_provider == kind:
            agency = replace(agency, former_provider=None)
        if agency.active_provider == kind:
            with_key = {key.kind for key in await list_keys_in_use(connection, agency.id)}
            order = (*(agency.fallback_providers or ()), *self.providers)
            successor = next((provider for provider in order if provider in with_key), None)
            former = None if successor == agency.former_provider else agency.former_provider
            agency = replace(agency, active_provider=successor, former_provider=former)
        await update_agency(connection, agency)
        return agency


def _kept_webhook_secret(key: NewKey, before: StoredKey | None) -> str | None:
    """With it, the provider goes on signing as before; a key of its own may belong to another account."""
    if before is None or key.webhook_secret_given or before.account_sid != key.account_sid:
        return None
    return before.webhook_sealed


def _name_shared_keys(key: NewKey, before: StoredKey | None) -> tuple[str, ...]:
    if before is not None and _kept_webhook_secret(key, before):
        return before.shared_key_ids
    return tuple(key.shared_keys)


def _join(shared_keys: Mapping[str, Secret]) -> Secret:
    """To be sealed together. router.vault opens one of them."""
    return Secret(json.dumps({key_id: secret.reveal() for key_id, secret in shared_keys.items()}))


def activate_provider(agency: Agency, provider: str | None) -> Agency:
    """The former one goes on taking calls of clients whose assistants are not at the new one yet."""
    if provider == agency.active_provider:
        return agency
    return replace(agency, active_provider=provider, former_provider=agency.active_provider)


async def _protect_numbers(connection: Connection, agency_id: str, keep: str) -> None:
    """Raises ConflictError: without this account's token, calls to its numbers would be refused."""
    numbers = await list_numbers(connection, agency_id)
    held = [number.e164 for number in numbers if number.account == "agency" and number.account_sid != keep]
    if held:
        raise ConflictError(
            f"Calls to {', '.join(held)} need this account's token. Delete these numbers here first, "
            "or save another token of the same account."
        )
