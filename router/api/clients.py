"""Clients of an agency: /v1/agencies/{agency}/clients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Path
from pydantic import Field

from router.api.agencies import LINK_AGAIN, ConfirmationReply
from router.api.asking import OUTSIDE, By, Document, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import LARGE_BODY_LIMIT, problems, resource
from router.definitions import AssistantDefinition, RoutingSettings
from router.fields import LEFT_OUT, Change, Email, Input, Name, Output, Phone, ShortenedAddresses
from router.store.tenants import clients as store
from router.tenants.clients import Clients

_PATH: Final = "/v1/agencies/{agency}/clients"
_ONE: Final = _PATH + "/{client}"

router = resource("clients")

ClientId = Annotated[str, Path(description="The id of the client")]
Work = Annotated[Clients, Use(Clients)]
ClientName = Annotated[Name, Field(description="The business's name", examples=["Bella's Salon"])]
PersonalPhone = Annotated[
    Phone | None,
    Field(description="The owner's phone; required when the routing rings the owner", examples=["+14155550123"]),
]
NotifyEmail = Annotated[
    Email | None,
    Field(
        description="The address that gets an email about each message, once it has confirmed; null: no emails",
        examples=["owner@example.com"],
    ),
]
OwnProvider = Annotated[
    str | None,
    Field(description="The voice provider that takes its calls; null: the agency's active one", examples=["vapi"]),
]
CallerIdChoice = Annotated[
    Literal["caller", "number"], Field(description="Whose number the owner sees: the caller's or the client's")
]
AcceptUnlisted = Annotated[
    bool,
    Field(
        description="Take a `personal_phone` or `transfer_to` that the numbering plan's data does not list, as of a new range"
    ),
]


class NewClient(Input):
    """A client to be created."""

    name: ClientName
    personal_phone: PersonalPhone = None
    notify_email: NotifyEmail = None
    provider: OwnProvider = None
    caller_id: CallerIdChoice = "caller"
    routing: Annotated[RoutingSettings | None, Field(description="How its calls are answered; null: the defaults")] = (
        None
    )
    assistant: Annotated[
        AssistantDefinition | None, Field(description="The assistant that answers its calls; null: none")
    ] = None
    accept_unlisted: AcceptUnlisted = False


class ClientChange(Change):
    """Fields that are left out do not change; null clears."""

    name: ClientName = LEFT_OUT
    personal_phone: PersonalPhone = None
    notify_email: NotifyEmail = None
    provider: OwnProvider = None
    caller_id: CallerIdChoice = LEFT_OUT
    routing: Annotated[RoutingSettings | None, Field(description="Replaced as a whole; null: the defaults")] = None
    assistant: Annotated[AssistantDefinition | None, Field(description="Replaced as a whole; null: none")] = None
    accept_unlisted: AcceptUnlisted = False


class ClientCopy(Input):
    """A client like another one. Phones and email addresses are not copied: they are other people's."""

    name: ClientName
    personal_phone: PersonalPhone = None
    notify_email: NotifyEmail = None
    transfer_to: Annotated[
        Phone | None, Field(description="Whom its assistant may put callers through to", examples=["+14155550123"])
    ] = None
    accept_unlisted: AcceptUnlisted = False


class ClientReply(Output):
    """A client."""

    id: Annotated[str, Field(description="The client's id", examples=["client_h5xk3m7qy2wd4bnr6fto"])]
    agency_id: Annotated[str, Field(description="Its agency")]
    name: Annotated[str, Field(description="The business's name", examples=["Bella's Salon"])]
    personal_phone: Annotated[str | None, Field(description="The owner's phone", examples=["+14155550123"])]
    notify_email: Annotated[str | None, Field(description="The address that gets an email about each message")]
    notify_email_confirmed: Annotated[
        bool | None,
        Field(
            description="Whether that address has confirmed; until then emails wait, for up to 7 days. null: no address"
        ),
    ]
    problems: Annotated[list[str], Field(description="What needs attention: emails that are not delivered, and why")]
    provider: OwnProvider
    caller_id: CallerIdChoice
    routing: Annotated[RoutingSettings, Field(description="How its calls are answered")]
    assistant: Annotated[
        ShortenedAddresses,
        Field(description="The assistant as it was sent; without the paths of addresses if the token may only read"),
    ]
    created_at: Annotated[datetime, Field(description="When it was created")]


