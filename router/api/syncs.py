"""Syncing as people see it: /v1/agencies/{agency}/plan, /sync/{provider} and /assistants/{provider}."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from router.api.agencies import require_key
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import Problem, invalid, not_found
from router.api.sync_models import FailureReply, PlanReply, SyncProgress
from router.assistants.plan import make_plan
from router.assistants.wanted import nudge, sync_after_switch
from router.particulars import particulars_of
from router.store.assistants.copies import count_assistants, list_failures
from router.store.assistants.leftovers import leave_copies
from router.store.assistants.places import stop_sync
from router.store.pool import Connection
from router.store.tenants.agencies import Agency, find_agency, lock_agency
from router.store.tenants.clients import list_clients_with_provider


def sync_endpoints(voice: Iterable[str]) -> list[Endpoint]:
    agency = "/v1/agencies/{agency}"
    endpoints = [
        Endpoint(
            "GET",
            f"{agency}/plan",
            "Say what making a provider the active one would do",
            show_plan,
            reply=PlanReply,
            query=("provider",),
            description="Changes nothing.",
        ),
    ]
    for provider in voice:
        label = particulars_of(provider).label
        endpoints += [
            Endpoint(
                "GET",
                f"{agency}/sync/{provider}",
                f"Show how far the assistants are at {label}",
                partial(show_sync, provider),
                reply=SyncProgress,
            ),
            Endpoint(
                "POST",
                f"{agency}/sync/{provider}",
                f"Try again what failed at {label}",
                partial(retry_sync, provider),
                reply=SyncProgress,
                problems=("no-key",),
                description="What is missing or outdated there is put there, too.",
            ),
            Endpoint(
                "DELETE",
                f"{agency}/assistants/{provider}",
                f"Delete all assistants that we made at {label}",
                partial(remove_assistants, provider),
                status=204,
                problems=("no-key",),
                description="Not while calls go there first. They are deleted soon after the answer; linked ones stay.",
            ),
        ]
    return endpoints


async def show_plan(request: ApiRequest[None]) -> Answer:
    provider = request.query.get("provider", "")
    if provider not in request.services.voice:
        raise invalid("provider", f"is required, and must be one of {', '.join(request.services.voice)}")
    agency = await find_agency(request.services.database.settings, request.agency_id)
    if agency is None:
        raise not_found("agency")
    return Answer.of(200, await make_plan(request.services, agency, provider))


async def show_sync(provider: str, request: ApiRequest[None]) -> Answer:
    return Answer.of(200, await _show(request.services.database.settings, request.agency_id, provider))


async def retry_sync(provider: str, request: ApiRequest[None]) -> Answer:
    async with request.changes() as changes:
        agency = await _lock(changes.connection, request.agency_id)
        await require_key(changes.connection, agency.id, provider)
        await sync_after_switch(changes.connection, request.services, agency, [provider])
        await changes.record("assistants.synced", provider)
        return changes.answer(200, await _show(changes.connection, agency.id, provider))


async def remove_assistants(provider: str, request: ApiRequest[None]) -> Answer:
    async with request.changes() as changes:
        agency = await _lock(changes.connection, request.agency_id)
        await require_key(changes.connection, agency.id, provider)
        await _refuse_if_first(changes.connection, agency, provider)
        await stop_sync(changes.connection, agency.id, provider)
        await leave_copies(changes.connection, agency.id, request.services.clock(), provider=provider)
        await nudge(changes.connection, agency.id, provider)
        await changes.record("assistants.deleted", provider)
        return changes.answer(204)


async def _lock(connection: Connection, agency_id: str) -> Agency:
    agency = await lock_agency(connection, agency_id)
    if agency is None:
        raise not_found("agency")
    return agency


async def _refuse_if_first(connection: Connection, agency: Agency, provider: str) -> None:
    label = particulars_of(provider).label
    if agency.active_provider == provider:
        raise Problem("conflict", f"{label} is the active provider: make another one active first.")
    if names := await list_clients_with_provider(connection, agency.id, provider):
        raise Problem("conflict", f"{label} is the own provider of {', '.join(names[:3])}: change that first.")


async def _show(connection: Connection, agency_id: str, provider: str) -> SyncProgress:
    progress = await count_assistants(connection, agency_id, provider)
    failures = await list_failures(connection, agency_id, provider)
    return SyncProgress(
        provider=provider,
        state=progress.state,
        done=progress.done,
        total=progress.total,
        failed=progress.failed,
        failures=[FailureReply.model_validate(failure) for failure in failures],
    )
