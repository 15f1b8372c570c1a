"""A number's counterparts at providers: /v1/agencies/{agency}/numbers/{e164}/registrations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from router.api.models import RegistrationReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid, not_found
from router.assistants.wanted import sync_client
from router.particulars import Registration, particulars_of
from router.store.numbers.numbers import find_number, is_our_number
from router.store.numbers.registrations import save_registration
from router.store.tenants.clients import find_client


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
    remote_id, mode = request.body.remote_id, request.body.reached_by
    async with request.changes() as changes:
        number = await find_number(changes.connection, request.agency_id, request.path["e164"])
        if number is None:
            raise not_found("number")
        if await is_our_number(changes.connection, remote_id):
            raise invalid(
                "remote_id", "must be the provider's own number: this one is answered here, and would call us"
            )
        await save_registration(changes.connection, number.agency_id, number.e164, provider, remote_id, mode)
        client = await find_client(changes.connection, number.agency_id, number.client_id)
        if client is not None:
            await sync_client(changes.connection, request.services, client)
        await changes.record("registration.saved", f"{number.e164}/{provider}")
        return changes.answer(200, RegistrationReply(remote_id=remote_id, mode=mode))
