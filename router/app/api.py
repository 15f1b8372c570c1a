"""What the API's operations work with."""

from __future__ import annotations

from typing import Any

from adapters.receivers import Receivers
from adapters.registry import Providers
from crypto import Keyring
from router.api.idempotency import Replies
from router.app.areas import Areas
from router.calls.claims import Caps
from router.calls.preview import Previews
from router.clock import Clock
from router.events.endpoints import Endpoints
from router.events.feed import EventFeed
from router.routing.dispatch import Dispatcher


def api_parts(
    areas: Areas,
    *,
    keyring: Keyring,
    providers: Providers,
    dispatcher: Dispatcher,
    caps: Caps,
    feed: EventFeed,
    receivers: Receivers,
) -> dict[Any, Any]:
    """By type. `dispatcher` and `caps` are those of live calls: what is explained is what they would do."""
    database, clock = areas.changes.database, areas.changes.clock
    parts = (
        areas.agencies,
        areas.client_assistants,
        areas.clients,
        areas.given_registrations,
        areas.key_views,
        areas.keys,
        areas.market,
        areas.number_changes,
        areas.plans,
        areas.purchases,
        areas.recordings,
        areas.taking_over,
        areas.tokens,
        Endpoints(areas.changes, keyring, receivers),
        Previews(database, providers, dispatcher, caps, clock),
        Replies(database, keyring, clock),
        database,
        feed,
    )
    return {type(part): part for part in parts} | {Clock: clock}
