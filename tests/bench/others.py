"""All that is not a new call: the carrier's callbacks, a provider's webhook, the API's lists. Each beside its own floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench.load import Call, Request, new_calls, ring_all
from tests.bench.run import Cost, spend, warm_up
from tests.bench.stage import AGENCIES, Side, Stage

_ROUNDS: Final = 5
_CALLS: Final = 500
_AT_ONCE: Final = 8
_LISTS: Final = ("calls", "clients", "numbers")


@dataclass(slots=True)
class Costs:
    """One side's, by kind of request."""

    side: Side
    of: dict[str, Cost] = field(default_factory=dict)


async def others(stage: Stage) -> str:
    sides = [Costs(await stage.start_floor("the floor")), Costs(await stage.start_service("the service"))]
    for costs in sides:
        await warm_up(stage, costs.side, 16)
    for _ in range(_ROUNDS):
        for costs in sides:
            await _measure(stage, costs)
    floor, service = sides
    lines = [
        f"{kind:34}{service.of[kind].middle:8.2f} ms of processor, {service.of[kind].middle / least.middle:5.1f} x its floor;"
        f" answered in {service.of[kind].p50:5.1f} ms, 99 of 100 within {service.of[kind].p99:5.1f} ms"
        for kind, least in floor.of.items()
    ]
    return "\n".join([f"Other requests, {_AT_ONCE} at once:", *lines])


async def _measure(stage: Stage, costs: Costs) -> None:
    calls = new_calls(stage, stage.clients, _CALLS)
    await ring_all(stage, costs.side, calls, _AT_ONCE)
    kinds = {
        "action callback": [call.hang_up() for call in calls],
        "status callback": [call.close() for call in calls],
        "Retell's report of the end": [call.report() for call in calls],
        **{f"GET /v1/agencies/…/{name}": _lists(stage, calls, name) for name in _LISTS},
    }
    for kind, requests in kinds.items():
        await spend(stage, costs.side, costs.of.setdefault(kind, Cost()), requests, _AT_ONCE)


def _lists(stage: Stage, calls: Sequence[Call], name: str) -> list[Request]:
    agencies = [call.client.agency_id for call in calls[:AGENCIES] * (_CALLS // AGENCIES)]
    return [
        Request(f"/v1/agencies/{agency_id}/{name}", {"Authorization": f"Bearer {stage.tokens[agency_id]}"})
        for agency_id in agencies
    ]
