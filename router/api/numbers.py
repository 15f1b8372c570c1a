"""Numbers of an agency: /v1/agencies/{agency}/numbers."""

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
from router.api.asking import OUTSIDE, By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import problems, resource
from router.fields import E164, AreaCode, Country, HiddenAddress, Input, Output, Query, RemoteId, misplaced
from router.numbers.buying import Purchases
from router.numbers.changing import NumberChanges
from router.numbers.market import Market, Offers
from router.numbers.taking_over import Claim, TakingOver
from router.numbers.trying import PlacedCall, TrialCalls
from router.store.numbers import numbers as store
from router.store.numbers.purchases import Order
from router.store.numbers.registrations import GivenRegistration

_PATH: Final = "/v1/agencies/{agency}/numbers"
_ONE: Final = _PATH + "/{e164}"
_TROUBLE: Final = ("no-key", "key-rejected", "provider-unreachable")

router = resource("numbers")

NumberInPath = Annotated[str, Path(description="The number, such as +14155550123, with the + as %2B")]
Work = Annotated[NumberChanges, Use(NumberChanges)]


class NewNumber(Input):
    """With `country`, a number is bought: any available one, or the one in `e164`. Without, the number in `e164` is
    taken over from the agency's own Twilio account, or from the platform's.
    """

    client_id: Annotated[str, Field(description="The client whose calls come in on it")]
    e164: Annotated[E164 | None, Field(description="Which number", examples=["+14155550123"])] = None
    account: Annotated[
        Literal["platform", "agency"] | None, Field(description="The account of a number to take over")
    ] = None
    country: Annotated[Country | None, Field(description="The country to buy a number in", examples=["US"])] = None
    area_code: Annotated[
        AreaCode | None, Field(description="The first digits of its national number", examples=["415"])
    ] = None
    carrier: str | None = None  # one of those that sell numbers: see `new_number_model`

    @model_validator(mode="after")
    def _buy_or_take_over(self) -> Self:
        if self.country is not None:
            if self.account is not None:
                raise misplaced("account", "must be left out to buy a number")
            return self
        for name in ("area_code", "carrier"):
            if getattr(self, name) is not None:
                raise misplaced("country", f"is required with {name}, to buy a number")
        for name in ("e164", "account"):
            if getattr(self, name) is None:
                raise misplaced(name, "is required to take a number over; to buy one, send country instead")
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
    default_carrier: Annotated[
        str, Field(description="Who sells a number there if the request names no carrier", examples=["twilio"])
    ]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class NumberChange(Input):
    """The new client of a number."""

    client_id: Annotated[str, Field(description="The client that gets the number")]


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
    waits_for: Annotated[
        str | None,
        Field(
            default=None,
            exclude_if=lambda waits_for: waits_for is None,
            description="Why the provider cannot take calls yet, in a sentence",
        ),
    ]


class NumberReply(Output):
    """A phone number. One bought from a voice provider has no account and no addresses."""

    e164: Annotated[str, Field(description="The number", examples=["+14155550123"])]
    client_id: Annotated[str, Field(description="The client whose calls come in on it")]
    carrier: Annotated[str, Field(description="Who sold it: twilio or a voice provider", examples=["twilio"])]
    account_sid: Annotated[
        str | None, Field(validation_alias="carrier_account_sid", description="The Twilio account that it belongs to")
    ]
    account: Annotated[
        Literal["platform", "subaccount", "agency"] | None,
        Field(
            validation_alias="whose_account",
            description="Whose Twilio account that is: the platform's main one, the subaccount that the platform made for "
            "this agency, or the agency's own",
        ),
    ]
    voice_url: Annotated[str, Field(description="Where the carrier sends calls")]
    fallback_url: Annotated[
        HiddenAddress,
        Field(description="Where the carrier sends calls that we do not answer; null: the token may only read"),
    ]
    status_url: Annotated[str, Field(description="Where the carrier reports the end of calls")]
    registrations: Annotated[
        dict[str, RegistrationReply],
        Field(
            description="By provider: the number's registration there. Those of a new number are made within seconds after "
            "the answer; ask for the number again to see them, or in `problems` why one could not be made"
        ),
    ]
    state: Annotated[
        Literal["pending", "active", "elsewhere"],
        Field(
            description="active: the carrier sends its calls here; elsewhere: it belongs to the database that this one is a "
            "copy of"
        ),
    ]
    fallback: Annotated[
        Literal["ok", "stale"],
        Field(
            validation_alias="fallback_state",
            description="stale: the carrier does not have the newest fallback address yet",
        ),
    ]
    drift: Annotated[
        str | None, Field(description="Settings at the carrier that differ from ours and could not be corrected")
    ]
    checked_at: Annotated[datetime | None, Field(description="When the carrier's configuration was last checked")]
    problems: Annotated[list[str], Field(description="Why a required registration is missing, by provider")]


class NumberList(ListOf[NumberReply]):
    """One page of numbers, oldest first."""


class AvailableQuery(Query):
    """Which numbers."""

    country: Annotated[Country, Field(description="Where, as two capital letters (ISO 3166-1)", examples=["US"])]
    area_code: Annotated[
        AreaCode | None,
        Field(description="The first digits of the national number, without a leading zero", examples=["415"]),
    ] = None
    client_id: Annotated[str | None, Field(description="For which client: it may change default_carrier")] = None


@router.get(_PATH, summary="List numbers", response_model=NumberList)
async def list_numbers(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Number]:
    return await page.read(store.list_numbers, pool, agency, position=lambda row: (row.created_at, row.e164))


