"""Numbers: what they are given to, whether the carrier still has our addresses, buying, taking over, letting go."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, FormErrors, form_errors
from router.console.visit import Page, Visit

_SEARCHED: Final = ("country", "area_code")


async def show_numbers(visit: Visit) -> Response:
    return visit.render(
        "numbers.html",
        numbers=await visit.api.list_all(visit.path("numbers")),
        names=await visit.client_names(),
    )


async def show_number(visit: Visit, errors: FormErrors = NO_ERRORS, status: int = 200) -> Response:
    number, voice = await _find(visit), [kind for kind in visit.kinds.values() if kind.is_voice]
    return visit.render(
        "number.html",
        status,
        number=number,
        names=await visit.client_names(),
        by_hand=[kind for kind in voice if kind.registration_form is not None],
        without=[kind.label for kind in voice if kind.registration_form is None],
        opened=any(f"{kind.name}-remote_id" in errors.by_field for kind in voice),
        question=_question_about(number),
        errors=errors,
    )


async def move(visit: Visit) -> Response:
    e164 = visit.part("e164")
    try:
        await visit.api.send("PATCH", visit.path("numbers", e164), {"client_id": visit.form.text("client_id")})
    except ApiProblem as problem:
        return await _refused(visit, problem)
    return visit.go("numbers", e164, done="number-moved")


async def register(visit: Visit) -> Response:
    """Name a number's registration that was made at the provider by hand."""
    e164, provider = visit.part("e164"), visit.part("provider")
    body = {name: given for name in ("remote_id", "mode") if (given := visit.form.text(name))}
    try:
        await visit.api.send("PUT", visit.path("numbers", e164, "registrations", provider), body)
    except ApiProblem as problem:
        return await _refused(visit, problem, provider)
    return visit.go("numbers", e164, done="registered")


async def let_go(visit: Visit) -> Response:
    number = await _find(visit)
    if not visit.confirmed:
        return visit.ask(_question_about(number), visit.url("numbers", number["e164"]), number=number["e164"])
    try:
        await visit.api.send("DELETE", visit.path("numbers", number["e164"]))
    except ApiProblem as problem:
        return await _refused(visit, problem)
    return visit.go("numbers", done="number-gone")


async def show_new(
    visit: Visit, errors: FormErrors = NO_ERRORS, values: dict[str, Any] | None = None, status: int = 200
) -> Response:
    """Both ways to a number; with `country` in the address also what could be bought there."""
    found, search_errors = None, NO_ERRORS
    if visit.query("country"):
        try:
            found = await visit.api.get(
                visit.path("numbers", "available"), **{name: visit.query(name) for name in _SEARCHED}
            )
        except ApiProblem as problem:
            if not problem.is_refusal:
                raise
            search_errors = form_errors(problem)
        else:
            found["items"].sort(key=lambda offer: offer["e164"] is not None)  # the few that sellers choose themselves
    names = await visit.client_names()
    given = {name: visit.query(name) for name in _SEARCHED}
    chosen = visit.query("client") if visit.query("client") in names else next(iter(names), "")
    return visit.render(
        "new_number.html",
        status,
        names=names,
        found=found,
        has_account=await visit.api.find(visit.path("keys", "twilio")) is not None,
        values=given | {"e164": "", "client_id": chosen, "account": "agency"} | (values or {}),
        errors=errors or search_errors,
    )


async def take_over(visit: Visit) -> Response:
    body = {name: visit.form.text(name) for name in ("e164", "client_id", "account")}
    body["e164"] = _without_spaces(body["e164"])
    try:
        number = await visit.api.send("POST", visit.path("numbers"), body, once=visit.form.text_or_none("once"))
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        return await show_new(visit, form_errors(problem), body, problem.status)
    return visit.go("numbers", number["e164"], done="number-taken-over")


async def buy(visit: Visit) -> Response:
    body = {
        name: given
        for name in ("country", "area_code", "carrier", "client_id", "e164")
        if (given := visit.form.text(name))
    }
    seller = visit.kinds.get(body.get("carrier", ""))
    if not visit.confirmed:
        back = visit.url("numbers", "new", country=body.get("country"), client=body.get("client_id"))
        question = "buy_native" if seller is not None and seller.is_voice else "buy"
        return visit.ask(question, back, number=body.get("e164", "a number"), seller=seller.label if seller else "")
    try:
        number = await visit.api.send("POST", visit.path("numbers"), body, once=visit.form.text_or_none("once"))
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        return await show_new(visit, form_errors(problem, lambda _: None), body, problem.status)
    return visit.go("numbers", number["e164"], done="number-bought")


async def _find(visit: Visit) -> dict[str, Any]:
    number: dict[str, Any] = await visit.api.get(visit.path("numbers", visit.part("e164")))
    return number


async def _refused(visit: Visit, problem: ApiProblem, prefix: str = "") -> Response:
    if not problem.is_refusal:
        raise problem
    return await show_number(
        visit, form_errors(problem, lambda name: f"{prefix}-{name}" if prefix else name), problem.status
    )


def _question_about(number: dict[str, Any]) -> str:
    """What letting go of it means differs by whose it is."""
    if number["account_sid"] is None:
        return "number_native"
    return "number_platform" if number.get("account") == "platform" else "number_own"


def _without_spaces(number: str) -> str:
    """People write +1 415 555 0123, brackets and dashes too."""
    return "".join(char for char in number if char not in " -().\u00a0")


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/numbers", show_numbers),
    ("GET", "/numbers/new", show_new),
    ("POST", "/numbers/take-over", take_over),
    ("POST", "/numbers/buy", buy),
    ("GET", "/numbers/{e164}", show_number),
    ("POST", "/numbers/{e164}", move),
    ("POST", "/numbers/{e164}/registrations/{provider}", register),
    ("POST", "/numbers/{e164}/delete", let_go),
)
