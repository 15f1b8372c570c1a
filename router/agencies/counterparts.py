"""A carrier's numbers as providers know them: whether each has what calls to it need there."""

from __future__ import annotations

from adapters.portable import Copy
from router.agencies.providers import particulars_of
from router.agencies.services import ApiServices
from router.store.numbers import Number


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
