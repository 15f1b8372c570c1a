"""Recordings and transcripts of AI calls: played through us, and deleted at the provider with the call."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.sandbox.talks import DEMO
from adapters.sandbox.world import BLAND_KEY, ELEVENLABS_KEY, RETELL_KEY, VAPI_KEY
from tests.router.api.test_calls import BEGAN, file_call

pytestmark = pytest.mark.anyio

KEYS = {"vapi": VAPI_KEY, "retell": RETELL_KEY, "bland": BLAND_KEY, "elevenlabs": ELEVENLABS_KEY}


async def ended_call(services, agency, provider, call_id="call_1", **fields):
    told = {
        "provider": provider,
        "provider_call_id": f"{DEMO}{call_id}",
        "outcome": "ai",
        "answered_at": BEGAN + timedelta(seconds=2),
        "ended_at": BEGAN + timedelta(seconds=60),
    }
    await file_call(services, agency, call_id, **(told | fields))
    return f"{agency.path}/calls/{call_id}"


@pytest.mark.parametrize("provider", KEYS)
async def test_a_recording_is_played_in_parts_and_deleted_with_the_call(api, services, sandbox, provider):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/{provider}", {"key": KEYS[provider]})
    path = await ended_call(services, agency, provider)
    reader = (await api.post(f"{agency.path}/tokens", {"name": "Reader", "role": "read"}))["token"]
    assert (await api.get(path))["recording"] is True
    whole = await api.send("GET", f"{path}/recording", token=reader)
    assert whole.headers["content-type"] in {"audio/mpeg", "audio/wav"}
    assert whole.headers["cache-control"] == "private, no-store"
    part = await api.send("GET", f"{path}/recording", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (await api.send("GET", f"{path}/recording", headers={"range": "bytes=99999999-"})).status_code == 416
    sandbox.state.faults.set(provider, {"fault": "503", "operation": "all"})
    assert (await api.refusal("GET", f"{path}/recording")).name == "provider-unreachable"
    assert (await api.refusal("DELETE", path)).name == "provider-unreachable"
    sandbox.state.faults.clear()
    await api.delete(path)
    [org] = [org for org in getattr(sandbox.state, provider).orgs if org.key == KEYS[provider]]
    assert org.forgotten == {f"{DEMO}call_1"}


async def test_a_recording_that_is_not_there_is_not_found(api, services):
    agency, other = await api.new_agency(), await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    unknown = await ended_call(services, agency, "vapi", provider_call_id="11111111-2222-4333-8444-555555555555")
    by_owner = await ended_call(services, agency, None, "call_2", provider_call_id=None)
    assert (await api.refusal("GET", f"{unknown}/recording")).status == 404
    assert (await api.get(by_owner))["recording"] is False
    assert (await api.refusal("GET", f"{by_owner}/recording")).status == 404
    theirs = await api.refusal("GET", f"{other.path}/calls/call_1/recording", token=other.token)
    assert theirs.status == 404
    await api.delete(unknown)
    await api.delete(by_owner)


async def test_a_call_that_its_provider_keeps_is_deleted_here_only_on_request(api, services, sandbox):
    agency = await api.new_agency()
    path = await ended_call(services, agency, "bland")
    refused = await api.refusal("DELETE", path)
    assert (refused.name, "only_here" in refused.detail) == ("conflict", True)
    assert (await api.refusal("GET", f"{path}/recording")).name == "no-key"
    await api.put(f"{agency.path}/keys/bland", {"key": BLAND_KEY})
    [org] = [org for org in sandbox.state.bland.orgs if org.key == BLAND_KEY]
    org.may_delete_calls = False
    refused = await api.refusal("DELETE", path)
    assert (refused.name, "REDACT_CALLS" in refused.detail) == ("conflict", True)
    await api.delete(f"{path}?only_here=true")
    assert (await api.refusal("GET", path)).status == 404


async def test_a_transcript_is_told_in_turns(api, services):
    agency = await api.new_agency()
    turns = '[["assistant", 0.5, "Hello!"], ["caller", null, "Hi."]]'
    timed = await ended_call(services, agency, "vapi", transcript="AI: Hello!\nUser: Hi.")
    await services.database.settings.execute("UPDATE calls SET turns = $1::text::jsonb WHERE id = 'call_1'", turns)
    plain = await ended_call(services, agency, "vapi", "call_2", transcript="Agent: Hello!\nHow are you?\nUser: Hi.")
    unnamed = await ended_call(services, agency, "vapi", "call_3", transcript="Hello and hi.")
    assert (await api.get(timed))["turns"] == [
        {"speaker": "assistant", "at": 0.5, "text": "Hello!"},
        {"speaker": "caller", "at": None, "text": "Hi."},
    ]
    assert (await api.get(plain))["turns"] == [
        {"speaker": "assistant", "at": None, "text": "Hello!\nHow are you?"},
        {"speaker": "caller", "at": None, "text": "Hi."},
    ]
    assert (await api.get(unnamed))["turns"] == []
