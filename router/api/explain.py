"""Who would take a call now, and why not the others: /v1/agencies/{agency}/explain. Places no call, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from router.api.models import Explanation, RungReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid, not_found
from router.api.queries import read_number
from router.routing.explain import Explained, explain
from router.routing.route import Route, SkipReason
from router.services import ApiServices
from router.store.assistants.copies import find_usable_copy, list_assistants
from router.store.calls.calls import preview_call


def explain_endpoints() -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/v1/agencies/{agency}/explain",
            "Say who would take a call now, and why not the others",
            explain_call,
            reply=Explanation,
            query=("to", "from"),
            description="By the rules of a live call, in the process that answers: each has circuits of its own. Calls to "
            "a number that was bought from a voice provider never pass through us: only that provider can take them.",
        )
    ]


async def explain_call(request: ApiRequest[None]) -> Answer:
    to = read_number(request.query, "to")
    if to is None:
        raise invalid("to", "is required: the number that is called")
    services = request.services
    now = services.clock()
    preview = await preview_call(
        services.database.settings,
        agency_id=request.agency_id,
        to=to,
        caller=read_number(request.query, "from"),
        now=now,
        most_of_caller=services.caps.of_caller,
        most_of_agency=services.caps.of_agency,
    )
    if preview is None:
        raise not_found("number")
    route = preview.route
    rungs = (
        await _explain_native(services, route)
        if route.account_sid in services.voice
        else explain(route, services.voice, services.dispatcher, now, preview.diverted)
    )
    there = await list_assistants(services.database.settings, request.agency_id, preview.route.client_id)
    lost = {assistant.provider: assistant.lost for assistant in there}
    return Answer.of(200, Explanation(rungs=[_show(rung, lost) for rung in rungs]))


async def _explain_native(services: ApiServices, route: Route) -> Sequence[Explained]:
    """The provider's name is the account. Whom it rings when it fails is its own business."""
    provider, pool = route.account_sid, services.database.settings
    if all(access.provider != provider for access in route.accesses):
        reason: str = SkipReason.NO_KEY
    elif await find_usable_copy(pool, route.agency_id, route.client_id, provider) is None:
        reason = SkipReason.NOT_SYNCED
    else:
        reason = "ready"
    others: tuple[Literal["owner", "voicemail"], ...] = ("owner", "voicemail")
    return (
        Explained("ai", provider, would_take=reason == "ready", reason=reason),
        *(Explained(step, None, would_take=False, reason="native_number") for step in others),
    )


def _show(rung: Explained, lost: Mapping[str, Sequence[str]]) -> RungReply:
    return RungReply(
        step=rung.step,
        provider=rung.provider,
        would_take=rung.would_take,
        reason=rung.reason,
        notes=[f"no_{feature}" for feature in lost.get(rung.provider or "", ())],
    )
