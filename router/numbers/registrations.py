"""Registrations of carrier numbers at voice providers, without which some providers take no calls to a number.

A provider that takes a number over points it at itself: what it wrote is kept if calls are to be redirected there, and our
addresses are written back at once, and read back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier, CarrierNumber
from adapters.facets import RegistrationsFacet
from adapters.portable import Copy, Registration
from adapters.provider import Provider
from adapters.registry import Providers
from crypto import Secret
from router.accounts import REQUEST_SECONDS
from router.clock import Clock
from router.dialling import Dialling
from router.numbers.configuration import configure, tell_drift
from router.numbers.credentials import CarrierCredentials, RegistrationError
from router.numbers.former import FormerRegistrations
from router.numbers.provider_keys import ProviderKeys
from router.numbers.redirects import REDIRECT, Redirects
from router.refusals import UNCLEAR, quote
from router.store.assistants.copies import find_usable_copy
from router.store.numbers.checks import postpone_look
from router.store.numbers.former_registrations import FormerRegistration, has_former_registration, keep_stray
from router.store.numbers.numbers import Number, find_number, list_numbers
from router.store.numbers.registrations import (
    StoredRegistration,
    fail_registration,
    find_registration,
    forget_address,
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
    provider: Provider[Any]
    client: Any
    key_version: int
    at: RegistrationsFacet[Any]
    copy: Copy
    fallback: str | None  # the owner's phone
    may_ring: bool

    @property
    def rung(self) -> str | None:
        """The fallback as the provider gets it."""
        return self.fallback if self.may_ring else None

    @property
    def lives_on_numbers(self) -> bool:
        """Whether the assistant there is a setting of the number."""
        assistants = self.provider.assistants
        return assistants is not None and assistants.lives_on_numbers


@dataclass(frozen=True, slots=True)
class Registrations:
    database: Database
    providers: Providers
    provider_keys: ProviderKeys
    credentials: CarrierCredentials
    former: FormerRegistrations
    redirects: Redirects
    carrier: Carrier
    dialling: Dialling
    clock: Clock

    async def ensure(self, number: Number, provider: str, copy: Copy, *, doubted: bool = False) -> None:
        """Make sure that calls to this number can be handed to `copy` at the provider. May be repeated. `doubted`: what
        we know of it may not be true any more.

        Raises RegistrationError, and ProviderError when the provider itself refused or failed; the number shows why.
        """
        if provider not in self.providers or self.providers[provider].registrations is None:
            return
        if number.is_native or number.is_elsewhere:
            return
        pool = self.database.settings
        before = await find_registration(pool, number.agency_id, number.e164, provider)
        if before is not None and not before.ours:
            return
        task = await self._prepare(number, provider, copy)
        if before is not None and not doubted and _is_as_wanted(before, task):
            return
        if not await lease_registration(pool, number.agency_id, number.e164, provider, self.clock()):
            raise RegistrationError(f"{number.e164} is being registered at {task.provider.label} already.", again=True)
        try:
            await self._bring_about(task, before)
        except RegistrationError as error:
            await self._note_failure(task, str(error), unclear=False)
            raise
        except ProviderError as error:
            await self._note_failure(task, _describe(task, error), unclear=error.kind in UNCLEAR)
            raise

    async def list_known(self, agency_id: str, client_id: str, provider: str) -> list[Registration]:
        """All of the client's numbers at the provider: registrations, and numbers bought there."""
        pool = self.database.settings
        native = [
            Registration(number.number_sid)
            for number in await list_numbers(pool, agency_id, client_id=client_id)
            if number.is_native and number.carrier == provider and not number.is_elsewhere
        ]
        registered = await list_registrations(pool, agency_id, client_id, provider)
        return [*(self.provider_keys.read(one) for one in registered), *native]

    async def register_linked(self) -> None:
        """Register numbers whose client has a linked assistant.

        A failure is shown on the number, and tried again where that may help.
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
            except ProviderError:  # it may refuse the agency's other numbers as well
                refusing.add((agency_id, provider))

    async def _prepare(self, number: Number, provider: str, copy: Copy) -> _Task:
        """Raises RegistrationError without a key or a client."""
        pool = self.database.settings
        key = await self.provider_keys.open(number.agency_id, provider)
        client = await find_client(pool, number.agency_id, number.client_id)
        if key is None or key.provider.registrations is None or client is None:
            label = self.providers.label(provider)
            raise RegistrationError(f"{number.e164} cannot be registered at {label} without a key for it.")
        return _Task(
            number,
            key.provider,
            key.client,
            key.stored.version,
            key.provider.registrations,
            copy,
            client.personal_phone,
            self.dialling.only(client.personal_phone) is not None,
        )

    async def _bring_about(self, task: _Task, before: StoredRegistration | None) -> None:
        """With the registration's row held. Raises RegistrationError, ProviderError."""
        number = task.number
        account = await self.credentials.open_account(task.number, task.provider.label)
        await self._clear_the_way(task)
        known = self.provider_keys.read(before) if before is not None and before.remote_id is not None else None
        made: Registration | None = None
        if known is not None and before is not None and before.key_version == task.key_version:
            # What opens a number for its assistant is shown only when the registration is made.
            if known.parts or not task.lives_on_numbers:
                made = await _assign(task, known)
        elif not (before is not None and before.interrupted):
            there = await task.at.find(task.client, number.e164)
            if there is not None and not _may_take_over(task, there, known):
                await self._keep(task, there, ours=False)  # made by the agency: fit for calls, and not ours to change
                return
        if made is None:
            made = await self._register(task, account, before, known)
        await self._keep(task, made, ours=True)
        emit(
            "number.registered",
            agency_id=number.agency_id,
            client_id=number.client_id,
            number=number.e164,
            provider=task.provider.name,
        )

    async def _clear_the_way(self, task: _Task) -> None:
        """A registration still to be deleted there must not be mistaken for the new one."""
        number = task.number
        await self.former.delete(agency_id=number.agency_id, e164=number.e164, provider=task.provider.name)
        if await has_former_registration(self.database.settings, number.agency_id, number.e164, task.provider.name):
            raise RegistrationError(f"{number.e164} is still being removed from {task.provider.label}.", again=True)

    async def _register(
        self, task: _Task, account: Account, before: StoredRegistration | None, known: Registration | None
    ) -> Registration:
        """The provider points the number at itself, so our addresses are written back even when it fails."""
        number = task.number
        credentials = await self.credentials.find(number, task.provider.name, account)
        try:
            made = await task.at.register(task.client, number.e164, credentials, task.copy, task.rung)
            if before is not None and before.chosen_mode == REDIRECT:
                made = replace(made, mode=REDIRECT)
            if made.mode == REDIRECT and not _keeps_address(before, known, made):
                await forget_address(self.database.settings, number.agency_id, number.e164, task.provider.name)
                await self._have_address_written(task, account, made)
            return made
        finally:
            await self.write_back(account, number)

    async def _have_address_written(self, task: _Task, account: Account, made: Registration) -> None:
        """A provider that had the number already has written nothing. Raises ProviderError."""
        if made.imported or task.provider.imports is None:
            return
        there = await self._find_at_carrier(account, task.number)
        if there is None or not task.provider.imports.is_address(Secret(there.voice_url)):
            await task.provider.imports.import_again(task.client, made)

    async def write_back(self, account: Account, number: Number) -> None:
        """Keep what a provider wrote, write our addresses and read them back. Raises no ProviderError: a failure is drift,
        and is checked soon.
        """
        try:
            for attempt in range(_WRITES):
                there = await self._find_at_carrier(account, number)
                if there is not None:
                    await self.redirects.keep(number, there.voice_url)
                    if attempt and there.voice_url == number.voice_url:
                        break
                await configure(self.carrier, account, number)
        except ProviderError as error:
            tell_drift(number, f"voice_url: {error.kind.value}")
        # Even after a success: the provider may write once more after its answer.
        await postpone_look(self.database.settings, number.agency_id, number.e164, self.clock())

    async def _find_at_carrier(self, account: Account, number: Number) -> CarrierNumber | None:
        return await self.carrier.find_number_by_sid(account, number.number_sid, REQUEST_SECONDS)

    async def _keep(self, task: _Task, made: Registration, *, ours: bool) -> None:
        number = task.number
        context = registration_context(number.agency_id, number.e164, task.provider.name)
        parts = json.dumps(dict(made.parts)) if made.parts else None
        waits = made.mode == REDIRECT
        sealed = parts and self.provider_keys.vault.keyring.seal(parts, *context)
        kept = await keep_registration(
            self.database.settings,
            StoredRegistration(
                agency_id=number.agency_id,
                e164=number.e164,
                provider=task.provider.name,
                remote_id=made.remote_id,
                mode=made.mode,
                ours=ours,
                sealed_parts=sealed,
                assistant_id=task.copy.remote_id,
                fallback=task.fallback,
                key_version=task.key_version,
                waits_for=self.redirects.describe_wait(task.provider.name, number.e164) if waits else None,
            ),
            self.redirects.wait_until() if waits else None,
        )
        if not kept and ours:
            stray = FormerRegistration(
                number.agency_id, number.e164, task.provider.name, made.remote_id, made.mode, sealed
            )
            await keep_stray(self.database.settings, stray)

    async def _note_failure(self, task: _Task, text: str, *, unclear: bool) -> None:
        number = task.number
        await fail_registration(
            self.database.settings,
            number.agency_id,
            number.e164,
            task.provider.name,
            text,
            key_version=task.key_version,
            unclear_since=self.clock() if unclear else None,
        )


