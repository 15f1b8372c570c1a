"""Assistants that people made at a provider themselves: whether one can be linked, and what we set on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.base import ErrorKind, ProviderError
from adapters.facets import lost_of_link
from crypto import OpenError
from router.assistants.site import Sites
from router.errors import InvalidError, NoKeyError
from router.refusals import explain_refusal
from router.store.keys.versions import find_key_in_use


@dataclass(frozen=True, slots=True)
class Link:
    """What was found of an assistant, and done to it. `managed`: see `Place.form`."""

    lost: tuple[str, ...] = ()
    managed: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Looks at assistants that are to be linked."""

    sites: Sites

    async def check(
        self, agency_id: str, provider: str, remote_id: str, manage: Sequence[Literal["webhook", "transfer"]]
    ) -> Link:
        """Look whether it can take calls, and set on it what we may. Raises DomainError.

        Without a key it is taken as it is given, and nothing can be set on it.
        """
        host = self.sites.find_host(provider)
        if host is None:
            return Link()
        key = await find_key_in_use(self.sites.database.settings, agency_id, provider)
        if key is None and manage:
            label = self.sites.places.providers.label(provider)
            raise NoKeyError(f"Setting something on it takes a key for {label}: save one with PUT /keys/{provider}.")
        site = self.sites.open(key) if key is not None else None
        if site is None:
            return Link(lost_of_link(manage))
        try:
            await host.check_link(site.open(), remote_id)
            if manage:
                await host.manage_link(site.open(), remote_id, manage, site.wire())
        except ProviderError as error:
            if error.kind is ErrorKind.BAD_REQUEST:
                raise InvalidError("remote_id", site.explain(error)) from None
            raise explain_refusal(self.sites.places.providers.about(provider), error) from None
        except OpenError:
            raise NoKeyError("The saved key cannot be read any more: save it again.") from None
        return Link(lost_of_link(manage), site.place.form if manage else None)
