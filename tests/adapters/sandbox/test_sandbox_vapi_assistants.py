"""The stand-in for Vapi where it keeps assistants, files and numbers."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

WHOLE: dict[str, Any] = {
    "name": "Night desk",
    "firstMessage": "Good evening.",
    "firstMessageMode": "assistant-speaks-first",
    "maxDurationSeconds": 900,
    "voice": {"provider": "vapi", "voiceId": "Elliot"},
    "transcriber": {"provider": "deepgram", "language": "en"},
    "voicemailDetection": {"provider": "vapi"},
    "model": {
        "provider": "openai",
        "model": "gpt-4.1",
        "messages": [{"role": "system", "content": "Be kind."}],
        "tools": [
            {"type": "endCall"},
            {
                "type": "function",
                "function": {"name": "book", "parameters": {"type": "object", "properties": {}}},
                "server": {"url": "https://acme.example/book"},
            },
        ],
    },
    "server": {
        "url": "https://calls.example.com",
        "timeoutSeconds": 20,
        "headers": {"x-secret": "s"},
        "backoffPlan": {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 2},
    },
    "serverMessages": ["status-update"],
    "metadata": {"ours": "yes"},
}


@pytest.fixture
def headers(world) -> dict[str, str]:
    return {"authorization": f"Bearer {world.vapi.key}"}


async def upload(client: httpx.AsyncClient, headers: dict[str, str], name: str = "prices.txt") -> dict[str, Any]:
    files = {"file": (name, "A visit is $80.", "text/plain")}
    return (await client.post("/vapi/file", headers=headers, files=files)).json()


async def test_an_assistant_is_kept_as_it_was_sent(client, headers):
    made = (await client.post("/vapi/assistant", headers=headers, json=WHOLE)).json()
    assert {name: made[name] for name in WHOLE} == WHOLE


async def test_a_change_replaces_what_it_names_and_null_takes_away(client, headers, clock):
    made = (await client.post("/vapi/assistant", headers=headers, json=WHOLE)).json()
    clock.advance(seconds=1)
    change = {"model": {"provider": "openai", "model": "gpt-5"}, "firstMessage": None}
    changed = (await client.patch(f"/vapi/assistant/{made['id']}", headers=headers, json=change)).json()

    assert changed["model"] == {"provider": "openai", "model": "gpt-5"}
    assert "firstMessage" not in changed
    assert (changed["name"], changed["createdAt"]) == ("Night desk", made["createdAt"])
    assert changed["updatedAt"] > made["updatedAt"]


def changed(*path: Any, to: Any) -> dict[str, Any]:
    body = copy.deepcopy(WHOLE)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return body


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (changed("prompt", to="Hi"), "property prompt should not exist"),
        (changed("name", to="x" * 41), "name must be shorter"),
        (changed("firstMessage", to=7), "firstMessage must be a string"),
        (changed("firstMessageMode", to="silent"), "firstMessageMode must be one of"),
        (changed("maxDurationSeconds", to=5), "maxDurationSeconds must not be less than 10"),
        (changed("metadata", to="x"), "metadata must be an object"),
        (changed("serverMessages", to=["gossip"]), "each value in serverMessages must be one of"),
        (changed("voicemailDetection", to={"provider": "ear"}), "voicemailDetection.provider must be one of"),
        (changed("voice", to={"provider": "vapi"}), "voice.voiceId should not be empty"),
        (changed("voice", to={"provider": "gramophone"}), "voice.provider must be one of"),
        (changed("transcriber", to={"language": "en"}), "transcriber.provider must be one of"),
        (changed("model", to={"provider": "openai"}), "model.provider and model.model should not be empty"),
        (changed("model", "messages", to=[{"role": "system"}]), "model.messages.0.role and content"),
        (changed("model", "tools", 0, to={"type": "abracadabra"}), "model.tools.0.type must be one of"),
        (changed("model", "tools", 0, to="endCall"), "model.tools.0.type must be one of"),
        (changed("model", "tools", 0, "url", to="x"), "model.tools.0.property url should not exist"),
        (changed("model", "tools", 1, "function", "name", to="book a visit"), "function.name must match"),
        (changed("model", "tools", 1, "function", to=None), "function should not be empty"),
        (changed("model", "tools", 1, "function", "parameters", to={}), "parameters.type must be object"),
        (
            changed("model", "tools", 1, "function", "parameters", to={"type": "object"}),
            "parameters.properties must be an object",
        ),
        (changed("model", "tools", 0, to=WHOLE["model"]["tools"][1]), "functions of the same name"),
        (
            changed("model", "tools", 0, to={"type": "query", "knowledgeBases": [{"provider": "attic"}]}),
            "knowledgeBases.provider must be one of",
        ),
        (
            changed(
                "model", "tools", 0, to={"type": "query", "knowledgeBases": [{"provider": "google", "fileIds": ["x"]}]}
            ),
            "File x Does Not Exist",
        ),
        (changed("server", "secret", to="x"), "server.property secret should not exist"),
        (changed("server", "url", to="calls.example.com"), "server.url must be a URL address"),
        (changed("server", "timeoutSeconds", to=0), "server.timeoutSeconds must not be less than 1"),
        (changed("server", "headers", to={"x": 1}), "server.headers must be an object of strings"),
        (changed("server", "backoffPlan", to={"maxRetries": 11}), "maxRetries must not be less than 0"),
        (changed("server", "backoffPlan", to={"tries": 1}), "backoffPlan must be an object of"),
        (changed("server", to="https://calls.example.com"), "server must be an object"),
    ],
)
async def test_an_assistant_of_the_wrong_shape_is_refused_with_a_list(client, headers, body, complaint):
    made = await client.post("/vapi/assistant", headers=headers, json=body)
    good = (await client.post("/vapi/assistant", headers=headers, json=WHOLE)).json()
    change = await client.patch(f"/vapi/assistant/{good['id']}", headers=headers, json=body)

    assert (made.status_code, change.status_code) == (400, 400)
    assert complaint in "; ".join(made.json()["message"])
    assert (await client.get(f"/vapi/assistant/{good['id']}", headers=headers)).json() == good


async def test_a_list_is_newest_first_and_goes_on_before_a_time(client, box, world, headers, clock):
    org = box.state.vapi.orgs.of(world.vapi.key)
    for each in range(5):
        clock.advance(minutes=1)
        box.state.vapi.add_assistant(org, str(each))
    listed = (await client.get("/vapi/assistant?limit=2", headers=headers)).json()
    before = (
        await client.get(f"/vapi/assistant?limit=2&createdAtLt={listed[-1]['createdAt']}", headers=headers)
    ).json()
    since = (await client.get(f"/vapi/assistant?createdAtGe={listed[-1]['createdAt']}", headers=headers)).json()

    assert [one["name"] for one in listed] == ["4", "3"]
    assert [one["name"] for one in before] == ["2", "1"]
    assert [one["name"] for one in since] == ["4", "3"]


async def test_a_time_is_kept_finer_than_it_is_told(client, box, world, headers, clock):
    """So that going on before a told time leaves out what was made in the same millisecond."""
    clock.now = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(microseconds=300)
    box.state.vapi.add_assistant(box.state.vapi.orgs.of(world.vapi.key), "Within a millisecond")
    told = (await client.get("/vapi/assistant?limit=1", headers=headers)).json()[0]["createdAt"]

    before = (await client.get(f"/vapi/assistant?createdAtLe={told}", headers=headers)).json()
    assert "Within a millisecond" not in [one["name"] for one in before]


@pytest.mark.parametrize("query", ["limit=all", "limit=1001", "createdAtLt=yesterday", "page=2", "nameLt=2026-01-01"])
async def test_a_list_that_is_asked_for_wrongly_is_refused(client, headers, query):
    assert (await client.get(f"/vapi/assistant?{query}", headers=headers)).status_code == 400


async def test_a_file_lives_and_dies(client, headers):
    made = await upload(client, headers)
    address = f"/vapi/file/{made['id']}"

    assert (made["name"], made["mimetype"], made["bytes"]) == ("prices.txt", "text/plain", 15)
    assert (await client.get("/vapi/file", headers=headers)).json() == [made]
    assert (await client.patch(address, headers=headers, json={"name": "old.txt"})).json()["name"] == "old.txt"
    assert (await client.patch(address, headers=headers, json={"bytes": 1})).status_code == 400
    assert (await client.get(address, headers=headers)).json()["originalName"] == "prices.txt"
    assert (await client.delete(address, headers=headers)).status_code == 200
    assert (await client.get(address, headers=headers)).status_code == 404


async def test_an_upload_without_a_file_is_refused(client, headers):
    for sent in ({"json": {"file": "x"}}, {"files": {"document": ("a.txt", "x")}}, {"data": {"file": "x"}}):
        assert (await client.post("/vapi/file", headers=headers, **sent)).status_code == 400


async def test_a_knowledge_base_names_files_of_its_own_org(client, box, headers):
    file = await upload(client, headers)
    base = {"name": "k", "description": "d", "provider": "google", "fileIds": [file["id"]]}
    body = changed("model", "tools", to=[{"type": "query", "knowledgeBases": [base]}])
    other = {"authorization": f"Bearer {box.state.vapi.add_org().key}"}

    assert (await client.post("/vapi/assistant", headers=headers, json=body)).status_code == 201
    assert (await client.post("/vapi/assistant", headers=other, json=body)).status_code == 400


@pytest.mark.parametrize("shelf", ["assistant", "file", "phone-number"])
async def test_what_belongs_to_another_org_is_not_there(client, box, headers, shelf):
    org = box.state.vapi.add_org()
    theirs = {
        "assistant": box.state.vapi.add_assistant(org),
        "phone-number": box.state.vapi.add_phone_number(org, "+15005550177"),
        "file": (await upload(client, {"authorization": f"Bearer {org.key}"}))["id"],
    }[shelf]
    for method in ("GET", "PATCH", "DELETE"):
        response = await client.request(method, f"/vapi/{shelf}/{theirs}", headers=headers, json={})
        assert response.status_code == 404
    assert theirs not in [one["id"] for one in (await client.get(f"/vapi/{shelf}", headers=headers)).json()]


@pytest.fixture
def twilio_number(box) -> dict[str, str]:
    account = box.state.twilio.add_account()
    box.state.twilio.add_number(account, "+15005550155", voice_url="https://router.example/voice")
    return {
        "number": "+15005550155",
        "twilioAccountSid": account.sid,
        "twilioAuthToken": account.auth_token,
    }


async def test_a_number_is_imported_once(client, headers, twilio_number):
    body = {"provider": "twilio", **twilio_number}
    first = await client.post("/vapi/phone-number", headers=headers, json=body)
    second = await client.post("/vapi/phone-number", headers=headers, json=body)

    assert (first.status_code, second.status_code) == (201, 400)
    assert f"Existing Phone Number {first.json()['id']} Has Identical" in second.json()["message"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"assistantId": "00000000-0000-4000-8000-000000000000"}, "Does Not Exist"),
        ({"fallbackDestination": {"type": "pigeon"}}, "fallbackDestination.type must be one of"),
        ({"fallbackDestination": {"type": "number", "number": "call me"}}, "must be a valid phone number"),
        ({"fallbackDestination": "+14155550100"}, "fallbackDestination.type must be one of"),
        ({"name": "x" * 41}, "name must be shorter"),
        ({"label": "x"}, "property label should not exist"),
    ],
)
async def test_a_number_of_the_wrong_shape_is_refused(client, headers, twilio_number, settings, complaint):
    wrong = await client.post(
        "/vapi/phone-number", headers=headers, json={"provider": "twilio", **twilio_number, **settings}
    )
    good = await client.post("/vapi/phone-number", headers=headers, json={"provider": "twilio", **twilio_number})
    change = await client.patch(f"/vapi/phone-number/{good.json()['id']}", headers=headers, json=settings)

    assert (wrong.status_code, good.status_code, change.status_code) == (400, 201, 400)
    for response in (wrong, change):
        assert complaint in str(response.json()["message"])


async def test_a_change_has_no_provider(client, headers, twilio_number):
    """Vapi's schema: UpdateTwilioPhoneNumberDTO."""
    good = (
        await client.post("/vapi/phone-number", headers=headers, json={"provider": "twilio", **twilio_number})
    ).json()
    change = {"provider": "twilio", "name": "x"}
    assert (await client.patch(f"/vapi/phone-number/{good['id']}", headers=headers, json=change)).status_code == 400


async def test_new_credentials_are_tried_and_point_the_number_at_vapi_again(client, box, headers, twilio_number):
    made = (
        await client.post("/vapi/phone-number", headers=headers, json={"provider": "twilio", **twilio_number})
    ).json()
    account = box.state.twilio.accounts[twilio_number["twilioAccountSid"]]
    number = account.number_called("+15005550155")
    number["voice_url"] = "https://router.example/voice"
    address = f"/vapi/phone-number/{made['id']}"

    assert (await client.patch(address, headers=headers, json={"name": "renamed"})).status_code == 200
    assert (await client.patch(address, headers=headers, json={"twilioAuthToken": "wrong"})).status_code == 400
    assert number["voice_url"] == "https://router.example/voice"
    change = {"twilioAuthToken": account.auth_token}
    assert (await client.patch(address, headers=headers, json=change)).status_code == 200
    assert number["voice_url"] == "https://api.vapi.ai/twilio/inbound_call"