def _is_as_wanted(before: StoredRegistration, task: _Task) -> bool:
    return (
        before.remote_id is not None
        and before.error is None
        and not before.interrupted
        and before.key_version == task.key_version
        and before.assistant_id == task.copy.remote_id
        and before.fallback == task.fallback
    )


def _keeps_address(before: StoredRegistration | None, known: Registration | None, made: Registration) -> bool:
    """Whether the address that we keep, if any, still leads there: the import is the same."""
    if known is not None:
        return known.parts == made.parts
    return before is not None and before.sealed_address is not None and not made.imported


def _may_take_over(task: _Task, there: Registration, known: Registration | None) -> bool:
    """Whether it is ours, or the number setting that holds the assistant, which only we use."""
    marked = there.label is not None and there.label.startswith(OUR_LABEL)
    return marked or task.lives_on_numbers or (known is not None and known.remote_id == there.remote_id)


async def _assign(task: _Task, there: Registration) -> Registration | None:
    """None: it no longer exists."""
    try:
        await task.at.assign(task.client, there, task.copy, task.rung)
    except ProviderError as error:
        if error.kind is not ErrorKind.BAD_REQUEST:
            raise
        return None
    return there


def _describe(task: _Task, error: ProviderError) -> str:
    return f"{task.provider.label} did not register {task.number.e164} ({error}).{quote(error)}"
