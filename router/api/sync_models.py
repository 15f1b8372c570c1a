"""What the API answers about syncing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from router.api.models import SyncReply
from router.fields import Output


class FailureReply(Output):
    client_id: str
    client_name: str
    error: str | None


class SyncProgress(SyncReply):
    """How far the agency's assistants are at a provider, and each client for whom it failed."""

    provider: str
    failures: list[FailureReply]


class PlanItem(Output):
    """What becomes of one client. `lost`: what of its assistant the provider cannot do."""

    client_id: str
    client_name: str
    action: Annotated[
        Literal["create", "update", "adopt", "keep", "none"],
        Field(description="adopt: a copy of ours was found there; keep: it is there as it should be, or linked"),
    ]
    lost: list[str]
    reason: str | None


class OrphanReply(Output):
    """An assistant of our making that no call would reach."""

    provider: str
    client_id: str
    remote_id: str | None


class PlanReply(Output):
    """What making `provider` the active one would do. `staying_behind`: numbers bought from another provider."""

    provider: str
    items: list[PlanItem]
    orphans: list[OrphanReply]
    staying_behind: list[str]


class OfferReply(Output):
    """What a voice provider offers. `sells_in`: countries in which it sells numbers itself."""

    name: str
    label: str
    find_key: Annotated[str, Field(description="Where people find their key")]
    costs: str
    good_for: str
    features: dict[str, Literal["yes", "partly", "no"]]
    notes: dict[str, str]
    sells_in: list[str]


class OfferList(Output):
    items: list[OfferReply]
