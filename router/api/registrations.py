"""A number's counterparts at providers: /v1/agencies/{agency}/numbers/{e164}/registrations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from router.api.models import RegistrationReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.numbers.given import GivenRegistration
from router.particulars import Registration, particulars_of


def registration_endpoints(voice: Iterable[str]) -> list[Endpoint]:
    """For those providers whose calls need one."""
    path = "/v1/agencies/{agency}/numbers/{e164}/registrations"
    endpoints = []
    for provider in voice:
        particulars = particulars_of(provider)
        if particulars.registration is not None:
            endpoints.append(
                Endpoint(
                    "PUT",
                    f"{path}/{provider}",
                    f"Say which number at {particulars.label} stands for this one",
                    partial(register, provider),
                    body=particulars.registration,
                    reply=RegistrationReply,
                )
            )
    return endpoints


async def register(provider: str, request: ApiRequest[Registration]) -> Answer:
    given = GivenRegistration(request.body.remote_id, request.body.reached_by)
    author = request.author(200, RegistrationReply)
    registrations = request.services.areas.given_registrations
    saved = await registrations.save(request.agency_id, request.path["e164"], provider, given, author)
    return Answer.of(200, RegistrationReply.model_validate(saved))
