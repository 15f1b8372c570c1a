"""A carrier's numbers as providers know them: whether each has what calls to it need there, and what it has of ours.

Only a subaccount's or the agency's own credentials ever go to a provider, as a revocable key where that is enough.
A provider that takes a number over points it at itself: our addresses are written back at once, and read back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier
from adapters.facets import RegistrationsFacet
from adapters.portable import Copy, Registration
from adapters.registry import Providers
from router.accounts import REQUEST_SECONDS
from router.clock import Clock
from router.numbers.configuration import configure
from router.numbers.credentials import (
    CredentialsToGive,
    RegistrationError,
)
from router.numbers.former import FormerRegistrations
from router.numbers.provider_keys import OpenedKey, ProviderKeys
from router.numbers.sale_refusals import UNCLEAR
from router.store.assistants.copies import find_usable_copy
from router.store.numbers.checks import postpone_look
from router.store.numbers.former_registrations import FormerRegistration, has_former_registration, keep_stray
from router.store.numbers.numbers import Number, find_number, list_numbers
from router.store.numbers.registrations import (
    StoredRegistration,
    fail_registration,
    find_registration,
    keep_registration,
    lease_registration,
    list_registrations,
    list_unregistered,
)
from router.store.pool import Database
from router.store.sealed import registration_context
from router.store.tenants.clients import find_client
from router.telemetry import emit

OUR_LABEL: Final = "callrouter"
_WRITES: Final = 3


@dataclass(frozen=True, slots=True)
class _Task:
    """One number that is to have its registration at one provider."""

    number: Number
    key: OpenedKey
    at: RegistrationsFacet[Any]
    copy: Copy
    fallback: str | None

    @property
    def client(self) -> Any:
        return self.key.client

    @property
    def provider(self) -> str:
        return self.key.provider.name

    @property
    def label(self) -> str:
        return self.key.provider.label

    @property
    def key_version(self) -> int:
        return self.key.stored.version

    @property
    def lives_on_numbers(self) -> bool:
        """Whether the assistant there is a setting of the number."""
        assistants = self.key.provider.assistants
        return assistants is not None and assistants.lives_on_numbers


@dataclass(frozen=True, slots=True)
class Registrations:
    """Sees to it that every number has the registration that calls to it need, and notes on the number why not."""

    database: Database
    providers: Providers
    provider_keys: ProviderKeys
    credentials: CredentialsToGive
    former: FormerRegistrations
    carrier: Carrier
    clock: Clock

    async def ensure(self, number: Number, provider: str, copy: Copy) -> None:
        """See to it that calls to this number can be handed to `copy` at the provider. May be repeated at will.

        Raises RegistrationError, and ProviderError where the provider itself refused or failed; the number shows why.
        """
        if provider not in self.providers or self.providers[provider].registrations is None or number.is_native:
            return
        pool = self.database.settings
        before = await find_registration(pool, number.agency_id, number.e164, provider)
        if before is not None and not before.ours:
            return
        task = await self._prepare(number, provider, copy)
        if before is not None and _is_as_wanted(before, task):
            return
        if not await lease_registration(pool, number.agency_id, number.e164, provider, self.clock()):
            raise RegistrationError(f"{number.e164} is being registered at {task.label} already.", again=True)
        try:
            await self._bring_about(task, before)
        except RegistrationError as error:
            await self._note_failure(task, str(error), unclear=False)
            raise
        except ProviderError as error:
            await self._note_failure(task, _describe(task, error), unclear=error.kind in UNCLEAR)
            raise

    async def list_known(self, agency_id: str, client_id: str, provider: str) -> list[Registration]:
        """All of the client's numbers as the provider knows them: registrations, and those bought from itself."""
        pool = self.database.settings
        native = [
            Registration(number.number_sid)
            for number in await list_numbers(pool, agency_id, client_id=client_id)
            if number.is_native and number.carrier == provider
        ]
        registered = await list_registrations(pool, agency_id, client_id, provider)
        return [*(self._read(one) for one in registered), *native]

    async def register_linked(self) -> None:
        """For numbers whose client has an assistant that somebody made at the provider and linked here.

        Raises nothing about a single one: the number shows why, and what may go well later is tried again.
        """
        pool = self.database.settings
        providers = [name for name, one in self.providers.items() if one.registrations is not None]
        refusing: set[tuple[str, str]] = set()
        for agency_id, e164, provider in await list_unregistered(pool, providers, self.clock()):
            number = await find_number(pool, agency_id, e164)
            if number is None or (agency_id, provider) in refusing:
                continue
            copy: Copy | None = await find_usable_copy(pool, agency_id, number.client_id, provider)
            if copy is None:
                continue
            try:
                await self.ensure(number, provider, copy)
            except RegistrationError:
                continue
            except ProviderError:  # what it refuses now it may refuse for the agency's other numbers, too
                refusing.add((agency_id, provider))

    async def _prepare(self, number: Number, provider: str, copy: Copy) -> _Task:
        """Raises RegistrationError without a key or a client."""
        pool = self.database.settings
        key = await self.provider_keys.open(number.agency_id, provider)
        client = await find_client(pool, number.agency_id, number.client_id)
        if key is None or key.provider.registrations is None or client is None:
            label = self.providers.label(provider)
            raise RegistrationError(f"{number.e164} cannot be registered at {label} without a key for it.")
        return _Task(number, key, key.provider.registrations, copy, client.personal_phone)

    async def _bring_about(self, task: _Task, before: StoredRegistration | None) -> None:
        """With the registration's row held. Raises RegistrationError, ProviderError."""
        number = task.number
        account = await self.credentials.open_account(task.number, task.label)
        await self._clear_the_way(task)
        known = self._read(before) if before is not None and before.remote_id is not None else None
        made: Registration | None = None
        if known is not None and before is not None and before.key_version == task.key_version:
            made = None if _needs_parts(task, known) else await _assign(task, known)
        elif not (before is not None and before.interrupted):
            there = await task.at.find(task.client, number.e164)
            if there is not None and not _may_take_over(task, there, known):
                await self._keep(task, there, ours=False)  # somebody's own: good for calls, and left alone
                return
        if made is None:
            made = await self._register(task, account)
        await self._keep(task, made, ours=True)
        emit(
            "number.registered",
            agency_id=number.agency_id,
            client_id=number.client_id,
            number=number.e164,
            provider=task.provider,
        )

    async def _clear_the_way(self, task: _Task) -> None:
        """One that is to be deleted there must not be taken for the new one, nor the new one for it."""
        number = task.number
        await self.former.delete(agency_id=number.agency_id, e164=number.e164, provider=task.provider)
        if await has_former_registration(self.database.settings, number.agency_id, number.e164, task.provider):
            raise RegistrationError(f"{number.e164} is still being taken off {task.label}.", again=True)

    async def _register(self, task: _Task, account: Account) -> Registration:
        """The provider points the number at itself: ours is written back whatever the answer is."""
        credentials = await self.credentials.find(task.number, task.provider, account)
        try:
            return await task.at.register(task.client, task.number.e164, credentials, task.copy, task.fallback)
        finally:
            await self.write_back(account, task.number)

    async def write_back(self, account: Account, number: Number) -> None:
        """Our addresses again, read back. Raises no ProviderError: what cannot be mended now is drift, and looked at soon."""
        try:
            for _ in range(_WRITES):
                await configure(self.carrier, account, number)
                there = await self.carrier.find_number_by_sid(account, number.number_sid, REQUEST_SECONDS)
                if there is not None and there.voice_url == number.voice_url:
                    break
        except ProviderError as error:
            emit(
                "number.drifted",
                agency_id=number.agency_id,
                client_id=number.client_id,
                number=number.e164,
                reason=f"voice_url: {error.kind.value}",
            )
        # Whether it was written back or not: the provider may write once more after its answer.
        await postpone_look(self.database.settings, number.agency_id, number.e164, self.clock())

    async def _keep(self, task: _Task, made: Registration, *, ours: bool) -> None:
        number = task.number
        context = registration_context(number.agency_id, number.e164, task.provider)
        parts = json.dumps(dict(made.parts)) if made.parts else None
        sealed = parts and self.provider_keys.vault.keyring.seal(parts, *context)
        kept = await keep_registration(
            self.database.settings,
            StoredRegistration(
                agency_id=number.agency_id,
                e164=number.e164,
                provider=task.provider,
                remote_id=made.remote_id,
                mode=made.mode,
                ours=ours,
                sealed_parts=sealed,
                assistant_id=task.copy.remote_id,
                fallback=task.fallback,
                key_version=task.key_version,
            ),
        )
        if not kept and ours:
            stray = FormerRegistration(number.agency_id, number.e164, task.provider, made.remote_id, made.mode, sealed)
            await keep_stray(self.database.settings, stray)

    async def _note_failure(self, task: _Task, text: str, *, unclear: bool) -> None:
        number = task.number
        await fail_registration(
            self.database.settings,
            number.agency_id,
            number.e164,
            task.provider,
            text,
            key_version=task.key_version,
            unclear_since=self.clock() if unclear else None,
        )

    def _read(self, stored: StoredRegistration) -> Registration:
        sealed, vault = stored.sealed_parts, self.provider_keys.vault
        parts = vault.open_registration(sealed, stored.agency_id, stored.e164, stored.provider) if sealed else {}
        return Registration(stored.remote_id or "", stored.mode, parts)


def _is_as_wanted(before: StoredRegistration, task: _Task) -> bool:
    return (
        before.remote_id is not None
        and before.error is None
        and not before.interrupted
        and before.key_version == task.key_version
        and before.assistant_id == task.copy.remote_id
        and before.fallback == task.fallback
    )


def _may_take_over(task: _Task, there: Registration, known: Registration | None) -> bool:
    """It is ours; or it is the place of an assistant, which nobody else can be at home in."""
    marked = there.label is not None and there.label.startswith(OUR_LABEL)
    return marked or task.lives_on_numbers or (known is not None and known.remote_id == there.remote_id)


def _needs_parts(task: _Task, there: Registration) -> bool:
    """What opens it for an assistant is shown only when it is made."""
    return task.lives_on_numbers and not there.parts


async def _assign(task: _Task, there: Registration) -> Registration | None:
    """None: it is gone."""
    try:
        await task.at.assign(task.client, there, task.copy, task.fallback)
    except ProviderError as error:
        if error.kind is not ErrorKind.BAD_REQUEST:
            raise
        return None
    return there


def _describe(task: _Task, error: ProviderError) -> str:
    said = f" It said: {error.said}." if error.said else ""
    return f"{task.label} has not taken {task.number.e164} ({error}).{said}"
