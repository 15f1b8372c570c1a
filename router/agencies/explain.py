"""Who would take a call now, and why not the others: /v1/agencies/{agency}/explain. Places no call, writes nothing."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from router.agencies.endpoints import Answer, ApiRequest, Endpoint
from router.agencies.fields import E164
from router.agencies.models import Explanation, RungReply
from router.agencies.problems import invalid, not_found
from router.routing.explain import explain
from router.store.calls import preview_call

_NUMBER: Final = TypeAdapter(Annotated[E164, Field(strict=True)])


def explain_endpoints() -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/v1/agencies/{agency}/explain",
            "Say who would take a call now, and why not the others",
            explain_call,
            reply=Explanation,
            query=("to", "from"),
            description="By the rules of a live call, in the process that answers: each has circuits of its own.",
        )
    ]


async def explain_call(request: ApiRequest[None]) -> Answer:
    to = _read_number(request, "to")
    if to is None:
        raise invalid("to", "is required: the number that is called")
    services = request.services
    now = services.clock()
    preview = await preview_call(
        services.database.settings,
        agency_id=request.agency_id,
        to=to,
        caller=_read_number(request, "from"),
        now=now,
        most_of_caller=services.caps.of_caller,
        most_of_agency=services.caps.of_agency,
    )
    if preview is None:
        raise not_found("number")
    rungs = explain(preview.route, services.voice, services.dispatcher, now, preview.diverted)
    return Answer.of(200, Explanation(rungs=[RungReply.model_validate(rung) for rung in rungs]))


def _read_number(request: ApiRequest[None], name: str) -> str | None:
    text = request.query.get(name)
    if not text:
        return None
    # A plus sign that was not encoded arrives as a space; no number begins with one.
    number = f"+{text[1:]}" if text.startswith(" ") else text
    try:
        return _NUMBER.validate_python(number)
    except ValidationError:
        raise invalid(name, "must be a phone number in E.164 form, such as +14155550123") from None
