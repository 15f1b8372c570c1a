"""A carrier's numbers as providers know them: whether each has what calls to it need there."""

from __future__ import annotations

from adapters.portable import Copy, Counterpart
from router.agencies.providers import particulars_of
from router.agencies.services import ApiServices
from router.store.numbers import Number, list_numbers


class CounterpartError(Exception):
    """A number has no counterpart at a provider. The text is for the agency and holds no secret."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again  # a later attempt may go well by itself


async def ensure_counterpart(
    services: ApiServices,
    number: Number,
    provider: str,
    copy: Copy,  # noqa: ARG001 - who makes a counterpart tells it its assistant
) -> None:
    """See to it that calls to this number can be handed to `copy` at the provider. May be repeated at will.

    Raises CounterpartError, and ProviderError where the provider itself refused or failed.
    """
    host = services.number_hosts.get(provider)
    if host is None or not host.registers_numbers or number.carrier in services.voice:
        return
    if provider not in number.registrations:
        label = particulars_of(provider).label
        raise CounterpartError(f"{number.e164} has no registration at {label} yet.")


async def list_counterparts(services: ApiServices, agency_id: str, client_id: str, provider: str) -> list[Counterpart]:
    """All of the client's numbers as the provider knows them: registrations, and those bought from itself."""
    numbers = await list_numbers(services.database.settings, agency_id, client_id=client_id)
    return [counterpart for number in numbers if (counterpart := _at(number, provider))]


def _at(number: Number, provider: str) -> Counterpart | None:
    if number.carrier == provider:
        return Counterpart(number.number_sid)
    registration = number.registrations.get(provider)
    return Counterpart(registration["remote_id"], registration.get("mode")) if registration else None
