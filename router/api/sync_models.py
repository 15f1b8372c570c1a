"""What the API answers about syncing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from router.api.models import SyncReply
from router.fields import Output


class FailureReply(Output):
    """A client for whom it failed."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str, Field(description="The client's name")]
    error: Annotated[str | None, Field(description="Why it failed")]


class SyncProgress(SyncReply):
    """How far the agency's assistants are at a provider, and each client for whom it failed."""

    provider: Annotated[str, Field(description="The provider's name", examples=["vapi"])]
    failures: Annotated[list[FailureReply], Field(description="The first of the clients for whom it failed")]


class PlanItem(Output):
    """What becomes of one client."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str, Field(description="The client's name")]
    action: Annotated[
        Literal["create", "update", "adopt", "keep", "none"],
        Field(description="adopt: a copy of ours was found there; keep: it is there as it should be, or linked"),
    ]
    lost: Annotated[list[str], Field(description="What of its assistant the provider cannot do")]
    reason: Annotated[str | None, Field(description="Why nothing is done for it")]


class OrphanReply(Output):
    """An assistant of our making that no call would reach."""

    provider: Annotated[str, Field(description="Where it is")]
    client_id: Annotated[str, Field(description="The client for which it was made")]
    remote_id: Annotated[str | None, Field(description="Its id there")]


class PlanReply(Output):
    """What making a provider the active one would do."""

    provider: Annotated[str, Field(description="Which provider")]
    items: Annotated[list[PlanItem], Field(description="What becomes of each client")]
    orphans: Annotated[list[OrphanReply], Field(description="Assistants that no call would reach")]
    staying_behind: Annotated[list[str], Field(description="Numbers bought from another provider, which stay there")]
