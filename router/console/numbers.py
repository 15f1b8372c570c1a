"""Numbers: which client they belong to, their state at the carrier, buying, taking over, letting go."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console.api import Refusal
from router.console.forms import NO_ERRORS, FormErrors, form_errors
from router.console.visit import Page, Visit


async def show_numbers(visit: Visit) -> Response:
    numbers = await visit.api.list_all(visit.path("numbers"))
    return visit.render("numbers.html", numbers=numbers, names=await visit.client_names())


async def show_number(visit: Visit) -> Response:
    number, voice = await _find(visit), visit.services.providers
    provider = visit.request.path_params.get("provider")
    errors = visit.errors(lambda name: f"{provider}-{name}" if provider else name)
    return visit.render(
        "number.html",
        number=number,
        names=await visit.client_names(),
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
    if wanted["country"]:
        try:
            found = await visit.api.get(visit.path("numbers", "available"), **wanted)
        except Refusal as problem:
            errors = errors or form_errors(problem)
        else:
            found["items"].sort(key=lambda offer: offer["e164"] is not None)  # the few that sellers choose themselves
    names = await visit.client_names()
    chosen = visit.query("client") if visit.query("client") in names else next(iter(names), "")
    return visit.render(
        "new_number.html",
        names=names,
        found=found,
        has_account=await visit.api.find(visit.path("keys", "twilio")) is not None,
        values=wanted | {"e164": "", "client_id": chosen, "account": "agency"} | dict(visit.form),
        errors=errors,
    )


async def take_over(visit: Visit) -> Response:
    body = visit.form.texts("e164", "client_id", "account")
    body["e164"] = _without_spaces(body["e164"])
    number = await visit.send("POST", visit.path("numbers"), body)
    return visit.go("numbers", number["e164"], done="number-taken-over")


async def buy(visit: Visit) -> Response:
    wanted = visit.form.texts("country", "area_code", "carrier", "client_id", "e164")
    body = {name: given for name, given in wanted.items() if given}
    seller = visit.kinds.get(wanted["carrier"])
    if not visit.confirmed:
        back = visit.url("numbers", "new", country=wanted["country"], client=wanted["client_id"])
        question = "buy_native" if seller is not None and seller.is_voice else "buy"
        return visit.ask(question, back, number=body.get("e164", "a number"), seller=seller.label if seller else "")
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
    if number["account_sid"] is None:
        return "number_native"
    return "number_platform" if number.get("account") == "platform" else "number_own"


def _without_spaces(number: str) -> str:
    """People write +1 415 555 0123, brackets and dashes too."""
    return "".join(char for char in number if char not in " -().\u00a0")


PAGES: Final = (
    Page("GET", "/numbers", show_numbers),
    Page("GET", "/numbers/new", show_new),
    Page("POST", "/numbers/take-over", take_over, _show_taking_over_again),
    Page("POST", "/numbers/buy", buy, _show_buying_again),
    Page("GET", "/numbers/{e164}", show_number),
    Page("POST", "/numbers/{e164}", move, show_number),
    Page("POST", "/numbers/{e164}/registrations/{provider}", register, show_number),
    Page("POST", "/numbers/{e164}/delete", let_go, show_number),
)
