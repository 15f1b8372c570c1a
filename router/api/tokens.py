"""Access to an agency: its tokens at /v1/agencies/{agency}/tokens, and who changed what at …/audit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import fastapi
from fastapi import Path, Request
from pydantic import BeforeValidator, Field

from crypto import Secret
from router.api.asking import By, OwnAgency, Pool, Use
from router.api.auth import Actor
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import OperatorRoute, resource
from router.fields import Input, Name, Output, WrittenTime
from router.store.tenants import tokens as store
from router.store.tenants.audit import AuditEntry, list_all_audit_entries, list_audit_entries
from router.tenants.tokens import IssuedToken, Revocation, Tokens

_PATH = "/v1/agencies/{agency}/tokens"

router = resource("tokens")
own = resource("agencies")
audit = resource("audit")
operators_audit = resource("audit", OperatorRoute)


def reveal(secret: Any) -> Any:
    return secret.reveal() if isinstance(secret, Secret) else secret


TokenId = Annotated[
    str, Field(description="The token's id; it gives no access", examples=["token_4xq2vyp3bfzk7d5ma6tj"])
]
ShownOnce = Annotated[str, BeforeValidator(reveal)]
TokenRole = Annotated[
    store.Role,
    Field(description="full: may do everything in its agency; read: changes nothing, and sees no address with a token"),
]
Expiry = Annotated[datetime | None, Field(description="When it stops to give access; null: never")]


class NewToken(Input):
    """A token to be created."""

    name: Annotated[Name, Field(description="What it is for", examples=["Laptop"])]
    role: TokenRole = "full"
    expires_at: Annotated[
        WrittenTime | None,
        Field(
            description="When it stops to give access; null: never, or when the token that creates it does",
            examples=["2027-03-31T12:00:00Z"],
        ),
    ] = None


class TokenCreated(Output):
    """A new token, which is shown only once."""

    id: TokenId
    name: Annotated[str, Field(description="What it is for", examples=["Laptop"])]
    role: TokenRole
    expires_at: Expiry
    token: Annotated[ShownOnce, Field(description="Send it as `Authorization: Bearer TOKEN`; it cannot be shown again")]


class TokenReply(Output):
    """A token, without its secret."""

    id: TokenId
    name: Annotated[str, Field(description="What it is for", examples=["Laptop"])]
    role: TokenRole
    expires_at: Expiry
    last_used_at: Annotated[datetime | None, Field(description="When it was last used, to the minute; null: not yet")]
    made_by: Annotated[str, Field(description='Who created it: the id of a token, or "admin"')]
    created_at: Annotated[datetime, Field(description="When it was created")]


class TokensDeleted(Output):
    """What was deleted, and what still gives access."""

    deleted: Annotated[list[str], Field(description="The ids of the tokens that were deleted")]
    made: Annotated[
        list[TokenReply],
        Field(description="The tokens that it created, directly or through others, and that still give access"),
    ]


class TokenList(ListOf[TokenReply]):
    """One page of tokens, oldest first."""


class OwnToken(Output):
    """Whose token the request has."""

    name: Annotated[str, Field(description="The token's id; admin: the operator's")]
    admin: Annotated[bool, Field(validation_alias="is_admin", description="Whether it is the operator's")]
    agency_id: Annotated[str | None, Field(description="The agency that it gives access to; null: all")]
    role: TokenRole
    expires_at: Expiry


@own.get("/v1/token", summary="Show whose token this is", response_model=OwnToken)
async def show_own_token(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


@router.get(_PATH, summary="List tokens", response_model=TokenList)
async def list_tokens(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Token]:
    return await page.read(store.list_tokens, pool, agency)


@router.post(_PATH, summary="Create a token", status_code=201, response_model=TokenCreated)
async def create_token(
    agency: OwnAgency, body: NewToken, author: By, tokens: Annotated[Tokens, Use(Tokens)]
) -> IssuedToken:
    """It is shown only once, and stored as a hash."""
    return await tokens.create(agency, body.name, body.role, body.expires_at, author)


@router.delete(_PATH + "/{token}", summary="Delete a token", response_model=TokensDeleted)
async def delete_token(
    agency: OwnAgency,
    token: Annotated[str, Path(description="The id of the token")],
    author: By,
    tokens: Annotated[Tokens, Use(Tokens)],
    made: Annotated[
        bool, fastapi.Query(description="Also delete the tokens that it created, directly or through others")
    ] = False,
) -> Revocation:
    """Its event streams, downloads and console sessions end at once."""
    return await tokens.delete(agency, token, author, made=made)


class AuditReply(Output):
    """One change."""

    id: Annotated[str, Field(description="The entry's id")]
    at: Annotated[datetime, Field(description="When it was made")]
    actor: Annotated[
        str, Field(description='Who made it: the id of a token, "admin", "callrouter" itself or "unknown"')
    ]
    action: Annotated[str, Field(description="What was done", examples=["client.changed"])]
    target: Annotated[str, Field(description="What was changed: an id, a number or a kind of key")]
    address: Annotated[
        str | None,
        Field(description="The IP address of the client, behind trusted proxies; of refused tokens, its network"),
    ]
    count: Annotated[
        int, Field(description="How many of the same it stands for: refused tokens are counted by the hour")
    ]


class AuditList(ListOf[AuditReply]):
    """One page of changes, newest first."""


@audit.get("/v1/agencies/{agency}/audit", summary="List changes, newest first", response_model=AuditList)
async def list_changes(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[AuditEntry]:
    return await page.read(list_audit_entries, pool, agency, position=lambda row: (row.at, row.id))


class OperatorsAuditReply(AuditReply):
    """One change, of any agency."""

    agency_id: Annotated[str | None, Field(description="The agency; null: it concerns none, or one that was deleted")]


class OperatorsAuditList(ListOf[OperatorsAuditReply]):
    """One page of changes, newest first."""


@operators_audit.get(
    "/v1/audit", summary="List changes of all agencies, newest first", response_model=OperatorsAuditList
)
async def list_all_changes(page: PageQuery, pool: Pool) -> Listed[AuditEntry]:
    """Also what concerns no agency: deleted agencies, the operator's sign-ins, and refused tokens."""
    return await page.read(list_all_audit_entries, pool, position=lambda row: (row.at, row.id))
