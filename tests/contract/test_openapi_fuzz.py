"""The OpenAPI document against the service: requests made up from it, by schemathesis.

No answer is a 5xx of ours or one that the document does not know; nothing is accepted that the document forbids, and
nothing refused that it allows, but for what no schema can say (`BEYOND_SCHEMAS`).

A few requests an operation in the suite; `make fuzz` asks for more.
"""

from __future__ import annotations

import os
import re
from typing import Any

import anyio.to_thread
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.router.api.client import ADMIN_TOKEN
from tests.support.api_service import api, bulkheads, captured_events, circuits, clock, platform_keys, sandbox, services

__all__ = ["api", "bulkheads", "captured_events", "circuits", "clock", "platform_keys", "sandbox", "services"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(1800)]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
ENDLESS = "get_agencies_agency_events"  # a stream: it would be read to its end
UNREACHABLE = "provider-unreachable"  # says 503 of another system, which is no mistake of ours

BEYOND_SCHEMAS = (
    "must be a phone number in E.164 form",  # a numbering plan has no room for it
    "is not in the numbering plan's data",
    "must not be a premium-rate",
    "must be a time zone of the IANA database",
    "must be a day or a time that exists",  # the 30th of February
    "must be before to",
    "must be at most 366 days before to",
    "must differ; all day",  # opening hours without length
    "must not name one twice",
    "must not begin with callrouter_",
    "must not have the same name twice",
    "must not have line breaks or control characters",
    "must not hold NUL characters",
    "must not be empty",  # nothing but white space
    "must be ASCII without control characters",
    "must be the id of a client of this agency",
    "must be the next_cursor of an earlier answer",
    "must be the id of an event of this stream",
    "must be one of ",  # names of providers
    "may only contain ",  # likewise
    'must be ["*"], or of ',  # names of events
    "is required",  # by what another field says
    "goes with ",
    "it must start with https://",  # an endpoint's address
    "it is not a valid address",
    "it must not contain a user",
    "must be an address that starts with https://",
    "must be a JSON Schema",
    "properties must be an object",
    "required must be a list of names",
    "must be the provider's own number",
)


def requests_of(operation: Any, mode: GenerationMode, ids: dict[str, str]) -> Any:
    names = {parameter.name for parameter in operation.path_parameters}
    known = {name: value for name, value in ids.items() if name in names}
    if operation.method == "delete" and names == {"agency"}:
        known = {"agency": "agency_nobody"}  # the others are still to be asked
    return operation.as_strategy(generation_mode=mode, path_parameters=known or None)


def ask(case: Any, url: str) -> None:
    response = case.call(base_url=url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=30)
    unreachable = response.status_code == 503 and response.json()["type"] == f"/problems/{UNREACHABLE}"
    case.validate_response(response, checks=CHECKS[1:] if unreachable else CHECKS)
    if case.meta.generation.mode is GenerationMode.POSITIVE and response.status_code == 422:
        refuse_refusals(case, response.json())


def refuse_refusals(case: Any, problem: dict[str, Any]) -> None:
    """What the document allows may be refused only for a reason that it cannot express."""
    if problem["type"] != "/problems/invalid":
        return
    for error in problem.get("errors", [{"field": "", "message": problem["detail"]}]):
        assert any(re.search(re.escape(words), error["message"]) for words in BEYOND_SCHEMAS), (
            f"{case.method} {case.path}: {error['field']} {error['message']}: {case.body!r} {case.query!r}"
        )


def fuzz(document: dict[str, Any], url: str, ids: dict[str, str]) -> list[str]:
    """What is wrong, by operation. Schemathesis asks in its own thread, and the service answers in the event loop."""
    complaints = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] == ENDLESS:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = requests_of(operation, mode, ids)
            check = settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(strategy)(lambda case: ask(case, url)))
            try:
                check()
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all that is wrong is told at once
                complaints.append(f"{operation.label} {mode.value}: {error}")
    return complaints


async def test_the_service_does_what_its_document_says(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    url = str(api.http.base_url)
    ids = {"agency": agency.id, "client": client["id"]}
    complaints = await anyio.to_thread.run_sync(fuzz, api.document, url, ids)
    assert not complaints, "\n\n".join(complaints)
