"""Keys of an agency: /v1/agencies/{agency}/keys.

A key is tried with a real request before it is saved; if the other system refuses it or cannot be asked, nothing is
saved and what was there stays in use. A saved key is never shown again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from adapters.base import Account, ErrorKind, KeyCheck, ProviderError
from crypto import OpenError, Secret
from router.api.agencies import activate_provider
from router.api.models import KeyList, KeyReply, LinesReply, SyncReply
from router.api.operations import Answer, ApiRequest, Changes, Endpoint
from router.api.problems import Problem, invalid, not_found
from router.assistants.wanted import end_without_key, sync_after_key, sync_after_switch
from router.numbers.carriers import refusal
from router.numbers.release import leave_provider
from router.particulars import TwilioKey, VoiceKey, particulars_of, voice_key_model
from router.services import CARRIER, ApiServices
from router.store.assistants.copies import Progress, count_assistants
from router.store.keys.health import Finding
from router.store.keys.versions import (
    StoredKey,
    erase_key,
    find_key_in_use,
    list_keys_in_use,
    replace_key,
    take_version,
)
from router.store.numbers.numbers import list_numbers
from router.store.pool import Connection
from router.store.sealed import (
    open_webhook_secret,
    open_webhook_token,
    seal_key,
    seal_webhook_secret,
    seal_webhook_token,
)
from router.store.tenants.agencies import Agency, find_agency, lock_agency, update_agency
from router.telemetry import emit

_CHECK_SECONDS: Final = 8.0  # of the ten in which a save is answered
_GRACE: Final = 0.5  # for an adapter to end by itself
_REFUSED: Final = (
    "Always possible, also while numbers live on that account: calls to them are then refused as unproven, and the "
    "carrier goes to their fallback address, until a token of the same account is saved."
)
_TRIED: Final = (
    "It is tried with a real request first. If that fails nothing is saved, and what was there stays in use."
)


def key_endpoints(voice: Iterable[str]) -> list[Endpoint]:
    path = "/v1/agencies/{agency}/keys"
    endpoints = [Endpoint("GET", path, "List keys, without the keys", show_keys, reply=KeyList)]
    forms: dict[str, tuple[type[VoiceKey | TwilioKey], Any]] = {
        kind: (voice_key_model(kind), partial(save_voice_key, kind)) for kind in voice
    }
    forms[CARRIER] = (TwilioKey, save_carrier_key)
    for kind, (form, save) in forms.items():
        label, one = particulars_of(kind).label, f"{path}/{kind}"
        endpoints += [
            Endpoint("GET", one, f"Show the {label} key, without the key", partial(show_key, kind), reply=KeyReply),
            Endpoint(
                "PUT",
                one,
                f"Save the {label} key",
                save,
                body=form,
                reply=KeyReply,
                problems=("key-rejected", "provider-unreachable"),
                description=_TRIED,
            ),
            Endpoint(
                "DELETE",
                one,
                f"Erase the {label} key, all versions at once",
                partial(remove_key, kind),
                status=204,
                description=_REFUSED if kind == CARRIER else "",
            ),
        ]
    return endpoints


async def show_keys(request: ApiRequest[None]) -> Answer:
    pool = request.services.database.settings
    agency = await find_agency(pool, request.agency_id)
    if agency is None:
        raise not_found("agency")
    keys = {key.kind: key for key in await list_keys_in_use(pool, agency.id)}
    order = (*request.services.voice, CARRIER)
    return Answer.of(
        200, KeyList(items=[await _show(request.services, pool, agency, keys[kind]) for kind in order if kind in keys])
    )


async def show_key(kind: str, request: ApiRequest[None]) -> Answer:
    pool = request.services.database.settings
    agency = await find_agency(pool, request.agency_id)
    key = await find_key_in_use(pool, request.agency_id, kind)
    if agency is None or key is None:
        raise not_found("key")
    return Answer.of(200, await _show(request.services, pool, agency, key))


async def save_voice_key(kind: str, request: ApiRequest[VoiceKey]) -> Answer:
    key = Secret(request.body.key.get_secret_value())
    found = await _check(request, kind, request.services.voice[kind].check_key(key, _CHECK_SECONDS))
    return await _save(request, kind, key, found, account_sid=None, activate=request.body.activate)


async def save_carrier_key(request: ApiRequest[TwilioKey]) -> Answer:
    body, services = request.body, request.services
    if services.platform_account and services.platform_account.sid.lower() == body.account_sid.lower():
        raise invalid("account_sid", "is the platform's own account, which no agency may use as its own")
    token = Secret(body.auth_token.get_secret_value())
    asked = services.carrier.check_account(Account(body.account_sid, token), _CHECK_SECONDS)
    found = await _check(request, CARRIER, asked)
    return await _save(request, CARRIER, token, found, account_sid=body.account_sid, activate=False)


async def remove_key(kind: str, request: ApiRequest[None]) -> Answer:
    if kind in request.services.number_hosts:
        await leave_provider(request.services, request.agency_id, kind)
    async with request.changes() as changes:
        agency = await _lock(changes, request.agency_id)
        if not await erase_key(changes.connection, agency.id, kind):
            raise not_found("key")
        agency = await _forget_provider(changes.connection, agency, kind, request.services.voice)
        await end_without_key(changes.connection, request.services, agency, kind)
        await sync_after_switch(changes.connection, request.services, agency, [agency.active_provider])
        await changes.record("key.deleted", kind)
        answer = changes.answer(204)
    emit("key.deleted", agency_id=agency.id, kind=kind)
    return answer


async def _check(request: ApiRequest[Any], kind: str, asked: Awaitable[KeyCheck]) -> Finding:
    """What the key's owner says of it. Raises Problem."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS + _GRACE):
            check = await asked
            return Finding(check.status, balance=check.balance)
    except ProviderError as failed:
        error = failed
    except TimeoutError:
        error = ProviderError(ErrorKind.TIMEOUT)
    if error.kind is ErrorKind.OUT_OF_CREDIT:
        return Finding("out_of_credit", error.said or None)
    emit("key.rejected", agency_id=request.agency_id, kind=kind, reason=error.kind.value, status=error.status)
    raise refusal(kind, error)


