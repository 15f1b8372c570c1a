"""Agencies: /v1/agencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from router.api.models import AgencyChange, AgencyList, AgencyReply, NewAgency
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import Problem, invalid, not_found
from router.api.queries import read_number
from router.assistants.removing import remove_all
from router.assistants.wanted import sync_after_switch
from router.messages.retention import delete_messages
from router.numbers.release import leave_for_good
from router.particulars import particulars_of
from router.services import ApiServices
from router.store.keys.versions import find_key_in_use
from router.store.numbers.numbers import list_numbers
from router.store.pool import Connection
from router.store.tenants.agencies import (
    Agency,
    delete_agency,
    find_agency,
    insert_agency,
    list_agencies,
    lock_agency,
    update_agency,
)

_RECORDINGS_SECONDS: Final = 8.0
_REMOVE_SECONDS: Final = 12.0  # of the thirty in which a request is answered


def agency_endpoints() -> list[Endpoint]:
    one = "/v1/agencies/{agency}"
    return [
        Endpoint(
            "GET", "/v1/agencies", "List agencies", show_agencies, reply=AgencyList, paged=True, query=("number",)
        ),
        Endpoint(
            "POST",
            "/v1/agencies",
            "Create an agency",
            create_agency,
            status=201,
            body=NewAgency,
            reply=AgencyReply,
            admin_only=True,
        ),
        Endpoint("GET", one, "Show an agency", show_agency, reply=AgencyReply),
        Endpoint(
            "PATCH",
            one,
            "Change an agency",
            change_agency,
            body=AgencyChange,
            reply=AgencyReply,
            problems=("no-key",),
        ),
        Endpoint(
            "DELETE",
            one,
            "Delete an agency with everything that it has",
            remove_agency,
            status=204,
            problems=("provider-unreachable",),
            admin_only=True,
            description="The recordings of its messages are deleted at the carrier first, as far as their account can be "
            "opened; with very many of them it takes several requests. Its numbers are let go, as if each were deleted, and the subaccount that the platform made for "
            "it is closed. Numbers on its own account stay there. The assistants that we made are deleted at the providers, as "
            "far as that can be done within some seconds.",
        ),
    ]


async def show_agencies(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_agencies(
        request.services.database.settings,
        only=request.actor.agency_id,
        number=read_number(request.query, "number"),
        after=page.after,
        limit=page.fetch,
    )
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.id))
    return Answer.of(200, AgencyList(items=[_show(row) for row in shown], next_cursor=cursor))


async def create_agency(request: ApiRequest[NewAgency]) -> Answer:
    agency = Agency(
        id=request.services.new_id("agency"),
        name=request.body.name,
        alert_email=request.body.alert_email,
        active_provider=None,
        former_provider=None,
        fallback_providers=None,
        created_at=request.services.clock(),
    )
    async with request.changes() as changes:
        await insert_agency(changes.connection, agency)
        await changes.record("agency.created", agency.id, agency.id)
        return changes.answer(201, _show(agency))


async def show_agency(request: ApiRequest[None]) -> Answer:
    agency = await find_agency(request.services.database.settings, request.agency_id)
    if agency is None:
        raise not_found("agency")
    return Answer.of(200, _show(agency))


async def change_agency(request: ApiRequest[AgencyChange]) -> Answer:
    wanted = request.body.model_dump(exclude_unset=True)
    _check_providers(request.services.voice, wanted)
    async with request.changes() as changes:
        agency = await lock_agency(changes.connection, request.agency_id)
        if agency is None:
            raise not_found("agency")
        if wanted.get("active_provider") is not None:
            await require_key(changes.connection, agency.id, wanted["active_provider"])
        changed = _merge(agency, wanted)
        await update_agency(changes.connection, changed)
        await _sync_newly_reached(changes.connection, request.services, agency, changed)
        await changes.record("agency.changed", agency.id)
        return changes.answer(200, _show(changed))


async def remove_agency(request: ApiRequest[None]) -> Answer:
    deleted = await delete_messages(request.services, request.agency_id, None, _RECORDINGS_SECONDS)
    if deleted.left:
        raise Problem(
            "provider-unreachable", f"{deleted.left} messages could not be deleted at Twilio yet. Try again soon."
        )
    numbers = await list_numbers(request.services.database.settings, request.agency_id)
    await leave_for_good(request.services, request.agency_id, numbers)
    await remove_all(request.services, request.agency_id, _REMOVE_SECONDS)
    async with request.changes() as changes:
        await delete_agency(changes.connection, request.agency_id)
        return changes.answer(204)


async def _sync_newly_reached(connection: Connection, services: ApiServices, before: Agency, after: Agency) -> None:
    """The provider that was activated, and those that may stand in for it now and could not before."""
    reached: list[str | None] = []
    if after.active_provider != before.active_provider:
        reached.append(after.active_provider)
    if after.fallback_providers is None and before.fallback_providers is not None:
        reached += services.voice
    elif after.fallback_providers is not None:
        reached += [name for name in after.fallback_providers if name not in (before.fallback_providers or ())]
    await sync_after_switch(connection, services, after, reached)


def activate_provider(agency: Agency, provider: str | None) -> Agency:
    """The one before it goes on taking the calls of clients that are not there yet."""
    if provider == agency.active_provider:
        return agency
    return replace(agency, active_provider=provider, former_provider=agency.active_provider)


def _merge(agency: Agency, wanted: dict[str, Any]) -> Agency:
    fields = dict(wanted)
    if "active_provider" in fields:
        agency = activate_provider(agency, fields.pop("active_provider"))
    if fields.get("fallback_providers") is not None:
        fields["fallback_providers"] = tuple(fields["fallback_providers"])
    return replace(agency, **fields)


def _check_providers(voice: Mapping[str, Any], wanted: dict[str, Any]) -> None:
    known = ", ".join(voice)
    if wanted.get("active_provider") is not None and wanted["active_provider"] not in voice:
        raise invalid("active_provider", f"must be one of {known}")
    if any(provider not in voice for provider in wanted.get("fallback_providers") or ()):
        raise invalid("fallback_providers", f"must hold none but {known}")


async def require_key(connection: Connection, agency_id: str, provider: str) -> None:
    if await find_key_in_use(connection, agency_id, provider) is None:
        label = particulars_of(provider).label
        raise Problem("no-key", f"The agency has no key for {label}: save one with PUT /keys/{provider} first.")


def _show(agency: Agency) -> AgencyReply:
    return AgencyReply.model_validate(agency)
