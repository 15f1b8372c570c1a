"""Who changed what: /v1/agencies/{agency}/audit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from router.api.asking import OwnAgency, Pool
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.fields import Output
from router.store.tenants.audit import AuditEntry, list_audit_entries

router = resource("audit")


class AuditReply(Output):
    """One change."""

    id: Annotated[str, Field(description="The entry's id")]
    at: Annotated[datetime, Field(description="When it was made")]
    actor: Annotated[str, Field(description='Who made it: the id of a token, "admin" or "callrouter" itself')]
    action: Annotated[str, Field(description="What was done", examples=["client.changed"])]
    target: Annotated[str, Field(description="To what: an id, a number or a kind of key")]
    address: Annotated[str | None, Field(description="The IP address from which it was asked for")]


class AuditList(ListOf[AuditReply]):
    """One page of changes, newest first."""


@router.get("/v1/agencies/{agency}/audit", summary="List changes, newest first", response_model=AuditList)
async def list_changes(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[AuditEntry]:
    rows = await list_audit_entries(pool, agency, after=page.after, limit=page.fetch)
    return page.show(rows, lambda row: (row.at, row.id))
