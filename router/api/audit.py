"""Who changed what: /v1/agencies/{agency}/audit."""

from __future__ import annotations

from router.api.models import AuditList, AuditReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.store.tenants.audit import list_audit_entries


def audit_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/audit"
    return [Endpoint("GET", path, "List changes, newest first", show_audit, reply=AuditList, paged=True)]


async def show_audit(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_audit_entries(
        request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch
    )
    shown, cursor = page.cut(rows, lambda row: (row.at, row.id))
    return Answer.of(200, AuditList(items=[AuditReply.model_validate(row) for row in shown], next_cursor=cursor))
