"""Two agencies that saved the same Twilio account: a token proves a request only for the agency that saved it."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import pytest

from tests.support.signed_requests import STATUS, VOICE, call_form, count_writes, post_signed, read_document, verbs
from tests.support.world import Client, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


async def share_account(world: World, *, mode: str = "ring_through") -> tuple[Client, Client]:
    """The owner of a number on the account, and another agency with the same account and token."""
    owner = await world.add_client(own_account=True, routing={"mode": mode})
    other = await world.add_client(routing={"mode": mode})
    other.account_sid, other.auth_token = owner.account_sid, owner.auth_token
    await world.save_key(other.agency_id, "twilio", other.auth_token, account_sid=other.account_sid)
    await world.db.execute("UPDATE numbers SET account_sid = $1 WHERE e164 = $2", owner.account_sid, other.number)
    return owner, other


async def erase_token(world: World, client: Client) -> None:
    """And have it noticed: the next call is refused, so that Twilio uses the number's fallback."""
    await world.db.execute("DELETE FROM keys WHERE agency_id = $1 AND kind = 'twilio'", client.agency_id)
    before = await count_writes(world)
    assert (await post_signed(world, VOICE, call_form(client), client.auth_token)).status_code == 403
    assert await count_writes(world) == before


async def test_each_agencys_number_is_answered(world: World):
    for client in await share_account(world):
        assert verbs(await post_signed(world, VOICE, call_form(client), client.auth_token)) == ["Dial"]


async def test_calls_of_an_agency_that_erased_its_token_are_refused_and_the_others_are_not(world: World):
    owner, other = await share_account(world)
    assert verbs(await post_signed(world, VOICE, call_form(owner), owner.auth_token)) == ["Dial"]
    await erase_token(world, owner)
    assert verbs(await post_signed(world, VOICE, call_form(other), other.auth_token)) == ["Dial"]


async def test_a_number_that_no_agency_has_says_so(world: World):
    owner, _ = await share_account(world)
    form = call_form(owner, To="+15005559999")
    assert verbs(await post_signed(world, VOICE, form, owner.auth_token)) == ["Say", "Hangup"]


async def test_the_end_of_a_call_is_proven_by_its_own_agencys_token_alone(world: World):
    owner, _ = await share_account(world)
    form = call_form(owner)
    await post_signed(world, VOICE, form, owner.auth_token)
    await erase_token(world, owner)
    ended = form | {"CallStatus": "completed", "CallDuration": "999"}
    assert (await post_signed(world, STATUS, ended, owner.auth_token)).status_code == 403
    call = await world.db.fetchrow("SELECT ended_at, seconds FROM calls WHERE call_sid = $1", form["CallSid"])
    assert tuple(call) == (None, None)


@pytest.mark.parametrize("address", ["as given", "without its state"])
async def test_a_callback_of_a_call_is_proven_by_its_own_agencys_token_alone(world: World, address):
    owner, _ = await share_account(world)
    form = call_form(owner)
    dial = read_document(await post_signed(world, VOICE, form, owner.auth_token)).find("Dial")
    action = dial.get("action")
    await erase_token(world, owner)
    parts = urlsplit(action)
    path = f"{parts.path}?{parts.query}" if address == "as given" else parts.path
    before = await count_writes(world)
    left = form | {"CallStatus": "in-progress", "DialCallStatus": "no-answer"}
    assert (await post_signed(world, path, left, owner.auth_token)).status_code == 403
    assert await count_writes(world) == before


async def test_a_token_saved_after_the_others_was_remembered_counts_at_once(world: World):
    owner, other = await share_account(world)
    await erase_token(world, owner)
    assert verbs(await post_signed(world, VOICE, call_form(other), other.auth_token)) == ["Dial"]
    await world.save_key(owner.agency_id, "twilio", owner.auth_token, account_sid=owner.account_sid)
    form = call_form(owner)
    dial = read_document(await post_signed(world, VOICE, form, owner.auth_token)).find("Dial")
    parts = urlsplit(dial.get("action"))
    left = form | {"CallStatus": "in-progress", "DialCallStatus": "no-answer"}
    answer = await post_signed(world, f"{parts.path}?{parts.query}", left, owner.auth_token)
    assert "Record" in verbs(answer)


async def test_anothers_call_answers_nothing_at_a_number_of_ones_own(world: World):
    """The CallSid is known to whoever holds the account; the document and the state are its agency's alone."""
    owner, other = await share_account(world)
    form = call_form(owner)
    await post_signed(world, VOICE, form, owner.auth_token)
    before = await count_writes(world)
    answer = await post_signed(world, VOICE, form | {"To": other.number}, other.auth_token)
    assert answer.status_code == 403
    assert "state=" not in answer.text
    assert await count_writes(world) == before


async def test_a_recording_filed_by_one_agency_is_not_lost_to_the_other(world: World):
    owner, other = await share_account(world, mode="voicemail")
    recording_sid = "RE" + secrets.token_hex(16)
    for client, said in ((other, "Forged."), (owner, "I need a plumber.")):
        form = call_form(client)
        record = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Record")
        parts = urlsplit(record.get("recordingStatusCallback"))
        left = form | {"RecordingSid": recording_sid, "RecordingStatus": "completed", "RecordingDuration": "9"}
        await post_signed(world, f"{parts.path}?{parts.query}", left, client.auth_token)
        parts = urlsplit(record.get("transcribeCallback"))
        written = form | {"RecordingSid": recording_sid, "TranscriptionStatus": "completed", "TranscriptionText": said}
        await post_signed(world, f"{parts.path}?{parts.query}", written, client.auth_token)
    rows = await world.db.fetch(
        "SELECT v.agency_id, t.said FROM voicemails v JOIN transcripts t ON t.voicemail_id = v.id WHERE recording_sid = $1",
        recording_sid,
    )
    assert dict(rows) == {owner.agency_id: "I need a plumber.", other.agency_id: "Forged."}
