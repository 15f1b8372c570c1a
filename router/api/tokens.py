"""Tokens of an agency: /v1/agencies/{agency}/tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import BeforeValidator, Field

from crypto import Secret
from router.api.asking import By, OwnAgency, Pool, Use
from router.api.auth import Actor
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.fields import Input, Name, Output
from router.store.tenants import tokens as store
from router.tenants.tokens import IssuedToken, Tokens

_PATH = "/v1/agencies/{agency}/tokens"

router = resource("tokens")
own = resource("agencies")


def reveal(secret: Any) -> Any:
    return secret.reveal() if isinstance(secret, Secret) else secret


TokenId = Annotated[str, Field(description="The token's id; it opens nothing", examples=["token_4xq2vyp3bfzk7d5ma6tj"])]
ShownOnce = Annotated[str, BeforeValidator(reveal)]


class NewToken(Input):
    """A token to be created."""

    name: Annotated[Name, Field(description="What it is for, so that it is known by it later", examples=["Laptop"])]


class TokenCreated(Output):
    """The only time that the token is shown."""

    id: TokenId
    name: Annotated[str, Field(description="What it is for", examples=["Laptop"])]
    token: Annotated[ShownOnce, Field(description="Send it as `Authorization: Bearer TOKEN`; it cannot be shown again")]


class TokenReply(Output):
    """What may be shown of a token."""

    id: TokenId
    name: Annotated[str, Field(description="What it is for", examples=["Laptop"])]
    created_at: Annotated[datetime, Field(description="When it was created")]


class TokenList(ListOf[TokenReply]):
    """One page of tokens, oldest first."""


class OwnToken(Output):
    """Whose the token of the request is."""

    name: Annotated[str, Field(description="The token's id; admin: the operator's")]
    admin: Annotated[bool, Field(validation_alias="is_admin", description="Whether it is the operator's")]
    agency_id: Annotated[str | None, Field(description="The one agency that it reaches; null: all")]


@own.get("/v1/token", summary="Say whose this token is", response_model=OwnToken)
async def show_own_token(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


@router.get(_PATH, summary="List tokens", response_model=TokenList)
async def list_tokens(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Token]:
    rows = await store.list_tokens(pool, agency, after=page.after, limit=page.fetch)
    return page.show(rows, lambda row: (row.created_at, row.id))


@router.post(_PATH, summary="Create a token", status_code=201, response_model=TokenCreated)
async def create_token(
    agency: OwnAgency, body: NewToken, author: By, tokens: Annotated[Tokens, Use(Tokens)]
) -> IssuedToken:
    """It is shown this once and stored as a hash."""
    return await tokens.create(agency, body.name, author)


@router.delete(_PATH + "/{token}", summary="Delete a token", status_code=204)
async def delete_token(
    agency: OwnAgency,
    token: Annotated[str, Path(description="The id of the token")],
    author: By,
    tokens: Annotated[Tokens, Use(Tokens)],
) -> None:
    await tokens.delete(agency, token, author)
