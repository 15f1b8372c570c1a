"""Voicemail: what the caller hears, and a message that is filed once however often Twilio tells us of it."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pytest

from adapters.sandbox.carrier import Quirks, Script
from router.phrases import phrases_for
from tests.support.signed_requests import (
    STATUS,
    VOICE,
    call_form,
    post_signed,
    read_document,
    verbs,
)
from tests.support.world import ADMIN_TOKEN, CALLER, Client, World

pytestmark = pytest.mark.anyio

VOICEMAIL = {"mode": "voicemail"}


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


async def reach_voicemail(world: World, client: Client) -> tuple[dict[str, str], str, str]:
    """A call that is at the tone: its form, and the addresses of the record's action and recording callback."""
    form = call_form(client)
    record = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Record")
    return form, record.get("action"), record.get("recordingStatusCallback")


def recording_of(form: dict[str, str]) -> str:
    """The SID of the call's recording."""
    return form["CallSid"].replace("CA", "RE")


def recording_form(form: dict[str, str], **changes: str) -> dict[str, str]:
    return {
        "AccountSid": form["AccountSid"],
        "CallSid": form["CallSid"],
        "RecordingSid": recording_of(form),
        "RecordingStatus": "completed",
        "RecordingDuration": "17",
        "RecordingUrl": "https://attacker.example/voice.mp3",
    } | changes


async def stored(world: World, client: Client) -> list[tuple[str, str, int | None]]:
    rows = await world.db.fetch(
        "SELECT recording_sid, from_number, seconds FROM voicemails WHERE client_id = $1 ORDER BY recording_sid",
        client.client_id,
    )
    return [tuple(row) for row in rows]


async def outcome_of(world: World, form: dict[str, str]) -> str | None:
    """None while the call goes on."""
    statement = "SELECT outcome FROM calls WHERE call_sid = $1 AND ended_at IS NOT NULL"
    ended = await world.db.fetchval(statement, form["CallSid"])
    now = await world.db.fetchval("SELECT outcome FROM calls WHERE call_sid = $1", form["CallSid"])
    assert ended in (None, now)
    return now


async def listed(world: World, client: Client) -> list[dict[str, Any]]:
    reply = await world.http.get(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/voicemails",
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    return reply.json()["items"]


@pytest.mark.parametrize(
    ("languages", "locale", "spoken"),
    [
        (None, "en-US", "en"),
        (["de-DE"], "de-DE", "de"),
        (["de-CH"], "de-DE", "de"),
        (["es-MX"], "es-MX", "es"),
        (["pt"], "pt-BR", "pt"),
        (["fr-CA", "en-US"], "fr-CA", "fr"),
        (["ja-JP"], "en-US", "en"),
        (["tlh"], "en-US", "en"),
        ([], "en-US", "en"),
    ],
)
async def test_the_greeting_is_in_the_client_s_language(world: World, languages, locale, spoken):
    assistant = None if languages is None else {"prompt": "Hello", "languages": languages}
    client = await world.add_client(routing=VOICEMAIL, assistant=assistant)
    timeline = await world.call(client, Script(message_ends_with="key"))
    assert timeline.said[0] == phrases_for(spoken).leave_message.format(name="Acme Plumbing")
    assert timeline.said[-1] == phrases_for(spoken).goodbye
    assert set(re.findall(r'language="([^"]*)"', "".join(timeline.documents))) == {locale}


async def test_the_client_s_own_greeting_is_spoken_in_its_language(world: World):
    routing = VOICEMAIL | {"voicemail_greeting": "こんにちは & <さようなら>"}
    client = await world.add_client(routing=routing, assistant={"prompt": "Hello", "languages": ["ja-JP"]})
    timeline = await world.call(client)
    assert timeline.said == ["こんにちは & <さようなら>"]
    assert 'language="ja-JP"' in timeline.documents[0]


async def test_the_message_has_sane_limits(world: World):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client)
    for limit in ('maxLength="120"', 'timeout="5"', 'finishOnKey="#"', 'playBeep="true"'):
        assert limit in timeline.documents[0]