async def add_number(
    agency: OwnAgency,
    body: NewNumber,
    author: By,
    market: Annotated[Market, Use(Market)],
    purchases: Annotated[Purchases, Use(Purchases)],
    taking_over: Annotated[TakingOver, Use(TakingOver)],
) -> store.Number:
    """With `country`, a number is bought: on the agency's own Twilio account if it has one, else on the platform's
    subaccount for the agency, or from a voice provider. A purchase is recorded before it is made, so that sending the
    same request twice buys one number. Without `country`, the number must be in the agency's own Twilio account or, for
    the operator, in the platform's. The carrier is configured before the answer. How many
    numbers an agency may buy in 24 hours is limited, except for the operator.
    """
    if body.country is not None:
        carrier = body.carrier or await market.choose_seller(
            agency, body.client_id, body.country, body.area_code, body.e164
        )
        order = Order(agency, body.client_id, carrier, body.country, body.area_code, body.e164, author.claim)
        return await purchases.buy(order, author)
    assert body.e164 and body.account  # noqa: S101, PT018 - the model requires both without a country
    return await taking_over.take_over(agency, Claim(body.e164, body.account, body.client_id), author)


@router.get(
    _PATH + "/available",
    summary="Show which numbers can be bought, and from whom",
    response_model=AvailableList,
)
async def list_available(
    agency: OwnAgency, wanted: Annotated[AvailableQuery, fastapi.Query()], market: Annotated[Market, Use(Market)]
) -> Offers:
    """`not_sold` gives the reason for each other seller. A voice provider chooses the number itself: its offer has no
    `e164`.
    """
    return await market.look(agency, wanted.country, wanted.area_code, wanted.client_id)


@router.get(_ONE, summary="Show a number", response_model=NumberReply)
async def show_number(agency: OwnAgency, e164: NumberInPath, numbers: Work) -> store.Number:
    return await numbers.find(agency, e164)


@router.patch(
    _ONE,
    summary="Give a number to another client",
    dependencies=OUTSIDE,
    response_model=NumberReply,
    responses=problems(*_TROUBLE),
)
async def move_number(
    agency: OwnAgency, e164: NumberInPath, body: NumberChange, author: By, numbers: Work
) -> store.Number:
    return await numbers.move(agency, e164, body.client_id, author)


class TestCall(Input):
    """Whose phone is rung."""

    phone: Annotated[E164, Field(description="A phone of yours, which the call comes from", examples=["+14155550123"])]


class TestCallReply(Output):
    """A test call that Twilio has taken."""

    call_sid: Annotated[str, Field(description="Twilio's id of the call to your phone; the test call has another one")]
    phone: Annotated[str, Field(description="The phone that rings")]


@router.post(
    _ONE + "/test-call",
    summary="Place a test call to a number from a phone of yours",
    dependencies=OUTSIDE,
    status_code=201,
    response_model=TestCallReply,
    responses=problems("rate-limited", *_TROUBLE),
)
async def place_test_call(
    agency: OwnAgency, e164: NumberInPath, body: TestCall, author: By, trials: Annotated[TrialCalls, Use(TrialCalls)]
) -> PlacedCall:
    """Twilio rings that phone. Once it is picked up, it is put through to the number, and hears what callers hear.
    Twilio charges for both calls; an agency may place ten in an hour.
    """
    return await trials.place(agency, e164, body.phone, author)


@router.delete(
    _ONE,
    summary="Release a number",
    dependencies=OUTSIDE,
    status_code=204,
    responses=problems("key-rejected", "provider-unreachable"),
)
async def let_go_of_number(agency: OwnAgency, e164: NumberInPath, author: By, numbers: Work) -> None:
    """A number on the agency's own account stays there, without our addresses. A number that was bought here on the
    platform's account, or from a voice provider, is given back for good: ask for a confirmation first.
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
        described += ". Left out: redirect for the number itself, else number"
        fields["mode"] = (Annotated[one_of | None, Field(description=described)], None)
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
        "Who sells it. Left out: as the agency's numbers_from says. A number that is named in e164, or is for a client with "
        "a provider of its own, then comes from Twilio"
    )
    carrier: Any = (Annotated[one_of | None, Field(description=described)], None)
    model: type[NewNumber] = create_model("NewNumber", __base__=NewNumber, __doc__=NewNumber.__doc__, carrier=carrier)
    return model


def number_router(voice: Declarations) -> APIRouter:
    """For buying from the voice providers that sell numbers, and for taking numbers over."""
    router = resource("numbers")
    sellers = [CARRIER, *(provider.name for provider in voice if provider.shop is not None)]
    add_number.__annotations__["body"] = new_number_model(sellers)
    router.post(
        _PATH,
        summary="Buy a number, or take over one that exists",
        dependencies=OUTSIDE,
        status_code=201,
        response_model=NumberReply,
        responses=problems("number-not-found", "rate-limited", *_TROUBLE),
    )(add_number)
    return router


def registration_router(voice: Declarations) -> APIRouter:
    router = resource("registrations")
    for provider in voice:
        if (form := provider.registration_form) is not None:
            _add_registration(router, provider.name, provider.label, registration_model(provider.label, form))
    return router


def _add_registration(router: APIRouter, provider: str, label: str, model: type[Registration]) -> None:
    async def save_registration(
        agency: OwnAgency, e164: NumberInPath, body: Registration, author: By, numbers: Work
    ) -> GivenRegistration:
        given = GivenRegistration(body.remote_id, getattr(body, "mode", None))
        return await numbers.register(agency, e164, provider, given, author)

    save_registration.__annotations__["body"] = model
    router.put(
        f"{_ONE}/registrations/{provider}",
        summary=f"Set the number's registration at {label}",
        response_model=RegistrationReply,
    )(save_registration)
