"""Numbers of an agency: /v1/agencies/{agency}/numbers. What is done about them outside is in router.numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

import fastapi
from fastapi import APIRouter, Path
from pydantic import Field, create_model, model_validator

from adapters.provider import RegistrationForm
from adapters.registry import Declarations
from router.accounts import CARRIER
from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import problems, resource
from router.fields import E164, AreaCode, Country, Input, Output, Query, RemoteId, misplaced
from router.numbers.buying import Purchases, Wish
from router.numbers.changing import NumberChanges
from router.numbers.given import GivenRegistration, GivenRegistrations
from router.numbers.market import Market, Offers
from router.numbers.taking_over import Claim, TakingOver
from router.store.numbers import numbers as store

_PATH: Final = "/v1/agencies/{agency}/numbers"
_ONE: Final = _PATH + "/{e164}"
_TROUBLE: Final = ("no-key", "key-rejected", "provider-unreachable")

router = resource("numbers")

NumberInPath = Annotated[str, Path(description="The number, such as +14155550123, with the + as %2B")]
Work = Annotated[NumberChanges, Use(NumberChanges)]


class NewNumber(Input):
    """With `country`, a number is bought: any that fits, or the one in `e164` out of those available. Without, the
    number in `e164` is taken over from the agency's own Twilio account, or from the platform's.
    """

    client_id: Annotated[str, Field(description="The client whose calls come in on it")]
    e164: Annotated[E164 | None, Field(description="Which number", examples=["+14155550123"])] = None
    account: Annotated[Literal["platform", "agency"] | None, Field(description="Where a number to take over is")] = None
    country: Annotated[Country | None, Field(description="Where to buy one", examples=["US"])] = None
    area_code: Annotated[
        AreaCode | None, Field(description="What its national number is to begin with", examples=["415"])
    ] = None
    carrier: str | None = None  # one of those that sell numbers: see `new_number_model`

    @model_validator(mode="after")
    def _buy_or_take_over(self) -> Self:
        if self.country is not None:
            if self.account is not None:
                raise misplaced("account", "goes with a number to take over; where one is bought is known already")
            return self
        for name in ("area_code", "carrier"):
            if getattr(self, name) is not None:
                raise misplaced("country", f"is required to buy a number, to which {name} belongs")
        for name in ("e164", "account"):
            if getattr(self, name) is None:
                raise misplaced(name, "is required to take a number over; to buy one, say in which country")
        return self


class AvailableReply(Output):
    """A number that could be bought."""

    carrier: Annotated[str, Field(description="Who sells it", examples=["twilio"])]
    country: Annotated[str, Field(description="In which country it is (ISO 3166-1)", examples=["US"])]
    e164: Annotated[str | None, Field(description="null: the seller chooses the number")]
    locality: Annotated[str | None, Field(description="In which town", examples=["San Francisco"])]
    region: Annotated[str | None, Field(description="In which state or region", examples=["CA"])]


class NotSoldReply(Output):
    """A seller without an offer."""

    carrier: Annotated[str, Field(description="Who", examples=["retell"])]
    reason: Annotated[str, Field(description="Why not")]


class AvailableList(Output):
    """What could be bought, and from whom."""

    items: Annotated[list[AvailableReply], Field(description="The offers of all sellers")]
    not_sold: Annotated[list[NotSoldReply], Field(description="Sellers without an offer")]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class NumberChange(Input):
    """Whose calls come in on a number."""

    client_id: Annotated[str, Field(description="The client that it is given to")]


class RegistrationReply(Output):
    """A number's registration at a provider."""

    remote_id: Annotated[str, Field(description="Its id there, or the number there")]
    mode: Annotated[
        str | None,
        Field(
            default=None,
            exclude_if=lambda mode: mode is None,
            description="How it is reached, where there are several ways",
        ),
    ]


class NumberReply(Output):
    """A phone number. One that was bought from a voice provider is on no account and has no addresses."""

    e164: Annotated[str, Field(description="The number", examples=["+14155550123"])]
    client_id: Annotated[str, Field(description="The client whose calls come in on it")]
    carrier: Annotated[str, Field(description="Who sold it: twilio or a voice provider", examples=["twilio"])]
    account_sid: Annotated[
        str | None, Field(validation_alias="carrier_account_sid", description="The Twilio account that it is on")
    ]
    account: Annotated[
        Literal["platform", "agency"] | None,
        Field(validation_alias="whose_account", description="Whose Twilio account it is on"),
    ]
    voice_url: Annotated[str, Field(description="Where the carrier announces calls")]
    fallback_url: Annotated[str, Field(description="Where it goes when we do not answer")]
    status_url: Annotated[str, Field(description="Where it tells how calls end")]
    registrations: Annotated[
        dict[str, RegistrationReply], Field(description="By provider: the number's registration there")
    ]
    state: Annotated[Literal["pending", "active"], Field(description="active: the carrier sends its calls here")]
    fallback: Annotated[
        Literal["ok", "stale"],
        Field(
            validation_alias="fallback_state",
            description="stale: the carrier has not been given the newest fallback address yet",
        ),
    ]
    drift: Annotated[
        str | None, Field(description="What the carrier has otherwise than we want it, and could not be corrected")
    ]
    checked_at: Annotated[datetime | None, Field(description="When the carrier's configuration was last looked at")]
    problems: Annotated[list[str], Field(description="Why it has no registration at a provider that needs one")]


class NumberList(ListOf[NumberReply]):
    """One page of numbers, oldest first."""


class AvailableQuery(Query):
    """Which numbers."""

    country: Annotated[Country, Field(description="Where, as two capital letters (ISO 3166-1)", examples=["US"])]
    area_code: Annotated[
        AreaCode | None,
        Field(description="What the national number begins with, without a leading zero", examples=["415"]),
    ] = None


