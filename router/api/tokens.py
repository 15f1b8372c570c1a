"""Tokens of an agency: /v1/agencies/{agency}/tokens."""

from __future__ import annotations

from router.api.models import NewToken, OwnToken, TokenCreated, TokenList, TokenReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import not_found
from router.store.tenants.tokens import Token, delete_token, insert_token, list_tokens


def token_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/tokens"
    return [
        Endpoint("GET", "/v1/token", "Say whose this token is", show_own_token, reply=OwnToken),
        Endpoint("GET", path, "List tokens", show_tokens, reply=TokenList, paged=True),
        Endpoint(
            "POST",
            path,
            "Create a token",
            create_token,
            status=201,
            body=NewToken,
            reply=TokenCreated,
            description="It is shown this once and stored as a hash.",
        ),
        Endpoint("DELETE", f"{path}/{{token}}", "Delete a token", remove_token, status=204),
    ]


async def show_own_token(request: ApiRequest[None]) -> Answer:
    actor = request.actor
    return Answer.of(200, OwnToken(name=actor.name, admin=actor.is_admin, agency_id=actor.agency_id))


async def show_tokens(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_tokens(request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch)
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.id))
    return Answer.of(200, TokenList(items=[TokenReply.model_validate(row) for row in shown], next_cursor=cursor))


async def create_token(request: ApiRequest[NewToken]) -> Answer:
    services = request.services
    token = Token(services.new_id("token"), request.agency_id, request.body.name, services.clock())
    secret = services.new_secret("callrouter")
    async with request.changes() as changes:
        await insert_token(changes.connection, token, secret)
        await changes.record("token.created", token.id)
        return changes.answer(201, TokenCreated(id=token.id, name=token.name, token=secret.reveal()))


async def remove_token(request: ApiRequest[None]) -> Answer:
    async with request.changes() as changes:
        if not await delete_token(changes.connection, request.agency_id, request.path["token"]):
            raise not_found("token")
        await changes.record("token.deleted", request.path["token"])
        return changes.answer(204)
