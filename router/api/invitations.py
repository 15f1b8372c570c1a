"""Links with which people sign in to the console once: /v1/agencies/{agency}/invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import Path
from pydantic import Field

from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.api.tokens import Expiry, NewToken, ShownOnce, TokenRole
from router.clock import Clock
from router.fields import Output
from router.store.tenants import invitations as store
from router.tenants.invitations import Invitations, IssuedInvitation

_PATH: Final = "/v1/agencies/{agency}/invitations"

router = resource("tokens")

Work = Annotated[Invitations, Use(Invitations)]
Until = Annotated[datetime, Field(description="The link works until then, and once")]


class NewInvitation(NewToken):
    """An invitation to be made. All of it is about the token that using it makes."""


class InvitationCreated(Output):
    """A new invitation with its link, which is shown only once."""

    id: Annotated[str, Field(description="The invitation's id")]
    name: Annotated[str, Field(description="Who is invited", examples=["Anna"])]
    role: TokenRole
    until: Until
    expires_at: Expiry
    url: Annotated[ShownOnce, Field(description="Give it to the person. It cannot be shown again")]


class InvitationReply(Output):
    """An invitation that has not been used."""

    id: Annotated[str, Field(description="The invitation's id")]
    name: Annotated[str, Field(description="Who is invited", examples=["Anna"])]
    role: TokenRole
    until: Until
    expires_at: Expiry
    made_by: Annotated[str, Field(description='Who made it: the id of a token, or "admin"')]
    created_at: Annotated[datetime, Field(description="When it was made")]


class InvitationList(ListOf[InvitationReply]):
    """One page of invitations, oldest first."""


@router.get(_PATH, summary="List open invitations", response_model=InvitationList)
async def list_invitations(
    agency: OwnAgency, page: PageQuery, pool: Pool, clock: Annotated[Clock, Use(Clock)]
) -> Listed[store.Invitation]:
    return await page.read(store.list_invitations, pool, agency, clock())


@router.post(_PATH, summary="Invite a person", status_code=201, response_model=InvitationCreated)
async def create_invitation(agency: OwnAgency, body: NewInvitation, author: By, work: Work) -> IssuedInvitation:
    """Makes a link that works once, within a day. Its holder presses a button there, is signed in to the console, and gets
    a token of their own with this name, role and expiry. Opening the link alone uses nothing up. It ends with the token
    that made it.
    """
    return await work.create(agency, body.name, body.role, body.expires_at, author)


@router.delete(_PATH + "/{invitation}", summary="Withdraw an invitation", status_code=204)
async def delete_invitation(
    agency: OwnAgency,
    invitation: Annotated[str, Path(description="The id of the invitation")],
    author: By,
    work: Work,
) -> None:
    await work.delete(agency, invitation, author)
