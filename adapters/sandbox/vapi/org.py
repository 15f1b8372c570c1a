"""What an org owns at the stand-in for Vapi, and how its things are kept, listed and changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from adapters.sandbox.api import Asked, Json, Refusal, iso
from adapters.sandbox.ids import new_uuid
from adapters.sandbox.orgs import Org

_BOUNDS = {"Lt": datetime.__lt__, "Le": datetime.__le__, "Gt": datetime.__gt__, "Ge": datetime.__ge__}
_MOST = 1000


@dataclass(slots=True)
class Call:
    """A created bypass call, good for one stream that brings these parameters along."""

    record: Json
    parameters: dict[str, str]
    state: Literal["waiting", "blocked", "answered", "deleted"] = "waiting"


@dataclass(slots=True)
class VapiOrg(Org):
    assistants: dict[str, Json] = field(default_factory=dict)
    phone_numbers: dict[str, Json] = field(default_factory=dict)
    files: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    handoff_form: Literal["stream", "sip"] = "stream"
    times: dict[str, dict[str, datetime]] = field(
        default_factory=dict
    )  # of things by id, finer than their records tell


def fresh_record(org: VapiOrg, now: datetime) -> Json:
    return {"id": new_uuid(), "orgId": org.id, "createdAt": iso(now), "updatedAt": iso(now)}


def keep(org: VapiOrg, shelf: dict[str, Json], body: Json, now: datetime) -> Json:
    """What is null in a body is as good as left out."""
    record = {name: value for name, value in body.items() if value is not None} | fresh_record(org, now)
    shelf[record["id"]] = record
    org.times[record["id"]] = {"createdAt": now, "updatedAt": now}
    return record


def change(org: VapiOrg, record: Json, body: Json, now: datetime) -> Json:
    """A PATCH replaces the fields that it names as a whole; null takes one away."""
    for name, value in body.items():
        if value is None:
            record.pop(name, None)
        else:
            record[name] = value
    record["updatedAt"] = iso(now)
    org.times[record["id"]]["updatedAt"] = now
    return record


def owned(shelf: dict[str, Json], asked: Asked) -> Json:
    """Raises Refusal (404)."""
    found = shelf.get(asked.parameters["id"])
    if found is None:
        raise Refusal(404)
    return found


def page(org: VapiOrg, shelf: dict[str, Json], asked: Asked) -> list[Json]:
    """The newest first, within the bounds that the query sets. Raises Refusal (400)."""
    limit = asked.query.get("limit", "100")
    if not limit.isdecimal() or int(limit) > _MOST:
        raise Refusal(400, ["limit must not be greater than 1000"])
    bounds = [_bound(name, value) for name, value in asked.query.items() if name != "limit"]
    newest_first = sorted(shelf.values(), key=lambda one: org.times[one["id"]]["createdAt"], reverse=True)
    within = [
        one
        for one in newest_first
        if all(_BOUNDS[relation](org.times[one["id"]][what], moment) for what, relation, moment in bounds)
    ]
    return within[: int(limit)]


def _bound(name: str, value: str) -> tuple[str, str, datetime]:
    what, relation = name[:-2], name[-2:]
    if what not in ("createdAt", "updatedAt") or relation not in _BOUNDS:
        raise Refusal(400, [f"property {name} should not exist"])
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Refusal(400, [f"{name} must be a valid ISO 8601 date string"]) from None
    return what, relation, moment if moment.tzinfo else moment.replace(tzinfo=UTC)
