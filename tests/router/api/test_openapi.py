from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from adapters.registry import PROVIDERS
from router.api.app import api_operations

pytestmark = pytest.mark.anyio


async def test_the_document_is_valid_openapi(api):
    validate(api.document)
    assert api.document["openapi"].startswith("3.1")


async def test_the_document_names_every_operation_that_is_served_and_no_other(api):
    served = {(one.method.lower(), one.path) for one in api_operations(PROVIDERS)}
    described = {(method, path) for path, methods in api.document["paths"].items() for method in methods}
    assert described == served
    ids = [one["operationId"] for methods in api.document["paths"].values() for one in methods.values()]
    assert len(set(ids)) == len(ids)


async def test_every_property_says_what_it_is(api):
    for name, schema in api.document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert described.get("description"), f"{name}.{field}"


async def test_every_parameter_and_operation_says_what_it_is(api):
    tags = {tag["name"]: tag["description"] for tag in api.document["tags"]}
    for path, methods in api.document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert set(operation["tags"]) <= tags.keys()
            assert all(one.get("$ref") or one["description"] for one in operation.get("parameters", [])), (method, path)
            assert "application/json" not in operation["responses"].get("422", {}).get("content", ())


async def test_what_we_send_is_described_as_it_is_sent(api):
    (described,) = api.document["webhooks"].values()
    contents = described["post"]["requestBody"]["content"]
    assert list(contents) == ["application/json", "application/cloudevents+json"]
    for content in contents.values():
        schema = content["schema"] | {"components": api.document["components"]}
        for example in content["examples"].values():
            Draft202012Validator(schema, format_checker=FormatChecker()).validate(example["value"])
    assert {one["name"] for one in described["post"]["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }


async def test_a_secret_is_marked_as_one(api):
    schemas = api.document["components"]["schemas"]
    secrets = [schemas["VoiceKey"]["properties"]["key"], schemas["TwilioKey"]["properties"]["auth_token"]]
    assert all(secret["writeOnly"] and secret["format"] == "password" for secret in secrets)