class ClientList(ListOf[ClientReply]):
    """One page of clients, oldest first."""


@router.get(_PATH, summary="List clients", response_model=ClientList)
async def list_clients(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Client]:
    return await page.read(store.list_clients, pool, agency)


@router.post(
    _PATH, summary="Create a client", status_code=201, response_model=ClientReply, max_body_size=LARGE_BODY_LIMIT
)
async def create_client(
    agency: OwnAgency, body: NewClient, document: Document, author: By, clients: Work
) -> store.Client:
    fields = _read(body, document, NewClient.model_fields)
    return await clients.create(agency, fields, author, accept_unlisted=body.accept_unlisted)


@router.get(_ONE, summary="Show a client", response_model=ClientReply)
async def show_client(agency: OwnAgency, client: ClientId, clients: Work) -> store.Client:
    return await clients.find(agency, client)


@router.patch(_ONE, summary="Change a client", response_model=ClientReply, max_body_size=LARGE_BODY_LIMIT)
async def change_client(
    agency: OwnAgency, client: ClientId, body: ClientChange, document: Document, author: By, clients: Work
) -> store.Client:
    """Takes effect on the next call. The static fallback of its numbers is updated at the carrier; if that fails, the
    number shows `fallback: stale`, and the next change, even an empty one, tries again.
    """
    fields = _read(body, document, body.model_fields_set)
    return await clients.change(agency, client, fields, author, accept_unlisted=body.accept_unlisted)


class ClientConfirmation(Input):
    """Which address is to confirm."""

    field: Annotated[Literal["notify_email"], Field(description="The field with the address")]


@router.post(
    _ONE + "/confirmations",
    summary="Send the link again by which notify_email confirms",
    description=LINK_AGAIN,
    response_model=ConfirmationReply,
)
async def send_client_link(
    agency: OwnAgency, client: ClientId, body: ClientConfirmation, author: By, clients: Work
) -> ConfirmationReply:
    return ConfirmationReply(field=body.field, address=await clients.send_link(agency, client, author))


@router.post(
    _ONE + "/copy",
    summary="Create a client with the settings and assistant of another",
    status_code=201,
    response_model=ClientReply,
)
async def copy_client(agency: OwnAgency, client: ClientId, body: ClientCopy, author: By, clients: Work) -> store.Client:
    """Its numbers, phones, email address and links to assistants at providers are not copied."""
    fields = body.model_dump(exclude={"accept_unlisted"})
    return await clients.copy(agency, client, fields, author, accept_unlisted=body.accept_unlisted)


@router.delete(
    _ONE,
    summary="Delete a client with its numbers",
    dependencies=OUTSIDE,
    status_code=204,
    responses=problems("provider-unreachable"),
)
async def delete_client(agency: OwnAgency, client: ClientId, author: By, clients: Work) -> None:
    """Its numbers are released first, as if each were deleted: those bought here are given back."""
    await clients.delete(agency, client, author)


def _read(body: NewClient | ClientChange, document: Document, names: Iterable[str]) -> dict[str, Any]:
    """The named fields of the client; the assistant as it was sent, but for the spelling of its phone."""
    fields = {name: getattr(body, name) for name in names if name != "accept_unlisted"}
    if "assistant" in fields:
        sent: dict[str, Any] | None = document.get("assistant")
        phone = body.assistant.transfer_to if body.assistant else None
        fields["assistant"] = {**sent, "transfer_to": phone} if sent and phone else sent
    return fields
