"""One attempt to post an event to an endpoint, signed with its secret and, for a while after a rotation, the one before."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from adapters.base import ProviderError
from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers
from crypto import Keyring, OpenError, Secret
from router.clock import Clock
from router.store.events.endpoints import WebhookEndpoint
from router.store.sealed import endpoint_secret_context, former_endpoint_secret_context

_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """`error`: why it did not succeed, in our words; None: it did. `response`: the beginning of the answer."""

    at: datetime
    status: int | None
    error: str | None
    request: str
    response: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Sender:
    keyring: Keyring = field(repr=False)
    receivers: Receivers
    clock: Clock

    async def send(self, endpoint: WebhookEndpoint, event_id: str, body: bytes) -> Attempt:
        at, began = self.clock(), time.monotonic()
        status: int | None = None
        response: str | None = None
        error: str | None = None
        try:
            receipt = await self.receivers.deliver(
                endpoint.url,
                body,
                content_type=endpoint.content_type,
                event_id=event_id,
                at=int(at.timestamp()),
                secrets=self._open_secrets(endpoint, at),
                limit=_SECONDS,
            )
            status, response = receipt.status, receipt.text
            error = None if receipt.taken else f"it answered {receipt.status}"
        except ForbiddenAddressError as forbidden:
            error = f"this address is not allowed: {forbidden}"
        except ProviderError as failed:
            error = failed.kind.value
        except OpenError:
            error = "its signing secret can no longer be read"
        return Attempt(at, status, error, body.decode(), response, round((time.monotonic() - began) * 1000))

    def _open_secrets(self, endpoint: WebhookEndpoint, now: datetime) -> list[Secret]:
        """Raises OpenError."""
        place = (endpoint.agency_id, endpoint.id)
        secrets = [self.keyring.open(endpoint.sealed, *endpoint_secret_context(*place))]
        if endpoint.former_sealed is not None and endpoint.former_until is not None and now < endpoint.former_until:
            secrets.append(self.keyring.open(endpoint.former_sealed, *former_endpoint_secret_context(*place)))
        return secrets


def write_event(agency_id: str, event: Mapping[str, Any], call: Mapping[str, Any], **more: Any) -> bytes:
    """A CloudEvent (version 1.0, structured JSON) of a call event, with its call. `more` are extension attributes."""
    return json.dumps(make_event(agency_id, event, call) | more, separators=(",", ":")).encode()


def make_event(agency_id: str, event: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": f"/v1/agencies/{agency_id}",
        "type": event["event"],
        "subject": event["call_id"],
        "time": event["at"],
        "datacontenttype": "application/json",
        "data": {"event": {**event}, "call": {**call}},
    }
