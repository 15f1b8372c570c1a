"""What an org owns at the stand-in for Retell, and what all parts of its API share: pages, versions, Retell's words.

Sources: Retell's OpenAPI (shared error responses, paged lists) and the types of retell-sdk 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from adapters.sandbox.api import Asked, Json, Part, Refusal
from adapters.sandbox.orgs import Org

BAD_FORMAT = "Invalid request format, please check API reference."
MESSAGES: Mapping[int, str] = {
    400: BAD_FORMAT,
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    403: "API key does not have access to this resource.",
    404: "Cannot find requested asset under given api key.",
    422: "Cannot find requested asset under given api key.",
    429: "Account rate limited, please throttle your requests.",
    500: "An unexpected server error occurred.",
}
SUSPENDED = "This agent is suspended due to a violation of Retell's Terms of Service."
_PAGE = 50
_LONGEST_PAGE = 1000


@dataclass(slots=True)
class Call:
    """A registered call: may be dialled once, within five minutes."""

    record: Json
    registered_at: datetime
    state: Literal["registered", "ongoing", "ended"] = "registered"


@dataclass(slots=True)
class KnowledgeBase:
    """`looks_left`: how often it is still in progress when looked at. `outcome` is what it comes to then."""

    record: Json
    texts: list[Json]
    looks_left: int
    outcome: Literal["complete", "error"]


@dataclass(slots=True)
class RetellOrg(Org):
    """`agents` and `llms` hold versions; a version's number is its place. Numbers go by their E.164 form."""

    agents: dict[str, list[Json]] = field(default_factory=dict)
    llms: dict[str, list[Json]] = field(default_factory=dict)
    knowledge_bases: dict[str, KnowledgeBase] = field(default_factory=dict)
    numbers: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)  # calls of the demo's history that were deleted
    suspended: set[str] = field(default_factory=set)  # agents
    knowledge_looks: int = 0  # set by tests: how long a new knowledge base takes
    knowledge_outcome: Literal["complete", "error"] = "complete"  # likewise


class RetellPart(Part[RetellOrg]):
    """A part of the API whose things say when they were last changed."""

    def _touched(self) -> Json:
        return {"last_modification_timestamp": int(self._clock().timestamp() * 1000)}


def page_of(items: list[Json], name: str, query: Mapping[str, str]) -> Json:
    """A page of a v2 list: newest first, behind the item whose `name` is the pagination_key."""
    if unknown := set(query) - {"limit", "pagination_key", "sort_order"}:
        raise Refusal(400, f"Unknown query parameter {min(unknown)!r}")
    limit = query.get("limit", str(_PAGE))
    if not limit.isdecimal() or not 0 < int(limit) <= _LONGEST_PAGE:
        raise Refusal(400, f"{BAD_FORMAT} (limit)")
    ordered = items if query.get("sort_order") == "ascending" else items[::-1]
    keys = [str(item[name]) for item in ordered]
    after = query.get("pagination_key")
    if after is not None and after not in keys:
        raise Refusal(400, f"{BAD_FORMAT} (pagination_key)")
    start = 0 if after is None else keys.index(after) + 1
    page = ordered[start : start + int(limit)]
    more = start + len(page) < len(ordered)
    return {"items": page, "has_more": more, **({"pagination_key": str(page[-1][name])} if more else {})}


def pick_version(versions: list[Json], wanted: object) -> Json:
    """A version by number, "latest" or "latest_published"; raises Refusal (422) where there is none."""
    if wanted == "latest":
        return versions[-1]
    if wanted == "latest_published":
        wanted = next((version["version"] for version in reversed(versions) if version["is_published"]), None)
    if isinstance(wanted, int) and 0 <= wanted < len(versions):
        return versions[wanted]
    raise Refusal(422, "Cannot find the requested version of the agent.")


def asked_version(asked: Asked, *others: str) -> object:
    """What the query's `version` names; raises Refusal (400) for any parameter but that and `others`."""
    if unknown := set(asked.query) - {"version", *others}:
        raise Refusal(400, f"Unknown query parameter {min(unknown)!r}")
    named = asked.query.get("version", "latest")
    return int(named) if named.isdecimal() else named
