"""What an org owns at the stand-in for Vapi, and how its records are kept, listed, changed and deleted."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from starlette.responses import Response

from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, iso, new_uuid
from adapters.sandbox.orgs import Org

_BOUNDS = {"Lt": datetime.__lt__, "Le": datetime.__le__, "Gt": datetime.__gt__, "Ge": datetime.__ge__}
_MOST = 1000


@dataclass(slots=True)
class Call:
    """A created bypass call, good for one stream that brings these parameters along."""

    record: Json
    parameters: dict[str, str]
    state: Literal["waiting", "blocked", "answered", "ended", "deleted"] = "waiting"


@dataclass(slots=True)
class VapiOrg(Org):
    assistants: dict[str, Json] = field(default_factory=dict)
    phone_numbers: dict[str, Json] = field(default_factory=dict)
    files: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)  # calls of the demo's history that were deleted
    pinned: set[str] = field(default_factory=set)  # assistants of which a squad uses a fixed version
    handoff_form: Literal["stream", "sip"] = "stream"
    # When each record was created and updated, to the microsecond; the records only show milliseconds.
    times: dict[str, dict[str, datetime]] = field(default_factory=dict)


class Collection(Part[VapiOrg]):
    """Records of one kind, below one path."""

    @abstractmethod
    def records(self, org: VapiOrg) -> dict[str, Json]:
        """By id."""

    @endpoint("GET")
    def _list(self, org: VapiOrg, asked: Asked) -> list[Json]:
        """The newest first, within the bounds that the query sets."""
        limit = asked.query.get("limit", "100")
        if not limit.isdecimal() or int(limit) > _MOST:
            raise Refusal(400, ["limit must not be greater than 1000"])
        bounds = [_bound(name, value) for name, value in asked.query.items() if name != "limit"]
        newest_first = sorted(
            self.records(org).values(), key=lambda one: org.times[one["id"]]["createdAt"], reverse=True
        )
        within = [
            one
            for one in newest_first
            if all(_BOUNDS[relation](org.times[one["id"]][what], moment) for what, relation, moment in bounds)
        ]
        return within[: int(limit)]

    @endpoint("GET", "/{id}")
    def _get(self, org: VapiOrg, asked: Asked) -> Json:
        return asked.find(self.records(org))

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: VapiOrg, asked: Asked) -> Json | Response:
        return asked.pop(self.records(org))

    def keep(self, org: VapiOrg, body: Json) -> Json:
        """A new record. A field that is null counts as left out."""
        record = {name: value for name, value in body.items() if value is not None} | fresh_record(org, self._clock())
        self.records(org)[record["id"]] = record
        org.times[record["id"]] = dict.fromkeys(("createdAt", "updatedAt"), self._clock())
        return record

    def change(self, org: VapiOrg, record: Json, body: Json) -> Json:
        """A PATCH replaces each field that it names as a whole; null removes it."""
        for name, value in body.items():
            if value is None:
                record.pop(name, None)
            else:
                record[name] = value
        org.times[record["id"]]["updatedAt"] = now = self._clock()
        record["updatedAt"] = iso(now)
        return record


def fresh_record(org: VapiOrg, now: datetime) -> Json:
    return {"id": new_uuid(), "orgId": org.id, "createdAt": iso(now), "updatedAt": iso(now)}


def check_assistant_id(org: VapiOrg, body: Json) -> None:
    assistant_id = body.get("assistantId")
    if assistant_id is not None and assistant_id not in org.assistants:
        raise Refusal(400, f"Couldn't Get Assistant. `assistantId` {assistant_id} Does Not Exist.")


def _bound(name: str, value: str) -> tuple[str, str, datetime]:
    what, relation = name[:-2], name[-2:]
    if what not in ("createdAt", "updatedAt") or relation not in _BOUNDS:
        raise Refusal(400, [f"property {name} should not exist"])
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Refusal(400, [f"{name} must be a valid ISO 8601 date string"]) from None
    return what, relation, moment if moment.tzinfo else moment.replace(tzinfo=UTC)