async def test_a_message_is_cut_off_where_the_client_wishes_and_kept(world: World):
    client = await world.add_client(routing=VOICEMAIL | {"voicemail_seconds": 30})
    timeline = await world.call(client, Script(message_seconds=300))
    assert await stored(world, client) == [(timeline.recordings[0], CALLER, 30)]


@pytest.mark.parametrize("ends_with", ["hang-up", "silence", "key"])
async def test_a_message_is_kept_with_its_caller_and_length(world: World, ends_with):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client, Script(message_ends_with=ends_with))
    assert await stored(world, client) == [(timeline.recordings[0], CALLER, 12)]
    call = await world.find_call(timeline)
    assert (call["outcome"], call["answered_by"]) == ("voicemail", "voicemail")
    events = [event for event, _, _ in await world.events(timeline)]
    assert events.count("voicemail.received") == 1
    assert events.count("call.ended") == 1


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(recording_callback="after-end"),
        Quirks(recording_callback_copies=3),
        Quirks(recording_callback="after-end", recording_callback_copies=3),
        Quirks(copies=3, copies_at_once=True),
        Quirks(copies=3, copies_at_once=True, recording_callback="after-end", recording_callback_copies=3),
    ],
)
async def test_a_message_is_filed_once_however_often_and_late_twilio_reports_it(world: World, quirks):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client, quirks=quirks)
    assert len(await stored(world, client)) == 1
    assert (await world.find_call(timeline))["outcome"] == "voicemail"
    events = [event for event, _, _ in await world.events(timeline)]
    assert events.count("voicemail.received") == 1


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(recording_callback="after-end")])
async def test_a_caller_who_says_nothing_leaves_no_message(world: World, quirks):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client, Script(voicemail="silent"), quirks=quirks)
    assert await stored(world, client) == []
    events = [event for event, _, _ in await world.events(timeline)]
    assert "voicemail.absent" in events
    assert "voicemail.received" not in events
    assert (await world.find_call(timeline))["outcome"] == "abandoned"


async def test_a_caller_who_hangs_up_in_the_greeting_leaves_no_message(world: World):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client, Script(caller="hangs-up-in-voicemail-greeting"))
    assert await stored(world, client) == []
    assert (await world.find_call(timeline))["outcome"] == "abandoned"


async def test_two_recordings_of_one_call_are_two_messages(world: World):
    client = await world.add_client(routing=VOICEMAIL)
    form, _, callback = await reach_voicemail(world, client)
    sid, other = sorted([recording_of(form), "RE" + secrets.token_hex(16)])
    for told in (sid, other, sid, other):
        assert (
            verbs(await post_signed(world, callback, recording_form(form, RecordingSid=told), client.auth_token)) == []
        )
    assert await stored(world, client) == [(sid, CALLER, 17), (other, CALLER, 17)]


@pytest.mark.parametrize(
    "changes",
    [
        {"RecordingStatus": "in-progress"},
        {"RecordingStatus": "failed"},
        {"RecordingStatus": ""},
        {"RecordingSid": ""},
        {"RecordingSid": "../../../Accounts"},
        {"RecordingSid": "RE" + "é" * 32},
        {"RecordingSid": "RE" + "1" * 5000},
    ],
)
async def test_what_is_no_finished_recording_is_not_filed(world: World, changes):
    client = await world.add_client(routing=VOICEMAIL)
    form, _, callback = await reach_voicemail(world, client)
    assert verbs(await post_signed(world, callback, recording_form(form, **changes), client.auth_token)) == []
    assert await stored(world, client) == []


