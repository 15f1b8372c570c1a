"""Access to an agency: its tokens at /v1/agencies/{agency}/tokens, and who changed what at …/audit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import BeforeValidator, Field

from crypto import Secret
from router.api.asking import By, OwnAgency, Pool, Use
from router.api.gate import Actor
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.fields import Input, Name, Output
from router.store.changes import AuditEntry, list_audit_entries
from router.store.tenants import tokens as store
from router.tenants.tokens import IssuedToken, Tokens

_PATH = "/v1/agencies/{agency}/tokens"

router = resource("tokens")
own = resource("agencies")
audit = resource("audit")


def reveal(secret: Any) -> Any:
    return secret.reveal() if isinstance(secret, Secret) else secret


TokenId = Annotated[
    str, Field(description="The token's id; it gives no access", examples=["token_4xq2vyp3bfzk7d5ma6tj"])
]
ShownOnce = Annotated[str, BeforeValidator(reveal)]


class NewToken(Input):
    """A token to be created."""

    name: Annotated[Name, Field(description="What it is for", examples=["Laptop"])]


class TokenCreated(Output):
    """A new token, which is shown only once."""

    id: TokenId
    name: Annotated[str, Field(description="What it is for", examples=["Laptop"])]
    token: Annotated[ShownOnce, Field(description="Send it as `Authorization: Bearer TOKEN`; it cannot be shown again")]


class TokenReply(Output):
    """A token, without its secret."""

    id: TokenId
    name: Annotated[str, Field(description="What it is for", examples=["Laptop"])]
    created_at: Annotated[datetime, Field(description="When it was created")]


class TokenList(ListOf[TokenReply]):
    """One page of tokens, oldest first."""


class OwnToken(Output):
    """Whose token the request has."""

    name: Annotated[str, Field(description="The token's id; admin: the operator's")]
    admin: Annotated[bool, Field(validation_alias="is_admin", description="Whether it is the operator's")]
    agency_id: Annotated[str | None, Field(description="The agency that it gives access to; null: all")]


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
    return await tokens.create(agency, body.name, author)


@router.delete(_PATH + "/{token}", summary="Delete a token", status_code=204)
async def delete_token(
    agency: OwnAgency,
    token: Annotated[str, Path(description="The id of the token")],
    author: By,
    tokens: Annotated[Tokens, Use(Tokens)],
) -> None:
    await tokens.delete(agency, token, author)


class AuditReply(Output):
    """One change."""

    id: Annotated[str, Field(description="The entry's id")]
    at: Annotated[datetime, Field(description="When it was made")]
    actor: Annotated[str, Field(description='Who made it: the id of a token, "admin" or "callrouter" itself')]
    action: Annotated[str, Field(description="What was done", examples=["client.changed"])]
    target: Annotated[str, Field(description="What was changed: an id, a number or a kind of key")]
    address: Annotated[str | None, Field(description="The IP address of the request")]


class AuditList(ListOf[AuditReply]):
    """One page of changes, newest first."""


@audit.get("/v1/agencies/{agency}/audit", summary="List changes, newest first", response_model=AuditList)
async def list_changes(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[AuditEntry]:
    return await page.read(list_audit_entries, pool, agency, position=lambda row: (row.at, row.id))