@router.get(_PATH, summary="List numbers", response_model=NumberList)
async def list_numbers(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Number]:
    rows = await store.list_numbers(pool, agency, after=page.after, limit=page.fetch)
    return page.show(rows, lambda row: (row.created_at, row.e164))


async def add_number(
    agency: OwnAgency,
    body: NewNumber,
    author: By,
    purchases: Annotated[Purchases, Use(Purchases)],
    taking_over: Annotated[TakingOver, Use(TakingOver)],
) -> store.Number:
    """With `country` one is bought: on the agency's own Twilio account if it has one, else on the platform's subaccount
    for it, or from a voice provider itself. A purchase is written down before it is made and looked for before it is
    tried again, so that the same request twice buys one number. Without `country` the number must be in the agency's own
    Twilio account or, for the platform's operator, in the platform's. The carrier is configured before the answer.
    """
    if body.country is not None:
        wish = Wish(body.client_id, body.carrier, body.country, body.area_code, body.e164)
        return await purchases.buy(agency, wish, author)
    assert body.e164  # noqa: S101 - the model holds both where there is no country
    assert body.account  # noqa: S101
    return await taking_over.take_over(agency, Claim(body.e164, body.account, body.client_id), author)


@router.get(
    _PATH + "/available",
    summary="Show which numbers could be bought, and from whom",
    response_model=AvailableList,
)
async def list_available(
    agency: OwnAgency, wanted: Annotated[AvailableQuery, fastapi.Query()], market: Annotated[Market, Use(Market)]
) -> Offers:
    """`not_sold` says for the other sellers why not. A voice provider takes a country and an area code and chooses the
    number itself: `e164` is null there.
    """
    return await market.look(agency, wanted.country, wanted.area_code)


@router.get(_ONE, summary="Show a number", response_model=NumberReply)
async def show_number(agency: OwnAgency, e164: NumberInPath, numbers: Work) -> store.Number:
    return await numbers.find(agency, e164)


@router.patch(
    _ONE, summary="Give a number to another client", response_model=NumberReply, responses=problems(*_TROUBLE)
)
async def move_number(
    agency: OwnAgency, e164: NumberInPath, body: NumberChange, author: By, numbers: Work
) -> store.Number:
    return await numbers.move(agency, e164, body.client_id, author)


@router.delete(
    _ONE,
    summary="Let go of a number",
    status_code=204,
    responses=problems("key-rejected", "provider-unreachable"),
)
async def let_go_of_number(agency: OwnAgency, e164: NumberInPath, author: By, numbers: Work) -> None:
    """A number on the agency's own account stays theirs: our addresses are cleared there, if they are still ours. One
    that was bought here on the platform's account, or from a voice provider, is given back and cannot be had again: ask
    for a confirmation first.
    """
    await numbers.let_go(agency, e164, author)


class Registration(Input):
    """A number's registration at a provider."""

    remote_id: Annotated[RemoteId, Field(description="Its id there")]


def registration_model(label: str, form: RegistrationForm) -> type[Registration]:
    """The body for a provider of this label, where it takes more than an id."""
    fields: dict[str, Any] = {}
    if form.is_number:
        fields["remote_id"] = (Annotated[E164, Field(description=form.help)], ...)
    if form.modes:
        names = [name for name, _ in form.modes]
        described = "; ".join(f"{name}: {said}" for name, said in form.modes)
        one_of: Any = Literal[tuple(names)]
        fields["mode"] = (Annotated[one_of, Field(description=described)], names[0])
    if not fields:
        return Registration
    model: type[Registration] = create_model(
        f"{label}Registration", __base__=Registration, __doc__=f"{form.help}.", **fields
    )
    return model


def new_number_model(sellers: Sequence[str]) -> type[NewNumber]:
    """The body for adding a number, where these sell some."""
    one_of: Any = Literal[tuple(sellers)]
    described = (
        "Who sells it. Left out: Twilio, where the agency or the platform has an account; else the active provider"
    )
    carrier: Any = (Annotated[one_of | None, Field(description=described)], None)
    model: type[NewNumber] = create_model("NewNumber", __base__=NewNumber, __doc__=NewNumber.__doc__, carrier=carrier)
    return model


def number_router(voice: Declarations) -> APIRouter:
    """Adding numbers, from whichever of these voice providers sells some."""
    router = resource("numbers")
    sellers = [CARRIER, *(provider.name for provider in voice if provider.shop is not None)]
    add_number.__annotations__["body"] = new_number_model(sellers)
    router.post(
        _PATH,
        summary="Buy a number, or take over one that exists",
        status_code=201,
        response_model=NumberReply,
        responses=problems("number-not-found", *_TROUBLE),
    )(add_number)
    return router


def registration_router(voice: Declarations) -> APIRouter:
    """For those voice providers whose calls need one."""
    router = resource("registrations")
    for provider in voice:
        if (form := provider.registration_form) is not None:
            _add_registration(router, provider.name, provider.label, registration_model(provider.label, form))
    return router


def _add_registration(router: APIRouter, provider: str, label: str, model: type[Registration]) -> None:
    async def save_registration(
        agency: OwnAgency,
        e164: NumberInPath,
        body: Registration,
        author: By,
        registrations: Annotated[GivenRegistrations, Use(GivenRegistrations)],
    ) -> GivenRegistration:
        given = GivenRegistration(body.remote_id, getattr(body, "mode", None))
        return await registrations.save(agency, e164, provider, given, author)

    save_registration.__annotations__["body"] = model
    router.put(
        f"{_ONE}/registrations/{provider}",
        summary=f"Say which number at {label} stands for this one",
        response_model=RegistrationReply,
    )(save_registration)