@pytest.mark.parametrize("said", [None, "", "-1", "-4", "1e3", "4.5", " 4", "١٢", "9" * 40])
async def test_a_length_that_makes_no_sense_is_unknown_and_does_not_lose_the_message(world: World, said):
    client = await world.add_client(routing=VOICEMAIL)
    form, action, callback = await reach_voicemail(world, client)
    changed = recording_form(form, RecordingDuration=said or "")
    if said is None:
        del changed["RecordingDuration"]
    assert verbs(await post_signed(world, callback, changed, client.auth_token)) == []
    assert verbs(await post_signed(world, action, form | changed, client.auth_token)) == ["Say", "Hangup"]
    assert await stored(world, client) == [(recording_of(form), CALLER, None)]
    [message] = await listed(world, client)
    assert message["seconds"] is None
    assert await outcome_of(world, form) == "voicemail"


@pytest.mark.parametrize("said", ["0", "00"])
async def test_an_empty_recording_is_no_message(world: World, said):
    client = await world.add_client(routing=VOICEMAIL)
    form, action, callback = await reach_voicemail(world, client)
    changed = recording_form(form, RecordingDuration=said)
    hung_up = form | changed | {"CallStatus": "completed", "Digits": "hangup"}
    assert verbs(await post_signed(world, action, hung_up, client.auth_token)) == []
    assert verbs(await post_signed(world, callback, changed, client.auth_token)) == []
    assert verbs(await post_signed(world, STATUS, form | {"CallStatus": "completed"}, client.auth_token)) == []
    assert await stored(world, client) == []
    assert await outcome_of(world, form) == "abandoned"


@pytest.mark.parametrize("status", ["initiated", "queued", "ringing", "answered", "in-progress", "brand-new", ""])
async def test_a_status_that_does_not_end_a_call_does_not_end_it(world: World, status):
    client = await world.add_client(routing=VOICEMAIL)
    form, _, callback = await reach_voicemail(world, client)
    for _ in range(2):
        assert verbs(await post_signed(world, STATUS, form | {"CallStatus": status}, client.auth_token)) == []
    assert await outcome_of(world, form) is None
    await post_signed(world, callback, recording_form(form), client.auth_token)
    await post_signed(world, STATUS, form | {"CallStatus": "completed", "CallDuration": "25"}, client.auth_token)
    assert await outcome_of(world, form) == "voicemail"


async def test_a_recording_reported_before_its_call_has_ended_decides_the_outcome_once(world: World):
    client = await world.add_client(routing=VOICEMAIL)
    form, action, callback = await reach_voicemail(world, client)
    hung_up = form | {"Digits": "hangup", "CallStatus": "completed", "RecordingDuration": "17"}
    ended = form | {"CallStatus": "completed", "CallDuration": "25"}
    assert verbs(await post_signed(world, action, hung_up, client.auth_token)) == []
    for _ in range(3):
        assert verbs(await post_signed(world, STATUS, ended, client.auth_token)) == []
    assert verbs(await post_signed(world, callback, recording_form(form), client.auth_token)) == []
    call = await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", form["CallSid"])
    assert (call["outcome"], call["seconds"]) == ("voicemail", 25)


async def test_a_message_for_a_deleted_client_is_not_filed(world: World):
    client = await world.add_client(routing=VOICEMAIL)
    form, _, callback = await reach_voicemail(world, client)
    await world.db.execute("DELETE FROM agencies WHERE id = $1", client.agency_id)
    assert verbs(await post_signed(world, callback, recording_form(form), client.auth_token)) == []
    assert await stored(world, client) == []


