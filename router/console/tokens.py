"""Who has access to the agency: tokens, and invitations that become tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from router.console.visit import Page, Visit

_PERSON, _TOKEN = "person", "token"  # what the fields of the two forms begin with
_FIELDS: Final = ("name", "role", "expires_at")


async def show_tokens(
    visit: Visit,
    *,
    fresh: dict[str, Any] | None = None,
    link: dict[str, Any] | None = None,
    living: Sequence[dict[str, Any]] = (),
) -> Response:
    """`fresh`: a new token, and `link`: a new invitation, which only this page ever shows. `living`: those that a deleted
    token created.
    """
    tokens = await visit.api.list_all(visit.path("tokens"))
    sent = _PERSON if f"{_PERSON}_name" in visit.form else _TOKEN
    return visit.render(
        "tokens.html",
        tokens=tokens,
        invitations=await visit.api.list_all(visit.path("invitations")),
        makers={one["id"]: one["name"] for one in tokens},
        invited=_read_values(visit, _PERSON),
        created=_read_values(visit, _TOKEN),
        fresh=fresh,
        link=link,
        living=living,
        errors=visit.errors(lambda name: f"{sent}_{name}"),
    )


async def create_token(visit: Visit) -> Response:
    return await show_tokens(visit, fresh=await visit.send("POST", visit.path("tokens"), _read_body(visit, _TOKEN)))


async def invite(visit: Visit) -> Response:
    body = _read_body(visit, _PERSON)
    return await show_tokens(visit, link=await visit.send("POST", visit.path("invitations"), body))


async def delete_token(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("token", visit.url("tokens"))
    deleted = await visit.send("DELETE", visit.path("tokens", visit.part("token")))
    if deleted["made"]:
        return await show_tokens(visit, living=deleted["made"])
    return visit.go("tokens", done="token-deleted")


async def withdraw(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("invitation", visit.url("tokens"))
    await visit.send("DELETE", visit.path("invitations", visit.part("invitation")))
    return visit.go("tokens", done="invitation-deleted")


def _read_values(visit: Visit, kind: str) -> dict[str, str]:
    """What was entered, if it was refused."""
    return {name: visit.form.text(f"{kind}_{name}") if visit.refusal else "" for name in _FIELDS}


def _read_body(visit: Visit, kind: str) -> dict[str, Any]:
    name, role, day = (visit.form.text(f"{kind}_{field}") for field in _FIELDS)
    return {"name": name, "role": role or "full", "expires_at": f"{day}T00:00:00Z" if day else None}


PAGES: Final = (
    Page("GET", "/tokens", show_tokens),
    Page("POST", "/tokens", create_token, show_tokens),
    Page("POST", "/tokens/invite", invite, show_tokens),
    Page("POST", "/tokens/invitations/{invitation}/delete", withdraw),
    Page("POST", "/tokens/{token}/delete", delete_token),
)
