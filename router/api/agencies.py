"""Agencies: /v1/agencies."""

from __future__ import annotations

from typing import Final

from router.api.models import AgencyChange, AgencyList, AgencyReply, NewAgency
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.queries import read_number
from router.store.tenants.agencies import (
    Agency,
    list_agencies,
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
    author = request.author(201, AgencyReply)
    agency = await request.services.areas.agencies.create(request.body.name, request.body.alert_email, author)
    return Answer.of(201, _show(agency))


async def show_agency(request: ApiRequest[None]) -> Answer:
    return Answer.of(200, _show(await request.services.areas.agencies.find(request.agency_id)))


async def change_agency(request: ApiRequest[AgencyChange]) -> Answer:
    wanted = request.body.model_dump(exclude_unset=True)
    author = request.author(200, AgencyReply)
    return Answer.of(200, _show(await request.services.areas.agencies.change(request.agency_id, wanted, author)))


async def remove_agency(request: ApiRequest[None]) -> Answer:
    await request.services.areas.agencies.delete(request.agency_id, request.author())
    return Answer.of(204)


def _show(agency: Agency) -> AgencyReply:
    return AgencyReply.model_validate(agency)
