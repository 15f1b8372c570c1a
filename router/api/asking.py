"""The arguments of handlers as shared annotated types: ids in the path, the author, and the objects that do the work."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Request

from router.api.idempotency import KEY_PATTERN, Claim
from router.own_address import OwnAddress
from router.store.changes import Author
from router.store.pool import Connection, Database

OwnAgency = Annotated[str, Path(description="The id of the agency")]
"""The gate admits only agencies that the token may access."""


def Use(kind: Any) -> Any:  # noqa: N802 - stands in annotations, as Depends does
    """The one object of this type that the composition root handed to the API."""

    async def find(request: Request) -> Any:
        return request.app.state.parts[kind]

    return Depends(find)


async def _find_pool(request: Request) -> Connection:
    database: Database = request.app.state.parts[Database]
    return database.settings


async def _refuse_while_moving(request: Request) -> None:
    address: OwnAddress = request.app.state.parts[OwnAddress]
    address.require_present()


OUTSIDE: Final = [Depends(_refuse_while_moving)]
"""For operations that change something at Twilio or a provider: a conflict while it is open whether that is ours."""


Pool = Annotated[Connection, Depends(_find_pool)]
"""Connections for reading."""


async def _find_document(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = request.state.document
    return document


Document = Annotated[dict[str, Any], Depends(_find_document)]
"""The body as sent."""


async def _find_author(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=KEY_PATTERN,
            description="A repeat with the same key and body within 24 hours gets the same answer, and nothing is done twice",
        ),
    ] = None,
) -> Author:
    actor = request.state.actor
    claim: Claim | None = getattr(request.state, "claim", None)
    return Author(
        name=actor.name,
        address=request.client.host if request.client else None,
        is_operator=actor.is_admin,
        claim=None if claim is None else claim.name,
        receipt=None if claim is None else claim.receipt,
    )


By = Annotated[Author, Depends(_find_author)]
"""The author of a change, for every operation that writes."""
