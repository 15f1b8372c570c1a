from __future__ import annotations

import io
import wave

import pytest

from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, NUMBERS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("world")]

ROOT = f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}"
AUTH = (ACCOUNT_SID, AUTH_TOKEN)
RECORDING = "RE" + "1" * 32
CALL = "CA" + "2" * 32


async def find(client, e164: str) -> dict:
    page = await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PhoneNumber": e164}, auth=AUTH)
    return page.json()["incoming_phone_numbers"][0]


async def test_an_account_opens_to_its_token_only(client):
    assert (await client.get(f"{ROOT}.json", auth=AUTH)).json()["status"] == "active"
    for auth in ((ACCOUNT_SID, "wrong"), ("AC" + "9" * 32, AUTH_TOKEN), None):
        response = await client.get(f"{ROOT}.json", auth=auth)
        assert (response.status_code, response.json()["code"]) == (401, 20003)


async def test_a_parent_may_use_its_subaccount_but_not_a_strangers(client, box):
    child = box.state.twilio.add_account(parent=ACCOUNT_SID)
    stranger = box.state.twilio.add_account()

    assert (await client.get(f"/twilio/2010-04-01/Accounts/{child.sid}.json", auth=AUTH)).status_code == 200
    assert (await client.get(f"/twilio/2010-04-01/Accounts/{stranger.sid}.json", auth=AUTH)).status_code == 401
    assert (await client.get(f"{ROOT}.json", auth=(child.sid, child.auth_token))).status_code == 401


async def test_an_api_key_opens_its_account(client, box):
    box.state.twilio.accounts[ACCOUNT_SID].api_keys["SK1"] = "hush"

    assert (await client.get(f"{ROOT}.json", auth=("SK1", "hush"))).status_code == 200
    assert (await client.get(f"{ROOT}.json", auth=("SK1", "loud"))).status_code == 401


async def test_a_suspended_account_says_so_and_does_nothing_else(client, box):
    box.state.twilio.accounts[ACCOUNT_SID].status = "suspended"

    assert (await client.get(f"{ROOT}.json", auth=AUTH)).json()["status"] == "suspended"
    assert (await client.get(f"{ROOT}/IncomingPhoneNumbers.json", auth=AUTH)).status_code == 401


async def test_a_number_is_found_and_pointed_elsewhere(client):
    number = await find(client, NUMBERS[1])
    form = {"VoiceUrl": "https://router.example/voice", "VoiceFallbackUrl": "https://router.example/f", "TrunkSid": ""}

    changed = await client.post(f"{ROOT}/IncomingPhoneNumbers/{number['sid']}.json", data=form, auth=AUTH)

    assert changed.status_code == 200
    found = await find(client, NUMBERS[1])
    assert (found["voice_url"], found["voice_fallback_url"]) == (form["VoiceUrl"], form["VoiceFallbackUrl"])
    assert found["trunk_sid"] is None


async def test_a_number_of_nobody_is_an_empty_page(client):
    page = await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PhoneNumber": "+15005550111"}, auth=AUTH)

    assert page.json()["incoming_phone_numbers"] == []


async def test_numbers_come_in_pages(client):
    first = (await client.get(f"{ROOT}/IncomingPhoneNumbers.json", params={"PageSize": 2}, auth=AUTH)).json()
    second = (await client.get(f"/twilio{first['next_page_uri']}", auth=AUTH)).json()

    listed = [number["phone_number"] for page in (first, second) for number in page["incoming_phone_numbers"]]
    assert listed == list(NUMBERS)
    assert second["next_page_uri"] is None


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"VoiceFallbackUrl": "https://router.example/f"}, 21405),
        ({"VoiceUrl": "router.example"}, 21402),
        ({"VoiceUrl": "https://router.example/", "VoiceMethod": "PUT"}, 21403),
    ],
)
async def test_a_number_is_not_set_up_wrongly(client, form, code):
    number = await find(client, NUMBERS[0])

    refused = await client.post(f"{ROOT}/IncomingPhoneNumbers/{number['sid']}.json", data=form, auth=AUTH)

    assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_a_number_is_bought_once_and_released(client):
    form = {"PhoneNumber": "+14155550144", "VoiceUrl": "https://router.example/voice"}
    bought = await client.post(f"{ROOT}/IncomingPhoneNumbers.json", data=form, auth=AUTH)
    again = await client.post(f"{ROOT}/IncomingPhoneNumbers.json", data=form, auth=AUTH)
    address = f"{ROOT}/IncomingPhoneNumbers/{bought.json()['sid']}.json"

    assert (bought.status_code, again.json()["code"]) == (201, 21422)
    assert (await find(client, "+14155550144"))["voice_url"] == "https://router.example/voice"
    assert (await client.delete(address, auth=AUTH)).status_code == 204
    gone = await client.get(address, auth=AUTH)
    assert (gone.status_code, gone.json()["code"]) == (404, 20404)


async def test_updates_of_a_live_call_are_remembered_in_order(client, box):
    for form in ({"TimeLimit": "7200"}, {"Url": "https://router.example/transfer"}):
        assert (await client.post(f"{ROOT}/Calls/{CALL}.json", data=form, auth=AUTH)).status_code == 200

    updates = box.state.twilio.accounts[ACCOUNT_SID].calls[CALL]
    assert updates == [{"TimeLimit": "7200"}, {"Url": "https://router.example/transfer"}]


async def test_a_recording_is_real_audio_behind_the_accounts_password(client, box):
    box.state.twilio.add_recording(ACCOUNT_SID, CALL, RECORDING, seconds=7.2)
    address = f"{ROOT}/Recordings/{RECORDING}"

    assert (await client.get(f"{address}.mp3")).status_code == 401
    mp3 = await client.get(f"{address}.mp3", auth=AUTH)
    assert (mp3.headers["content-type"], len(mp3.content)) == ("audio/mpeg", 7200)
    assert mp3.content[:2] == b"\xff\xe3"
    with wave.open(io.BytesIO((await client.get(address, auth=AUTH)).content)) as wav:
        assert wav.getnframes() / wav.getframerate() == 7.2
    assert (await client.get(f"{address}.json", auth=AUTH)).json()["call_sid"] == CALL


async def test_a_range_of_a_recording(client, box):
    box.state.twilio.add_recording(ACCOUNT_SID, CALL, RECORDING, seconds=7.2)
    address = f"{ROOT}/Recordings/{RECORDING}.mp3"

    part = await client.get(address, auth=AUTH, headers={"range": "bytes=72-143"})
    rest = await client.get(address, auth=AUTH, headers={"range": "bytes=7128-"})
    beyond = await client.get(address, auth=AUTH, headers={"range": "bytes=7200-"})

    assert (part.status_code, part.headers["content-range"], part.content[:2]) == (
        206,
        "bytes 72-143/7200",
        b"\xff\xe3",
    )
    assert (rest.status_code, len(rest.content)) == (206, 72)
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */7200")


async def test_a_deleted_recording_is_gone(client, box):
    box.state.twilio.add_recording(ACCOUNT_SID, CALL, RECORDING, seconds=2)
    address = f"{ROOT}/Recordings/{RECORDING}.json"

    assert (await client.delete(address, auth=AUTH)).status_code == 204
    assert (await client.delete(address, auth=AUTH)).status_code == 404
    assert (await client.get(f"{ROOT}/Recordings/{RECORDING}.mp3", auth=AUTH)).status_code == 404
