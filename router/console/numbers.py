"""Numbers: which client they belong to, their state at the carrier, buying, taking over, letting go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from router.console.api import Refusal
from router.console.drawing import write_phone
from router.console.forms import NO_ERRORS, FormErrors, form_errors
from router.console.kinds import KeyKind
from router.console.visit import Page, Visit


async def show_numbers(visit: Visit) -> Response:
    numbers = await visit.api.list_all(visit.path("numbers"))
    return visit.render("numbers.html", numbers=numbers, names=await visit.client_names())


async def show_number(visit: Visit) -> Response:
    number, voice = await _find(visit), visit.services.providers
    provider = visit.request.path_params.get("provider")
    errors = visit.errors(lambda name: f"{provider}-{name}" if provider else name)
    clients = await _clients(visit)
    return visit.render(
        "number.html",
        number=number,
        names=_names(clients),
        owner_phone=clients.get(number["client_id"], {}).get("personal_phone"),
        rings=_say_fallback(visit.kinds.get(number["carrier"]), clients.get(number["client_id"])),
        by_hand=[one for one in voice if one.registration_form is not None],
        without=[one.label for one in voice if one.registration_form is None],
        opened=errors.at(f"{provider}-remote_id") is not None,
        question=_question_about(number),
        errors=errors,
    )


async def move(visit: Visit) -> Response:
    e164 = visit.part("e164")
    await visit.send("PATCH", visit.path("numbers", e164), visit.form.texts("client_id"))
    return visit.go("numbers", e164, done="number-moved")


async def register(visit: Visit) -> Response:
    """Name a number's registration that was made at the provider by hand."""
    e164, provider = visit.part("e164"), visit.part("provider")
    body = {name: given for name in ("remote_id", "mode") if (given := visit.form.text(name))}
    await visit.send("PUT", visit.path("numbers", e164, "registrations", provider), body)
    return visit.go("numbers", e164, done="registered")


async def try_out(visit: Visit) -> Response:
    e164 = visit.part("e164")
    await visit.send("POST", visit.path("numbers", e164, "test-call"), visit.form.texts("phone"))
    return visit.go("numbers", e164, done="test-call-placed")


async def let_go(visit: Visit) -> Response:
    number = await _find(visit)
    if not visit.confirmed:
        return visit.ask(_question_about(number), visit.url("numbers", number["e164"]), number=number["e164"])
    await visit.send("DELETE", visit.path("numbers", number["e164"]))
    return visit.go("numbers", done="number-gone")


async def show_new(visit: Visit, errors: FormErrors = NO_ERRORS) -> Response:
    """Both ways to add a number; with `country` in the address also the numbers for sale there."""
    wanted = {name: visit.query(name) for name in ("country", "area_code")}
    found = None
    clients = await _clients(visit)
    chosen = visit.query("client") if visit.query("client") in clients else next(iter(clients), "")
    if wanted["country"]:
        try:
            found = await visit.api.get(visit.path("numbers", "available"), **wanted, client_id=chosen)
        except Refusal as problem:
            errors = errors or form_errors(problem)
    return visit.render(
        "new_number.html",
        names=_names(clients),
        found=found,
        offers=_by_seller(found) if found else {},
        rings={name: _say_fallback(kind, clients.get(chosen)) for name, kind in visit.kinds.items()},
        client=clients.get(chosen),
        has_account=await visit.api.find(visit.path("keys", "twilio")) is not None,
        values=wanted | {"e164": "", "client_id": chosen, "account": "agency"} | dict(visit.form),
        errors=errors,
    )


async def take_over(visit: Visit) -> Response:
    number = await visit.send("POST", visit.path("numbers"), visit.form.texts("e164", "client_id", "account"))
    return visit.go("numbers", number["e164"], done="number-taken-over")


async def buy(visit: Visit) -> Response:
    wanted = visit.form.texts("country", "area_code", "carrier", "client_id", "e164")
    body = {name: given for name, given in wanted.items() if given}
    seller = visit.kinds.get(wanted["carrier"])
    if not visit.confirmed:
        back = visit.url("numbers", "new", country=wanted["country"], client=wanted["client_id"])
        rings = _say_fallback(seller, (await _clients(visit)).get(wanted["client_id"]))
        facts = {"number": body.get("e164", "a number"), "seller": seller.label if seller else "", "rings": rings}
        return visit.ask("buy_native" if rings else "buy", back, **facts)
    number = await visit.send("POST", visit.path("numbers"), body)
    return visit.go("numbers", number["e164"], done="number-bought")


async def _show_taking_over_again(visit: Visit) -> Response:
    return await show_new(visit, visit.errors())


async def _show_buying_again(visit: Visit) -> Response:
    """What was bought was chosen from a list: there is no field to correct."""
    return await show_new(visit, visit.errors(lambda _: None))


async def _find(visit: Visit) -> dict[str, Any]:
    number: dict[str, Any] = await visit.api.get(visit.path("numbers", visit.part("e164")))
    return number


def _question_about(number: dict[str, Any]) -> str:
    """The consequences of letting go depend on whose the number is."""
    if number["state"] == "elsewhere":
        return "number_elsewhere"
    if number["account_sid"] is None:
        return "number_native"
    return "number_platform" if number["account"] in ("platform", "subaccount") else "number_own"


def _say_fallback(seller: KeyKind | None, client: Mapping[str, Any] | None) -> str:
    """What becomes of calls to a native number while its seller has no answer; empty for the carrier's numbers."""
    if seller is None or seller.voice is None or seller.voice.shop is None:
        return ""
    when = f"only {seller.voice.shop.rings_fallback}"
    phone = client["personal_phone"] if client else None
    if phone is None:
        return f"No phone is rung: the client has no owner's phone, which {seller.label} would ring {when}."
    return f"{seller.label} rings the owner's phone {write_phone(phone)}, but {when}."


async def _clients(visit: Visit) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in await visit.api.list_all(visit.path("clients"))}


def _names(clients: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {client_id: one["name"] for client_id, one in clients.items()}


def _by_seller(found: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The offers of each seller: first of the one that sells by default, then the short lists."""
    offers: dict[str, list[dict[str, Any]]] = {found["default_carrier"]: []}
    for offer in found["items"]:
        offers.setdefault(offer["carrier"], []).append(offer)
    order = sorted(offers, key=lambda seller: (seller != found["default_carrier"], len(offers[seller])))
    return {seller: offers[seller] for seller in order if offers[seller]}


PAGES: Final = (
    Page("GET", "/numbers", show_numbers),
    Page("GET", "/numbers/new", show_new),
    Page("POST", "/numbers/new/take-over", take_over, _show_taking_over_again),
    Page("POST", "/numbers/new/buy", buy, _show_buying_again),
    Page("GET", "/numbers/{e164}", show_number),
    Page("POST", "/numbers/{e164}", move, show_number),
    Page("POST", "/numbers/{e164}/registrations/{provider}", register, show_number),
    Page("POST", "/numbers/{e164}/test-call", try_out, show_number),
    Page("POST", "/numbers/{e164}/delete", let_go, show_number),
)
