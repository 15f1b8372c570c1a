"""What an org owns at the stand-in for ElevenLabs, and what all parts of its API share: pages, validation, its words.

Sources: ElevenLabs' OpenAPI (paged lists) and docs (Errors). Field names are those of the types in its Python SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapters.sandbox.api import Asked, Json, Refusal
from adapters.sandbox.orgs import Org

NO_CREDIT = "This request exceeds your quota. You have 0 credits remaining."
NO_LINE = "You have exceeded the number of concurrent conversations of your subscription."
NAMES: Mapping[int | str, str] = {
    401: "invalid_api_key",
    403: "missing_permissions",
    404: "not_found",
    429: "rate_limit_exceeded",
    NO_CREDIT: "quota_exceeded",
    NO_LINE: "too_many_concurrent_requests",
}
MESSAGES: Mapping[int, str] = {
    401: "Invalid API key",
    403: "The API key you used is missing the permission to execute this operation.",
    404: "The requested resource was not found.",
    429: "Rate limit exceeded.",
}
MONTHLY_CREDITS = 100_000
_LONGEST_PAGE = 100


@dataclass(slots=True)
class Conversation:
    """A registered call, good for one stream that names it."""

    agent_id: str
    variables: Json
    state: Literal["waiting", "answered"] = "waiting"


@dataclass(slots=True)
class ElevenLabsOrg(Org):
    """All records by id, as the API shows them."""

    agents: dict[str, Json] = field(default_factory=dict)
    tools: dict[str, Json] = field(default_factory=dict)
    documents: dict[str, Json] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)  # conversations that were deleted
    texts: dict[str, str] = field(default_factory=dict)  # of the documents
    webhooks: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, Conversation] = field(default_factory=dict)

    def prompts(self) -> Iterable[Json]:
        return (agent["conversation_config"]["agent"]["prompt"] for agent in self.agents.values())


def invalid(place: str, message: str) -> Refusal:
    """The refusal of a body: 422."""
    return Refusal(422, f"{place}: {message}")


def check_fields(place: str, given: object, known: Iterable[str], needed: Iterable[str] = ()) -> Json:
    """An object with known fields only. ElevenLabs lets others pass; a test is to hear of a field that does nothing."""
    if not isinstance(given, dict):
        raise invalid(place, "Input should be a valid dictionary")
    if unknown := sorted(set(given) - set(known)):
        raise invalid(f"{place}.{unknown[0]}", "Extra inputs are not permitted")
    if missing := sorted(set(needed) - set(given)):
        raise invalid(f"{place}.{missing[0]}", "Field required")
    return given


def page_of(name: str, items: Iterable[Json], asked: Asked, text_of: str = "name") -> Json:
    """A page of a list: what `search` is part of, newest first, behind the `cursor`."""
    if unknown := set(asked.query) - {"page_size", "cursor", "search"}:
        raise invalid(f"query.{min(unknown)}", "Extra inputs are not permitted")
    size = asked.query.get("page_size", "30")
    if not size.isdecimal() or not 1 <= int(size) <= _LONGEST_PAGE:
        raise invalid("query.page_size", "Input should be between 1 and 100")
    wanted = asked.query.get("search", "").lower()
    found = [one for one in items if wanted in str(one.get(text_of, "")).lower()][::-1]
    start = int(asked.query.get("cursor", "0"))
    page = found[start : start + int(size)]
    more = start + len(page) < len(found)
    return {name: page, "has_more": more, "next_cursor": str(start + len(page)) if more else None}


def access_of(org: ElevenLabsOrg) -> Json:
    return {"is_creator": True, "creator_name": org.name, "creator_email": "agency@example.com", "role": "admin"}