@pytest.mark.parametrize("what", ["voicemails", "calls"])
@pytest.mark.parametrize("late", ["recording", "transcription", "both"])
async def test_what_was_deleted_is_not_filed_again_by_a_callback_that_comes_late(world: World, what: str, late: str):
    client = await world.add_client(routing=VOICEMAIL)
    form = call_form(client)
    record = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Record")
    said = {"TranscriptionStatus": "completed", "TranscriptionText": "Canary", "RecordingSid": recording_of(form)}
    callbacks = {
        "recording": (record.get("recordingStatusCallback"), recording_form(form)),
        "transcription": (record.get("transcribeCallback"), form | said),
    }
    await post_signed(world, *callbacks["recording"], client.auth_token)
    await post_signed(world, STATUS, form | {"CallStatus": "completed", "CallDuration": "30"}, client.auth_token)
    (one,) = await world.db.fetch(f"SELECT id FROM {what} WHERE client_id = $1", client.client_id)  # noqa: S608
    path = f"{world.urls[0]}/v1/agencies/{client.agency_id}/{what}/{one['id']}"
    deleted = await world.http.delete(path, headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
    assert deleted.status_code == 204
    for name in callbacks if late == "both" else [late]:
        assert (await post_signed(world, *callbacks[name], client.auth_token)).status_code == 200
    assert await stored(world, client) == []
    assert await world.db.fetchval("SELECT count(*) FROM transcripts WHERE said = 'Canary'") == 0
    calls = await world.db.fetchval("SELECT count(*) FROM calls WHERE client_id = $1", client.client_id)
    assert calls == (what == "voicemails")


async def transcripts(world: World, client: Client) -> list[tuple[str | None, bool]]:
    """What the client's messages say, and whether more is waited for."""
    rows = await world.db.fetch(
        """
        SELECT t.said, v.transcript_due IS NOT NULL AND t.voicemail_id IS NULL
          FROM voicemails v LEFT JOIN transcripts t ON t.voicemail_id = v.id
         WHERE client_id = $1
        """,
        client.client_id,
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(),
        Quirks(recording_callback="after-end", recording_callback_copies=2),
        Quirks(recording_callback="after-transcription"),
        Quirks(recording_callback="after-transcription", recording_callback_copies=2),
    ],
)
async def test_a_message_in_american_english_is_written_down_once(world: World, quirks):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client, Script(message_says="Call me <back> & soon."), quirks=quirks)
    assert await transcripts(world, client) == [("Call me <back> & soon.", False)]
    assert [message["transcript"] for message in await listed(world, client)] == ["Call me <back> & soon."]
    assert [event for event, _, _ in await world.events(timeline)].count("voicemail.transcribed") == 1


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(recording_callback="after-transcription")])
async def test_a_message_that_cannot_be_written_down_is_not_waited_for(world: World, quirks):
    client = await world.add_client(routing=VOICEMAIL)
    timeline = await world.call(client, Script(message_says=None), quirks=quirks)
    assert await transcripts(world, client) == [(None, False)]
    assert "voicemail.transcribed" not in [event for event, _, _ in await world.events(timeline)]


@pytest.mark.parametrize(
    ("routing", "languages"),
    [({"transcribe": False}, ["en-US"]), ({"voicemail_seconds": 121}, ["en-US"]), ({}, ["en-GB"]), ({}, ["de-DE"])],
)
async def test_no_transcription_is_requested_if_twilio_cannot_do_it_or_it_is_off(world: World, routing, languages):
    client = await world.add_client(routing=VOICEMAIL | routing, assistant={"prompt": "Hi", "languages": languages})
    timeline = await world.call(client)
    assert "transcribe" not in "".join(timeline.documents)
    assert await transcripts(world, client) == [(None, False)]


async def test_what_a_message_says_is_believed_only_from_twilio_and_for_that_call(world: World):
    client, other = await world.add_client(routing=VOICEMAIL), await world.add_client(routing=VOICEMAIL)
    form, _, callback = await reach_voicemail(world, client)
    await post_signed(world, callback, recording_form(form), client.auth_token)
    said = recording_form(form) | {"TranscriptionStatus": "completed", "TranscriptionText": "Send me money."}
    address = callback.replace("/recording-", "/transcription-")
    refused = await post_signed(world, address, said, "0" * 32)
    assert refused.status_code == 403
    other_form, _, _ = await reach_voicemail(world, other)
    elsewhere = said | {"CallSid": other_form["CallSid"]}
    assert verbs(await post_signed(world, address, elsewhere, client.auth_token)) == []
    assert await transcripts(world, client) == [(None, True)]
    assert verbs(await post_signed(world, address, said, client.auth_token)) == []
    assert await transcripts(world, client) == [("Send me money.", False)]
