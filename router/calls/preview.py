"""Which rung would take a call now or at another time, and why the others would not. Places no call and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from adapters.base import Target
from adapters.provider import Provider
from router.calls.claims import Caps
from router.clock import Clock
from router.errors import NotFoundError
from router.routing.dispatch import Dispatcher
from router.routing.explain import Explained, explain
from router.routing.route import Route, SkipReason
from router.store.assistants.copies import StoredAssistant, find_usable_copy, list_assistants
from router.store.calls.calls import preview_call
from router.store.pool import Database

_HUMAN_RUNGS: Final[tuple[Literal["owner", "voicemail"], ...]] = ("owner", "voicemail")


@dataclass(frozen=True, slots=True)
class PreviewedRung(Explained):
    """One rung, and `notes` on how calls reach the provider and what its assistant there lacks."""

    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Previews:
    """`dispatcher` and `caps` are those of live calls, so that the preview shows what they would do."""

    database: Database
    providers: Mapping[str, Provider[Any]]
    dispatcher: Dispatcher
    caps: Caps
    clock: Clock

    async def preview(
        self, agency_id: str, to: str, caller: str | None, at: datetime | None = None
    ) -> Sequence[PreviewedRung]:
        """The rungs in the order in which they would be tried, now or `at` another time.

        Raises NotFoundError if the number is not the agency's.
        """
        now, pool = self.clock(), self.database.settings
        found = await preview_call(
            pool,
            agency_id=agency_id,
            to=to,
            caller=caller,
            now=now,
            most_of_caller=self.caps.of_caller,
            most_of_agency=self.caps.of_agency,
        )
        if found is None:
            raise NotFoundError("number")
        route = found.route
        assistants = {one.provider: one for one in await list_assistants(pool, agency_id, route.client_id)}
        rungs = (
            await self._preview_native(route, assistants.get(route.account_sid))
            if route.account_sid in self.providers
            else explain(route, self.providers, self.dispatcher, now, found.diverted)
            if at is None
            else explain(route, self.providers, self.dispatcher, at, at_present=False)
        )
        return [
            PreviewedRung(
                rung.step,
                rung.provider,
                rung.would_take,
                rung.reason,
                [
                    *_notes_on_way(route.access(rung.provider or "").target),
                    *_name_lacks(assistants.get(rung.provider or "")),
                ],
            )
            for rung in rungs
        ]

    async def _preview_native(self, route: Route, assistant: StoredAssistant | None) -> Sequence[Explained]:
        """For a number bought from a provider, whose name is the account. What the provider rings on failure is unknown."""
        provider, pool = route.account_sid, self.database.settings
        if all(access.provider != provider for access in route.accesses):
            reason: str = SkipReason.NO_KEY
        elif assistant is not None and assistant.state == "gone":
            reason = SkipReason.ASSISTANT_GONE
        elif await find_usable_copy(pool, route.agency_id, route.client_id, provider) is None:
            reason = SkipReason.NOT_SYNCED
        else:
            reason = "ready"
        return (
            Explained("ai", provider, would_take=reason == "ready", reason=reason),
            *(Explained(step, None, would_take=False, reason="native_number") for step in _HUMAN_RUNGS),
        )


def _notes_on_way(target: Target) -> list[str]:
    """How calls reach a registration, where there are several ways."""
    if target.mode is None:
        return []
    awaits_address = target.mode == "redirect" and target.sealed_address is None
    return [f"by_{target.mode}", *(["awaits_address"] if awaits_address else [])]


def _name_lacks(assistant: StoredAssistant | None) -> list[str]:
    return [] if assistant is None else [f"no_{feature}" for feature in assistant.lost]