async def _save(
    request: ApiRequest[Any], kind: str, key: Secret, found: Finding, *, account_sid: str | None, activate: bool
) -> Answer:
    keyring = request.services.keyring
    async with request.changes() as changes:
        agency = await _lock(changes, request.agency_id)
        if account_sid is not None:
            await _protect_numbers(changes.connection, agency.id, keep=account_sid)
        before = await find_key_in_use(changes.connection, agency.id, kind)
        if request.body.compromised:
            await erase_key(changes.connection, agency.id, kind)
        version = await take_version(changes.connection, agency.id, kind)
        now = request.services.clock()
        stored = StoredKey(
            agency_id=agency.id,
            kind=kind,
            version=version,
            sealed=seal_key(keyring, key, agency.id, kind, version),
            webhook_sealed=_webhook_secret(request, kind, before, version),
            webhook_token_sealed=None if kind == CARRIER else _webhook_token(request.services, agency.id, kind, before),
            account_sid=account_sid,
            last4=key.last4(),
            status=found.status,
            checked_at=now,
            saved_at=now,
            problem=found.problem,
            balance=found.balance,
            failing_since=None if found.status == "valid" else now,
        )
        await replace_key(changes.connection, stored)
        if activate:
            agency = activate_provider(agency, kind)
            await update_agency(changes.connection, agency)
        if kind != CARRIER:
            await sync_after_key(changes.connection, request.services, agency, stored)
        await changes.record("key.saved", kind)
        shown = await _show(request.services, changes.connection, agency, stored)
        answer = changes.answer(200, shown)
    emit("key.saved", agency_id=agency.id, kind=kind, version=version, status=found.status, active=shown.active)
    return answer


async def _lock(changes: Changes, agency_id: str) -> Agency:
    agency = await lock_agency(changes.connection, agency_id)
    if agency is None:
        raise not_found("agency")
    return agency


async def _protect_numbers(connection: Connection, agency_id: str, keep: str) -> None:
    """With another account's token in its place, nobody would notice that calls to these numbers are refused."""
    numbers = await list_numbers(connection, agency_id)
    held = [number.e164 for number in numbers if number.account == "agency" and number.account_sid != keep]
    if held:
        raise Problem(
            "conflict",
            f"Calls to {', '.join(held)} need this account's token. Delete these numbers here first, "
            "or save another token of the same account.",
        )


def _webhook_secret(request: ApiRequest[Any], kind: str, before: StoredKey | None, version: int) -> str | None:
    """What was sent; else the one before, bound to its new version."""
    name = particulars_of(kind).webhook_secret
    if name is None:
        return None
    keyring, agency_id = request.services.keyring, request.agency_id
    given = getattr(request.body, name)
    if given is not None:
        return seal_webhook_secret(keyring, Secret(given.get_secret_value()), agency_id, kind, version)
    if name in request.body.model_fields_set or before is None or before.webhook_sealed is None:
        return None
    try:
        secret = open_webhook_secret(keyring, before.webhook_sealed, agency_id, kind, before.version)
    except OpenError:
        emit("key.unreadable", agency_id=agency_id, kind=kind, reason="webhook_secret", key_version=before.version)
        return None
    return seal_webhook_secret(keyring, secret, agency_id, kind, version)


def _webhook_token(services: ApiServices, agency_id: str, kind: str, before: StoredKey | None) -> str:
    """Made once and kept over versions: it is part of an address that was given to the provider by hand."""
    if before and before.webhook_token_sealed and _read_token(services, before):
        return before.webhook_token_sealed
    return seal_webhook_token(services.keyring, services.new_secret("hook"), agency_id, kind)


def _read_token(services: ApiServices, key: StoredKey) -> Secret | None:
    try:
        return open_webhook_token(services.keyring, key.webhook_token_sealed or "", key.agency_id, key.kind)
    except OpenError:
        emit("key.unreadable", agency_id=key.agency_id, kind=key.kind, reason="webhook_token", key_version=key.version)
        return None


async def _forget_provider(connection: Connection, agency: Agency, kind: str, voice: Iterable[str]) -> Agency:
    """No call goes to a provider without a key; the next one with a key becomes the active one."""
    if agency.former_provider == kind:
        agency = replace(agency, former_provider=None)
    if agency.active_provider == kind:
        with_key = {key.kind for key in await list_keys_in_use(connection, agency.id)}
        order = (*(agency.fallback_providers or ()), *voice)
        successor = next((provider for provider in order if provider in with_key), None)
        former = None if successor == agency.former_provider else agency.former_provider
        agency = replace(agency, active_provider=successor, former_provider=former)
    await update_agency(connection, agency)
    return agency


async def _show(services: ApiServices, connection: Connection, agency: Agency, key: StoredKey) -> KeyReply:
    voice = key.kind in services.voice
    progress = await count_assistants(connection, agency.id, key.kind) if voice else Progress()
    return KeyReply(
        kind=key.kind,
        last4=key.last4,
        status=key.status,
        problem=key.problem,
        failing_since=key.failing_since,
        balance=key.balance,
        lines=None if key.lines_limit is None else LinesReply(limit=key.lines_limit, used=key.lines_used),
        checked_at=key.checked_at,
        version=key.version,
        active=key.kind == agency.active_provider,
        sync=SyncReply.model_validate(progress),
        webhook_url=_webhook_url(services, key),
    )


def _webhook_url(services: ApiServices, key: StoredKey) -> str | None:
    if key.kind == CARRIER:
        return services.voice_url
    token = _read_token(services, key)
    if token is None:
        return None
    return f"{services.public_url}/webhooks/{key.kind}/{key.agency_id}?{urlencode({'token': token.reveal()})}"
